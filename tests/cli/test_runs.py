"""`train.py runs`: what is shown, in which order, and what is done with runs."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from runtime.run_lock import locked
from runtime.run_notes import read_notes
from tests.handmade import make_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _some_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    make_run(Path("runs/rings/version_0"), started="2026-11-27T07:00:00+00:00", loss=0.5, depth=3)
    make_run(Path("runs/rings/version_1"), started="2026-11-26T07:00:00+00:00", loss=0.25, state="failed")
    make_run(Path("runs/rings/version_2"), started="2026-11-28T07:00:00+00:00", loss=None, state="killed")
    make_run(Path("runs/my 'first' [try]/version_10"), loss=0.1, depth=3, verdicts=("warn",))
    make_run(Path("runs/my 'first' [try]/version_9"), started="2026-11-01T07:00:00+00:00", loss=0.9)


def shown(line: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The names of the runs in the table, in order."""
    assert main(["runs", *line]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("run ")
    return [each.split("  ")[0].rpartition("/version_")[2].strip() for each in lines[1:]]


@pytest.mark.parametrize(
    ("line", "versions"),
    [
        ("", "9 1 0 10 2"),
        ("--limit 2", "10 2"),
        ("rings", "1 0 2"),
        ("runs/rings/", "1 0 2"),
        ("--sort val/loss", "10 1 0 9 2"),
        ("--sort -val/loss", "9 0 1 10 2"),
        ("--sort=val/accuracy --limit=1", "9"),
        ("--sort -started", "2 10 0 1 9"),
        ("--sort version", "0 1 2 9 10"),
        ("--sort -run --limit 1", "2"),
        ("--sort model.optimizer.lr --limit 2 rings", "0 1"),
        ("--where model.depth=3", "0 10"),
        ("--where model.init_args.depth=3", "0 10"),
        ("--where model.depth!=3", "9 1 2"),
        ("--where model.depth>=3 --where val/loss<0.3", "10"),
        ("--where model.hidden_sizes=[2] --limit 1", "2"),
        ("--where model=LitMLP --limit 1", "2"),
        ("--where model=lit_models.LitMLP --where data=TitanicDataModule --limit 1", "2"),
        ("--where state=failed", "1"),
        ("--where state!=finished", "1 2"),
        ("--where experiment=rings --sort val/loss", "1 0 2"),
        ("--where val/loss<=0.25", "1 10"),
        ("--where val/loss>0.4 --sort val/loss", "0 9"),
        ("--where started=2026-11-27", "0 10"),
        ("--where started>=2026-11-27", "0 10 2"),
        ("--where started<2026-11-02", "9"),
        ("--where seconds>60 --limit 1", "2"),
        ("--where trainer.max_epochs==20 --limit 1", "2"),
    ],
)
def test_which_runs_in_which_order(line: str, versions: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(line.split(), capsys) == versions.split()


def test_a_line_says_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--sort", "val/accuracy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [" ".join(line.split()) for line in lines]
    assert cells[0] == "run started state best val/accuracy changed verdict"
    assert "rings/version_1 2026-11-26 07:00 failed val/loss 0.25 0.75 healthy" in cells
    assert (
        "my 'first' [try]/version_10 2026-11-27 07:39 finished val/loss 0.1 0.9 model.depth=3 1 WARN" in cells
    )


def test_notes_and_tags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "note", "rings/version_0", "with [brackets] and 3 layers"]) == 0
    assert main(["runs", "tag", "rings/version_0", "deep", "baseline"]) == 0
    assert main(["runs", "tag", "my 'first' [try]", "baseline"]) == 0  # the newest of this experiment
    assert main(["runs", "untag", "runs/rings/version_0", "deep"]) == 0
    capsys.readouterr()
    assert shown(["--tag", "baseline"], capsys) == ["0", "10"]
    assert shown(["--where", "tag=baseline", "--where", "note!="], capsys) == ["0"]
    assert main(["runs", "--tag", "baseline"]) == 0
    assert "#baseline with [brackets] and 3 layers" in capsys.readouterr().out
    assert main(["runs", "note", "rings/version_0", ""]) == 0
    assert (read_notes(Path("runs/rings/version_0")).note, read_notes(Path("runs/rings/version_0")).tags) == (
        "",
        ("baseline",),
    )


def test_a_removed_run_is_no_longer_shown_and_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "rm", "runs/rings/version_0", "rings/version_1", "runs/rings/version_0"]) == 0
    said = capsys.readouterr().out.splitlines()
    back = "python train.py runs restore runs/.trash/rings/version_0"
    assert (
        said[0] == f"runs/rings/version_0 lies in runs/.trash/rings/version_0 now; bring it back with: {back}"
    )
    assert len(said) == 2
    assert shown(["rings"], capsys) == ["2"]
    assert main(["runs", "restore", "runs/.trash/rings/version_0", "rings/version_1"]) == 0
    capsys.readouterr()
    assert shown(["rings"], capsys) == ["1", "0", "2"]


def test_programs_get_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "rings", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["failed", "finished", "killed"]
    assert rows[1]["changes"] == {"model.depth": 3}
    assert rows[2]["best"] is None
    assert main(["runs", "--csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["version"] for row in table] == [
        "version_9",
        "version_1",
        "version_0",
        "version_10",
        "version_2",
    ]
    assert table[2]["val/loss"] == "0.5"
    assert table[2]["changes"] == "model.depth=3"


def test_damage_is_shown_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/rings/version_0/diagnosis.json").write_text('{"verdicts": [{"sev')
    Path("runs/rings/version_1/config.yaml").unlink()
    assert main(["runs", "rings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("damaged: diagnosis.json")
    assert lines[1].endswith("healthy; damaged: config.yaml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--srot val/loss", "runs has no flag --srot; did you mean '--sort'?"),
        ("--sort", "--sort needs a value"),
        ("--sort val/los", "--sort val/los: no run has this metric or setting; did you mean 'val/loss'?"),
        (
            "--where model.dept=3",
            "--where model.dept: no run has this metric or setting; did you mean 'model.depth'?",
        ),
        ("--where depth=3", "did you mean 'model.depth'?"),
        ("--where depth", "--where depth compares nothing; write --where 'state=failed'"),
        ("--where =3", "--where =3 compares nothing"),
        ("--where val/loss<low", "--where val/loss<low: < compares numbers, and 'low' is none"),
        ("--limit 0", "--limit is 0; it must be a whole number, at least 1"),
        ("--limit few", "--limit is few; it must be a whole number"),
        ("--json --csv", "--json, --csv and --html exclude each other"),
        ("rigns", "rigns is no experiment that has runs, and no action; did you mean 'rings'?"),
        ("note", "runs note takes a run and a text in quotes"),
        ("note rings", "runs note takes a run and a text in quotes"),
        ("note rings two words", "runs note takes a run and a text in quotes"),
        ("note rigns text", "rigns does not exist; did you mean 'rings'?"),
        ("tag rings", "runs tag takes a run and one tag or several"),
        ("untag rings deep", "runs/rings/version_2 has no tag 'deep'; there is none"),
        ("rm", "runs rm takes runs"),
        (
            "rm rings",
            "rings is an experiment with 3 runs; name those to remove, such as runs/rings/version_2, or",
        ),
        ("rm rings/version_0 rings/version_7", "rings/version_7 does not exist; the newest run of rings is"),
        ("rm --force rings/version_0", "runs rm takes no flags, and --force looks like one"),
        ("restore rings/version_0", "runs/.trash/rings/version_0 does not exist"),
    ],
)
def test_a_wrong_command_gets_one_line_and_changes_nothing(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path("runs").rglob("*"))
    assert main(["runs", *line.split()]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert [each for each in output.err.splitlines() if not each.startswith("rings: its newest run")] == [
        output.err.splitlines()[-1]
    ]
    assert sorted(Path("runs").rglob("*")) == before


def test_of_several_runs_none_is_removed_if_one_is_under_way(capsys: pytest.CaptureFixture[str]) -> None:
    with locked(Path("runs/rings/version_1")):
        assert main(["runs", "rm", "rings/version_0", "rings/version_1"]) == 2
    assert "runs/rings/version_1 is in use by process 1 on vm" in capsys.readouterr().err
    assert Path("runs/rings/version_0").is_dir()


def test_where_nothing_was_trained_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["runs"]) == 0
    assert "there is no run below runs yet; train one with: python train.py fit" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["runs", "--csv"]) == 0
    assert main(["runs", "--html"]) == 2
    assert main(["runs", "--sort", "val/loss", "--where", "model.depth=3"]) == 0
    assert not Path("runs").exists()


def test_a_file_in_place_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd").mkdir()
    monkeypatch.chdir(tmp_path / "odd")
    Path("runs").touch()
    assert main(["runs"]) == 2
    assert capsys.readouterr().err == "error: runs cannot be read: Not a directory\n"


def test_none_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--where", "val/loss<0"]) == 0
    assert capsys.readouterr().out == "none of 5 runs is meant by that\n"


def test_pytorch_is_not_imported() -> None:
    words = ["runs", "--sort", "val/loss", "--where", "model.depth=3", "--html"]
    code = (
        f"import sys, cli; cli.main({words!r}); sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert Path("runs/index.html").is_file()
