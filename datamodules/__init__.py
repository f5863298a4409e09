"""Data sets as LightningDataModules."""

from datamodules.base import TensorDataModule
from datamodules.loaders import LoaderDataModule
from datamodules.mnist import MNISTDataModule
from datamodules.series import SeriesDataModule
from datamodules.titanic import TitanicDataModule
from datamodules.toy import ToyDataModule

__all__ = [
    "LoaderDataModule",
    "MNISTDataModule",
    "SeriesDataModule",
    "TensorDataModule",
    "TitanicDataModule",
    "ToyDataModule",
]
