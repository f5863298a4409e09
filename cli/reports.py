"""What a command says at its end."""

from pathlib import Path

from pytorch_lightning import Trainer

from callbacks.pictures.base import pictures_of
from callbacks.predictions import PredictionWriter
from runtime.checkpoint import BestCheckpoint
from runtime.tables import number, print_table


def print_result(trainer: Trainer, title: str, times: dict[str, str], folder: Path) -> None:
    """After `fit`: the best metrics, where everything lies, and what to do next."""
    if not trainer.is_global_zero:
        return
    checkpoints = [folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    checkpoint = next((path for path in checkpoints if path.exists()), None)
    if checkpoint is None:
        print_table("no checkpoint was saved", times)
        return
    if checkpoint.name != "best.ckpt":
        title = f"{folder.resolve().parent.name}: nothing was validated, so there is no best"
    drawing = sum(picture.seconds for picture in pictures_of(trainer))
    best = next((each.best_metrics for each in trainer.callbacks if isinstance(each, BestCheckpoint)), {})
    rows = {name: number(value) for name, value in best.items()} | times
    if drawing:
        rows["of that drawing"] = f"{drawing:.1f} s"
    rows["run folder"] = str(folder)
    rows["test it"] = f"python train.py test --ckpt_path {checkpoint}"
    rows["look inside"] = f"tensorboard --logdir {folder.parent.parent}"
    print_table(title, rows)


def print_metrics(trainer: Trainer, title: str) -> None:
    """After `validate` and `test`."""
    if trainer.is_global_zero:
        rows = {name: number(float(value)) for name, value in trainer.callback_metrics.items()}
        print_table(title, rows or {"nothing": "was measured"})


def print_predictions(trainer: Trainer) -> None:
    """After `predict`: the tables that were written."""
    if trainer.is_global_zero:
        writer = next(each for each in trainer.callbacks if isinstance(each, PredictionWriter))
        rows = {path.stem: str(path) for path in writer.written}
        print_table("predictions", rows or {"nothing": "was predicted"})
