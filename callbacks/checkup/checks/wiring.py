"""Do the loss, the parameters and the optimizer belong together?"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from callbacks.checkup.check import Check
from callbacks.checkup.checks.steps import owners, some
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Severity, Verdict


def reached(losses: list[Tensor]) -> dict[int, Tensor]:
    """The leaf tensors, by id, that a backward pass from these losses would reach."""
    found: dict[int, Tensor] = {}
    waiting: list[Any] = [loss.grad_fn for loss in losses if loss.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found[id(variable)] = variable
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return found


def leaves_of_loss(subject: Subject) -> dict[int, Tensor]:
    """The leaf tensors of `subject.still`, by id, that a loss of its two traced steps reaches."""
    return reached([loss for traced in subject.traces for loss in traced.losses])


def owned(optimizers: list[Any]) -> dict[int, Tensor]:
    """The tensors, by id, that these optimizers hold."""
    return {id(p): p for each in optimizers for group in each.param_groups for p in group["params"]}


# --- the loss and the optimizer ---


def optimizer_has_all(subject: Subject) -> list[Verdict]:
    """Every parameter that the loss reaches is in an optimizer, and in the module."""
    names = {id(p): name for name, p in subject.still.module.named_parameters()}
    held, used = owned(subject.still.optimizers), leaves_of_loss(subject)
    verdicts = []
    unknown = [
        p for key, p in used.items() if isinstance(p, nn.Parameter) and key not in names and key not in held
    ]
    if unknown:
        shapes = ", ".join(str(tuple(p.shape)) for p in unknown[:4])
        verdicts.append(
            Verdict(
                "layers not registered",
                [],
                f"the loss depends on {len(unknown)} parameters (shapes {shapes}) that the module does not know, "
                "so no optimizer, checkpoint or device move includes them.",
                "nn.ModuleList or nn.ModuleDict instead of a Python list or dict of layers",
                "fail",
            )
        )
    missing = [names[key] for key in used if key in names and key not in held]
    if missing:
        trained = [names[key] for key in used if key in names and key in held]
        verdicts.append(
            Verdict(
                "parameters missing from the optimizer",
                owners(missing),
                f"the loss reaches {len(used)} parameters; the optimizer lacks {len(missing)} of them: {some(missing)}.",
                "self.parameters() in configure_optimizers, called after the last layer was made; or "
                "requires_grad_(False) for what should stay as it is",
                _severity_of_missing(subject, missing, trained),
            )
        )
    return verdicts


def _severity_of_missing(subject: Subject, missing: list[str], trained: list[str]) -> Severity:
    """A backbone may be frozen in this way: it runs before all that trains. So may a fixed part in eval mode."""
    module, order = subject.still.module, list(subject.watch.called)
    if not trained:
        return "fail"
    first = min((order.index(each) for each in owners(trained) if each in order), default=0)
    for name in owners(missing):
        if name != "root" and not module.get_submodule(name).training:
            continue
        if name not in order or order.index(name) > first:
            return "fail"
    return "info"


def optimizer_has_no_others(subject: Subject) -> list[Verdict]:
    """Every tensor in an optimizer belongs to the module, or the loss reaches it."""
    own = {id(p) for p in subject.still.module.parameters()} | set(leaves_of_loss(subject))
    verdicts = []
    for optimizer in subject.still.optimizers:
        held = owned([optimizer])
        others = [p for key, p in held.items() if key not in own]
        if not others:
            continue
        every = len(others) == len(held) and subject.module.automatic_optimization
        verdicts.append(
            Verdict(
                "optimizer holds other tensors",
                [],
                f"{len(others)} of the {len(held)} tensors in {type(optimizer).__name__} are no parameters of this "
                "module, and the loss does not depend on them.",
                "an optimizer made in configure_optimizers from self.parameters(), not from another copy of the network",
                "fail" if every else "warn",
            )
        )
    return verdicts


_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def more_than_norms_train(subject: Subject) -> list[Verdict]:
    """Not only normalization layers train."""
    module, held = subject.still.module, owned(subject.still.optimizers)
    trains: list[tuple[nn.Module, Tensor]] = []
    frozen: list[tuple[nn.Module, Tensor]] = []
    for part in module.modules():
        for p in part.parameters(recurse=False):
            (trains if p.requires_grad and id(p) in held else frozen).append((part, p))
    if not trains or not frozen or not all(isinstance(part, _NORMS) for part, _ in trains):
        return []
    fixed = [(part, p) for part, p in frozen if not isinstance(part, _NORMS)]
    if not fixed:
        return []
    given = any(id(p) in held for _, p in fixed)
    numbers = sum(p.numel() for _, p in trains), sum(p.numel() for _, p in fixed)
    return [
        Verdict(
            "only normalization layers train",
            [],
            f"only the {numbers[0]} parameters of normalization layers train; the other {numbers[1]} are frozen"
            f"{', though the optimizer holds some of them' if given else ''}.",
            "requires_grad_(True) for the layers that should train, the last one at least",
            "warn" if given else "info",
        )
    ]


CHECKS = (
    Check("the optimizer has every parameter that the loss reaches", optimizer_has_all),
    Check("the optimizer has no tensors of another network", optimizer_has_no_others),
    Check("more than normalization layers train", more_than_norms_train),
)
