"""Which runs are shown, and in which order: `--where model.depth=3 --tag baseline --sort -val/accuracy --limit 10`."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime.errors import UsageError, did_you_mean
from runtime.old_runs import is_same
from runtime.run_list import ListedRun, read_value

CONDITION = re.compile(r"([^=<>!]+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*)", re.DOTALL)
COLUMNS: dict[str, Callable[[ListedRun], Any]] = {
    "run": lambda run: run.name,
    "experiment": lambda run: run.experiment,
    "version": lambda run: int(run.version.removeprefix("version_")),
    "started": lambda run: run.started,
    "seconds": lambda run: run.seconds,
    "state": lambda run: run.state,
    "best": lambda run: run.best,
    "verdict": lambda run: run.verdict,
    "note": lambda run: run.notes.note,
    "tag": lambda run: list(run.notes.tags),
}


@dataclass(frozen=True)
class Condition:
    """A name, how it is compared, and with what: `model.depth`, ">=", 3."""

    name: str
    sign: str
    value: Any

    def holds(self, run: ListedRun) -> bool:
        """Whether a run fulfills it; a run that lacks the value fulfills only `!=`."""
        found = value_of(run, self.name)
        if self.sign in ("=", "!="):
            return equals(found, self.value) == (self.sign == "=")
        if isinstance(found, datetime):  # compared as it is written, so that a day alone will do
            found = found.astimezone().isoformat(sep=" ")
            return compare(found[: len(str(self.value))], self.sign, str(self.value).replace("T", " "))
        return is_number(found) and compare(found, self.sign, self.value)


def parse_condition(text: str) -> Condition:
    """Read what follows `--where`.

    Raises:
        UsageError: if it is no comparison.
    """
    match = CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(f"--where {text} compares nothing; write --where 'state=failed' or 'val/loss<0.5'")
    name = match[1].strip().removeprefix("--").replace("init_args.", "")
    value = match[3] if name in ("note", "tag", "run", "experiment", "started") else read_value(match[3])
    if match[2] in ("<", ">", "<=", ">=") and name != "started" and not is_number(value):
        raise UsageError(f"--where {text}: {match[2]} compares numbers, and {match[3]!r} is none")
    return Condition(name, "=" if match[2] == "==" else match[2], value)


def chosen(runs: Sequence[ListedRun], conditions: Iterable[Condition]) -> list[ListedRun]:
    """The runs for which all conditions hold.

    Raises:
        UsageError: for a name that no run knows.
    """
    left = list(runs)
    for condition in conditions:
        check_name(condition.name, runs, "--where")
        left = [run for run in left if condition.holds(run)]
    return left


def in_order(runs: Sequence[ListedRun], by: str) -> list[ListedRun]:
    """The runs in ascending order of a column, metric or setting, descending after a minus; those without it last.

    Raises:
        UsageError: for a name that no run knows.
    """
    name = by.removeprefix("-").removeprefix("--").replace("init_args.", "")
    check_name(name, runs, "--sort")
    keys = {id(run): sort_key(value_of(run, name)) for run in runs}
    has = [run for run in runs if keys[id(run)] is not None]
    lacks = [run for run in runs if keys[id(run)] is None]
    return sorted(has, key=lambda run: keys[id(run)] or (), reverse=by.startswith("-")) + lacks


def value_of(run: ListedRun, name: str) -> Any:
    """A column, a metric or a setting of a run; None if it has none of this name."""
    if name in COLUMNS:
        return COLUMNS[name](run)
    if "/" in name or name in run.metrics:
        return run.metrics.get(name)
    return run.setting(name)


def sort_key(value: Any) -> tuple[Any, ...] | None:
    """Numbers come before words; None if there is nothing to sort by."""
    if isinstance(value, datetime):
        return (0, value.timestamp())
    if is_number(value):
        return (0, float(value)) if math.isfinite(value) else None
    return None if value in (None, "", []) else (1, str(value))


def equals(found: Any, value: Any) -> bool:
    """Whether a value is the one that was asked for; of several tags, one is enough."""
    if isinstance(found, datetime):
        return found.astimezone().isoformat(sep=" ").startswith(str(value).replace("T", " "))
    if isinstance(found, list) and isinstance(value, str):
        return value in found
    return is_same(found, value)


def compare(found: Any, sign: str, value: Any) -> bool:
    """One of the four comparisons."""
    if sign in ("<", "<="):
        return bool(found < value or (sign == "<=" and found == value))
    return bool(found > value or (sign == ">=" and found == value))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_name(name: str, runs: Sequence[ListedRun], flag: str) -> None:
    """Refuse a name that is neither a column nor a metric or setting of any run."""
    if name in COLUMNS or not runs or any(value_of(run, name) is not None for run in runs):
        return
    known = {*COLUMNS, *(each for run in runs for each in (*run.metrics, *run.config, *(run.changes or {})))}
    if name not in known:
        raise UsageError(f"{flag} {name}: no run has this metric or setting; {did_you_mean(name, known)}")
