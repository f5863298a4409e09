"""LayerSummary: before training, the layers with the shapes of their parameters and how many numbers they hold."""

from collections.abc import Iterator, Mapping, Sequence

import pytorch_lightning as pl
from torch import nn
from torch.optim import Optimizer

from callbacks.diagnostics.probe import Layer, find_layers
from callbacks.observing import observed

MAX_ROWS = 30  # if there are more layers, the middle ones are left out


class LayerSummary(pl.Callback):
    """Prints the total and then one line per layer when a training begins.

    Lightning's summary has a line for each child of the module, including metrics, which have nothing to learn. If parts
    have learning rates of their own, each line ends with the layer's.
    """

    @observed
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            print("\n".join(summary(pl_module, different_rates(trainer.optimizers))), flush=True)


def summary(model: nn.Module, rates: Mapping[int, float] | None = None) -> list[str]:
    """The lines: name and total of the model; then name, kind, parameters with their shapes, and count of each layer.

    Args:
        rates: learning rates by the id of the parameter, see `different_rates`; each line then ends with them.
    """
    layers = find_layers(model)
    parameters = [each for each in model.parameters() if not nn.parameter.is_lazy(each)]
    total = sum(parameter.numel() for parameter in parameters)
    frozen = sum(parameter.numel() for parameter in parameters if not parameter.requires_grad)
    heading = f"{type(model).__name__}: {total:,} parameter{'s' if total != 1 else ''}" + (
        f", {frozen:,} of them frozen" if frozen else ""
    )
    rows = [row(layer) for layer in layers]
    if rates:
        rows = [(*cells, rate_of(layer, rates)) for cells, layer in zip(rows, layers, strict=True)]
    if len(rows) > MAX_ROWS:
        half = MAX_ROWS // 2
        left_out = (f"... {len(rows) - 2 * half} more layers", *[""] * (len(rows[0]) - 1))
        rows = [*rows[:half], left_out, *rows[-half:]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [heading, *("  " + "  ".join(aligned(cells, widths)).rstrip() for cells in rows)]


def row(layer: Layer) -> tuple[str, ...]:
    """Name, kind, shapes and count of one layer."""
    parameters = list(layer.parameters())
    kind = type(layer.modules[0]).__name__
    shapes = ", ".join(f"{name} {' x '.join(map(str, p.shape)) or 'scalar'}" for name, p in parameters)
    return layer.name, kind, shapes, f"{sum(p.numel() for _, p in parameters):,}"


def different_rates(optimizers: Sequence[Optimizer]) -> dict[int, float]:
    """The learning rate of each parameter, by its id, before a schedule lowers it; empty if all are the same."""
    rates = {}
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        rate = group.get("max_lr") or group.get("initial_lr") or group.get("lr")
        if rate is None:
            return {}
        rates.update({id(parameter): float(rate) for parameter in group["params"]})
    return rates if len(set(rates.values())) > 1 else {}


def rate_of(layer: Layer, rates: Mapping[int, float]) -> str:
    """The learning rate of a layer, or the lowest and the highest of its parameters'; "" if none is known."""
    if not any(parameter.requires_grad for _, parameter in layer.parameters()):
        return "frozen"
    found = sorted({rates[id(p)] for _, p in layer.parameters() if p.requires_grad and id(p) in rates})
    return (
        "lr " + " to ".join(f"{rate:.2g}" for rate in dict.fromkeys((found[0], found[-1]))) if found else ""
    )


def aligned(cells: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    """Align text to the left, and the count, the fourth, to the right."""
    for place, (text, width) in enumerate(zip(cells, widths, strict=True)):
        yield text.rjust(width) if place == 3 else text.ljust(width)
