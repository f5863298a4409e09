"""Data sets as LightningDataModules; a class is imported when it is first asked for."""

from importlib import import_module
from typing import Any

_HOMES = {
    "TensorDataModule": "base",
    "TitanicDataModule": "titanic",
    "MNISTDataModule": "mnist",
    "ToyDataModule": "toy",
    "SeriesDataModule": "series",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'datamodules' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"datamodules.{_HOMES[name]}"), name)
