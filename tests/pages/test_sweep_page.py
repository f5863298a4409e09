"""The page of a sweep says what the sweep's tables say."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pages.sweep import SUMMARY, sweep, sweep_of, write_sweep
from tests.pages.reading import Reader, section_of, text_of
from tests.pages.run_folder import png, write_run

ABOUT: dict[str, Any] = {
    "name": "rings_width",
    "command": ["sweep", "--config", "configs/rings.yaml", "--vary", "model.hidden_sizes=[2],[3]"],
    "monitor": "val/loss",
    "mode": "min",
    "flags": ["model.hidden_sizes"],
    "seeds": [42, 43],
    "best": {"model.hidden_sizes": "[3]"},
    "train": ["fit", "--config", "configs/rings.yaml", "--model.hidden_sizes=[3]"],
    "sentence": "The best can be told from the runner-up.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two settings with two seeds; one run has failed, and one has no folder."""
    place = tmp_path / "runs" / "rings_width"
    for k in range(2):
        write_run(place / f"version_{k}")
    (place / "version_0" / "report.html").write_text("", encoding="utf-8")
    (place / "pictures").mkdir()
    for name in ("score", "heat_a_b"):
        (place / "pictures" / f"{name}.png").write_bytes(png(90))
    settings = {
        "model.hidden_sizes": ["[3]", "[2]"],
        "mean": [0.001, 0.25],
        "deviation": [0.0005, None],
        "runs": [2, 1],
        "pruned": [0, 0],
        "failed": [0, 1],
        "seconds": [1.5, 1.25],
    }
    runs = {
        "trial": range(4),
        "model.hidden_sizes": ["[2]", "[3]", "[2]", "[3]"],
        "seed": [42, 42, 43, 43],
        "state": ["complete", "complete", "failed", "complete"],
        "score": [0.25, 0.0005, None, 0.0015],
        "folder": [
            "runs/rings_width/version_0",
            "runs/rings_width/version_1",
            None,
            "runs/rings_width/version_9",
        ],
        "error": [None, None, "RuntimeError: <b>no</b>", None],
    }
    pd.DataFrame(settings).to_csv(place / "settings.csv", index=False)
    pd.DataFrame(runs).to_csv(place / "runs.csv", index=False)
    (place / SUMMARY).write_text(json.dumps(ABOUT), encoding="utf-8")
    return place


def test_replicates_of_one_setting_have_a_mean_and_no_best(folder: Path) -> None:
    about = {name: value for name, value in ABOUT.items() if name not in ("best", "train", "sentence")}
    about |= {"flags": [], "replicated": ["data.fold"]}
    (folder / SUMMARY).write_text(json.dumps(about), encoding="utf-8")
    runs = pd.read_csv(folder / "runs.csv").assign(**{"data.fold": range(4)})
    runs.to_csv(folder / "runs.csv", index=False)
    pd.DataFrame({"mean": [0.61], "deviation": [0.02], "runs": [5]}).to_csv(
        folder / "settings.csv", index=False
    )
    page = sweep(folder)
    assert "averaged over --data.fold" in section_of(page, "asked")
    assert "run data.fold seed state" in section_of(page, "runs")
    best = section_of(page, "best")
    assert "Mean" in best
    assert "val/loss 0.61 standard deviation 0.02 over 5 runs" in best
    assert "reached with" not in best


def test_it_says_what_the_tables_say(folder: Path) -> None:
    page = sweep(folder)
    head = text_of(page).partition("What was asked")[0]
    assert "rings_width val/loss of 2 settings 3 complete 1 failed" in head
    asked = section_of(page, "asked")
    assert "python train.py sweep --config configs/rings.yaml --vary 'model.hidden_sizes=[2],[3]'" in asked
    assert "seeds 42, 43" in asked
    best = section_of(page, "best")
    assert "smallest mean" in best
    assert "val/loss 0.001 standard deviation 0.0005 over 2 runs" in best
    assert "reached with model.hidden_sizes=[3]" in best
    assert "The best can be told from the runner-up." in best
    settings = section_of(page, "settings")
    assert "model.hidden_sizes mean val/loss deviation runs failed seconds each" in settings
    assert "[3] 0.001 0.0005 2 0 1.5 [2] 0.25 1 1 1.25" in settings
    runs = section_of(page, "runs")
    assert "version_0 [2] 42 complete 0.25" in runs
    assert "RuntimeError: <b>no</b>" in runs
    assert [each["href"] for each in Reader(page).of("a") if "report" in each["href"]] == [
        "version_0/report.html"
    ]


def test_pictures_and_one_curve_for_each_setting(folder: Path) -> None:
    reader = Reader(sweep(folder))
    assert [each["alt"] for each in reader.of("img")] == ["score", "heat_a_b"]
    assert all(each["src"].startswith("data:image/") for each in reader.of("img"))
    [chart] = reader.charts
    assert len(chart["curves"]) == 2
    assert "hidden_sizes=[3] hidden_sizes=[2]" in section_of(sweep(folder), "curves")  # the best first


def test_damaged_and_missing_files_stop_nothing(folder: Path) -> None:
    for name in ("settings.csv", "runs.csv", SUMMARY):
        before = (folder / name).read_bytes()
        for damage in (b"", b"\x00{", b"a,b\n1"):
            (folder / name).write_bytes(damage)
            assert "rings_width" in text_of(sweep(folder))
        (folder / name).write_bytes(before)
    (folder / SUMMARY).write_text(json.dumps({**ABOUT, "best": None}), encoding="utf-8")
    assert "there is no best setting" in section_of(sweep(folder), "best")


def test_which_sweep_is_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    for word in ("rings_width", "runs/rings_width", str(folder)):
        found = sweep_of(word)
        assert found is not None
        assert found.resolve() == folder
    assert sweep_of("runs/rings_width/version_0") is None
    assert write_sweep(Path("runs/rings_width")) == Path("runs/rings_width/report.html")
