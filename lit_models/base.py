"""The steps, metrics and optimizers that all architectures share."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from lit_models.class_weights import PosWeight, Weights, training_class_counts
from lit_models.groups import build_optimizer, finish_groups, freeze, parameter_groups
from lit_models.metrics import MetricNames, measured, names_in, new_metrics, update_metrics
from lit_models.pretrained import load_pretrained
from lit_models.schedules import CYCLES, SchedulerCallable, build_scheduler, counts_steps
from lit_models.targets import check_targets
from lit_models.task_choice import make_task

Metrics = Any  # an nn.ModuleDict of torchmetrics objects; mypy would treat them as plain modules
# Inputs (N, *in_shape), targets (N,) or (N, ...), and perhaps the weights of the rows in the loss, (N,) or (N, ...).
Batch = tuple[Tensor, ...]


class LitModel(pl.LightningModule):
    """A network and its task; an architecture adds its layers, and a `forward` that returns logits.

    Args:
        in_shape: shape of one sample: [F] for a table, [C, H, W] for an image, [T, F] for a sequence of F numbers.
        out_features: numbers per sample that the network returns; one logit per class (binary: one logit).
        task: what is learned: a name in `lit_models.task_choice.TASKS`, or the class path of another subclass of `Task`.
        target_mean: of a normalized target, in its units; metrics and predictions are given in these units.
        target_std: likewise.
        label_smoothing: see `Multiclass`.
        class_weights: see `Multiclass`.
        pos_weight: see `Binary` and `Multilabel`.
        metrics: further metrics of validation and test, by name or class path; see `new_metrics`.
        optimizer: a class from torch.optim, or any function from parameters to an optimizer.
        optimizer_groups: options of the optimizer for parameters by pattern, such as {"encoder.*": {lr_factor: 0.1}}; see
            `parameter_groups`.
        decay_biases_and_norms: False leaves biases and normalization layers out of the weight decay.
        layer_decay: factor of the learning rate from each layer to the one below it, such as 0.75; see `layers_in_order`.
        frozen: patterns of parameters that are not trained, such as ["encoder.*"].
        pretrained: weights to begin with: a run, a checkpoint or a state_dict; see `load_weights`.
        pretrained_parts: which of them, and what they are called here, such as {"encoder.*": "backbone.*"}; see
            docs/schedules.md.
        scheduler: a class from torch.optim.lr_scheduler, or any function from an optimizer to a scheduler, such as
            `lit_models.schedules.warmup_cosine`. Missing arguments are filled in: `total_steps` and `T_max` with the
            length of the training, `max_lr` of OneCycleLR and CyclicLR with the optimizer's `lr`, `monitor` of
            ReduceLROnPlateau with "val/loss".
        scheduler_interval: the unit that the scheduler counts; default: steps for OneCycleLR, CyclicLR, and what has an
            argument such as `total_steps` or `warmup_steps`, else epochs.
        compile: compile the network in place with `torch.compile`; the names in checkpoints stay the same.

    The data determine the first five; the command line takes them from the data module.
    """

    # Of logits (N, K, ...) or (N, ..., K): the dimension of the classes, 1 or -1; None if the shapes show it.
    classes_dim: ClassVar[int | None] = None

    def __init__(
        self,
        *,
        in_shape: Sequence[int],
        out_features: int = 1,
        task: str = "binary",
        target_mean: float | Sequence[float] = 0.0,
        target_std: float | Sequence[float] = 1.0,
        label_smoothing: float = 0.0,
        class_weights: Weights = None,
        pos_weight: PosWeight = None,
        metrics: MetricNames = (),
        optimizer: OptimizerCallable = torch.optim.Adam,
        optimizer_groups: dict[str, dict[str, Any]] | None = None,
        decay_biases_and_norms: bool = True,
        layer_decay: float = 1.0,
        frozen: Sequence[str] = (),
        pretrained: str | None = None,
        pretrained_parts: dict[str, str | None] | None = None,
        scheduler: SchedulerCallable | None = None,
        scheduler_interval: Literal["step", "epoch"] | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        for name in ("optimizer", "scheduler"):
            # The command line passes plain descriptions; a function given in Python cannot be saved safely.
            if callable(self.hparams.get(name)):
                del self.hparams[name]
        self.optimizer_factory = optimizer
        self.optimizer_groups = dict(optimizer_groups or {})
        self.decay_biases_and_norms = decay_biases_and_norms
        self.layer_decay = layer_decay
        self.frozen = tuple(frozen)
        self.pretrained, self.pretrained_parts = pretrained, pretrained_parts
        self.scheduler_factory = scheduler
        self.scheduler_interval = scheduler_interval
        self.compile_network = compile
        self.in_shape = tuple(in_shape)
        self.out_features = out_features
        self.task = make_task(
            task,
            out_features=out_features,
            target_mean=target_mean,
            target_std=target_std,
            label_smoothing=label_smoothing,
            class_weights=class_weights,
            pos_weight=pos_weight,
            classes_dim=self.classes_dim,
        )
        self.val_metrics: Metrics = self._new_metrics(metrics)
        self.test_metrics: Metrics = self._new_metrics(metrics)

    def target(self, x: Tensor, y: Tensor) -> Tensor:
        """What the outputs are compared with: the batch's target or, for an autoencoder, its input."""
        return y

    def require_shape(self, kind: str, names: str) -> tuple[int, ...]:
        """The shape of one sample, which must have as many dimensions as `names`.

        Raises:
            ValueError: if it has another number; then these data do not suit the architecture.
        """
        if len(self.in_shape) != len(names.split()):
            raise ValueError(
                f"{type(self).__name__} wants {kind}, in_shape [{names.replace(' ', ', ')}], "
                f"but one sample of these data has shape {list(self.in_shape)}; take other data or another model"
            )
        return self.in_shape

    def setup(self, stage: str) -> None:
        if self.pretrained is not None:
            load_pretrained(self, stage, self.pretrained, self.pretrained_parts)
        freeze(self, self.frozen)
        if self.compile_network:
            self.compile()
        knows_batch = type(self).unpack is LitModel.unpack and type(self).target is LitModel.target
        if stage == "fit" and knows_batch and self._trainer is not None:
            check_targets(self._trainer, self.task)
        if stage == "fit" and self.task.balances:
            self.task.balance(training_class_counts(self.trainer, self.task.balances))

    def unpack(self, batch: Any) -> tuple[tuple[Any, ...], Any, Tensor | None]:
        """The inputs of `forward`, the target, and the weights of the rows in the loss or None.

        To be replaced for batches of another form: a dictionary, say, or lengths of sequences next to the inputs.

        Raises:
            ValueError: for a batch of another form.
        """
        if not isinstance(batch, (list, tuple)) or len(batch) > 3:
            raise ValueError(
                f"{type(self).__name__} knows batches (inputs, target) and (inputs, target, weights of the rows), but "
                f"this one is a {type(batch).__name__} of {len(batch)}; let its method `unpack` say what the parts are"
            )
        x, y, weight = (*batch, None, None)[:3]
        return (x,), y, weight

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        inputs, y, weight = self.unpack(batch)
        logits, target = self(*inputs), self.target(inputs[0], y)
        task = self.task
        loss = (
            task.loss(logits, target) if weight is None else task.mean_and_weight(logits, target, weight)[0]
        )
        # A call of `self.log` costs as much as a step of a small network, so it is called only if its value is written.
        # Lightning's progress bar reads the last logged tensor at every step: a copy on the host is cheaper to read.
        if self.is_logged_step():
            self.log("train/loss", loss.detach().cpu(), prog_bar=True, batch_size=len(target))
            for name, term in task.terms(logits.detach(), target).items():
                self.log(f"train/{name}", term, batch_size=len(target))
        return loss

    def is_logged_step(self) -> bool:
        """Whether the values of this step are written: every `log_every_n_steps`, and at the end of the training."""
        trainer, step = self.trainer, self.global_step + 1
        if step % trainer.log_every_n_steps == 0 or step == trainer.max_steps:
            return True
        return trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.update_metrics(self.val_metrics, batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.update_metrics(self.test_metrics, batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Mapping[str, Any]:
        """Columns of predictions.csv for the batch's inputs: tensors (N, ...), or N words."""
        inputs, _, _ = self.unpack(batch)
        return self.task.predict(self(*inputs))

    def update_metrics(self, metrics: Metrics, batch: Any) -> None:
        """Add one batch of outputs to the metrics of an evaluation. Weights of rows enter the loss only."""
        inputs, y, weight = self.unpack(batch)
        logits, target = self(*inputs), self.target(inputs[0], y)
        loss, total = self.task.mean_and_weight(logits, target, weight)
        metrics["loss"].update(loss, weight=total)
        for name, term in self.task.terms(logits, target).items():
            if name not in metrics:  # only now it is known which terms there are
                metrics[name] = MeanMetric().to(loss.device)
            metrics[name].update(term, weight=total)
        update_metrics(metrics, self.task, logits, target)

    def on_validation_epoch_end(self) -> None:
        self._log_and_reset("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        self._log_and_reset("test", self.test_metrics)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Do the same as `optimizer.zero_grad()`, without its profiling."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_optimizers(self) -> OptimizerLRScheduler:
        parameters: Any = self.parameters()
        if self.optimizer_groups or not self.decay_biases_and_norms or self.layer_decay != 1:
            parameters = parameter_groups(
                self, self.optimizer_groups, self.decay_biases_and_norms, self.layer_decay
            )
        return self.make_optimizer(parameters, self.total_steps, self.total_epochs)

    def total_steps(self) -> int:
        """Length of the training in steps of the optimizer.

        Raises:
            ValueError: if it has no end.
        """
        steps = self.trainer.estimated_stepping_batches
        if steps == math.inf or steps < 0:
            reason = "the training loader has no length" if steps < 0 else "the training has no end"
            raise ValueError(
                f"model.scheduler has no length, and {reason}; give its total_steps or T_max, or --trainer.max_steps"
                + ("" if steps < 0 else " or --trainer.max_epochs")
            )
        return int(steps)

    def total_epochs(self) -> int:
        """Length of the training in epochs, the last of which may be cut short."""
        steps, trainer = self.total_steps(), self.trainer
        if math.isinf(trainer.num_training_batches):
            return max(1, trainer.max_epochs or 1)
        return math.ceil(steps / math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches))

    def make_optimizer(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        total_steps: Callable[[], int],
        total_epochs: Callable[[], int] | None = None,
    ) -> OptimizerLRScheduler:
        """The optimizer of these parameters and its schedule, in the form that Lightning expects.

        Args:
            parameters: what it steps, or groups of it.
            total_steps: gives the length of the training; called only if a schedule needs it.
            total_epochs: the same for a schedule that counts epochs; default: of the trainer.
        """
        optimizer = build_optimizer(self.optimizer_factory, parameters)
        finish_groups(optimizer, self.optimizer_groups)
        if self.scheduler_factory is None:
            return {"optimizer": optimizer}
        interval = self.scheduler_interval or ("step" if counts_steps(self.scheduler_factory) else "epoch")
        length = total_steps if interval == "step" else total_epochs or self.total_epochs
        scheduler = build_scheduler(self.scheduler_factory, optimizer, length)
        if self.scheduler_interval is None and isinstance(scheduler, CYCLES):  # made by a function
            interval = "step"
        config = {
            "scheduler": scheduler,
            "interval": interval,
            # These two are read for ReduceLROnPlateau only, which waits until its metric is measured.
            "monitor": getattr(scheduler, "monitor", "val/loss"),
            "strict": False,
        }
        return {"optimizer": optimizer, "lr_scheduler": config}

    def _new_metrics(self, more: MetricNames) -> Metrics:
        """Those of the task and those asked for, for one evaluation."""
        return nn.ModuleDict({"loss": MeanMetric(), **self.task.metrics(), **new_metrics(more, self.task)})

    def _log_and_reset(self, stage: str, metrics: Metrics) -> None:
        """Log once per evaluation; computing a metric collects the shares of all processes.

        A subclass with evaluation steps of its own may never update these metrics; then they are not logged.
        """
        updated = any(metric.update_called for metric in metrics.values())
        if not self.trainer.strategy.reduce_boolean_decision(updated, all=False):
            return
        values = measured(metrics, names_in(getattr(self.trainer, "datamodule", None)))
        for name, value in values.items():
            self.log(f"{stage}/{name}", value, prog_bar=name in metrics)  # not those of single classes
        for metric in metrics.values():
            metric.reset()
