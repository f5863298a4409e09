"""Are train and eval mode where they belong, and dropout and BatchNorm within reason?"""

from __future__ import annotations

from collections.abc import Iterator

from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import nn

from callbacks.checkup.check import Check
from callbacks.checkup.checks.steps import some
from callbacks.checkup.copying import DoesNotApplyError
from callbacks.checkup.subject import Subject
from callbacks.checkup.watching import Watch
from callbacks.diagnostics.verdict import Verdict

STRONG = 0.9  # dropout that leaves less than a tenth
FEW, VERY_FEW = 8, 4  # values that BatchNorm averages


def parts_that_train_are_in_train_mode(subject: Subject) -> list[Verdict]:
    """While training, no part that trains is in eval mode, as far as that makes a difference."""
    module = subject.watch.module  # what counts are the modes that a training step leaves behind
    verdicts = []
    for name, part in _tops_in_eval_mode(module):
        own = list(part.parameters())
        if not any(p.requires_grad for p in own):
            continue  # frozen, and rightly in eval mode
        dropouts = [
            each for each in part.modules() if isinstance(each, nn.modules.dropout._DropoutNd) and each.p > 0
        ]
        norms = [
            each
            for each in part.modules()
            if isinstance(each, nn.modules.batchnorm._BatchNorm) and _trains(each)
        ]
        unmeasured = [each for each in norms if _has_first_statistics(each)]
        if not (dropouts or norms):
            continue
        harms = bool(unmeasured) or (bool(dropouts) and all(p.requires_grad for p in own))
        how = [f"{len(dropouts)} dropout layers drop nothing"] if dropouts else []
        if norms:
            state = "those of the start" if unmeasured else "fixed"
            how.append(f"the running statistics of {len(norms)} BatchNorm layers stay {state}")
        when = " after a training step" if subject.module.get_submodule(name).training else ""
        verdicts.append(
            Verdict(
                "layers in eval mode",
                [name or "root"],
                f"{name or 'the module'} is in eval mode{when}, although its weights train: {' and '.join(how)}.",
                f"self{'.' + name if name else ''}.train() in on_train_start, or requires_grad_(False) to freeze it",
                "warn" if harms else "info",
            )
        )
    return verdicts


def _tops_in_eval_mode(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The outermost parts in eval mode."""
    if not module.training:
        yield path, module
        return
    for name, child in module.named_children():
        yield from _tops_in_eval_mode(child, f"{path}.{name}" if path else name)


def _trains(norm: nn.modules.batchnorm._BatchNorm) -> bool:
    return norm.track_running_stats and any(p.requires_grad for p in norm.parameters())


def _has_first_statistics(norm: nn.modules.batchnorm._BatchNorm) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return False
    return bool((mean == 0).all() and (variance == 1).all())


def nothing_is_dropped_in_evaluation(subject: Subject) -> list[Verdict]:
    """In eval mode, a validation step drops nothing."""
    if not is_overridden("validation_step", subject.module):
        raise DoesNotApplyError("there is no validation_step")
    with Watch(subject.still.module) as watch:
        subject.still.validate(subject.val_batches[0])
    functions = [each for each in watch.dropped if not each.layer and not each.of_input]
    others = [each for each in watch.dropped if each.layer or each.of_input]
    if functions:
        return [
            Verdict(
                "dropout in evaluation",
                [],
                f"in eval mode, validation_step calls {functions[0].function} with p = {functions[0].p:g} switched on "
                f"({len(functions)} calls): evaluation and prediction are random, and worse than the network.",
                "F.dropout(x, p, training=self.training), or dropout_p=p if self.training else 0.0 in attention",
                "warn",
            )
        ]
    if others:
        return [
            Verdict(
                "dropout in evaluation",
                sorted({each.layer for each in others if each.layer}),
                f"validation_step drops values with p = {others[0].p:g} ({others[0].function}, {len(others)} calls).",
                "self.eval() if it is not meant as noise on the input or as Monte Carlo dropout",
                "info",
            )
        ]
    return []


def dropout_leaves_enough(subject: Subject) -> list[Verdict]:
    """No dropout leaves less than a tenth of the values."""
    strong = [each for each in subject.watch.dropped if each.p >= STRONG]
    layers = {each.layer for each in strong if each.layer}
    chances = [each.p for each in strong]
    for name, part in subject.still.module.named_modules():  # theirs runs inside one fused call
        if isinstance(part, nn.RNNBase) and part.num_layers > 1 and part.dropout >= STRONG and part.training:
            layers.add(name)
            chances.append(part.dropout)
    if not chances:
        return []
    p, only_inputs = max(chances), len(chances) == len(strong) and all(each.of_input for each in strong)
    return [
        Verdict(
            "dropout too strong",
            sorted(layers),
            f"dropout with p = {p:g} drops that share of the values, and keeps only {1 - p:.2g} of them. p is the "
            "probability to drop, not to keep.",
            f"p={max(0.1, round(1 - p, 2)):g}",
            "info" if only_inputs else "warn",
        )
    ]


def batch_norm_averages_enough(subject: Subject) -> list[Verdict]:
    """BatchNorm in train mode averages at least `FEW` values per channel."""
    counts = subject.watch.values_per_channel
    few = {name: count for name, count in counts.items() if count < FEW}
    if not few:
        return []
    least = min(few.values())
    return [
        Verdict(
            "batch too small for BatchNorm",
            sorted(few),
            f"{len(few)} BatchNorm layers ({some(few)}) average no more than {max(few.values())} values per channel, the "
            f"fewest {least}: what they subtract and divide by is mostly noise, and differs from what evaluation uses.",
            "a larger batch_size, or nn.GroupNorm",
            "warn" if least < VERY_FEW else "info",
        )
    ]


CHECKS = (
    Check("parts that train are in train mode", parts_that_train_are_in_train_mode),
    Check("evaluation drops nothing", nothing_is_dropped_in_evaluation),
    Check("dropout leaves enough", dropout_leaves_enough),
    Check(f"BatchNorm averages at least {FEW} values", batch_norm_averages_enough),
)
