"""What a sweep notes about its runs, read from its journal without Optuna, whose import takes a second.

Each line of `study.journal` is one JSON object, which says with `op_code` what was done (optuna/storages/journal).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "study.journal"
NEW, PARAMETER, STATE, ATTRIBUTE = 4, 5, 6, 8  # codes of what a line records about a trial
COMPLETE, PRUNED, FAILED = 1, 2, 3  # states


@dataclass
class Trial:
    """One run of a sweep.

    Args:
        setting: what varies in it, and its values as they are typed.
        seed: of the run; None if it has none yet.
        folder: of the run; empty until it has one.
        metrics: at its best validation.
        state: Optuna's number.
    """

    setting: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    folder: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    state: int | None = None

    @property
    def ended(self) -> bool:
        return self.state in (COMPLETE, PRUNED, FAILED)

    @property
    def failed(self) -> bool:
        return self.state == FAILED

    def take(self, attributes: dict[str, Any]) -> None:
        """Keep what is known about the run."""
        self.seed = attributes.get("seed", self.seed)
        self.folder = attributes.get("folder", self.folder)
        self.metrics = attributes.get("metrics", self.metrics)


def trials_of(sweep: Path) -> dict[Path, Trial]:
    """The trials of a sweep, by the folders of their runs; none if the folder is no sweep's. Damaged lines are left out.

    Args:
        sweep: the folder that holds its journal, and its runs as `version_N`.
    """
    trials: list[Trial] = []
    try:
        lines = (sweep / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            read_line(trials, json.loads(line))
        except (ValueError, TypeError, LookupError, AttributeError):
            continue
    # by the folder's name alone, because the sweep may have been moved
    return {sweep / Path(each.folder).name: each for each in trials if each.folder}


def read_line(trials: list[Trial], line: dict[str, Any]) -> None:
    """Apply one line of the journal."""
    code = line["op_code"]
    if code == NEW:
        trial = Trial(dict(line.get("system_attrs", {}).get("fixed_params", {})), state=line.get("state"))
        trial.take(line.get("user_attrs", {}))
        trials.append(trial)
    elif code == PARAMETER:
        name, value = line["param_name"], line["param_value_internal"]
        choices = json.loads(line["distribution"])["attributes"].get("choices")
        trials[line["trial_id"]].setting.setdefault(name, choices[int(value)] if choices else value)
    elif code == STATE:
        trials[line["trial_id"]].state = line["state"]
    elif code == ATTRIBUTE:
        trials[line["trial_id"]].take(line["user_attr"])
