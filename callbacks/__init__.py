"""What a user can add to any Trainer; nothing here changes what is learned.

    pl.Trainer(callbacks=[GradientMonitor(), ActivationMonitor(), NonFiniteGuard(), Diagnosis()])

checkup       what is wrong before the first step
diagnostics   what the network does inside, and what is wrong with it
pictures      what it has learned
inside        layers, weights and distributions as files, for the page of a run
predictions   predictions.csv, with masks and images as files
staging       files that are replaced together
progress      a progress bar that costs little
summary       the layers and their sizes, before training
steps         the step at which everything is logged
figures       metrics with an interval, next to a constant answer
model_graph   the graph of the network, for TensorBoard
files         files that are complete or absent
layer_labels  what a layer is called: "hidden 1", "output"

Each class is imported when it is first asked for: `train.py report` needs none of them, and they take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and mypy
    from callbacks.checkup import Checkup as Checkup
    from callbacks.diagnostics import ActivationMonitor as ActivationMonitor
    from callbacks.diagnostics import Diagnosis as Diagnosis
    from callbacks.diagnostics import GradientMonitor as GradientMonitor
    from callbacks.diagnostics import NonFiniteGuard as NonFiniteGuard
    from callbacks.pictures.depth import DepthPlot as DepthPlot
    from callbacks.predictions import PredictionWriter as PredictionWriter
    from callbacks.progress import Progress as Progress
    from callbacks.summary import LayerSummary as LayerSummary

FILES = {
    "ActivationMonitor": "diagnostics",
    "Checkup": "checkup",
    "DepthPlot": "pictures.depth",
    "Diagnosis": "diagnostics",
    "GradientMonitor": "diagnostics",
    "LayerSummary": "summary",
    "NonFiniteGuard": "diagnostics",
    "PredictionWriter": "predictions",
    "Progress": "progress",
}
__all__ = [*FILES]


def __getattr__(name: str) -> Any:
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{FILES[name]}"), name)
