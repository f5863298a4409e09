"""What a run left in its folder. A missing or damaged file becomes a sentence for the page, never an error."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import yaml

Content = TypeVar("Content")

# why a file may not be there
WRITTEN_BY = {
    "metrics.csv": "the loggers, unless --trainer.logger false",
    "diagnosis.json": "fit, unless --diagnostics false",
    "result.json": "fit and test at their end, if something was validated or tested",
    "run.json": "fit, at its start",
    "config.yaml": "fit, at its start",
    "pictures": "fit, unless --pictures false",
    "inside/layers.json": "fit, at its start, unless --diagnostics false",
    "inside/weights.csv": "fit, for networks of at most 50 parameters, unless --diagnostics false",
    "inside/distributions.npz": "fit, unless --pictures false",
}
PICTURE = re.compile(r"(.+)_(\d{6,})\.(png|svg|webp)")
TEXT = re.compile(r"(.+)_(\d{6,})\.(txt)")


@dataclass
class RunFiles:
    """A run's folder, each file read when it is first asked for.

    Args:
        folder: of the run.

    `damaged` holds a sentence for each file that could not be read, by its name.
    """

    folder: Path
    damaged: dict[str, str] = field(default_factory=dict)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml; empty if there is none."""
        return mapping(self._read("config.yaml", lambda path: yaml.safe_load(path.read_bytes())))

    @cached_property
    def record(self) -> dict[str, Any]:
        """run.json: launches, settings, versions, machine."""
        return mapping(self._read_json("run.json"))

    @cached_property
    def result(self) -> dict[str, Any]:
        """result.json: metrics of validation and test, with intervals."""
        return mapping(self._read_json("result.json"))

    @cached_property
    def diagnosis(self) -> dict[str, Any]:
        """diagnosis.json: findings of check-up and diagnosis."""
        return mapping(self._read_json("diagnosis.json"))

    @cached_property
    def notes(self) -> dict[str, Any]:
        """notes.json: the user's note and tags."""
        return mapping(self._read_json("notes.json"))

    @cached_property
    def end(self) -> dict[str, Any]:
        """end.json: why the training ended."""
        return mapping(self._read_json("end.json"))

    @cached_property
    def layers(self) -> list[dict[str, Any]]:
        """inside/layers.json: the layers in order of depth."""
        found = self._read_json("inside/layers.json")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """metrics.csv by rising step; a line that a kill cut short is left out."""
        found = self._read("metrics.csv", read_table)
        return pd.DataFrame({"step": []}) if found is None else found

    @cached_property
    def weights(self) -> pd.DataFrame:
        """inside/weights.csv: every weight of a tiny network, by step; empty for others."""
        found = self._read("inside/weights.csv", read_table)
        return pd.DataFrame() if found is None else found

    @cached_property
    def weights_in_table_units(self) -> pd.DataFrame:
        """The same for inputs and targets that are not normalized; empty if nothing is normalized."""
        found = self._read("inside/weights_table_units.csv", read_table)
        return pd.DataFrame() if found is None else found

    @cached_property
    def distributions(self) -> dict[str, np.ndarray]:
        """inside/distributions.npz: histograms of weights and activations, by key."""
        found = self._read("inside/distributions.npz", read_arrays)
        return found or {}

    @cached_property
    def pictures(self) -> dict[str, dict[int, Path]]:
        """The pictures: for each tag, with _ for /, the file of each step."""
        return self._by_tag_and_step(PICTURE)

    @cached_property
    def texts(self) -> dict[str, dict[int, Path]]:
        """What the network wrote: likewise."""
        return self._by_tag_and_step(TEXT)

    @cached_property
    def launches(self) -> list[dict[str, Any]]:
        """The launches in run.json, oldest first."""
        found = self.record.get("launches")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return str(self.record.get("experiment") or self.folder.resolve().parent.name)

    @property
    def last_step(self) -> int:
        """The last step that was logged; 0 if none was."""
        steps = self.metrics["step"]
        return int(steps.max()) if len(steps) else 0

    def steps_done(self, state: str) -> int:
        """Steps done: by end.json for a finished run, else the last one that was logged."""
        steps = self.end.get("steps")
        return steps if state == "finished" and isinstance(steps, int) else self.last_step

    @property
    def resumed_at(self) -> list[int]:
        """Steps at which the run was resumed."""
        steps = [each.get("from_step") for each in self.launches[1:]]
        return sorted({step for step in steps if isinstance(step, int) and step > 0})

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of a column of metrics.csv, where it has finite ones."""
        if name not in self.metrics:
            return np.array([]), np.array([])
        values = self.metrics[name].to_numpy(float)
        kept = np.isfinite(values)
        return self.metrics["step"].to_numpy(float)[kept], values[kept]

    def by_layer(self, quantity: str) -> pd.DataFrame:
        """A quantity such as `grad_norm`: one row per measured step, one column per layer, in order of depth."""
        names = sorted(name for name in map(str, self.metrics) if name.startswith(f"{quantity}/"))
        found = self.metrics.set_index("step")[names].dropna(how="all")
        return found.rename(columns=lambda name: str(name).partition("/")[2])

    def label(self, layer: str) -> str:
        """A layer's name for people, of a tag such as `00_layers.0`: `hidden 1`, or the tag itself."""
        name = layer.partition("_")[2]
        for each in self.layers:
            if each.get("name") == name and each.get("label"):
                return str(each["label"])
        return layer

    def label_of_tensor(self, tensor: str) -> str:
        """The label of the layer that a tensor such as `layers.0.weight` belongs to; else the layer's name."""
        name = tensor.rpartition(".")[0]
        return next(
            (str(each["label"]) for each in self.layers if each.get("name") == name and each.get("label")),
            name,
        )

    def why_missing(self, name: str) -> str:
        """A sentence about a file that is not there or cannot be read."""
        by = f"it is written by {WRITTEN_BY[name]}" if name in WRITTEN_BY else ""
        if name in self.damaged:
            return self.damaged[name]
        return f"{name} is missing{'; ' if by else ''}{by}."

    def _by_tag_and_step(self, names: re.Pattern[str]) -> dict[str, dict[int, Path]]:
        found: dict[str, dict[int, Path]] = {}
        for path in sorted((self.folder / "pictures").glob("*")):
            if match := names.fullmatch(path.name):
                found.setdefault(match[1], {})[int(match[2])] = path
        return {tag: dict(sorted(steps.items())) for tag, steps in found.items()}

    def _read_json(self, name: str) -> Any:
        return self._read(name, lambda path: json.loads(path.read_text(encoding="utf-8")))

    def _read(self, name: str, read: Callable[[Path], Content]) -> Content | None:
        path = self.folder / name
        if not path.exists():
            return None
        try:
            return read(path)
        except Exception as error:  # whatever a damaged file makes its reader raise
            reason = str(error).strip().partition("\n")[0]
            self.damaged[name] = f"{name} is damaged and was left out ({type(error).__name__}: {reason})."
            return None


def mapping(found: Any) -> dict[str, Any]:
    """What was read, if it is a mapping; else an empty one."""
    return found if isinstance(found, dict) else {}


def listed(found: Any) -> list[Any]:
    """What was read, if it is a list; else an empty one."""
    return found if isinstance(found, list) else []


def read_table(path: Path) -> pd.DataFrame:
    """A table with a column `step`, by rising step, its last line only if it is whole."""
    whole = path.read_bytes().rpartition(b"\n")[0] + b"\n"
    found = pd.read_csv(io.BytesIO(whole), on_bad_lines="skip", encoding_errors="replace", low_memory=False)
    if "step" not in found:
        raise ValueError("it has no column `step`")
    words = [name for name, column in found.items() if not pd.api.types.is_numeric_dtype(column)]
    for name in words:
        found[name] = pd.to_numeric(found[name], errors="coerce")
    return found.dropna(subset="step").sort_values("step", kind="stable").reset_index(drop=True)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, without pickled objects."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
