"""What callbacks read of data modules of this repository and of others'."""

import dataclasses
from types import SimpleNamespace

import pytest

from callbacks.data_spec import DEFAULTS, spec_of
from datamodules.spec import DataSpec

SPEC = DataSpec(task="multiclass", in_shape=(4,), out_features=3, class_names=("a", "b", "c"))


def test_what_is_read_is_what_a_spec_says() -> None:
    names = [each.name for each in dataclasses.fields(DataSpec)]
    assert [name for name in names if name in DEFAULTS] == list(DEFAULTS)
    bare = DataSpec(task="binary", in_shape=(2,), out_features=1)
    alike = {name for name in DEFAULTS if getattr(bare, name) == DEFAULTS[name]}
    assert set(DEFAULTS) - alike == {"task", "in_shape", "id_name"}  # these a spec always says


@pytest.mark.parametrize(
    "data",
    [
        SimpleNamespace(spec=SPEC),
        SimpleNamespace(
            task="multiclass", in_shape=(4,), out_features=3, class_names=("a", "b", "c"), id_name="index"
        ),
        SimpleNamespace(spec=dataclasses.replace(SPEC, task="binary"), task="multiclass", statistics={}),
        SimpleNamespace(spec="version 2", **vars(SPEC)),  # a word that means something else there
    ],
    ids=["spec", "attributes", "attributes first", "another spec"],
)
def test_a_spec_or_attributes(data: SimpleNamespace) -> None:
    assert vars(spec_of(data)) == {name: getattr(SPEC, name) for name in DEFAULTS}


@pytest.mark.parametrize("data", [None, SimpleNamespace()])
def test_nothing_said(data: SimpleNamespace | None) -> None:
    assert vars(spec_of(data)) == DEFAULTS
