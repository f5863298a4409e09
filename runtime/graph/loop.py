"""The loop over the batches of an epoch that replays a recorded step wherever nobody watches.

The first steps run as usual. Then the step is recorded, and its first replay is compared with a usual step from the same
state. A step runs as usual if a callback measures in it, if its values are logged, or if its batch has another size.
Everything around the step stays the same: hooks, counters, schedules, checkpoints.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor

from datamodules.loader import Rows, TensorLoader
from runtime.generators import generators_in, global_states, restore_global_states
from runtime.graph.capture import Captured, NotRecordableError, capture
from runtime.graph.device_graph import CudaGraph, DeviceGraph
from runtime.graph.host import HostState
from runtime.graph.obstacles import sees_batches, why_not_captured
from runtime.graph.optimizer import DeviceOptimizer
from runtime.graph.state import State, distance, tensors_of
from runtime.loop import CompletingFitLoop, LeanEpochLoop
from runtime.private import DataFetcher
from runtime.step_plan import Epoch

STEPS_BEFORE = 3  # usual steps before a recording, in which libraries choose and load their kernels
MOST_RECORDINGS = 5
# A replay may differ from the usual step by so large a share of the step: atomic additions come in another order.
ROUNDING = 1e-2


def use_graph_loop(trainer: pl.Trainer, graph: type[DeviceGraph] = CudaGraph) -> None:
    """Make a Trainer run its epochs with `GraphEpochLoop`; call this before it fits."""
    usual, epochs = trainer.fit_loop, trainer.fit_loop.epoch_loop
    trainer.fit_loop = CompletingFitLoop(trainer, usual.min_epochs, usual.max_epochs)
    trainer.fit_loop.epoch_loop = GraphEpochLoop(trainer, epochs.min_steps, epochs.max_steps, graph)


class GraphEpochLoop(LeanEpochLoop):
    """Runs an epoch as `LeanEpochLoop` does, most of its steps by replaying one.

    Args:
        graph: the kind of graph; a test may take one that needs no GPU.
    """

    stepper: DeviceOptimizer
    _unwatched: Epoch

    def __init__(
        self, trainer: pl.Trainer, min_steps: int | None, max_steps: int, graph: type[DeviceGraph]
    ) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.graph = graph
        self.why_not: str | None = None  # why no step is replayed
        self.reads: list[str] | None = (
            None  # while a step is recorded: what it reads of the training's progress
        )
        self.replayed = 0  # steps
        self.recorded = 0  # how often a step was recorded
        self._captured: Captured | None = None
        self._usual_steps = 0  # since the last recording
        self._numbers: list[dict[str, Any]] = []  # of the optimizer, at the last usual step
        self._numbers_vary = False  # as when a schedule changes momentum, too
        self._loader: TensorLoader | None = None  # whose batches may be gathered within the step
        self._copies = True  # whether each step needs tensors of its own

    @property
    def plan(self) -> Epoch:
        """What each step of the epoch does."""
        return self._epoch

    @property
    def global_step(self) -> int:
        """Optimizer steps so far."""
        if self.reads is not None:
            self.reads.append("global_step")
        return super().global_step

    def on_run_start(self, data_fetcher: DataFetcher) -> None:
        """Find out whether steps can be replayed in this epoch."""
        super().on_run_start(data_fetcher)
        if self.why_not is not None:
            return
        if reason := self.obstacle or why_not_captured(self.trainer, self.graph):
            self._run_as_usual(reason)
            return
        if not hasattr(self, "stepper"):
            device = self.trainer.strategy.root_device
            self.stepper = DeviceOptimizer(self.plan.optimizer, device, self.graph.optimizer_flags)
        self._copies = sees_batches(self.trainer)
        self._unwatched = self.plan.without_watchers(self.trainer)
        loaders = data_fetcher.combined_loader.flattened
        only = loaders[0] if len(loaders) == 1 and type(loaders[0]) is TensorLoader else None
        self._loader = None if self._copies or self.plan.moves else only

    def _next_batch(self, data_fetcher: DataFetcher) -> Any:
        if self._loader is None:
            return super()._next_batch(data_fetcher)
        self._loader.defers = self.why_not is None
        try:
            return super()._next_batch(data_fetcher)
        finally:
            self._loader.defers = False

    def _on_device(self, batch: Any) -> Any:
        return batch if isinstance(batch, Rows) else super()._on_device(batch)

    def _step(self, batch: Any, batch_idx: int) -> tuple[dict[str, Any], Any]:
        if self.why_not is not None or self._is_watched():
            return self._usual_step(batch, batch_idx)
        if self._captured is not None:
            fits = self._captured.takes(batch)
            return (
                self._unwatched_step(self._captured, batch, batch_idx)
                if fits
                else self._usual_step(batch, batch_idx)
            )
        numbers, self._numbers = self._numbers, self.stepper.numbers()
        self._numbers_vary = self._numbers_vary or numbers not in ([], self._numbers)
        self._usual_steps += 1
        first = self._usual_steps > STEPS_BEFORE
        return self._first_replay(batch, batch_idx) if first else self._usual_step(batch, batch_idx)

    def _is_watched(self) -> bool:
        """Whether anybody looks into the step to come."""
        trainer = self.trainer
        asked = [each for each in trainer.callbacks if hasattr(each, "watches_next_step")]
        logs = self._logs_now() or self._is_last_step(self.global_step + 1)
        return logs or any(each.watches_next_step(trainer) for each in asked)

    def _unwatched_step(self, captured: Captured, batch: Any, batch_idx: int) -> tuple[dict[str, Any], Any]:
        """Replay the step, unless a hook before it changed what the recording took for granted."""
        # Where batches are gathered within the step, only callbacks are left that do not look at them.
        self._unwatched.call(
            "on_train_batch_start", captured.batch if isinstance(batch, Rows) else batch, batch_idx
        )
        self.batch_progress.increment_started()
        if self._still_holds(captured):
            return self._replay(captured, batch)
        self._captured, self._usual_steps = None, 0
        batch = self._results.batch = batch.gather() if isinstance(batch, Rows) else batch
        return self._optimize(batch, batch_idx), batch

    def _usual_step(self, batch: Any, batch_idx: int) -> tuple[dict[str, Any], Any]:
        if isinstance(batch, Rows):
            batch = self._results.batch = batch.gather()
        if self._captured is not None:
            self._captured.has_gradients = False
        return super()._step(batch, batch_idx)

    def _optimize(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        if not hasattr(self, "stepper"):
            return super()._optimize(batch, batch_idx)
        # A step of its own, since only there the optimizer has its settings for the device.
        steps, closure = (
            self.automatic_optimization.optim_progress.optimizer.step,
            self._closure(batch, batch_idx),
        )
        steps.increment_ready()
        self._gradients(closure)
        self.stepper.step()
        steps.increment_completed()
        result = closure.consume_result()
        return {} if result.loss is None else result.asdict()

    def _replay(self, captured: Captured, batch: Any) -> tuple[dict[str, Any], Any]:
        """Replay the step, and count it as the usual step does."""
        progress = self.automatic_optimization.optim_progress.optimizer
        progress.step.increment_ready()
        progress.zero_grad.increment_ready()
        progress.zero_grad.increment_started()
        self.stepper.refresh()
        captured.replay(batch)
        progress.zero_grad.increment_completed()
        if not captured.optimizes:
            self.stepper.step()
        progress.step.increment_completed()
        self.replayed += 1
        if isinstance(batch, Rows):
            batch = self._results.batch = captured.batch
        for each in captured.logged:
            self.plan.log_again(each.hook, each.name, each.value, *each.args, **each.options)
        outputs = captured.outputs
        if self._copies:
            outputs = {
                name: each.clone() if isinstance(each, Tensor) else each for name, each in outputs.items()
            }
        return dict(outputs), batch

    def _still_holds(self, captured: Captured) -> bool:
        """Whether what the recording took for granted is as it was."""
        same = captured.fixed.holds()
        return same and (not captured.optimizes or captured.numbers == self.stepper.numbers())

    def _first_replay(self, batch: Any, batch_idx: int) -> tuple[dict[str, Any], Any]:
        """Run a usual step, record it, and compare its replay with it; the training goes on from the usual step."""
        model, loader = self.plan.model, self._loader
        own = [each for each in generators_in(model, loader) if isinstance(each, torch.Generator)]
        generators = [each for each in own if each.device.type == self.graph.device_type]
        host = HostState(model, self.stepper.device)
        before = State(tensors_of(model, self.plan.optimizer), generators)
        result = self._usual_step(batch, batch_idx)
        if reason := host.changed():
            self._run_as_usual(reason)
            return result
        after, drawn = State(before.tensors, generators), global_states()
        try:
            optimizes = self.stepper.is_recordable and not self._numbers_vary
            captured = capture(self, self.graph(), batch, optimizes=optimizes, generators=generators)
            before.restore()
            captured.replay(batch)
            if not optimizes:
                self.stepper.step()
            difference = distance(before, after, State(before.tensors, generators))
            if not difference <= ROUNDING:
                raise NotRecordableError(
                    f"a replayed step differs from a usual one by {difference:.2g} of its length"
                )
        except (NotRecordableError, RuntimeError) as error:
            self._run_as_usual(str(error).strip().partition("\n")[0])
        else:
            self._captured, self.recorded = captured, self.recorded + 1
            captured.has_gradients = False
            self._report(optimizes, difference)
        finally:
            after.restore()
            restore_global_states(drawn)
        return result

    def _report(self, optimizes: bool, difference: float) -> None:
        if self.recorded > MOST_RECORDINGS:
            self._run_as_usual("what it takes for granted changes again and again")
        elif self.recorded == 1:
            what = "steps are replayed" if optimizes else "steps are replayed up to the optimizer"
            rank_zero_info(
                f"graph: {what} from now on; the first differs by {difference:.1g} of a step's length"
            )

    def _run_as_usual(self, reason: str) -> None:
        """Go on without replaying, and say why, once."""
        self.why_not, self._captured = reason, None
        rank_zero_info(f"graph: all steps run as usual, because {reason}")
