"""TensorBoard for a run: one event for everything logged at a step, and learning curves that come first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from runtime import private
from runtime.board import LEARNING, STAGES, layout, learning_curves, logarithms
from runtime.loggers import BufferedLogger, Row

Parts = dict[str, dict[str, float]]  # by folder below the run's, and by tag; "" is the run's own folder


class BufferedTensorBoardLogger(BufferedLogger, TensorBoardLogger):
    """Writes each row as one event, and what belongs to learning curves once more (see `board.py`).

    Args:
        purge_step: step at which a resumed run starts. TensorBoard hides older events from this step on, in all folders.
        args, kwargs: see `TensorBoardLogger`.
    """

    run_version: str | None = None  # set in processes that learn late what the first one chose

    def __init__(self, *args: Any, purge_step: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, purge_step=purge_step, **kwargs)
        self.rows = []
        self._purge_step = purge_step
        self._writers: dict[str, Any] = {}  # by folder

    @property
    def version(self) -> int | str:
        return self.run_version or super().version

    def log_learning(self, metrics: Mapping[str, float], step: int) -> None:
        """Add metrics of a training step to the learning curves only; what the module logs itself comes first.

        Args:
            metrics: by name, such as "accuracy".
            step: counted as `steps_done` does.
        """
        self.log_metrics({}, step)
        self.rows[-1].learning.update(metrics)

    @rank_zero_only
    def flush(self) -> None:
        super().flush()
        TensorBoardLogger.save(self)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        TensorBoardLogger.finalize(self, status)
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def layout(self, charts: list[str]) -> dict[str, dict[str, list]]:
        """The page "Custom Scalars"; see `board.layout`."""
        return layout(charts)

    def write_graph(self, module: LightningModule, inputs: Any) -> None:
        """Trace a module for the page "Graphs".

        Args:
            module: a copy; it gets hooks for a moment.
            inputs: of its `forward`: a tensor, or a tuple of several.

        Raises:
            Exception: any, if it cannot be traced.
        """
        with private.without_properties():
            self.experiment.add_graph(module, inputs, use_strict_trace=False)

    def write(self, rows: list[Row]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._hide_what_comes_again()
        used = {}
        for row in rows:
            for folder, values in self.parts(row).items():
                used[folder] = writer = self._writer(folder)
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()])
                private.event_file(writer).add_summary(summary, row.step, row.seconds)
        for writer in used.values():
            writer.flush()

    def parts(self, row: Row) -> Parts:
        """What is written of a row, and where."""
        curves = learning_curves(row.values)
        if row.learning:
            own = {f"{LEARNING}/{name}": value for name, value in row.learning.items()}
            curves["train"] = own | curves.get("train", {})
        return {"": row.values | dict(logarithms(row.values)), **curves}

    def _writer(self, folder: str) -> Any:
        if not folder:
            return self.experiment
        if folder not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            path = str(Path(self.log_dir) / folder)
            self._writers[folder] = SummaryWriter(path, purge_step=self._purge_step)
        return self._writers[folder]

    def _hide_what_comes_again(self) -> None:
        """In a resumed run, let all curves that exist end at the checkpoint; a new writer says so to TensorBoard."""
        if self._purge_step is not None and not self._writers:
            for folder in dict.fromkeys(STAGES.values()):
                if (Path(self.log_dir) / folder).is_dir():
                    self._writer(folder)


class EvaluationLogger(BufferedTensorBoardLogger):
    """For `validate` and `test`: writes at the checkpoint's step, and leaves the curves of the training alone.

    Lightning counts no steps in an evaluation. After another `val/loss` at step 0, TensorBoard would drop those of the
    training; so `validate` has a folder of its own.

    Args:
        folder: below the run's; "" for the run's own.
        step: at which the checkpoint was written.
        args, kwargs: see `TensorBoardLogger`.
    """

    def __init__(self, *args: Any, folder: str, step: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.folder, self.step = folder, step

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        super().log_metrics({name: each for name, each in metrics.items() if name != "epoch"}, self.step)

    def parts(self, row: Row) -> Parts:
        return {self.folder: row.values}
