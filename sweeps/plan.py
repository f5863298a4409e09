"""From the command's words and the `sweep:` section of its configs to a plan; what is wrong is refused here."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from cli.parser import Parser
from cli.request import check_config, option_values, take_option
from runtime.errors import UsageError, nearest
from runtime.run_folder import ROOT
from sweeps.space import Axis, Range, Setting, grid, parse_axis, random_settings, words

SAME_FOR_ALL = ("run_name", "resume", "ckpt_path", "monitor", "monitor_mode", "debug")  # flags of fit
DEFAULT_SETTINGS = 20  # tried by random and tpe where no budget is given


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
        minutes: no run starts after so many in this process.
        prune: stop runs that are worse than the median of the others at the same epoch.
        bulk: train small networks together where that gives the same result.
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
        monitor, mode: the metric that is compared, and whether its "min" or "max" is the best; known once a
            run has been rehearsed.
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
        """Settings that random and tpe try."""
        trials = self.options.trials
        return max(1, trials // len(self.seeds)) if trials else DEFAULT_SETTINGS

    @property
    def num_runs(self) -> int:
        """Runs in all."""
        settings = self.num_settings if self.sampler == "tpe" else len(self.settings())
        return min(settings * len(self.seeds), self.options.trials or settings * len(self.seeds))

    def settings(self) -> list[Setting]:
        """All settings where they are known beforehand; tpe finds them on the way."""
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
        """What must not change when a sweep goes on; budgets may."""
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


def read_plan(given: list[str]) -> Plan:
    """Read the words after `train.py sweep`.

    Raises:
        UsageError: for an option or file that is wrong, or where nothing varies.
    """
    left, section = split_words(given)
    for forbidden in ("--resume", "--ckpt_path"):
        if option_values(left, forbidden):
            raise UsageError(
                f"{forbidden} goes with one run, not with sweep; a sweep goes on with its own command"
            )
    name, left = take_option(left, "--run_name")
    configs = [Path(path) for path in option_values(left, "--config", "-c")]
    from_files: dict[str, Any] = {}
    for path in configs:
        check_config("fit", path)
        merge(from_files, yaml.safe_load(path.read_text(encoding="utf-8")).get("sweep") or {}, path)
    merge(from_files, section, "--sweep")
    options = read_options(from_files)
    if not options.vary:
        raise UsageError(
            "nothing varies; add --vary model.optimizer.lr=1e-3,1e-2 or a config of configs/sweeps"
        )
    axes = [parse_axis(flag, values) for flag, values in options.vary.items()]
    for axis in axes:
        if axis.flag == "seed_everything":
            raise UsageError("seed_everything varies with --sweep.seeds: how many, or a list such as [1,2,3]")
        if axis.flag in SAME_FOR_ALL:
            raise UsageError(f"{axis.flag} cannot vary; it is the same for all runs of a sweep")
    has_range = any(isinstance(axis, Range) and axis.kind != "int" for axis in axes)
    sampler = options.sampler or ("random" if has_range else "grid")
    seeds = options.seeds
    if isinstance(seeds, int):
        first = first_seed(configs, left)
        seeds = list(range(first, first + seeds))
    plan = Plan(name or default_name(configs, left), left, axes, sampler, seeds, options)
    plan.settings()  # a grid refuses ranges
    return plan


def default_name(configs: list[Path], left: list[str]) -> str:
    """The experiment's, with that of the sweep's config behind it: mnist_4v9_logistic_lr."""
    experiments = [path.stem for path in configs if path.parent.name not in ("presets", "sweeps")]
    sweeps = [path.stem for path in configs if path.parent.name == "sweeps"]
    model = [value.split(".")[-1] for value in option_values(left, "--model")]
    return "_".join([*(experiments or model)[:1], *(sweeps or ["sweep"])[-1:]])


def first_seed(configs: list[Path], left: list[str]) -> int:
    """`seed_everything` of the command or its configs; 42 as for any run."""
    given = option_values(left, "--seed_everything")
    for path in configs:
        given.insert(0, str(yaml.safe_load(path.read_text(encoding="utf-8")).get("seed_everything", "")))
    return next((int(seed) for seed in reversed(given) if seed.isdigit()), 42)


def split_words(given: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The words for `fit`, and what --vary and --sweep.NAME say, in the form of a `sweep:` section."""
    left: list[str] = []
    section: dict[str, Any] = {}
    words_left = iter(given)
    for word in words_left:
        name, has_value, value = word.partition("=")
        if name != "--vary" and not name.startswith("--sweep."):
            left.append(word)
            continue
        if not has_value:
            value = next(words_left, "")
        if not value:
            raise UsageError(f"{name} needs a value")
        if name == "--vary":
            flag, has_values, values = value.partition("=")
            if not has_values:
                raise UsageError(f"--vary {value} has no values; give some, as --vary {flag}=1,2,3")
            section.setdefault("vary", {})[flag.removeprefix("--")] = values
        else:
            section[name.removeprefix("--sweep.")] = yaml.safe_load(value)
    return left, section


def merge(into: dict[str, Any], section: Any, source: Path | str) -> None:
    """Let a later section win, flag by flag."""
    if not isinstance(section, dict) or not isinstance(section.get("vary") or {}, dict):
        raise UsageError(
            f"{source}: `sweep:` holds {section!r:.60}, not settings such as `vary:` and `seeds:`"
        )
    vary = {**into.get("vary", {}), **(section.get("vary") or {})}
    into.update({**section, "vary": vary})


def read_options(section: dict[str, Any]) -> SweepOptions:
    """Check names and types."""
    known = [option.name for option in dataclasses.fields(SweepOptions)]
    for name in section:
        if name not in known:
            raise UsageError(f"sweep.{name} is no option of a sweep; {nearest(str(name), known)}")
    parser = Parser()
    parser.add_class_arguments(SweepOptions, "sweep")
    rest = {name: value for name, value in section.items() if name != "vary"}
    options = SweepOptions(**vars(parser.parse_object({"sweep": rest}).sweep))
    options.vary = section["vary"]  # as it was typed: the parser would read "[3]" as a list of values
    for name, value in {"trials": options.trials, "minutes": options.minutes}.items():
        if value is not None and value <= 0:
            raise UsageError(f"sweep.{name} is {value}; it must be above 0")
    seeds = options.seeds
    if (
        not seeds
        or (isinstance(seeds, int) and seeds < 1)
        or (isinstance(seeds, list) and len(set(seeds)) < len(seeds))
    ):
        raise UsageError(f"sweep.seeds is {seeds}; give how many, at least 1, or a list of different ones")
    return options
