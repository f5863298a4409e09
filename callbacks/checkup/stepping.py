"""Some real training steps of a copy, and what they did to its weights and gradients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from callbacks.checkup.copying import Copy

NUM_STEPS = 4


class Steps:
    """Trains a copy for `NUM_STEPS` steps, or fewer (two at least) if they take too long.

    Args:
        copy: of the module and its optimizers; used up by this.
        batches: some training batches, used in turn.
        seconds: after this time no further step starts.

    A learning rate of 0 is replaced by the group's `initial_lr`, as a warm-up begins at 0.

    `before` and `buffers_before`: parameters and buffers by name, as they were; `losses`: one per step; `stepped`: ids of
    the optimizers that made a step; `scheduler_calls`: how often the module itself called each scheduler;
    `gradients`: which backward passes went into them.

    Raises:
        CannotCheckError: if a step fails.
    """

    def __init__(self, copy: Copy, batches: Sequence[Any], seconds: float) -> None:
        self.copy, self.seconds = copy, seconds
        self.names = {id(p): name for name, p in copy.module.named_parameters()}
        self.before = {name: p.detach().clone() for name, p in copy.module.named_parameters()}
        self.buffers_before = {name: b.detach().clone() for name, b in copy.module.named_buffers()}
        self.losses: list[Tensor] = []
        self.stepped: set[int] = set()
        self.gradients = _Gradients(copy)
        _replace_zero_rates(copy.optimizers)
        for optimizer in copy.optimizers:
            self._watch_steps(optimizer)
        self.scheduler_calls = [0] * len(copy.schedulers)
        for number, scheduler in enumerate(copy.schedulers):
            self._count_calls(number, scheduler)
        with self.gradients:
            self._train(batches)

    def _train(self, batches: Sequence[Any]) -> None:
        until = time.perf_counter() + self.seconds
        for number in range(NUM_STEPS):
            if number > 1 and time.perf_counter() > until:
                return
            torch.manual_seed(number)
            self.losses.append(self.copy.step(batches[number % len(batches)], number))

    def _watch_steps(self, optimizer: Any) -> None:
        step = optimizer.step

        def watched(closure: Any = None, **kwargs: Any) -> Any:
            result = step(closure, **kwargs)
            self.gradients.are_used(optimizer)
            self.stepped.add(id(optimizer))
            return result

        vars(optimizer)["step"] = watched

    def _count_calls(self, number: int, scheduler: Any) -> None:
        step = scheduler.step

        def counted(*args: Any, **kwargs: Any) -> None:
            self.scheduler_calls[number] += 1
            step(*args, **kwargs)

        vars(scheduler)["step"] = counted

    def names_of(self, ids: set[int]) -> list[str]:
        """Names of parameters, in the order of registration."""
        return [name for key, name in self.names.items() if key in ids]

    def moved(self, name: str) -> bool:
        """Whether the bits of a parameter are no longer those from before."""
        return not torch.equal(self.copy.module.get_parameter(name).detach(), self.before[name])


class _Gradients(contextlib.AbstractContextManager):
    """Which backward passes each parameter's gradient is the sum of, and which optimizers used them already.

    `reused` and `foreign`: by the id of an optimizer, the ids of its parameters for which it used a gradient that still
    contains one that it, or only another optimizer, had used before a later backward pass added to it.
    """

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.got: set[int] = set()  # parameters that got a gradient, which may be 0
        self.nonzero: set[int] = set()  # those that got one other than 0
        self.reused: dict[int, set[int]] = {}
        self.foreign: dict[int, set[int]] = {}
        self._sources: dict[
            int, list[int]
        ] = {}  # parameter -> the backward passes in its gradient, oldest first
        self._users: dict[int, set[int]] = {}  # backward pass -> the optimizers that used it
        self._handles: list[Any] = []

    def __enter__(self) -> _Gradients:
        for p in self.copy.module.parameters():
            if p.requires_grad:
                node = p.view_as(p).grad_fn.next_functions[0][0]  # it adds to p.grad
                self._handles += [node.register_prehook(self._noting(p)), _Kept(node)]
        return self

    def __exit__(self, *error: Any) -> None:
        for handle in self._handles:
            handle.remove()

    def _noting(self, p: Tensor) -> Any:
        def note(gradients: Any) -> None:
            self.got.add(id(p))
            if id(p) not in self.nonzero and bool(gradients[0].any()):
                self.nonzero.add(id(p))
            self._in_gradient(p).append(torch._C._current_graph_task_id())

        return note

    def _in_gradient(self, p: Tensor) -> list[int]:
        """The backward passes that the present gradient of `p` is the sum of."""
        if p.grad is None or not bool(p.grad.any()):
            self._sources[id(p)] = []
        return self._sources.setdefault(id(p), [])

    def are_used(self, optimizer: Any) -> None:
        """The optimizer makes a step with the present gradients."""
        own = [p for group in optimizer.param_groups for p in group["params"]]
        for p in own:
            passes = self._in_gradient(p)
            users = [self._users.get(each, set()) for each in passes]
            if not users or users[-1]:  # nothing new since the last step
                continue
            if any(id(optimizer) in each for each in users):
                self.reused.setdefault(id(optimizer), set()).add(id(p))
            elif any(users):
                self.foreign.setdefault(id(optimizer), set()).add(id(p))
        for each in {each for p in own for each in self._in_gradient(p)}:
            self._users.setdefault(each, set()).add(id(optimizer))


class _Kept:
    """Keeps a node alive as long as its hook is needed."""

    def __init__(self, node: Any) -> None:
        self.node = node

    def remove(self) -> None:
        self.node = None


def _replace_zero_rates(optimizers: Sequence[Any]) -> None:
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if isinstance(group.get("lr"), float | int) and group["lr"] == 0 and group.get("initial_lr"):
            group["lr"] = group["initial_lr"]
