"""LayerSummary: before training, the layers with the shapes of their parameters and how many numbers they hold."""

from collections.abc import Iterator

import pytorch_lightning as pl
from torch import nn

from callbacks.diagnostics.probe import Layer, find_layers
from callbacks.observing import observed

MAX_ROWS = 30  # if there are more layers, the middle ones are left out


class LayerSummary(pl.Callback):
    """Prints the total and then one line per layer when a training begins.

    Lightning's summary has a line for each child of the module, including metrics, which have nothing to learn.
    """

    @observed
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            print("\n".join(summary(pl_module)), flush=True)


def summary(model: nn.Module) -> list[str]:
    """The lines: name and total of the model; then name, kind, parameters with their shapes, and count of each layer."""
    layers = find_layers(model)
    parameters = [each for each in model.parameters() if not nn.parameter.is_lazy(each)]
    total = sum(parameter.numel() for parameter in parameters)
    frozen = sum(parameter.numel() for parameter in parameters if not parameter.requires_grad)
    heading = f"{type(model).__name__}: {total:,} parameter{'s' if total != 1 else ''}" + (
        f", {frozen:,} of them frozen" if frozen else ""
    )
    rows = [row(layer) for layer in layers]
    if len(rows) > MAX_ROWS:
        half = MAX_ROWS // 2
        left_out = (f"... {len(rows) - 2 * half} more layers", "", "", "")
        rows = [*rows[:half], left_out, *rows[-half:]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [heading, *("  " + "  ".join(aligned(cells, widths)).rstrip() for cells in rows)]


def row(layer: Layer) -> tuple[str, str, str, str]:
    """Name, kind, shapes and count of one layer."""
    parameters = list(layer.parameters())
    kind = type(layer.modules[0]).__name__
    shapes = ", ".join(f"{name} {' x '.join(map(str, p.shape)) or 'scalar'}" for name, p in parameters)
    return layer.name, kind, shapes, f"{sum(p.numel() for _, p in parameters):,}"


def aligned(cells: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    """Align text to the left, and the count, which comes last, to the right."""
    *texts, count = cells
    yield from (text.ljust(width) for text, width in zip(texts, widths, strict=False))
    yield count.rjust(widths[-1])
