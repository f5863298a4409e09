"""A sweep's options, and the runs that follow from them."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runtime.run_folder import ROOT
from sweeps.space import Axis, Setting, grid, random_settings, words

DEFAULT_SETTINGS = 20  # tried by random and tpe if no budget is given


@dataclass
class SweepOptions:
    """The `sweep:` section of a config, and the flags --sweep.NAME.

    Args:
        vary: for each flag of fit a list of values, or a range: log:1e-4:1e-1, float:0:0.5, int:1:5.
            On the command line as --vary FLAG=VALUES: --vary model.optimizer.lr=1e-4,1e-3 and so on.
        sampler: grid: every combination; random; tpe: Optuna's Bayesian search. By default grid, or random
            where a range is given.
        seeds: how many for each setting, counted from seed_everything on; or a list of them. By default 1; more
            can be added when a sweep has ended.
        trials: runs in all, over all processes; by default the whole grid, or 20 settings with each seed.
        minutes: no run starts after this many minutes in this process.
        prune: stop runs that are worse than the median of the other runs at the same epoch.
        bulk: train small networks together if that gives the same result.
    """

    vary: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["grid", "random", "tpe"] | None = None
    seeds: int | list[int] = 1
    trials: int | None = None
    minutes: float | None = None
    prune: bool = False
    bulk: bool = True


@dataclass(frozen=True)
class Plan:
    """A sweep: each setting is trained with each seed.

    Args:
        name: of the folder below `runs`.
        words: for `fit`, without what varies.
        axes: what varies.
        sampler: "grid", "random" or "tpe".
        seeds: of each setting.
        options: budgets and switches.
        monitor, mode: the metric to compare, and whether its "min" or "max" is best; known only after a run has
            been rehearsed.
    """

    name: str
    words: list[str]
    axes: list[Axis]
    sampler: str
    seeds: list[int]
    options: SweepOptions
    monitor: str = ""
    mode: str = "min"

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    @property
    def num_settings(self) -> int:
        """Number of settings that random and tpe try."""
        trials = self.options.trials
        return max(1, trials // len(self.seeds)) if trials else DEFAULT_SETTINGS

    @property
    def num_runs(self) -> int:
        """Number of runs."""
        settings = self.num_settings if self.sampler == "tpe" else len(self.settings())
        return min(settings * len(self.seeds), self.options.trials or settings * len(self.seeds))

    def settings(self) -> list[Setting]:
        """All settings if they are known beforehand; tpe finds them on the way."""
        if self.sampler == "tpe":
            return []
        if self.sampler == "grid":
            return grid(self.axes)
        return random_settings(self.axes, self.num_settings, seed=0)

    def runs(self) -> list[tuple[Setting, int]]:
        """Settings and seeds in the order of training: every setting once before any has its second seed."""
        return [(setting, seed) for seed in self.seeds for setting in self.settings()]

    def first_setting(self) -> Setting:
        return {axis.flag: axis.examples()[0] for axis in self.axes}

    def definition(self) -> dict[str, Any]:
        """What must not change when a sweep is resumed; budgets may."""
        axes = {axis.flag: repr(axis) for axis in self.axes}
        return {"words": self.words, "vary": axes, "sampler": self.sampler, "seeds": self.seeds}

    def with_metric(self, monitor: str, mode: str) -> "Plan":
        return dataclasses.replace(self, monitor=monitor, mode=mode)

    def fit_words(self, setting: Setting, seed: int) -> list[str]:
        """The words after `train.py fit` that train one run."""
        varied = words(setting)
        configs = [word for word in varied if word.startswith("--config=")]
        rest = [word for word in varied if not word.startswith("--config=")]
        return [*configs, *self.words, *rest, f"--seed_everything={seed}"]
