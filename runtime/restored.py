"""What a resumed run takes from its checkpoint although its settings say something else: applied, refused or reported."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from runtime.errors import UsageError

KEY = "began_with"  # in the checkpoint
PLAIN = (bool, int, float, str)
FEW = 8  # numbers of a buffer that a message can show
SHOWN = 3  # values in a message
# From these a schedule may be computed, as from the settings of model and data.
LENGTH = {
    f"trainer.{name}"
    for name in ("max_epochs", "max_steps", "accumulate_grad_batches", "limit_train_batches")
}

Changed = Mapping[
    str, tuple[Any, Any]
]  # by name of a setting: what it was when the run began, what it is now


class RestoredState(Callback):
    """Refuses settings without effect: of optimizers, schedules and buffers whose state comes from the checkpoint.

    It compares what the settings make now with what they made when the run began, which every checkpoint holds. If no
    setting explains a difference (the module's code, the number of processes), it warns. The patience of an
    EarlyStopping, which is in the checkpoint, too, is set to the one in the settings.

    Args:
        changed: the settings that differ from those with which the checkpoint was written.
        path: of the checkpoint; None for a new run.

    Raises:
        UsageError: before the first step.
    """

    def __init__(self, changed: Changed, path: str | None) -> None:
        self.changed = changed
        self.path = path
        self._then: dict[str, dict[str, Any]] | None = None  # by kind and name
        self._now: dict[str, dict[str, Any]] = {}
        self._patience: list[tuple[EarlyStopping, int]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._now = {"buffers": dict(buffers(pl_module))}
        self._patience = [(each, each.patience) for each in trainer.callbacks if type(each) is EarlyStopping]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Optimizers exist, and have not got their state yet."""
        self._now |= {"optimizers": dict(of_optimizers(trainer)), "schedules": dict(of_schedules(trainer))}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for callback, patience in self._patience:
            callback.patience = patience
        if self._then is None:
            self._then = self._now
        else:
            for kind, now in self._now.items():
                self._compare(kind, now, self._then[kind])

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY] = self._then

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._then = checkpoint.get(KEY)

    def _compare(self, kind: str, now: dict[str, Any], then: dict[str, Any]) -> None:
        names = dict.fromkeys([*now, *then])
        odd = [name for name in names if repr(now.get(name)) != repr(then.get(name))]
        flags = [
            f"{name} {value} (it was {before})"
            for name, (before, value) in self.changed.items()
            if name.startswith(("model.", "data.")) or (kind == "schedules" and name in LENGTH)
        ]
        if not odd or (kind == "buffers" and not flags):  # a buffer may be random
            return
        lines = [
            f"{name} would be {now.get(name, 'missing')} now, but {then.get(name, 'missing')} is restored from "
            f"{self.path}"
            for name in odd[:SHOWN]
        ]
        if not flags:
            rank_zero_warn("; ".join([*lines, "the restored values stay in force"]))
            return
        raise UsageError(
            "\n".join([*lines, f"leave out what would have no effect: {', '.join(flags)}; or train anew"])
        )


def of_optimizers(trainer: Trainer) -> Iterator[tuple[str, Any]]:
    """The plain values of all optimizers, by name."""
    for place, optimizer in enumerate(trainer.optimizers):
        for number, group in enumerate(optimizer.param_groups):
            owner = class_name(optimizer, place) + (f", group {number}" if number else "")
            for name, value in group.items():
                if name not in ("params", "param_names", "initial_lr") and is_plain(value):
                    yield f"{name} of {owner}", as_plain(value)


def of_schedules(trainer: Trainer) -> Iterator[tuple[str, Any]]:
    """The plain values of all schedules, by name."""
    for place, config in enumerate(trainer.lr_scheduler_configs):
        for name, value in inner_values(config.scheduler.state_dict()):
            yield f"{name} of {class_name(config.scheduler, place)}", value


def class_name(thing: Any, place: int) -> str:
    """The class of one of several optimizers or schedules."""
    return type(thing).__name__ + (f" number {place + 1}" if place else "")


def inner_values(state: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values in the state of a schedule, which may have others within; without what only follows from them."""
    members = state.items() if isinstance(state, dict) else enumerate(state)
    for name, value in members:
        if isinstance(value, dict) or (isinstance(value, list) and not is_plain(value)):
            yield from inner_values(value, f"{place}{str(name).lstrip('_')}.")
        elif not str(name).startswith("_") and name != "base_lrs" and is_plain(value):
            yield f"{place}{name}", as_plain(value)


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a word, or several."""
    if isinstance(value, list | tuple):
        return all(is_plain(each) for each in value)
    return value is None or isinstance(value, PLAIN) or (isinstance(value, Tensor) and value.numel() == 1)


def as_plain(value: Any) -> Any:
    """The same as numbers, words and lists."""
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    return value.item() if isinstance(value, Tensor) else value


def buffers(module: LightningModule) -> Iterator[tuple[str, Any]]:
    """The new module's buffers that a checkpoint restores: their numbers, or a checksum if there are many."""
    saved = module.state_dict()
    for name, buffer in module.named_buffers():
        if name not in saved or type(buffer) is not Tensor or buffer.layout != torch.strided:
            continue
        values = buffer.detach().cpu().contiguous()
        if values.numel() <= FEW:
            yield f"buffer {name}", values.tolist()
        elif not values.is_complex():
            yield f"buffer {name}", f"#{zlib.crc32(values.view(torch.uint8).numpy().data):08x}"
