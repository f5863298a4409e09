"""What runs that trained together leave behind: each its own folder, like a run that trained alone."""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from callbacks.dependent_rows import rows_of
from callbacks.figures import figures
from callbacks.files import replacing
from runtime.end_record import End, write_end
from runtime.ending import limits_of
from runtime.hparams import columns_of
from runtime.loggers import MetricsCSV
from runtime.result_file import write_part
from runtime.run_record import now, read_record, write_record
from sweeps.bulk_stack import Stack
from sweeps.trials import Fit


class Curves:
    """What was measured, and the weights at each run's best validation.

    Args:
        stack: the networks of all runs, changed by the training.
        monitor, mode: the metric to compare, and whether its "min" or "max" is best.
    """

    def __init__(self, stack: Stack, monitor: str, mode: str) -> None:
        self.stack = stack
        self.monitor = monitor
        self.sign = 1 if mode == "min" else -1
        self.best = stack.copy()
        self.best_metrics: list[dict[str, float]] = [{} for _ in range(stack.num_runs)]
        self.final = {"epoch": 0, "step": 0}
        self._logged: list[tuple[int, list[dict[str, float]]]] = []

    def log_rates(self, step: int, rates: list[float]) -> None:
        """Keep the learning rates (R,) with which one step is made."""
        self._logged.append((step, [{"lr": rate} for rate in rates]))

    def log(self, step: int, epoch: int, losses: Tensor) -> None:
        """Keep the training losses (R,) of one step."""
        self._logged.append((step, [{"epoch": epoch, "train/loss": loss} for loss in losses.tolist()]))

    def validate(self, step: int, epoch: int, metrics: list[dict[str, float]]) -> None:
        """Keep each run's metrics, and its weights if they are the best so far."""
        self._logged.append((step - 1, [{"epoch": epoch, **measured} for measured in metrics]))
        for row, measured in enumerate(metrics):
            before = self.best_metrics[row].get(self.monitor, math.inf * self.sign)
            if self.sign * measured[self.monitor] < self.sign * before or not self.best_metrics[row]:
                self.best_metrics[row] = {"epoch": epoch, "step": step, **measured}
                for name, weight in self.stack.weights.items():
                    self.best[name][row] = weight.detach()[row]

    def of_run(self, row: int) -> list[tuple[int, dict[str, float]]]:
        """Step and scalars of everything logged for one run."""
        return [(step, found[row]) for step, found in self._logged]


def write_run(fit: Fit, seed: int, curves: Curves, row: int, seconds: float) -> tuple[Path, dict[str, float]]:
    """Make the folder of one run with config, curves and checkpoints; returns the folder and the best metrics.

    The checkpoints hold only weights: they can be evaluated, but training cannot resume from them.

    Args:
        seconds: this run's share of the training.
    """
    fit.settings.seed_everything = seed
    fit.claim_folder()
    fit.save_config()
    best = curves.best_metrics[row]
    for logger in fit.new_loggers():
        for step, scalars in curves.of_run(row):
            logger.log_metrics(scalars, step)
        if isinstance(logger, TensorBoardLogger):
            scores = {f"best/{name.removeprefix('val/')}": value for name, value in best.items()}
            logger.log_hyperparams(columns_of(fit.model, fit.settings), scores)
        assert isinstance(logger, TensorBoardLogger | MetricsCSV)
        logger.finalize("success")
    folder = fit.folder / "checkpoints"
    folder.mkdir()
    save(fit, folder / "best.ckpt", curves.best, row, best)
    save(fit, folder / "last.ckpt", curves.stack.weights, row, curves.final)
    write_result(fit, best)
    write_ending(fit, curves.final, seconds)
    return fit.folder, best


def write_result(fit: Fit, best: dict[str, Any]) -> None:
    """Write the figures of the best validation into result.json."""
    rows = len(fit.datamodule.splits["val"][0])
    found = {
        "checkpoint": "checkpoints/best.ckpt",
        "step": best["step"],
        "epoch": best["epoch"],
        "rows": rows,
    }
    independent = rows_of(fit.datamodule, "val").independent
    metrics = figures(best, None, rows, independent=independent)
    write_part(fit.folder, "validation", {**found, "metrics": metrics})


def write_ending(fit: Fit, final: dict[str, int], seconds: float) -> None:
    """Write that the training has ended: into run.json, and end.json as the last file."""
    record = read_record(fit.folder)
    if record.launches:
        record.launches[-1].ended = now()
        record.launches[-1].seconds = {"training": seconds, "total": seconds}
        write_record(fit.folder, record)
    trainer = fit.settings.trainer
    words = f"max_epochs {trainer.max_epochs} was reached"
    end = End("max_epochs", words, final["epoch"] + 1, final["step"], limits_of(trainer))
    write_end(fit.folder, end)
    fit.lock.release()


def save(fit: Fit, path: Path, weights: dict[str, Tensor], row: int, reached: dict[str, Any]) -> None:
    """Write the weights of one run as a checkpoint that `test` and `predict` can read."""
    own = {name: weight.detach()[row].cpu().clone() for name, weight in weights.items()}
    checkpoint = {
        "epoch": reached["epoch"],
        "global_step": reached["step"],
        "pytorch-lightning_version": pl.__version__,
        "state_dict": {**fit.model.state_dict(), **own},
        pl.LightningModule.CHECKPOINT_HYPER_PARAMS_KEY: dict(fit.model.hparams),
        type(fit.datamodule).__qualname__: fit.datamodule.state_dict(),
    }
    with replacing(path) as temporary:
        torch.save(checkpoint, temporary)
