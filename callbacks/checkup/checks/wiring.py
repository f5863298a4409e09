"""Do the loss, the parameters and the optimizer belong together?"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from callbacks.checkup.check import Check
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict


def reached(losses: list[Tensor]) -> dict[int, nn.Parameter]:
    """The parameters, by id, that a backward pass from these losses would reach."""
    found: dict[int, nn.Parameter] = {}
    waiting: list[Any] = [loss.grad_fn for loss in losses if loss.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        variable = getattr(node, "variable", None)
        if isinstance(variable, nn.Parameter):
            found[id(variable)] = variable
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return found


def optimizer_has_all(subject: Subject) -> list[Verdict]:
    """Every parameter that the loss reaches is in an optimizer, and in the module."""
    names = {id(p): name for name, p in subject.still.module.named_parameters()}
    owned = {
        id(p) for each in subject.still.optimizers for group in each.param_groups for p in group["params"]
    }
    used = reached([loss for traced in subject.traces for loss in traced.losses])
    verdicts = []
    unknown = [p for key, p in used.items() if key not in names and key not in owned]
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
    missing = [names[key] for key in used if key in names and key not in owned]
    if missing:
        some = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        verdicts.append(
            Verdict(
                "parameters missing from the optimizer",
                sorted({name.rpartition(".")[0] or "root" for name in missing}),
                f"the loss trains {len(used)} parameters; the optimizer lacks {len(missing)} of them: {some}.",
                "self.parameters() in configure_optimizers, called after the last layer was made; or "
                "requires_grad_(False) for what should stay as it is",
                "fail",
            )
        )
    return verdicts


CHECKS = (Check("the optimizer has every parameter that the loss reaches", optimizer_has_all),)
