"""One training step, recorded: its static inputs, what is computed from them, and the replay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from datamodules.loader import Rows
from runtime import private
from runtime.graph.host import Fixed, Watched
from runtime.private import ClosureResult

if TYPE_CHECKING:
    from runtime.graph.device_graph import DeviceGraph
    from runtime.graph.loop import GraphEpochLoop


class NotRecordableError(Exception):
    """Why a step cannot be recorded, in words for the user."""


@dataclass(frozen=True)
class Logged:
    """A call of `self.log` in a recorded step; its value is overwritten by each replay."""

    hook: str
    name: str
    value: Tensor
    args: tuple[Any, ...]
    options: dict[str, Any]


@dataclass
class Captured:
    """A recorded step.

    Args:
        graph: replays it.
        inputs: the static tensors of its batch, or one tensor with the numbers of its rows.
        batch: as the step sees it; its tensors are overwritten by each replay.
        source: the loader whose rows it gathers itself; None if it gets whole batches.
        outputs: what the step returned: the loss and perhaps more, overwritten likewise.
        gradients: the static gradient of each parameter.
        logged: what the step logged.
        optimizes: whether the optimizer's step is part of it.
        fixed: what must stay as it was.
        numbers: of the optimizer, likewise.
    """

    graph: DeviceGraph
    inputs: list[Tensor]
    source: Any
    fixed: Fixed
    numbers: list[dict[str, Any]]
    optimizes: bool
    batch: Any = None
    outputs: dict[str, Any] = field(default_factory=dict)
    gradients: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)
    logged: list[Logged] = field(default_factory=list)
    has_gradients: bool = True  # whether the parameters hold the static gradients

    def __post_init__(self) -> None:
        self.form = _form(self.inputs)

    def takes(self, batch: Any) -> bool:
        """Whether the batch has the form of the recorded one."""
        source = batch.loader if isinstance(batch, Rows) else None
        try:
            return source is self.source and _form(leaves(batch)) == self.form
        except NotRecordableError:
            return False

    def replay(self, batch: Any) -> None:
        """Run the step on this batch."""
        given = leaves(batch)
        for static, new in zip(self.inputs, given, strict=True):
            static.copy_(new, non_blocking=True)
        self.graph.replay()
        if not self.has_gradients:  # a usual step left others
            for parameter, gradient in self.gradients:
                parameter.grad = gradient
            self.has_gradients = True


def leaves(batch: Any) -> list[Tensor]:
    """The tensors of a batch: of its rows, or of nested tuples, lists and dicts.

    Raises:
        NotRecordableError: if it holds anything else.
    """
    if isinstance(batch, Rows):
        return [] if batch.numbers is None else [batch.numbers]
    if isinstance(batch, Tensor):
        return [batch]
    if type(batch) is dict:
        return [leaf for each in batch.values() for leaf in leaves(each)]
    if isinstance(batch, list | tuple):
        return [leaf for each in batch for leaf in leaves(each)]
    raise NotRecordableError(f"a batch holds {type(batch).__name__}, not only tensors")


def _form(tensors: list[Tensor]) -> list[tuple[Any, ...]]:
    return [(each.shape, each.dtype, each.device) for each in tensors]


def capture(
    loop: GraphEpochLoop,
    graph: DeviceGraph,
    batch: Any,
    *,
    optimizes: bool,
    generators: list[torch.Generator],
) -> Captured:
    """Record the training step on a batch like this one; what it changes on the device has to be restored afterwards.

    Raises:
        NotRecordableError: if the step uses what a replay could not repeat.
        RuntimeError: if the device cannot record it.
    """
    plan, stepper = loop.plan.without_callbacks(), loop.stepper
    inputs = [each.clone() for each in leaves(batch)]
    source = batch.loader if isinstance(batch, Rows) else None
    captured = Captured(graph, inputs, source, Fixed(plan.model), stepper.numbers(), optimizes)
    epoch_number, reads = loop.trainer.current_epoch, list[str]()

    def step() -> None:
        captured.logged.clear()
        with watching(loop, reads, captured.logged):
            captured.batch = gathered(batch, inputs)
            result = loss_of(plan.training_step(captured.batch, Watched(0, "batch_idx", reads)))
            plan.call("on_before_zero_grad", plan.optimizer)
            plan.model.optimizer_zero_grad(epoch_number, 0, plan.optimizer)
            plan.call("on_before_backward", result.closure_loss)
            plan.model.backward(result.closure_loss)
            plan.call("on_after_backward")
            plan.call("on_before_optimizer_step", plan.optimizer)
            if plan.clips:
                private.clip_gradients(loop.trainer, plan.optimizer)
            captured.outputs = result.asdict()
            captured.gradients = [(each, each.grad) for each in plan.model.parameters()]
            if optimizes:
                with stepper.on_device():
                    stepper.optimizer.step()

    stepper.refresh()
    graph.record(step, generators)
    if reads:
        raise NotRecordableError(f"the training step uses {reads[0]}, which changes from step to step")
    return captured


def gathered(batch: Any, inputs: list[Tensor]) -> Any:
    """A batch like the given one, made of the static inputs."""
    if isinstance(batch, Rows):
        return batch.gather(inputs[0] if inputs else None)
    rest = iter(inputs)
    return apply_to_collection(batch, Tensor, lambda _: next(rest))


def loss_of(output: Any) -> ClosureResult:
    """What a training step returned.

    Raises:
        NotRecordableError: if that is no loss.
    """
    if output is None:
        raise NotRecordableError("the training step returned None")
    return (
        ClosureResult(output)
        if isinstance(output, Tensor)
        else ClosureResult.from_training_step_output(output)
    )


@contextlib.contextmanager
def watching(loop: GraphEpochLoop, reads: list[str], logged: list[Logged]) -> Iterator[None]:
    """Note what the step reads of the training's progress, and collect what it logs instead of logging it."""
    fit_loop, model = loop.trainer.fit_loop, loop.plan.model
    own, epochs = vars(model), fit_loop.epoch_progress

    def log(name: str, value: Any, *args: Any, **options: Any) -> None:
        if not isinstance(value, Tensor) or value.device != loop.stepper.device:
            raise NotRecordableError(f"the training step logs {name!r}, which is not a tensor on the device")
        logged.append(Logged(own["_current_fx_name"], name, value.detach().clone(), args, options))

    replaced: dict[str, Any] = {"log": log}
    if hasattr(model, "is_logged_step"):
        replaced["is_logged_step"] = lambda: False  # a step whose values are written is never replayed
    before = {name: own[name] for name in replaced if name in own}
    own.update(replaced)
    fit_loop.epoch_progress = Watched(epochs, "current_epoch", reads)
    loop.reads = reads
    try:
        yield
    finally:
        for name in replaced:
            del own[name]
        own.update(before)
        fit_loop.epoch_progress = epochs
        loop.reads = None
