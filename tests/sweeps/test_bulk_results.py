"""The folder of a run that trained together with others: every command takes it for a run that has ended."""

import csv
import json
from pathlib import Path

import pytest
import torch

from cli import main
from runtime.end_record import recorded_end
from runtime.result_file import read_result
from runtime.run_lock import is_locked
from runtime.run_record import read_record, state_of

ROOT = Path(__file__).parents[2]
SWEEP = ["sweep", "--config", str(ROOT / "configs" / "circles.yaml"), "--trainer.accelerator=cpu"]
SWEEP += ["--trainer.max_epochs=2", "--data.passes_per_epoch=4", "--diagnostics=false", "--run_name=mine"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four runs that trained together: two settings with two seeds."""
    place = tmp_path_factory.mktemp("bulk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("LIGHTNING_INSIDE_RUN", "")
        assert main([*SWEEP, "--vary", "model.optimizer.lr=0.1,0.01", "--sweep.seeds=2"]) == 0
        with Path("runs/mine/runs.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
    assert [row["together"] for row in table] == ["4"] * 4
    return [place / row["folder"] for row in table]


@pytest.fixture(autouse=True)
def _inside(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders[0].parents[2])
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")


def test_it_has_ended(folders: list[Path]) -> None:
    for folder in folders:
        assert state_of(folder) == "finished"
        assert not is_locked(folder)
        end, (launch,) = recorded_end(folder), read_record(folder).launches
        assert end is not None
        assert (end.reason, end.epochs) == ("max_epochs", 2)
        assert end.steps == torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"]
        assert launch.ended is not None
        assert launch.ended >= launch.started
        assert launch.seconds["total"] > 0


def test_its_figures_are_those_of_its_checkpoint(folders: list[Path]) -> None:
    """The test split of these data is the validation split."""
    folder = folders[1]
    before = read_result(folder)["validation"]
    assert main(["test", str(folder)]) == 0
    tested = read_result(folder)["test"]
    assert before["rows"] == tested["rows"] == 60
    assert (before["step"], before["epoch"]) == (tested["step"], tested["epoch"])
    for name, figure in tested["metrics"].items():
        assert before["metrics"][name]["value"] == pytest.approx(figure["value"], rel=1e-5)
    accuracy = before["metrics"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]


def test_the_table_of_runs_its_page_and_a_comparison(
    folders: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [run["state"] for run in listed] == ["finished"] * 4
    assert main(["report", str(folders[0])]) == 0
    page = (folders[0] / "report.html").read_text(encoding="utf-8")
    assert "finished" in page
    assert "killed" not in page
    assert main(["compare", str(folders[0]), str(folders[3])]) == 0
    compared = Path(capsys.readouterr().out.splitlines()[-1].removeprefix("page: ")).read_text(
        encoding="utf-8"
    )
    assert "finished" in compared
    assert "killed" not in compared
    assert main(["fit", "--resume", str(folders[0])]) == 2
    assert "weights only" in capsys.readouterr().err
