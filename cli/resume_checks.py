"""Flags that contradict what a run is resumed from: they are applied, or refused with both values."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import (
    BaseFinetuning,
    EarlyStopping,
    ModelCheckpoint,
    StochasticWeightAveraging,
)

from cli.saved_config import as_plain_values
from datamodules.base import TensorDataModule
from lit_models.base import LitModel
from runtime.errors import UsageError
from runtime.restored import Changed

if TYPE_CHECKING:
    from cli.build import Run

# Where the data are, and how they are cut into batches. All else decides which rows a run learns from, or their scale.
FREE = {
    "batch_size",
    "eval_batch_size",
    "passes_per_epoch",
    "order_seed",
    "data_dir",
    "csv",
    "train_csv",
    "augment",
}
SPLITS = ("seed", "split", "fold", "val_")  # in names of a foreign data module's arguments
SCALING = {"normalize", "normalize_target"}
# What initial weights are made from, in models of this repository
INITIAL = {"init", "init_gain", "pretrained", "pretrained_parts"}
CHOOSES_BEST = ("monitor", "monitor_mode")
# They change optimizer and weights as they go, and what they have changed is restored.
WHOLE = (StochasticWeightAveraging, BaseFinetuning)


def changed_settings(run: "Run") -> Changed:
    """The settings that differ from those of the run that wrote the checkpoint; none if its config is not there.

    Raises:
        UsageError: for one that would have no effect, or would make the run's figures wrong.
    """
    if run.request.command != "fit" or not (path := run.settings.get("ckpt_path")):
        return {}
    config = Path(path).parent.parent / "config.yaml"
    if not config.is_file() or (run.resumed and len(run.request.args) <= 2):
        return {}
    then = yaml.safe_load(config.read_text(encoding="utf-8"))
    changed = dict(differences(then, as_plain_values(run.parser, run.settings)))
    for name, (before, now) in changed.items():
        if name in CHOOSES_BEST and run.checkpoint and not has_best(run.checkpoint):
            continue
        if reason := why_not(name, run.resumed):
            raise UsageError(refusal(name, before, now, path, reason))
    return changed


def has_best(checkpoint: dict[str, Any]) -> bool:
    """Whether a best.ckpt was chosen before the checkpoint; not if its metric was never measured."""
    states = checkpoint.get("callbacks", {})
    return any(
        "best_metrics" in state and state["best_model_score"] is not None
        for state in states.values()
        if isinstance(state, dict)
    )


def refusal(name: str, then: Any, now: Any, path: str, reason: str) -> str:
    """A message with both values and what to do."""
    return (
        f"--{name} is {now}, and {then} in the run of {path}: {reason}; leave it out, or train anew with fit"
    )


def differences(then: Any, now: Any, place: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Each setting of two configs with another value, named like its flag; a list of objects is matched by class."""
    if isinstance(then, dict) and isinstance(now, dict):
        if then.get("class_path") != now.get("class_path"):
            yield place, (then, now)
            return
        for key in then.keys() & now.keys():
            inner = place if key == "init_args" else f"{place}.{key}" if place else key
            yield from differences(then[key], now[key], inner)
    elif is_objects(then) and is_objects(now):
        for before in then:
            same = [each for each in now if each["class_path"] == before["class_path"]]
            name = f"{place}.{before['class_path'].rpartition('.')[2]}"
            if same and before not in same:
                yield from differences(before, same[0], name)
    elif then != now:
        yield place, (then, now)


def is_objects(value: Any) -> bool:
    """Whether it is a list of classes with arguments."""
    return isinstance(value, list) and all(isinstance(each, dict) and "class_path" in each for each in value)


def why_not(name: str, resumed: bool) -> str | None:
    """Why a setting of the whole run cannot be changed."""
    if name == "seed_everything":
        return "random numbers continue where the checkpoint left them"
    if not resumed:
        return None
    if name == "run_name":
        return "a resumed run stays in its folder"
    if name in CHOOSES_BEST:
        return "best.ckpt was chosen by that, and cannot be compared with what comes now"
    return None


def check_objects(run: "Run") -> None:
    """Refuse arguments of data and model that the checkpoint overrides, or that would let rows change their split."""
    data = run.datamodule
    kept = run.checkpoint.get(type(data).__qualname__, {}) if run.checkpoint and data is not None else {}
    for setting, (then, now) in run.changed.items():
        part, _, name = setting.partition(".")
        if part == "model" and isinstance(run.model, LitModel) and name.partition(".")[0] in INITIAL:
            reason = "it sets initial weights, and the weights are those of the checkpoint"
        elif part == "data" and ((isinstance(data, TensorDataModule) and name in SCALING) or name in kept):
            reason = "the checkpoint holds what it decided"
        elif part == "data" and run.resumed and moves_rows(data, name):
            reason = "rows that were trained on could become validation rows"
        else:
            continue
        raise UsageError(refusal(setting, then, now, run.settings.ckpt_path, reason))


def moves_rows(data: Any, name: str) -> bool:
    """Whether an argument of a data module decides which rows are trained on; of a foreign one its name says so."""
    if name.partition(".")[0] in FREE:
        return False
    return isinstance(data, TensorDataModule) or any(part in name for part in SPLITS)


def check_callbacks(
    callbacks: Sequence[Callback], changed: Changed, checkpoint: dict[str, Any], path: str
) -> None:
    """Refuse arguments of callbacks whose values come from the checkpoint.

    What an EarlyStopping waits for is applied (`runtime/restored.py`), and so is what a ModelCheckpoint writes.
    """
    saved = checkpoint.get("callbacks", {})
    for setting, (then, now) in changed.items():
        part, _, argument = setting.removeprefix("trainer.callbacks.").partition(".")
        for callback in callbacks if setting.startswith("trainer.callbacks.") else ():
            state = saved.get(callback.state_key, {})
            if type(callback).__name__ != part or type(callback) is EarlyStopping or not state:
                continue
            is_restored = argument in state and not isinstance(callback, ModelCheckpoint)
            if is_restored or isinstance(callback, WHOLE):
                reason = f"{part} gets its state from the checkpoint"
                raise UsageError(refusal(setting, then, now, path, reason))
