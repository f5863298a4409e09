"""Observers of a training run; a class is imported when it is first asked for.

The first five work in a plain `pl.Trainer` on any LightningModule, unmodified:

    pl.Trainer(callbacks=[GradientMonitor(), ActivationMonitor(), NonFiniteGuard(), Diagnosis()])
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "GradientMonitor": "gradients",
    "ActivationMonitor": "activations",
    "NonFiniteGuard": "nonfinite",
    "Diagnosis": "diagnosis",
    "DepthPlot": "pictures.depth",
    "BestCheckpoint": "checkpoint",
    "LastCheckpoint": "checkpoint",
    "ExactResume": "exact",
    "PredictionWriter": "predictions",
    "StopOnSignal": "interrupt",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'callbacks' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"callbacks.{_HOMES[name]}"), name)
