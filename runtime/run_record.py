"""`run.json`: what was asked of a run, with what it ran, and how each of its launches went.

It is written when a training has its folder, completed at the end, and gets another launch with every resume.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from runtime.end_record import recorded_end
from runtime.run_lock import is_locked

FILE = "run.json"
State = Literal["running", "finished", "killed", "failed"]


@dataclass
class Launch:
    """One start of `train.py fit` in the run's folder.

    Args:
        command: the words after `train.py`, as they were typed.
        started, ended: UTC, ISO 8601; `ended` is None while it trains, and stays None if it was killed.
        error: what stopped it, in one line; None for an end without an error, also after a Ctrl-C.
        host, process: where it ran.
        from_step: steps done before.
        seconds: by phase: "start-up", "check-up", "training", "validation", "drawing", and their sum "total".
    """

    command: list[str] = field(default_factory=list)
    started: str = ""
    ended: str | None = None
    error: str | None = None
    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    from_step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Record:
    """What `run.json` holds; of a run from before there was this file, nothing but the experiment.

    Args:
        experiment: folder below `runs`.
        launches: the first one, then every resume.
        from_config: the settings, by their names in config.yaml, that differ from the experiment's own config file.
        from_defaults: those that differ from the defaults of the classes.
        seed: of all random numbers; None if it was not set.
        commit: `hash`, and `clean`: whether no file differed from it; None without a git repository.
        versions: of Python and the libraries.
        machine: `system`, `processor`, `cores`, `memory_gib`, `accelerator`, `processes` and `precision`.
    """

    experiment: str = ""
    launches: list[Launch] = field(default_factory=list)
    from_config: dict[str, Any] = field(default_factory=dict)
    from_defaults: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    commit: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)


def read_record(folder: Path) -> Record:
    """The record of a run; an empty one if the file is missing or damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        launches = [Launch(**known(Launch, each)) for each in found.pop("launches", [])]
        return Record(
            **{"experiment": folder.resolve().parent.name, **known(Record, found)}, launches=launches
        )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return Record(folder.resolve().parent.name)


def known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """The values for which a dataclass has a field; a newer version of the file may have more."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def write_record(folder: Path, record: Record) -> None:
    """Write `run.json`; a kill leaves the old file."""
    from callbacks.files import write_whole  # this package takes seconds to import, and reading must be fast

    text = json.dumps(asdict(record), indent=2, ensure_ascii=False, default=str)
    write_whole(folder / FILE, text + "\n")


def state_of(folder: Path) -> State:
    """Whether a process trains in the folder now, the training ended, an error stopped it, or something else did."""
    if is_locked(folder):
        return "running"
    if recorded_end(folder) is not None:
        return "finished"
    launches = read_record(folder).launches
    return "failed" if launches and launches[-1].error else "killed"


def now(seconds_ago: float = 0.0) -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() - seconds_ago, UTC).isoformat(
        timespec="seconds"
    )
