"""The columns of HPARAMS."""

from jsonargparse import Namespace

from lit_models import LitMLP
from runtime.hparams import columns_of

MODEL = {
    "class_path": "LitMLP",
    "init_args": {"optimizer": {"class_path": "Adam", "init_args": {"lr": 0.01}}},
}
DATA = {
    "class_path": "datamodules.ToyDataModule",
    "init_args": {"batch_size": 32, "noise": 0.1, "classes": [4, 9]},
}
TRAINER = {"max_epochs": 7, "max_steps": -1, "precision": None, "gradient_clip_val": 0.5}


def nested(value: object) -> object:
    return Namespace(**{k: nested(v) for k, v in value.items()}) if isinstance(value, dict) else value


def test_settings_that_people_compare_come_first() -> None:
    settings = nested({"model": MODEL, "data": DATA, "trainer": TRAINER, "seed_everything": 42})
    columns = columns_of(LitMLP(in_shape=[2], hidden_sizes=[3]), settings)
    assert sorted(columns)[:4] == ["Batch size", "Epochs", "Learning rate", "Seed"]
    assert [columns[name] for name in sorted(columns)[:4]] == [32, 7, 0.01, 42]
    assert columns["data"] == "ToyDataModule"
    assert (columns["data/noise"], columns["data/classes"]) == (0.1, [4, 9])
    assert (columns["trainer/gradient_clip_val"], columns["trainer/max_steps"]) == (0.5, -1)
    assert columns["model"] == "LitMLP"
    assert columns["hidden_sizes"] == [3]
    assert "trainer/precision" not in columns


def test_a_module_and_data_from_elsewhere() -> None:
    """The rate is an argument of the module, and the loaders are its own."""
    settings = {
        "model": {"class_path": "Net", "init_args": {"lr": 0.5}},
        "data": None,
        "trainer": {"max_epochs": None},
    }
    columns = columns_of(LitMLP(in_shape=[2]), {**settings, "seed_everything": 1})
    assert {name: columns[name] for name in ("Learning rate", "Seed")} == {"Learning rate": 0.5, "Seed": 1}
    assert not {"Epochs", "Batch size", "data"} & columns.keys()


def test_without_settings_there_is_the_model() -> None:
    assert sorted(columns_of(LitMLP(in_shape=[2]), None))[0] == "activation"
