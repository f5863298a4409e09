"""What `benchmarks/tune_lr.py` measures: what each learning rate reaches, and the range tests."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl

from benchmarks.rate_rules import RANGES
from cli.build import Run
from cli.range_test import RangeTest
from cli.sweep import build_trial, read_plan
from lit_models.base import LitModel
from runtime.loop import use_lean_loop
from sweeps.bulk import why_not
from sweeps.bulk_training import Group, new_model, train_rows
from sweeps.study import Run as Trial
from sweeps.trials import silence

RATES = [1e-6, 1e-5, *np.geomspace(1e-4, 10, 11).round(7).tolist()]
OURS = (1e-6, 10.0, 200)
FLAG = "model.optimizer.lr"
Measured = dict[str, Any]  # {"reached": {seed: {rate: loss}}, "curves": {range: {seed: [rates, losses]}}}


class Lowest(pl.Callback):
    """Keeps the lowest validation loss."""

    def __init__(self) -> None:
        self.loss = math.inf

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.loss = min(self.loss, float(trainer.callback_metrics.get("val/loss", math.nan)))


def measure(words: list[str], seeds: Sequence[int], tick: Callable[[float], None]) -> Measured:
    """Train with every rate and seed, and make the three range tests with every seed; no files are written.

    Args:
        words: after `train.py fit`.
        seeds: of the runs.
        tick: called with the finished share, from 0 to 1.
    """
    with silence():
        first = build_trial([*words, f"--{FLAG}={RATES[0]}"], with_trainer=False)
        fits = [build_trial(words, with_trainer=False, like=first, changes={FLAG: rate}) for rate in RATES]
        reason = why_not(first.model, first.datamodule, first.settings)
        train = train_all if reason is None else train_each
        reached = train(words, fits, seeds, lambda share: tick(0.8 * share))
        curves: dict[str, dict[str, Any]] = {}
        for place, (kind, (low, high, steps)) in enumerate({"ours": OURS, **RANGES}.items()):
            for seed in seeds:
                test = RangeTest(low, high, steps, stops=False)
                options = {"max_epochs": -1, "max_steps": steps, "limit_val_batches": 0}
                fit(fits[0], seed, test, options)
                curves.setdefault(kind, {})[str(seed)] = [test.rates, test.losses]
            tick(0.8 + 0.2 * (place + 1) / (1 + len(RANGES)))
    return {"reached": reached, "curves": curves}


def train_all(
    words: list[str], fits: list[Run], seeds: Sequence[int], tick: Callable[[float], None]
) -> dict[str, dict[str, float]]:
    """The lowest validation loss with every seed and rate; all networks are trained together, as `sweep` does."""
    rates = ",".join(map(str, RATES))
    plan = read_plan([*words, f"--vary={FLAG}={rates}"]).with_metric("val/loss", "min")
    groups = []
    for one, rate in zip(fits, RATES, strict=True):
        unused: Any = None
        trials = [Trial(unused, {FLAG: str(rate)}, seed, None, unused) for seed in seeds]
        groups.append(Group(one, trials, None))
    best = iter(train_rows(plan, groups, tick).best_metrics)
    reached: dict[str, dict[str, float]] = {str(seed): {} for seed in seeds}
    for rate in RATES:
        for seed in seeds:
            reached[str(seed)][str(rate)] = next(best)["val/loss"]
    return reached


def train_each(
    words: list[str], fits: list[Run], seeds: Sequence[int], tick: Callable[[float], None]
) -> dict[str, dict[str, float]]:
    """The same, one network after the other."""
    reached: dict[str, dict[str, float]] = {}
    for done, seed in enumerate(seeds, start=1):
        reached[str(seed)] = {}
        for one, rate in zip(fits, RATES, strict=True):
            lowest = Lowest()
            options = {"max_epochs": one.settings.trainer.max_epochs, "num_sanity_val_steps": 0}
            try:
                fit(one, seed, lowest, options)
            except ValueError:  # the weights became NaN
                lowest.loss = math.nan
            reached[str(seed)][str(rate)] = lowest.loss
        tick(done / len(seeds))
    return reached


def fit(one: Run, seed: int, callback: pl.Callback, options: dict[str, Any]) -> None:
    """Train one network of these settings, from the initial weights of this seed."""
    model: LitModel = new_model(one.model, seed)
    for name in ("optimizer_factory", "scheduler_factory", "scheduler_interval"):
        setattr(model, name, getattr(one.model, name))
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    use_lean_loop(trainer)
    trainer.fit(model, one.datamodule)
