"""Some real training steps of a copy: are gradients cleared, do weights move as declared, do units stay equal?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.stepping import Steps
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict


def some(names: Iterable[str], limit: int = 4) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def owners(names: Iterable[str]) -> list[str]:
    """The modules that hold these parameters."""
    return sorted({name.rpartition(".")[0] or "root" for name in names})


# --- gradients are not cleared ---


def gradients_are_cleared(subject: Subject) -> list[Verdict]:
    """No optimizer uses a gradient that still contains one from before an earlier step."""
    steps = subject.steps
    if len(steps.losses) < 2 or not steps.stepped:
        raise CannotCheckError("no optimizer made two steps")
    verdicts = []
    for optimizer in steps.copy.optimizers:
        reused = steps.names_of(steps.gradients.reused.get(id(optimizer), set()))
        foreign = steps.names_of(steps.gradients.foreign.get(id(optimizer), set()))
        if reused:
            verdicts.append(_not_cleared(reused, "it had used in an earlier step", "fail"))
        elif foreign:
            verdicts.append(
                _not_cleared(foreign, "came from the loss of another optimizer, which had used them", "warn")
            )
    return verdicts


def _not_cleared(names: list[str], whose: str, severity: str) -> Verdict:
    return Verdict(
        "gradients are not cleared",
        owners(names),
        f"an optimizer used gradients of {len(names)} parameters ({some(names)}) to which a backward pass had added "
        f"without clearing what {whose}.",
        "optimizer.zero_grad() right before each self.manual_backward(loss), or toggle_optimizer around each part",
        "fail" if severity == "fail" else "warn",
    )


# --- weights that do not move, frozen weights that move ---


def optimizers_move_weights(subject: Subject) -> list[Verdict]:
    """Each optimizer that gets gradients changes at least one bit of its weights."""
    steps, verdicts = subject.steps, []
    for optimizer in steps.copy.optimizers:
        rates = [group.get("lr") for group in optimizer.param_groups]
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        names = steps.names_of(own & steps.gradients.nonzero)
        if not names or any(steps.moved(name) for name in names) or not _any_positive(rates):
            continue
        count = len(steps.losses)
        if id(optimizer) in steps.stepped:
            message = (
                f"{count} training steps did not change a bit of the {len(names)} parameters that got a gradient "
                f"(learning rate {_largest(rates):.3g})."
            )
            advice = "a larger learning rate; weights in float32 if they are in half precision"
            verdicts.append(Verdict("weights that do not move", owners(names), message, advice, "warn"))
        else:
            message = (
                f"{len(names)} parameters got gradients, but their optimizer made no step in {count} batches."
            )
            advice = "optimizer.step() after self.manual_backward(loss)"
            verdicts.append(Verdict("weights that do not move", owners(names), message, advice, "info"))
    return verdicts


def _any_positive(rates: list[object]) -> bool:
    return any(float(rate) > 0 for rate in rates if isinstance(rate, float | int | Tensor))


def _largest(rates: list[object]) -> float:
    return max(float(rate) for rate in rates if isinstance(rate, float | int | Tensor))


def frozen_stay(subject: Subject) -> list[Verdict]:
    """What is declared as frozen does not change."""
    return [*_wrongly_frozen(subject), *_moving_statistics(subject.steps)]


_TYPING_ERRORS = ("require_grad", "requires_grads", "require_grads", "required_grad", "requires_gradient")


def _wrongly_frozen(subject: Subject) -> Iterator[Verdict]:
    """`module.requires_grad = False` and `p.require_grad = False` set an attribute that nothing reads."""
    steps, names = subject.steps, []
    for module in steps.copy.module.modules():
        if vars(module).get("requires_grad") is False:
            inside = [steps.names[id(p)] for p in module.parameters() if id(p) in steps.names]
            if inside and all(steps.moved(name) for name in inside):
                names += inside
    for name, p in subject.module.named_parameters():  # copies of parameters lose such attributes
        if any(vars(p).get(wrong) is False for wrong in _TYPING_ERRORS) and steps.moved(name):
            names.append(name)
    if names:
        yield Verdict(
            "frozen weights that move",
            owners(names),
            f"{len(names)} parameters ({some(names)}) train, although an attribute was set to freeze them; a module has "
            "no requires_grad of its own, and a parameter no attribute of another name.",
            "module.requires_grad_(False), with the underscore",
            "warn",
        )


def _moving_statistics(steps: Steps) -> Iterator[Verdict]:
    """Running statistics of frozen BatchNorm layers that change while other parts train."""
    buffers, layers = dict(steps.copy.module.named_buffers()), []
    for path, module in steps.copy.module.named_modules():
        own = list(module.parameters(recurse=False))
        if (
            not isinstance(module, nn.modules.batchnorm._BatchNorm)
            or not own
            or any(p.requires_grad for p in own)
        ):
            continue
        name = f"{path}.running_mean"
        if name in buffers and not torch.equal(buffers[name], steps.buffers_before[name]):
            layers.append(path)
    if layers:
        yield Verdict(
            "frozen weights that move",
            layers,
            f"the weights of {len(layers)} BatchNorm layers are frozen, but their running statistics follow the training "
            "batches, so what these layers compute in evaluation changes.",
            "module.eval() on the frozen part in on_train_epoch_start if it should stay as it is",
            "info",
        )


# --- identical units ---


def units_differ(subject: Subject) -> list[Verdict]:
    """The units of a layer do not start and remain equal."""
    steps = subject.steps
    if len(steps.losses) < 3 or not steps.stepped:
        raise CannotCheckError("no optimizer made three steps")
    constant, zero = [], []
    for name, before, after in _weights(steps):
        if not (_rows_equal(before) and _rows_equal(after)):
            continue
        if after.any():
            constant.append(name)
        elif not before.any():
            zero.append(name)
    verdicts = []
    if constant:
        verdicts.append(_identical(constant, "all rows are equal", len(steps.losses), "fail"))
    if zero:
        verdicts.append(_identical(zero, "all values are 0", len(steps.losses), "warn"))
    return verdicts


def _identical(names: list[str], how: str, count: int, severity: str) -> Verdict:
    return Verdict(
        "identical units",
        owners(names),
        f"in {len(names)} weights ({some(names)}) {how}, and still are after {count} training steps: units that "
        "begin equal get equal gradients and never become different.",
        "torch.nn.init.kaiming_normal_(weight), or torch's own initialization",
        "fail" if severity == "fail" else "warn",
    )


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def _weights(steps: Steps) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Weights with a row per unit, at least two of them, that got a gradient: before and after the steps."""
    for module in steps.copy.module.modules():
        if not isinstance(module, (nn.Linear, nn.Bilinear, *_CONVOLUTIONS, *_TRANSPOSED, *_RECURRENT)):
            continue
        for p in module.parameters(recurse=False):
            name = steps.names.get(id(p))
            if p.ndim < 2 or name is None or id(p) not in steps.gradients.got:
                continue
            before, after = steps.before[name], p.detach()
            if isinstance(module, _TRANSPOSED):
                before, after = before.transpose(0, 1), after.transpose(0, 1)
            if len(before) >= 2:
                yield name, before, after


def _rows_equal(weight: Tensor) -> bool:
    return bool((weight == weight[:1]).all())


CHECKS = (
    Check("every optimizer clears its gradients before it uses new ones", gradients_are_cleared),
    Check("the units of each layer become different", units_differ),
    Check("every optimizer moves its weights", optimizers_move_weights),
    Check("what is declared as frozen does not move", frozen_stay),
)
