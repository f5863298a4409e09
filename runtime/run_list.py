"""All runs below a folder, and what each left in its files, read without PyTorch: for the table of runs.

A file is read when its part is asked for, so that a table of hundreds of runs takes a fraction of a second. A damaged
file counts as missing; `damaged` names it.
"""

import csv
import json
import math
import re
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from runtime.config_text import WRITTEN_BY_FIT, setting_in
from runtime.metric_names import direction_of_name
from runtime.old_runs import changes_of, flat
from runtime.run_folder import ROOT, run_folders
from runtime.run_notes import Notes, read_notes
from runtime.run_record import FILE as RECORD
from runtime.run_record import Record, read_record, state_of
from runtime.sweep_journal import Trial, trials_of

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SECONDS_SINCE_1970 = re.compile(r"tfevents\.(\d{9,11})\.")


class ListedRun:
    """One run.

    Args:
        folder: `runs/<experiment>/version_N`.
        trial: what its sweep notes about it; None for a run of its own.
    """

    def __init__(self, folder: Path, root: Path = ROOT, trial: Trial | None = None) -> None:
        self.folder = folder
        self.experiment = str(folder.parent.relative_to(root))
        self.version = folder.name
        self.trial = trial
        self._damaged: set[str] = set()

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.version}"

    @cached_property
    def record(self) -> Record | None:
        """`run.json`; None for a run from before there was this file."""
        return read_record(self.folder) if isinstance(self._json(RECORD), dict) else None

    @cached_property
    def notes(self) -> Notes:
        self._json("notes.json")  # which notices damage
        return read_notes(self.folder)

    @cached_property
    def state(self) -> str:
        """Running, finished, killed or failed; unknown for what an old version left. A sweep knows how its runs ended."""
        if self.trial is not None and self.trial.ended:
            return "failed" if self.trial.failed else "finished"
        if self.record is None and not (self.folder / ".lock").exists():
            return "finished" if (self.folder / "end.json").exists() else "unknown"
        return state_of(self.folder)

    @cached_property
    def started(self) -> datetime | None:
        """When its first launch began; of a run without a record, when it wrote its first file."""
        if self.record and self.record.launches:
            try:
                found = datetime.fromisoformat(self.record.launches[0].started)
                return found if found.tzinfo else found.replace(tzinfo=UTC)
            except (ValueError, TypeError):
                self._damaged.add(RECORD)
        try:
            names = " ".join(path.name for path in self.folder.glob("events.out.tfevents.*"))
            times = [float(text) for text in SECONDS_SINCE_1970.findall(names)]
            times = times or [(self.folder / "config.yaml").stat().st_mtime]
            return datetime.fromtimestamp(min(times), UTC)
        except (OSError, ValueError, OverflowError):
            return None

    @cached_property
    def seconds(self) -> float:
        """How long all its launches took together; NaN if that is not known."""
        launches = self.record.launches if self.record else []
        found = [number(each.seconds.get("total")) for each in launches if isinstance(each.seconds, dict)]
        known = [each for each in found if math.isfinite(each)]
        return sum(known) if known else math.nan

    @cached_property
    def config_text(self) -> str:
        """config.yaml as text; empty if it is missing. A kill leaves it whole, so one without an end is damaged."""
        try:
            text = (self.folder / "config.yaml").read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            if self.state != "running" or isinstance(error, ValueError):
                self._damaged.add("config.yaml")
            return ""
        if not text.endswith("\n"):
            self._damaged.add("config.yaml")
        return text

    @cached_property
    def config(self) -> dict[str, Any]:
        """All settings, by their names without `init_args`: `model.optimizer.lr`; empty if it cannot be read."""
        try:
            content = yaml.load(self.config_text, Loader) or {}
            return flat(content)
        except (yaml.YAMLError, ValueError, AttributeError, RecursionError):
            self._damaged.add("config.yaml")
            return {}

    @cached_property
    def monitor(self) -> str:
        """The metric that chose best.ckpt."""
        return str(self.setting("monitor") or "val/loss")

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The metrics of best.ckpt, and of the last test if there was one."""
        found: dict[str, float] = {}
        result = self._json("result.json")
        for part, name in {"validation": "val", "test": "test"}.items():
            measured = result.get(part) if isinstance(result, dict) else None
            values = measured.get("metrics") if isinstance(measured, dict) else None
            for metric, entry in (values if isinstance(values, dict) else {}).items():
                value = number(entry.get("value") if isinstance(entry, dict) else None)
                found[metric if "/" in metric else f"{name}/{metric}"] = value
        if self.trial is not None:
            found = {**self.trial.metrics, **found}
        if self.monitor not in found:
            found = {**self._best_row(), **found}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    @property
    def best(self) -> float:
        """The best value of the monitored metric; NaN if none is known."""
        return self.metrics.get(self.monitor, math.nan)

    @cached_property
    def verdict(self) -> str:
        """What the diagnosis found, in a few words; empty if there was none."""
        found = self._json("diagnosis.json")
        if not isinstance(found, dict):
            return ""
        verdicts = found.get("verdicts")
        listed = verdicts if isinstance(verdicts, list) else []
        holding = [each for each in listed if isinstance(each, dict) and each.get("holds", True)]
        counts = {kind: sum(each.get("severity") == kind for each in holding) for kind in ("fail", "warn")}
        words = [f"{count} {kind.upper()}" for kind, count in counts.items() if count]
        return ", ".join(words) or "healthy"

    @cached_property
    def changes(self) -> dict[str, Any] | None:
        """The settings that differ from the experiment's config file, without `init_args`; None if that is unknown."""
        if self.trial is not None:
            return {**self.trial.setting, "seed_everything": self.trial.seed}
        if self.record is None:
            return changes_of(self.config, self.experiment)
        found = self.record.from_config
        return flat(found) if isinstance(found, dict) else None

    @property
    def damaged(self) -> list[str]:
        """Names of the files that cannot be read."""
        _ = self.record, self.started, self.notes, self.config_text, self.metrics, self.verdict
        return sorted(self._damaged)

    def setting(self, name: str) -> Any:
        """One setting, by its name without `init_args`; None if the run has none of this name."""
        name = name.replace("init_args.", "")
        if self.trial is not None and name in self.trial.setting:
            return read_value(self.trial.setting[name])
        if self.changes and name in self.changes:
            return self.changes[name]
        if self.config_text.startswith(WRITTEN_BY_FIT):
            return setting_in(self.config_text, name)
        return self.config.get(name)

    def _best_row(self) -> dict[str, float]:
        """The validation metrics of the best row of metrics.csv; empty if the metric is not in it."""
        best: dict[str, str] = {}
        mode = self.setting("monitor_mode") or direction_of_name(self.monitor)
        sign = -1 if mode == "max" else 1
        try:
            with (self.folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
                header = next(csv.reader(file), [])
                if self.monitor not in header:
                    return {}
                place, lowest = header.index(self.monitor), math.inf
                for row in csv.reader(file):
                    value = sign * number(row[place] if place < len(row) else None)
                    if value < lowest:
                        lowest, best = value, dict(zip(header, row, strict=False))
        except OSError:
            return {}
        except (ValueError, csv.Error):
            self._damaged.add("metrics.csv")
            return {}
        return {name: number(text) for name, text in best.items() if name.startswith("val")}

    def _json(self, name: str) -> Any:
        """What a file holds; None if it is missing or damaged."""
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except OSError:
            return None
        except (ValueError, RecursionError):
            self._damaged.add(name)
            return None


def all_runs(root: Path = ROOT) -> list[ListedRun]:
    """All runs below a folder; those of a sweep with what it notes about them."""
    folders = list(run_folders(root))
    trials = {
        folder: trial
        for parent in {each.parent for each in folders}
        for folder, trial in trials_of(parent).items()
    }
    return [ListedRun(folder, root, trials.get(folder)) for folder in folders]


def number(value: Any) -> float:
    """A value as a number, NaN if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def read_value(text: Any) -> Any:
    """A value as it is typed on the command line: `3` is a number, `[2,3]` a list."""
    try:
        return yaml.load(str(text), Loader) if isinstance(text, str) else text
    except yaml.YAMLError:
        return text
