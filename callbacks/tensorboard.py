"""Write measurements: one event per step for TensorBoard, `log_metrics` for every other logger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import google_crc32c
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from torch import Tensor


def write_scalars(trainer: pl.Trainer, scalars: dict[str, float], step: int) -> None:
    """Log `scalars` (tag: value) at `step`, counted as `steps_done` does, on rank zero."""
    if not trainer.is_global_zero or not scalars:
        return
    for logger in trainer.loggers:
        if _is_plain_tensorboard(logger):
            _write_event(logger.experiment, scalars, step)
        else:
            logger.log_metrics(scalars, step)


def _is_plain_tensorboard(logger: Logger) -> bool:
    """Whether it is Lightning's own logger, without a prefix for its tags; a subclass may log in another way."""
    return (
        isinstance(logger, TensorBoardLogger)
        and type(logger).log_metrics is TensorBoardLogger.log_metrics
        and not getattr(logger, "_prefix", "")  # it has no public name
    )


def _write_event(writer: Any, scalars: dict[str, float], step: int) -> None:
    """Write all scalars in one event; `SummaryWriter.add_scalar` would write one event for each."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
    writer.file_writer.add_summary(Summary(value=values), step)


def write_image(trainer: pl.Trainer, tag: str, png: bytes, step: int) -> None:
    """Write a picture that is already a PNG file; `SummaryWriter.add_figure` would render and compress it again."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = (int.from_bytes(png[k : k + 4], "big") for k in (16, 20))  # fixed places in the header
    image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    on_tensorboard(trainer, lambda writer: writer.file_writer.add_summary(summary, step))


def write_text(trainer: pl.Trainer, tag: str, text: str, step: int) -> None:
    """Write a text as it is: indented, so that Markdown takes none of its characters for a heading or a list."""
    block = "\n".join(f"    {line}" for line in text.splitlines())
    on_tensorboard(trainer, lambda writer: writer.add_text(tag, block, step))


def write_histogram(trainer: pl.Trainer, tag: str, values: Tensor, step: int) -> None:
    """Write a histogram; all values must be finite, as TensorBoard refuses to bin a NaN."""
    on_tensorboard(trainer, lambda writer: writer.add_histogram(tag, values, step))


def on_tensorboard(trainer: pl.Trainer, write: Callable[[Any], None]) -> None:
    """Call `write(summary_writer)` for each TensorBoard logger, on rank zero."""
    for logger in trainer.loggers if trainer.is_global_zero else []:
        if isinstance(logger, TensorBoardLogger):
            write(logger.experiment)


def write_learning(trainer: pl.Trainer, metrics: Callable[[], dict[str, float]], step: int) -> None:
    """Add metrics of a training step to learning curves, on rank zero, where a logger keeps such curves.

    Args:
        metrics: computes them, by name; called only if they are written.
        step: counted as `steps_done` does.
    """
    loggers: list[Any] = [each for each in trainer.loggers if hasattr(each, "log_learning")]
    if trainer.is_global_zero and loggers and (found := metrics()):
        for logger in loggers:
            logger.log_learning(found, step)


def write_layout(trainer: pl.Trainer, charts: list[str]) -> None:
    """Write the "Custom Scalars" page: one chart per quantity, one line per layer. TensorBoard reads a run's first only.

    Args:
        charts: quantities, that is, the first parts of tags. A logger with a `layout(charts)` decides what becomes of
            them.
    """
    if not charts:
        return
    on_tensorboard(trainer, lambda writer: use_fast_checksum())
    for logger in trainer.loggers if trainer.is_global_zero else []:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_custom_scalars(getattr(logger, "layout", one_line_per_layer)(charts))


def one_line_per_layer(charts: list[str]) -> dict[str, dict[str, list]]:
    """The page "Custom Scalars" of a plain logger."""
    return {"inside the network": {chart: ["Multiline", [f"^{chart}/.*"]] for chart in charts}}


def use_fast_checksum() -> None:
    """Make TensorBoard compute the checksum of what it writes (CRC-32C) in C.

    Its own pure-Python version takes 0.1 to 0.2 ms per kilobyte. It runs in another thread, but the training waits for
    Python's lock. The checksums are the same.
    """
    from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

    pywrap_tensorflow.crc32c = google_crc32c.value
