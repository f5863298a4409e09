"""A job that is started again finds its run; a new one finds nothing. SLURM is a stand-in here."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import cluster, main
from cli.main import end_after
from cli.request import prepare
from lit_models import LitMLP
from runtime.errors import UsageError
from runtime.signals import Interrupted
from tests.processes import start_alone

FIT = ["fit", "--config", "quick.yaml"]
RUN = Path("runs/quick/version_0")
VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "SLURM_PROCID",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_RESTART_COUNT",
)
VARIABLES += (
    "SLURM_CLUSTER_NAME",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "LIGHTNING_INSIDE_RUN",
)


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own with quick.yaml, and no trace of a scheduler."""
    (tmp_path / "quick.yaml").write_bytes((workplace / "quick.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Put a stand-in on the PATH that ends with a code; it writes what it was asked for into the file returned."""

    def make(code: int) -> Path:
        folder, asked = tmp_path / "bin", tmp_path / "asked"
        folder.mkdir()
        script = f'#!/bin/sh\necho "$@" >> {asked}\n[ {code} = 0 ] || echo "it says why" >&2\nexit {code}\n'
        (folder / "scontrol").write_text(script)
        (folder / "scontrol").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return asked

    return make


def saved_run(folder: Path = RUN) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").touch()
    (folder / "config.yaml").write_text("seed_everything: 1")
    return folder


def note(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Let a job with these variables begin the run."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = prepare(FIT).job_file
    assert file is not None
    cluster.note_run(file, RUN)


def test_without_a_scheduler_nothing_is_noted() -> None:
    assert prepare(FIT).job_file is None


@pytest.mark.parametrize(
    ("job", "restart"),
    [
        ({"SLURM_JOB_ID": "7"}, {"SLURM_RESTART_COUNT": "1"}),
        (
            {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "1"},
            {"SLURM_RESTART_COUNT": "2"},
        ),
        (
            {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0"},
            {"TORCHELASTIC_RESTART_COUNT": "1"},
        ),
        ({"TORCHELASTIC_RUN_ID": "mine"}, {}),  # on a node whose workers were well, the count stays 0
        ({"SLURM_JOB_ID": "7", "TORCHELASTIC_RUN_ID": "none"}, {"TORCHELASTIC_RESTART_COUNT": "1"}),
    ],
)
def test_a_job_that_is_started_again_goes_on(
    job: dict[str, str], restart: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_run()
    note(monkeypatch, **job)
    for rank in ("0", "1"):
        for name, value in {**restart, "RANK": rank}.items():
            monkeypatch.setenv(name, value)
        request = prepare(FIT)
        assert request.run_folder == RUN
        assert (
            request.args == prepare(["fit", "--resume", str(RUN)]).args
        )  # not the flags: the run's own config
        assert prepare([*FIT, "--seed_everything", "1"]).run_folder is None  # another run of the same job
        assert prepare(["fit", "--resume", str(saved_run(Path("runs/b", rank)))]).run_folder == Path(
            "runs/b", rank
        )


@pytest.mark.parametrize(
    "other",
    [
        {"SLURM_JOB_ID": "8", "SLURM_RESTART_COUNT": "1"},
        {"SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "far", "SLURM_RESTART_COUNT": "1"},
        {
            "SLURM_JOB_ID": "7",
            "SLURM_ARRAY_JOB_ID": "7",
            "SLURM_ARRAY_TASK_ID": "2",
            "SLURM_RESTART_COUNT": "1",
        },
        {"SLURM_JOB_ID": "7"},  # not started again: the number is used a second time
    ],
)
def test_a_new_job_never_picks_up_what_an_older_one_left(
    other: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_run()
    note(monkeypatch, SLURM_JOB_ID="7")
    for name, value in other.items():
        monkeypatch.setenv(name, value)
    assert prepare(FIT).run_folder is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert prepare(FIT).run_folder is None


def test_before_the_first_checkpoint_a_restart_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    note(monkeypatch, SLURM_JOB_ID="7", SLURM_RESTART_COUNT="1")
    assert prepare(FIT).run_folder is None


def test_what_stock_lightning_left_is_not_picked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    cluster.check_leftovers(Path())
    Path("hpc_ckpt_1.ckpt").touch()
    with pytest.raises(UsageError, match=r"hpc_ckpt_1\.ckpt was left by another job"):
        cluster.check_leftovers(Path())


def test_requeue_asks_scontrol(scontrol: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = scontrol(0)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert cluster.requeue() == "job 7 is requeued and will resume by itself"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "6")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert cluster.requeue() == "job 6_3 is requeued and will resume by itself"
    assert asked.read_text() == "requeue 7\nrequeue 6_3\n"


def test_a_requeue_that_fails_is_said(
    scontrol: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    scontrol(1)
    assert cluster.requeue() == "job 7 is not requeued: it says why"
    monkeypatch.setenv("PATH", "")
    assert cluster.requeue().startswith("job 7 is not requeued: [Errno 2]")


@pytest.mark.parametrize(
    ("stop", "rank", "code", "requeues"),
    [
        (Interrupted(signal.SIGUSR1, RUN), "0", 138, True),
        (Interrupted(signal.SIGUSR1, RUN), "1", 0, False),  # the first process sees to it
        (Interrupted(signal.SIGUSR1), "1", 138, True),  # in the imports: nobody knows whether the first can
        (Interrupted(signal.SIGTERM, RUN), "0", 143, False),  # scancel
        (Interrupted(signal.SIGINT), "0", 130, False),
    ],
)
def test_who_requeues(
    stop: Interrupted,
    rank: str,
    code: int,
    requeues: bool,
    scontrol: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = scontrol(0)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_PROCID", rank)
    assert end_after(stop) == code
    assert asked.exists() == requeues


def test_a_run_is_requeued_goes_on_in_its_folder_and_leaves_nothing(
    scontrol: Callable[[int], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scontrol(0)
    for name, value in {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NAME": "bash",
    }.items():  # else Lightning looks for srun
        monkeypatch.setenv(name, value)

    def warn(model: LitMLP) -> None:
        if model.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGUSR1)

    with monkeypatch.context() as patch:
        patch.setattr(LitMLP, "on_train_epoch_start", warn)
        assert main(FIT) == 138
    assert asked.read_text() == "requeue 7\n"
    printed = capsys.readouterr().err
    assert "stopped by SIGUSR1; the run is saved" in printed
    assert "job 7 is requeued" in printed

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.delenv("LIGHTNING_INSIDE_RUN")
    assert main(FIT) == 0
    assert f"this job was started before; it resumes {RUN}" in capsys.readouterr().err
    assert [path.name for path in Path("runs/quick").iterdir()] == ["version_0"]
    assert list(Path("runs/.jobs").iterdir()) == []
    assert list(Path().rglob("hpc_ckpt*")) == []
    steps = [int(line.split(",")[0]) for line in (RUN / "metrics.csv").read_text().splitlines()[1:]]
    assert sorted(set(steps)) == list(range(24))  # two epochs of 12


def test_a_signal_in_the_imports_ends_cleanly(tmp_path: Path) -> None:
    """Before PyTorch is there; the stand-in for it says when its import has begun, and would take a minute."""
    (tmp_path / "torch.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(60)\n")
    (tmp_path / "pytorch_lightning.py").write_text("import torch\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        for signum, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)):
            process = start_alone(tmp_path, *FIT)
            assert process.stdout is not None
            assert process.stdout.readline() == "importing\n"
            process.send_signal(signum)
            _, error = process.communicate(timeout=20)
            assert process.returncode == code
            assert (
                error.splitlines()[-1] + "\n"
                == f"stopped by {signal.Signals(signum).name} while no training was under way\n"
            )
    assert not Path("runs").exists()
