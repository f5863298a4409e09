"""A data module says what its data dictate as a spec, or as attributes."""

import copy
import dataclasses
import pickle

import pytest
import torch

from callbacks.data_spec import spec_of
from datamodules import SeriesDataModule, TitanicDataModule, ToyDataModule
from datamodules.base import Split, TensorDataModule
from datamodules.spec import DataSpec


class Attributes(TensorDataModule):
    task, in_shape, out_features = "multiclass", (2,), 3

    def load(self) -> dict[str, Split]:
        return {"train": (torch.rand(6, 2), torch.arange(6) % 3)}


class AttributesOfTheObject(Attributes):
    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.in_shape = [num_features]
        self.class_names = ["a", "b", "c"]
        self.id_name = "row"


def test_attributes_become_a_spec() -> None:
    assert Attributes().spec == DataSpec(task="multiclass", in_shape=(2,), out_features=3)
    assert AttributesOfTheObject(5).spec == DataSpec(
        task="multiclass", in_shape=[5], out_features=3, class_names=["a", "b", "c"], id_name="row"
    )
    assert AttributesOfTheObject(5).in_features == 5


@pytest.mark.parametrize("data", [TitanicDataModule(), ToyDataModule(), SeriesDataModule()])
def test_a_spec_becomes_attributes(data: TensorDataModule) -> None:
    for each in dataclasses.fields(DataSpec):
        assert getattr(data, each.name) is getattr(data.spec, each.name)
    assert pickle.loads(pickle.dumps(data)).spec == copy.deepcopy(data).spec == data.spec


class Renamed(TitanicDataModule):
    class_names = ("dead", "alive")


def test_an_attribute_wins_over_the_spec_that_the_parent_set() -> None:
    assert spec_of(Renamed()).class_names == ("dead", "alive")
    assert spec_of(Renamed()).id_name == "PassengerId"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("task", AttributeError, "TensorDataModule has no attribute 'task'"),
        ("anything", AttributeError, "TensorDataModule has no attribute 'anything'"),
        ("spec", TypeError, "'task', 'in_shape', and 'out_features'"),
    ],
)
def test_what_is_not_said_is_named(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        getattr(TensorDataModule(), name)
