"""Whatever stands in the files of a run, in the place of any value, the page has all its sections."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pages.report import report
from pages.run_files import RunFiles
from tests.pages.run_folder import metrics_csv, write_run

FILES = ("run.json", "result.json", "diagnosis.json", "notes.json", "inside/layers.json")
VALUES = (None, "x", "", [], {}, [None], -1, 0, 1e300, float("nan"), float("inf"), True)


def paths(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value, also to those that hold others."""
    yield path
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


def replaced(found: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at the end of a path."""
    if not path:
        return value
    copy = json.loads(json.dumps(found))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


@pytest.mark.parametrize("name", FILES)
def test_any_value_in_any_place(name: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    for heavy in ("pictures", "inside/distributions.npz", "metrics.csv", "inside/weights.csv"):
        (folder / heavy).rename(tmp_path / heavy.replace("/", "_"))  # not what this is about, and slow
    file = folder / name
    found = json.loads(file.read_text())
    for number, path in enumerate(paths(found)):
        places = {number % len(VALUES), (number * 5 + 3) % len(VALUES), (number * 7 + 1) % len(VALUES)}
        for odd in VALUES if name == "inside/layers.json" else [VALUES[place] for place in places]:
            file.write_text(json.dumps(replaced(found, path, odd)))
            html = report(RunFiles(folder), "failed")
            assert "could not be made" not in html, (path, odd)
            assert html.count("<section ") >= 8


def test_a_section_that_fails_is_named_and_the_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: RunFiles) -> None:
        raise KeyError("<odd>")

    monkeypatch.setattr("pages.layers.section", fail)
    html = report(RunFiles(write_run(tmp_path / "tiny" / "version_0")), "finished")
    assert "The section layers could not be made (KeyError: " in html
    assert "<odd>" not in html
    assert html.count("<section ") == 10


@pytest.mark.parametrize(
    "column", ["loss/", "/", "val/", "train/loss,x", "grad_norm/00_", "lr", " ", "val/loss.1"]
)
def test_any_name_of_a_metric(column: str, tmp_path: Path) -> None:
    quoted = f'"{column}"'
    values = [1.0, float("inf"), -3.0, float("nan"), 1e-300, 1e300, 0.0, None]
    (tmp_path / "metrics.csv").write_text(metrics_csv({"step": [-1, 0, 0, 5, 2, 7, 8, 9], quoted: values}))
    assert "could not be made" not in report(RunFiles(tmp_path), "killed")
