"""The command: what is refused, what is left behind, what a failure and a kill cost."""

import csv
import json
import shlex
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from cli import main
from sweeps.plan import Plan
from sweeps.run_all import report
from sweeps.study import Queue, Run
from tests.processes import Forked, train_py

QUICK = ["sweep", "--config", "quick.yaml", "--diagnostics=false"]
LR = ["--vary", "model.optimizer.lr=0.1,0.01"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quick.yaml").write_text((workplace / "quick.yaml").read_text())
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards


def runs(name: str = "quick_sweep") -> list[dict[str, str]]:
    with Path("runs", name, "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vary", "model.nothere=1,2"], "there is no option 'nothere'"),
        (["--vary", "modl.lr=1,2"], "there is no flag --modl"),
        (["--vary", "model.optimizer.lr=0.1,abc"], "expected float, not abc"),
        (["--vary", "model.activation=relu,rleu"], "'rleu' is not one of sigmoid"),
        (["--vary", "model.optimizer.lr=log:1:0.1"], "an empty range"),
        (["--vary", "seed_everything=1,2"], "seed_everything varies with --sweep.seeds"),
        (["--vary", "monitor=val/loss,val/accuracy"], "monitor cannot vary"),
        ([*LR, "--monitor=val/f1"], "--monitor val/f1 is not measured"),
        ([*LR, "--monitor=train/f1"], "--monitor train/f1 is not measured; it can be"),
        ([*LR, "--trainer.devices=2"], "a run of a sweep is one process, not 2"),
        (
            [*LR, "--model.scheduler=OneCycleLR", "--model.scheduler.max_lr=0.1"],
            "has no effect: model.scheduler.max_lr is 0.1, and OneCycleLR follows that",
        ),
        ([*LR, "--data.csv=nowhere.csv"], "nowhere.csv"),
        ([*LR, "--run_name=../../elsewhere"], "--run_name is ../../elsewhere; it is a folder below runs/"),
        ([*LR, "--run_name", "/elsewhere"], "--run_name is /elsewhere; it is a folder below runs/"),
        ([*LR, "--run_name", "x" * 300], "--run_name has 300 characters"),
    ],
)
def test_refused_before_the_first_run(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not Path("runs").exists()


def test_what_a_sweep_leaves_and_that_its_best_run_can_be_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*QUICK[:-1], *LR, "--sweep.bulk=false", "--sweep.seeds=2"]) == 0
    said = capsys.readouterr().out
    rows = runs()
    assert [(row["model.optimizer.lr"], row["seed"]) for row in rows] == [
        ("0.1", "42"), ("0.01", "42"), ("0.1", "43"), ("0.01", "43")
    ]  # fmt: skip
    for row in rows:
        names = {path.name for path in Path(row["folder"]).rglob("*")}
        assert {"config.yaml", "metrics.csv", "best.ckpt", "last.ckpt", "diagnosis.json"} <= names
        assert row["diagnosis"]
        assert 0 < float(row["gradient_ratio"]) < 100
    folder = Path("runs/quick_sweep")
    assert {"settings.csv", "study.journal", "pictures", "settings"} <= {
        path.name for path in folder.iterdir()
    }
    assert "from the runner-up" in said
    (command,) = (line.split("train.py ")[1] for line in said.splitlines() if "train it" in line)
    assert main([*shlex.split(command), "--run_name=again"]) == 0
    best = next(
        line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("  val/loss")
    )
    assert best in [f"{float(row['score']):.6f}" for row in rows]
    assert main([*QUICK[:-1], *LR, "--sweep.bulk=false", "--sweep.seeds=2"]) == 0  # nothing is left to do
    assert runs() == rows


def test_a_run_that_fails_is_recorded_and_the_sweep_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--vary", "model.hidden_sizes=[4],[-1],[2]"]) == 0
    said = capsys.readouterr()
    assert [row["state"] for row in runs()] == ["complete", "failed", "complete"]
    assert "each must be at least 1" in runs()[1]["error"]
    assert "failed: ValueError: layer sizes are" in said.out
    assert "Traceback" not in said.err


def test_a_sweep_without_any_good_run_ends_with_1() -> None:
    assert main([*QUICK, "--vary", "model.optimizer.lr=1e38,2e38", "--model.optimizer=SGD"]) == 1


def test_hopeless_runs_are_pruned_and_stay_whole() -> None:
    rates = "0.1,0.05,0.02,0.01,1e-9,1e-10"
    assert (
        main(
            [*QUICK, "--vary", f"model.optimizer.lr={rates}", "--sweep.prune=true", "--trainer.max_epochs=4"]
        )
        == 0
    )
    assert [row["state"] for row in runs()] == ["complete"] * 4 + ["pruned"] * 2
    assert Path(runs()[4]["folder"], "checkpoints", "last.ckpt").exists()
    with Path(runs()[4]["folder"], "metrics.csv").open() as file:
        assert max(int(row["epoch"]) for row in csv.DictReader(file) if row["val/loss"]) < 3


def test_no_run_starts_after_the_time_is_over() -> None:
    words = ["--sweep.minutes=1e-9", "--sweep.bulk=false"]
    assert main([*QUICK, *LR, *words]) == 0
    assert {row["state"] for row in runs()} == {"waiting"}


def test_an_experiment_is_a_setting_too_and_flags_win_over_it() -> None:
    Path("other.yaml").write_text(Path("quick.yaml").read_text().replace("[4]", "[2]"))
    words = ["--vary", "config=quick.yaml,other.yaml", "--trainer.max_epochs=1", "--run_name=both"]
    assert main(["sweep", *words, "--diagnostics=false"]) == 0
    settings = [yaml.safe_load(Path(row["folder"], "config.yaml").read_text()) for row in runs("both")]
    assert [each["model"]["init_args"]["hidden_sizes"] for each in settings] == [[4], [2]]
    assert [each["trainer"]["max_epochs"] for each in settings] == [1, 1]


def test_a_run_that_had_ended_when_its_process_was_stopped_is_not_trained_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(queue: Queue, run: Run, *args: object, **kwargs: object) -> None:
        run.lock.release()
        raise KeyboardInterrupt

    words = [*QUICK, *LR, "--sweep.bulk=false"]
    with monkeypatch.context() as patch:
        patch.setattr(Queue, "complete", stop)
        assert main(words) == 130
    folder = Path("runs/quick_sweep/version_0")
    kept = [folder / name for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv")]
    before = [path.read_bytes() for path in kept]
    assert main(words) == 0
    assert [row["state"] for row in runs()] == ["complete", "complete"]
    (row,) = (row for row in runs() if row["folder"] == str(folder))
    assert [path.read_bytes() for path in kept] == before
    with (folder / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert float(row["score"]) == min(losses)


def test_a_report_waits_for_that_of_another_process_and_then_knows_its_runs(
    plan: Callable[..., Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    read = plan("--vary", "a=1,2")
    queue = Queue(read)
    first, second = queue.next(), queue.next()
    assert first is not None
    assert second is not None
    queue.complete(first, 1.0, seconds=1.0)
    with FileLock(read.folder / "report.lock"):  # held by another process, which then tells of its run
        thread = threading.Thread(target=report, args=(read, Queue(read)))
        thread.start()
        thread.join(0.5)
        assert not (read.folder / "runs.csv").exists()
        queue.complete(second, 2.0, seconds=1.0)
    thread.join()
    assert "runs: 2 complete" in capsys.readouterr().out
    assert [row["state"] for row in runs(read.name)] == ["complete", "complete"]


def test_a_sweep_that_was_killed_goes_on_and_ends_as_one_that_was_not() -> None:
    """kill -9 in the middle of its second run; Ctrl-C in a later one."""
    words = [*QUICK, *LR, "--sweep.seeds=2", "--sweep.bulk=false", "--trainer.max_epochs=12"]
    journal = Path("runs/quick_sweep/study.journal")
    for how, folders, code in ((signal.SIGKILL, 2, -9), (signal.SIGINT, 4, 130)):
        process = Forked(train_py, *words, folder=Path())
        wait_for_checkpoint(Path("runs/quick_sweep"), folders)
        process.send_signal(how)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == code, said
    assert "Resume it with the same command" in said
    assert journal.exists()
    assert main(words) == 0
    assert main([*words, "--run_name=whole"]) == 0
    assert [row["state"] for row in runs()] == ["complete"] * 4
    scores = [
        {(row["model.optimizer.lr"], row["seed"]): row["score"] for row in runs(name)}
        for name in ("quick_sweep", "whole")
    ]
    assert scores[0] == scores[1]
    assert len(scores[0]) == 4
    assert not list(Path("runs/quick_sweep/running").glob("*.lock"))


def wait_for_checkpoint(folder: Path, number: int) -> None:
    """Until so many runs have written a checkpoint."""
    for _ in range(1200):
        if len(list(folder.glob("version_*/checkpoints/last.ckpt"))) >= number:
            return
        time.sleep(0.05)
    raise TimeoutError(json.dumps([str(path) for path in folder.rglob("*")]))
