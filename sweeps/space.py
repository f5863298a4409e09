"""What varies in a sweep: for each flag of `fit` a list of values, or a range to draw from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import yaml
from optuna.trial import Trial

from runtime.errors import UsageError

Value = str | float | int  # of a list: the text on the command line; of a range: a number
Setting = dict[str, Value]  # flag without its dashes: value

KINDS = ("float", "log", "int")


@dataclass(frozen=True)
class Choice:
    """A flag and its values, in the given order."""

    flag: str
    values: tuple[str, ...]

    def suggest(self, trial: Trial) -> Value:
        return trial.suggest_categorical(self.flag, self.values)

    def draw(self, generator: np.random.Generator) -> Value:
        return self.values[generator.integers(len(self.values))]

    def examples(self) -> tuple[Value, ...]:
        """All words, and the ends of the whole and of the other numbers: if these are valid, so are the rest."""
        kinds = {value: kind_of(value) for value in self.values}
        chosen = {value for value, kind in kinds.items() if kind == "word"}
        for kind in ("whole", "real"):
            numbers = sorted((value for value in self.values if kinds[value] == kind), key=float)
            chosen.update(numbers[:1] + numbers[-1:])
        return tuple(value for value in self.values if value in chosen)


@dataclass(frozen=True)
class Range:
    """A flag and the interval from which its value is drawn, both ends included.

    Args:
        flag: without its dashes.
        kind: "float": evenly; "log": evenly on a logarithmic scale; "int": whole numbers.
        low, high: the ends.
    """

    flag: str
    kind: str
    low: float
    high: float

    def suggest(self, trial: Trial) -> Value:
        if self.kind == "int":
            return trial.suggest_int(self.flag, int(self.low), int(self.high))
        return trial.suggest_float(self.flag, self.low, self.high, log=self.kind == "log")

    def draw(self, generator: np.random.Generator) -> Value:
        if self.kind == "int":
            return int(generator.integers(int(self.low), int(self.high), endpoint=True))
        if self.kind == "float":
            value = generator.uniform(self.low, self.high)
        else:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        return min(max(float(f"{value:.4g}"), self.low), self.high)  # four digits are easy to read and type

    def examples(self) -> tuple[Value, ...]:
        return (int(self.low), int(self.high)) if self.kind == "int" else (self.low, self.high)


Axis = Choice | Range


def parse_axis(flag: str, given: Any) -> Axis:
    """Parse the value of a flag: a list, or text such as "1e-4,1e-3", "[2,3],[4]", "log:1e-4:1e-1", "int:1:5".

    Raises:
        UsageError: if there is no value to try, or the ends do not make a range.
    """
    flag = flag.removeprefix("--")
    if isinstance(given, str) and given.partition(":")[0] in KINDS:
        return parse_range(flag, given)
    texts = split_values(flag, given) if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise UsageError(f"sweep.vary.{flag} is {given!r}; give a list, or a range such as log:1e-4:1e-1")
    values = [text if isinstance(text, str) else as_text(text) for text in texts]
    if values in ([], [""]):
        raise UsageError(f"sweep.vary.{flag} has no values; give some, as --vary {flag}=1,2,3")
    if "" in values:
        raise UsageError(f"sweep.vary.{flag} is {given}; a value is missing between two commas, or at an end")
    if repeated := [value for value in values if values.count(value) > 1]:
        raise UsageError(f"sweep.vary.{flag} has {repeated[0]} twice; leave one out")
    return Choice(flag, tuple(values))


def parse_range(flag: str, text: str) -> Range:
    """`kind:low:high`."""
    kind, *ends = text.split(":")
    try:
        low, high = (float(end) for end in ends)
    except ValueError:
        raise UsageError(f"sweep.vary.{flag} is {text}; a range is {kind}:LOW:HIGH, as {kind}:1:10") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"sweep.vary.{flag} is {text}, an empty range; the first end must be the smaller")
    if kind == "log" and low <= 0:
        raise UsageError(f"sweep.vary.{flag} is {text}; a logarithmic range begins above 0")
    if kind == "int" and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"sweep.vary.{flag} is {text}; the ends must be whole numbers")
    return Range(flag, kind, low, high)


def split_values(flag: str, text: str) -> list[str]:
    """Split at the commas outside brackets: "[2,3],[4]" has two values."""
    values, depth = [""], 0
    for char in text:
        depth += (char in "[{(") - (char in "]})")
        if char == "," and depth == 0:
            values.append("")
        else:
            values[-1] += char
    if depth:
        raise UsageError(f"sweep.vary.{flag} is {text}; a bracket is missing")
    return [value.strip() for value in values]


def is_fold(flag: str) -> bool:
    """Whether a flag chooses the part of the data that is held out, which is no choice between settings."""
    return flag.rpartition(".")[2] == "fold"


def kind_of(text: str) -> str:
    """ "whole", "real" for any other finite number, or "word"."""
    try:
        finite = math.isfinite(float(text))
    except ValueError:
        return "word"
    return ("whole" if text.lstrip("+-").isdigit() else "real") if finite else "word"


def as_text(value: Any) -> str:
    """A value from a YAML file as it is typed on the command line: [2, 3], null, 0.01."""
    if isinstance(value, float):
        return repr(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("...\n").strip()


def number_in(value: Value) -> float | None:
    """A value as a number: 0.01, "1e-3", or the only number of a list, such as hidden_sizes [3]; else None."""
    try:
        return float(str(value).strip("[] "))
    except ValueError:
        return None


def grid(axes: Iterable[Axis]) -> list[Setting]:
    """Every combination; a range of whole numbers counts as the list of them.

    Raises:
        UsageError: for any other range.
    """
    columns: list[list[Value]] = []
    axes = list(axes)
    for axis in axes:
        if isinstance(axis, Choice):
            columns.append(list(axis.values))
        elif axis.kind == "int":
            columns.append(list(range(int(axis.low), int(axis.high) + 1)))
        else:
            raise UsageError(
                f"sweep.sampler is grid, but {axis.flag} has a range; list its values, or take random or tpe"
            )
    return [dict(zip((axis.flag for axis in axes), values, strict=True)) for values in product(*columns)]


def random_settings(axes: list[Axis], count: int, seed: int) -> list[Setting]:
    """The first `count` different settings drawn with a seed; fewer if fewer exist."""
    generator = np.random.default_rng(seed)
    found: dict[str, Setting] = {}
    for _ in range(100 * count):
        setting = {axis.flag: axis.draw(generator) for axis in axes}
        found.setdefault(key(setting), setting)
        if len(found) == count:
            break
    return list(found.values())


def words(setting: Setting) -> list[str]:
    """A setting on the command line. Configs come first, so that they do not override the other flags."""
    flags = sorted(setting, key=lambda flag: flag != "config")
    return [f"--{flag}={setting[flag]}" for flag in flags]


def key(setting: Setting) -> str:
    """One text per setting, which identifies it."""
    return " ".join(words(setting))


def rest(setting: Setting, without: Iterable[str]) -> str:
    """A setting without some flags and their subflags, as one text: removing `model.optimizer` also removes its `lr`."""
    flags = {flag: flag.replace("init_args.", "") for flag in setting}  # "init_args." is optional
    left = [
        flag
        for flag, plain in flags.items()
        if not any(plain == name or plain.startswith(f"{name}.") for name in without)
    ]
    return key({flag: setting[flag] for flag in left})
