"""Data sets as LightningDataModules."""

from datamodules.base import TensorDataModule
from datamodules.mnist import MNISTDataModule
from datamodules.series import SeriesDataModule
from datamodules.titanic import TitanicDataModule
from datamodules.toy import ToyDataModule

__all__ = [
    "MNISTDataModule",
    "SeriesDataModule",
    "TensorDataModule",
    "TitanicDataModule",
    "ToyDataModule",
]
