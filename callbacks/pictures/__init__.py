"""Pictures of what a network has learnt: one kind per file, each a callback that chooses for itself what it suits."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Plane": "plane",
    "PlaneUnits": "plane_units",
    "UnitSpace": "unit_space",
    "Curve": "curve",
    "Predicted": "predicted",
    "Confusion": "confusion",
    "Roc": "roc",
    "Calibration": "calibration",
    "Importance": "importance",
    "Forecast": "forecast",
    "TimeDelta": "time_delta",
    "GradientCurve": "gradient_curve",
    "Filters": "filters",
    "FeatureMaps": "feature_maps",
    "Hardest": "hardest",
    "Robustness": "robustness",
    "Reconstruction": "reconstruction",
    "Codes": "codes",
    "Projector": "projector",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'callbacks.pictures' has no attribute {name!r}; it has {', '.join(_HOMES)}"
        )
    return getattr(import_module(f"callbacks.pictures.{_HOMES[name]}"), name)


def every_kind() -> list[type]:
    """The classes of all kinds."""
    return [__getattr__(name) for name in _HOMES]
