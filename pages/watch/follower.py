"""Follower: shows a run that another process trains, or that has ended, from the files of its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl

from callbacks.observing import in_words
from callbacks.pictures.base import datamodule, fixed_batch
from pages.watch.controls import Controls
from pages.watch.course import Course
from pages.watch.frames import QUANTITIES, layer_rows
from pages.watch.packing import plain
from pages.watch.show import Show
from runtime.run_record import read_record, state_of

SECONDS = 1.0  # between two looks at the files
NOTES = {
    "running": "Another process trains this run, so there is nothing to play here. The page follows metrics.csv, "
    "diagnosis.json, the pictures and the weights in last.ckpt.",
    "finished": "This run has ended: the network is the one in its last checkpoint.",
    "killed": "This run was stopped before its end: the network is the one in its last checkpoint.",
    "failed": "This run failed: the network is the one in its last checkpoint.",
}
UNTRAINED = " There is no checkpoint yet, so the weights are untrained ones."


class Follower(pl.Callback):
    """Shows a run again whenever one of its files has changed, until a signal comes. It changes nothing.

    Args:
        folder: of the run.
        controls: what the pages ask for.
        show: what they are sent.
        load: reads the `state_dict` of a checkpoint.
    """

    def __init__(
        self, folder: Path, controls: Controls, show: Show, load: Callable[[Path], dict[str, Any]]
    ) -> None:
        self.folder, self.controls, self.show, self.load = folder, controls, show, load
        self._seen: dict[Path, int] = {}  # when each file was changed last
        self._files: dict[str, Any] = {"curves": {}, "metrics": {}, "layers": [], "findings": [], "step": 0}
        self._weights = self.checkpoint  # that are loaded
        self._trouble = ""

    @property
    def checkpoint(self) -> Path | None:
        """The newest weights."""
        paths = [self.folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt")]
        return next((path for path in paths if path.is_file()), None)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The weights are loaded now: stay here."""
        self.show.begin(pl_module, datamodule(trainer), fixed_batch(trainer))
        if self._weights:
            self._is_new(self._weights)
        while True:
            changes = self.controls.take_changes()
            self.show.obey(changes)
            if self.controls.pages and (self._look(pl_module) or changes):
                self.show.frame(trainer, pl_module, self._known())
            self.controls.wait(SECONDS)

    def _look(self, pl_module: pl.LightningModule) -> bool:
        """Read what has changed; whether anything has."""
        state = state_of(self.folder)
        changed = [state != self._files.get("state")]
        self._files["state"] = state
        for name, read in (("metrics.csv", read_metrics), ("diagnosis.json", read_findings)):
            if self._is_new(self.folder / name):
                self._files |= read(self.folder / name)
                changed.append(True)
        pictures = newest_pictures(self.folder / "pictures")
        changed.append(pictures != self._files.get("pictures"))
        self._files["pictures"] = pictures
        if (path := self.checkpoint) is not None and self._is_new(path):
            changed.append(True)
            try:
                pl_module.load_state_dict(self.load(path))
                self._weights, self._trouble = path, ""
            except Exception as error:  # it may be replaced at this moment; the next one is read again
                self._trouble = f" {path.name} cannot be read: {in_words(error)}"
        return any(changed)

    def _is_new(self, path: Path) -> bool:
        try:
            modified = path.stat().st_mtime_ns
        except OSError:
            return False
        is_new = self._seen.get(path) != modified
        self._seen[path] = modified
        return is_new

    def _known(self) -> dict[str, Any]:
        state = self._files["state"]
        note = NOTES[state] + ("" if self._weights else UNTRAINED) + self._trouble
        known = {"epoch": None, "finished": True, "seed": read_record(self.folder).seed, "rate": None}
        return {**known, **self._files, "layers_step": self._files["step"], "note": note}


def read_metrics(path: Path) -> dict[str, Any]:
    """Curves, the newest metrics of validation, and the newest row per layer, of a metrics.csv."""
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError):  # empty, or half written
        return {}
    curves: dict[str, Course] = {}
    latest: dict[str, dict[str, float]] = {}
    metrics: dict[str, float] = {}
    for name in rows.columns:
        found = rows[["step", name]].dropna() if name != "step" else rows[:0]
        if not len(found):
            continue
        last = float(found[name].iloc[-1])
        quantity, _, tag = name.partition("/")
        if quantity in QUANTITIES:
            latest.setdefault(quantity, {})[tag] = last
        elif name.startswith("val") or name == "train/loss":
            course = curves.setdefault("train" if name == "train/loss" else name, Course())
            for step, value in zip(found["step"], found[name], strict=True):
                course.add(float(step), float(value))
            if name.startswith("val"):
                metrics[name] = last
    return {
        "curves": plain({name: course.points() for name, course in curves.items()}),
        "metrics": plain(metrics),
        "layers": layer_rows(latest),
        "step": int(rows["step"].max()) if len(rows) else 0,
    }


def read_findings(path: Path) -> dict[str, Any]:
    """The verdicts of a diagnosis.json that hold."""
    try:
        verdicts = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
        wanted = ("severity", "kind", "message", "advice")
        return {
            "findings": [
                {key: str(each[key]) for key in wanted} for each in verdicts if each.get("holds", True)
            ]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def newest_pictures(folder: Path) -> list[str]:
    """The newest picture of each kind, by its file's name: `<tag>_<step>.png`."""
    newest = {path.stem.rpartition("_")[0]: path.name for path in sorted(folder.glob("*_*.png"))}
    return sorted(newest.values())
