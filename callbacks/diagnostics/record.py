"""TrainingRecord: what `learning.py` judges, collected over the whole training and kept over a resume."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer

from callbacks.diagnostics.curve import Curve
from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.probe import Layer
from callbacks.steps import steps_done

WEIGHTS = ("class_weights", "pos_weight")  # options of a model whose task is to find a class


@dataclass
class TrainingRecord:
    """The course of a training.

    Args:
        training, validation: the losses at probe steps, and of each validation.
        trained, validated: the newest evidence, or why there is none. `validated` is empty before the first validation.
        given: whether the targets of a regression came with the batch.
        probes, clipped, decayed: number of probe steps; of those with clipped gradients; of those where weight decay
            was stronger than the gradient.
        decay_at_start: weight decay over gradient at the first probe step; 0 if no weight had a gradient there.
        peak_rate, rate: the highest learning rate so far, and that of now.
        rate_gone_after: the last probe step with at least 1 % of the peak.
        step, epoch: done so far.
        planned_steps: of the whole training; 0 if it has no end.
        more: the flag and the number that give it more.
        unset: options of the model that would weigh the classes, and do not yet: `class_weights`, `pos_weight`.
    """

    training: Curve = field(default_factory=Curve)
    validation: Curve = field(default_factory=Curve)
    trained: Evidence | str = ""
    validated: Evidence | str = ""
    given: bool = True
    probes: int = 0
    clipped: int = 0
    decayed: int = 0
    decay_at_start: float = 0.0
    peak_rate: float = 0.0
    rate: float = 0.0
    rate_gone_after: int = 0
    step: int = 0
    epoch: int = 0
    planned_steps: int = 0
    more: str = ""
    unset: list[str] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TrainingRecord:
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in state.items() if name in known}
        for name in ("training", "validation"):
            values[name] = Curve(**values.get(name, {}))
        for name in ("trained", "validated"):
            if isinstance(values.get(name), dict):
                values[name] = Evidence(**values[name])
        return cls(**values)

    def update(self, trainer: pl.Trainer) -> None:
        """Note how far the training is."""
        self.step, self.epoch = steps_done(trainer), trainer.current_epoch
        options = getattr(trainer.lightning_module, "hparams", {})
        self.unset = [name for name in WEIGHTS if name in options and options[name] is None]
        epochs, steps = trainer.max_epochs or 0, trainer.max_steps
        if steps > 0 and trainer.global_step != self.step:  # `max_steps` counts each of a GAN's optimizers
            steps = round(steps * self.step / trainer.global_step) if trainer.global_step else -1
        per_epoch = trainer.num_training_batches / max(trainer.accumulate_grad_batches, 1)
        ends = [steps] if steps > 0 else []
        ends += [int(epochs * per_epoch)] if epochs > 0 and per_epoch < float("inf") else []
        self.planned_steps = min(ends, default=0)
        if steps > 0 and self.planned_steps == steps:
            self.more = f"--trainer.max_steps {5 * trainer.max_steps}"
        else:
            self.more = f"--trainer.max_epochs {5 * max(epochs, self.epoch, 1)}"

    def note_rate(self, step: int, optimizers: list[Optimizer]) -> None:
        """Note the highest learning rate of all groups."""
        rates = [float(group["lr"]) for each in optimizers for group in each.param_groups if "lr" in group]
        if not rates:
            return
        self.rate = max(rates)
        self.peak_rate = max(self.peak_rate, self.rate)
        if self.rate >= 0.01 * self.peak_rate:
            self.rate_gone_after = step

    @property
    def evidence(self) -> Evidence | str:
        """Of the validation; if there is none, of the training."""
        return self.validated if isinstance(self.validated, Evidence) else self.trained

    @property
    def course(self) -> Curve:
        """The validation's losses if there are enough, else those of the training."""
        return self.validation if self.validation.is_judged else self.training

    @property
    def seems_no_better(self) -> bool:
        """Whether the answers are no better than a constant one on the rows seen so far, be it by chance."""
        evidence = self.evidence
        if not isinstance(evidence, Evidence) or not evidence.is_judged:
            return False
        return evidence.loss >= evidence.constant and (evidence.accuracy or 0.0) <= evidence.majority

    @property
    def where(self) -> str:
        """Which rows `evidence` counts."""
        return "validation" if isinstance(self.validated, Evidence) else "training"

    def name_of(self, label: int) -> str:
        """The class as the data module calls it."""
        return f"'{self.class_names[label]}'" if label < len(self.class_names) else f"class {label}"


def decay_over_gradient(
    optimizers: list[Optimizer], layers: list[Layer], measured: dict[str, dict[str, float]]
) -> float:
    """How much weight decay moves the weights, over how much the gradient does; 0 without weight decay.

    Args:
        optimizers: of the training.
        layers: with their tags.
        measured: by a GradientMonitor: `weight_norm`, `grad_norm` and `update_ratio`, by tag.
    """
    groups = {
        id(p): (group, type(each).__name__)
        for each in optimizers
        for group in each.param_groups
        for p in group["params"]
    }
    decay = gradient = 0.0  # squares of norms, both in the units of one step
    for layer in layers:
        weights = [groups[id(p)] for name, p in layer.parameters() if "bias" not in name and id(p) in groups]
        norm = measured.get("weight_norm", {}).get(layer.tag, 0.0)
        if not weights:
            continue
        group, kind = weights[0]
        own = group.get("weight_decay", 0.0) * norm
        if kind == "AdamW" or group.get("decoupled_weight_decay", False):
            own *= float(group["lr"])
            step = measured.get("update_ratio", {}).get(layer.tag, 0.0) * norm if norm else 0.0
            rest = max(step**2 - own**2, 0.0)
        else:
            rest = measured.get("grad_norm", {}).get(layer.tag, 0.0) ** 2
        decay, gradient = decay + own**2, gradient + rest
    if decay == 0:
        return 0.0
    return math.sqrt(decay / gradient) if gradient > 0 else math.inf
