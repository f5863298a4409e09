"""Data sets as LightningDataModules.

Each is imported when it is first asked for, so a file that is half edited stops only the commands that need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and mypy, and for `--help` and completion, which read this file
    from datamodules.base import TensorDataModule as TensorDataModule
    from datamodules.loaders import LoaderDataModule as LoaderDataModule
    from datamodules.mnist import MNISTDataModule as MNISTDataModule
    from datamodules.series import SeriesDataModule as SeriesDataModule
    from datamodules.titanic import TitanicDataModule as TitanicDataModule
    from datamodules.toy import ToyDataModule as ToyDataModule

FILES = {
    "LoaderDataModule": "loaders",
    "MNISTDataModule": "mnist",
    "SeriesDataModule": "series",
    "TensorDataModule": "base",
    "TitanicDataModule": "titanic",
    "ToyDataModule": "toy",
}
__all__ = [*FILES]


def __getattr__(name: str) -> Any:
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{FILES[name]}"), name)
