"""A sweep's options, and the runs that follow from them."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runtime.run_folder import ROOT
from sweeps.space import Axis, Choice, Setting, grid, random_settings, words

DEFAULT_SETTINGS = 20  # tried by random and tpe if no budget is given


@dataclass
class SweepOptions:
    """The `sweep:` section of a config, and the flags --sweep.NAME.

    Args:
        vary: for each flag of fit a list of values, or a range: log:1e-4:1e-1, float:0:0.5, int:1:5.
            On the command line as --vary FLAG=VALUES: --vary model.optimizer.lr=1e-4,1e-3 and so on.
        replicate: flags whose values every setting is trained with, to average over them, such as the folds of a
            cross-validation. On the command line --replicate data.fold=0,1,2,3,4.
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
    replicate: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["grid", "random", "tpe"] | None = None
    seeds: int | list[int] = 1
    trials: int | None = None
    minutes: float | None = None
    prune: bool = False
    bulk: bool = True


@dataclass(frozen=True)
class Plan:
    """A sweep: each setting is trained with each replicate and each seed.

    Args:
        name: of the folder below `runs`.
        words: for `fit`, without what varies.
        axes: what varies.
        sampler: "grid", "random" or "tpe".
        seeds: of each setting.
        options: budgets and switches.
        replicated: what each setting is trained with in addition to seeds: folds, for example.
        monitor, mode: the metric to compare, and whether its "min" or "max" is best; known only after a run has
            been rehearsed.
    """

    name: str
    words: list[str]
    axes: list[Axis]
    sampler: str
    seeds: list[int]
    options: SweepOptions
    replicated: tuple[Choice, ...] = ()
    monitor: str = ""
    mode: str = "min"

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    @property
    def num_settings(self) -> int:
        """Number of settings that random and tpe try."""
        trials = self.options.trials
        return max(1, trials // self.runs_per_setting) if trials else DEFAULT_SETTINGS

    @property
    def runs_per_setting(self) -> int:
        return len(self.seeds) * len(self.replicates())

    @property
    def num_runs(self) -> int:
        """Number of runs."""
        settings = self.num_settings if self.sampler == "tpe" else len(self.settings())
        return min(settings * self.runs_per_setting, self.options.trials or settings * self.runs_per_setting)

    def settings(self) -> list[Setting]:
        """All settings if they are known beforehand; tpe finds them on the way."""
        if self.sampler == "tpe":
            return []
        if self.sampler == "grid":
            return grid(self.axes)
        return random_settings(self.axes, self.num_settings, seed=0)

    def replicates(self) -> list[Setting]:
        """Every combination of the values of what is replicated; one without any flags if there is nothing."""
        return grid(self.replicated)

    def runs(self) -> list[tuple[Setting, int]]:
        """Settings, each with its replicate, and seeds: every setting once before any is trained a second time."""
        return [
            ({**setting, **replicate}, seed)
            for seed in self.seeds
            for replicate in self.replicates()
            for setting in self.settings()
        ]

    def all_axes(self) -> list[Axis]:
        """What differs between runs, without the seed."""
        return [*self.axes, *self.replicated]

    def first_setting(self) -> Setting:
        return {axis.flag: axis.examples()[0] for axis in self.all_axes()}

    def definition(self) -> dict[str, Any]:
        """What must not change when a sweep is resumed; budgets may."""
        axes = {axis.flag: repr(axis) for axis in self.axes}
        replicated = {axis.flag: repr(axis) for axis in self.replicated}
        definition = {"words": self.words, "vary": axes, "sampler": self.sampler, "seeds": self.seeds}
        return {**definition, "replicate": replicated}

    def with_metric(self, monitor: str, mode: str) -> "Plan":
        return dataclasses.replace(self, monitor=monitor, mode=mode)

    def fit_words(self, setting: Setting, seed: int) -> list[str]:
        """The words after `train.py fit` that train one run."""
        varied = words(setting)
        configs = [word for word in varied if word.startswith("--config=")]
        rest = [word for word in varied if not word.startswith("--config=")]
        return [*configs, *self.words, *rest, f"--seed_everything={seed}"]
