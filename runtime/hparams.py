"""TensorBoard's page HPARAMS: what may decide a result, one column each.

Its table shows five columns at first, in the order of their names, capital letters first. So the settings that people
compare most often begin with a capital.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning import LightningModule

PLAIN = (bool, int, float, str)
FROM_TRAINER = (
    "max_steps",
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
)


def columns_of(model: LightningModule, settings: Mapping[str, Any] | Namespace | None) -> dict[str, Any]:
    """The model's class and hyper-parameters, and the settings of data and trainer.

    Args:
        model: its hyper-parameters that the command line adds for itself are left out.
        settings: the config; None if there is none.
    """
    hparams = {name: value for name, value in model.hparams.items() if not name.startswith("_")}
    columns = {"model": type(model).__name__, **hparams}
    return columns if settings is None else {**dict(of_settings(settings)), **columns}


def of_settings(settings: Mapping[str, Any] | Namespace) -> Iterator[tuple[str, Any]]:
    """Batch size, epochs, learning rate and seed under names that come first; then the rest of data and trainer."""
    model, data = arguments(settings, "model"), arguments(settings, "data")
    rates = [model.get("lr"), arguments(model, "optimizer").get("lr"), model.get("learning_rate")]
    found = {
        "Batch size": data.get("batch_size", model.get("batch_size")),
        "Epochs": settings["trainer"]["max_epochs"],
        "Learning rate": next((rate for rate in rates if rate is not None), None),
        "Seed": settings["seed_everything"],
    }
    yield from ((name, value) for name, value in found.items() if value is not None)
    if (data_class := (settings.get("data") or {}).get("class_path")) is not None:
        yield "data", data_class.rpartition(".")[2]
    yield from (
        (f"data/{name}", value) for name, value in data.items() if name != "batch_size" and is_shown(value)
    )
    for name in FROM_TRAINER:
        if (value := settings["trainer"].get(name)) is not None:
            yield f"trainer/{name}", value


def arguments(settings: Mapping[str, Any] | Namespace, name: str) -> Any:
    """The arguments of the class that a setting names; nothing if it names none."""
    chosen: Any = settings.get(name)
    return (chosen.get("init_args") or {}) if hasattr(chosen, "get") else {}


def is_shown(value: Any) -> bool:
    """Whether it is a value that a table can show: plain, or a list of plain ones."""
    return isinstance(value, PLAIN) or (
        isinstance(value, list) and all(isinstance(each, PLAIN) for each in value)
    )
