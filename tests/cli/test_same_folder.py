"""Processes that torchrun or SLURM starts name the same folder; a failure at the end trains nothing again."""

from pathlib import Path

import pytest

from cli import main
from tests.processes import Forked, free_port, run_two

RECORDER = """
import os
from pathlib import Path

from pytorch_lightning import Callback


class Recorder(Callback):
    # writes next to the run's files in every process, as many projects do
    def __init__(self, fails: bool = False):
        self.fails = fails

    def setup(self, trainer, pl_module, stage):
        self.note(trainer, "setup")

    def on_fit_end(self, trainer, pl_module):
        self.note(trainer, "end")
        if self.fails and trainer.global_rank == 1:
            Path("nowhere/history.json").write_text("")

    def note(self, trainer, when):
        places = [trainer.log_dir, trainer.default_root_dir, *(each.log_dir for each in trainer.loggers[:1])]
        places += [trainer.loggers[1].save_dir]
        assert len(set(map(str, places))) == 1, places
        assert trainer.loggers[0].version == trainer.loggers[1].version
        (Path(trainer.log_dir) / f"{when}_{trainer.global_rank}.json").write_text("{}")
"""
FIT = "fit --config quick.yaml --checkup false --trainer.devices 2 --trainer.strategy ddp"
FIT += " --trainer.callbacks+=recorder.Recorder"
RUNS = Path("runs/quick")


@pytest.fixture(autouse=True)
def office(tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "quick.yaml").write_bytes((workplace / "quick.yaml").read_bytes())
    (tmp_path / "recorder.py").write_text(RECORDER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards
    monkeypatch.delenv("LIGHTNING_INSIDE_RUN")
    return tmp_path


def train(*words: str) -> int:
    return main([*FIT.split(), *words])


def test_every_process_writes_into_the_runs_folder(office: Path) -> None:
    run_two(train, folder=office)
    assert [each.name for each in RUNS.iterdir()] == ["version_0"]
    written = sorted(each.name for each in (RUNS / "version_0").glob("*_[01].json"))
    assert written == ["end_0.json", "end_1.json", "setup_0.json", "setup_1.json"]
    assert list(Path("runs/.jobs").iterdir()) == []


def start_two(folder: Path, restarts: str, *words: str) -> list[Forked]:
    """One attempt of torchrun; it ends the other process when one has failed."""
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "mine"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
    common["TORCHELASTIC_RESTART_COUNT"] = restarts
    return [Forked(train, *words, folder=folder, RANK=rank, LOCAL_RANK=rank, **common) for rank in ("0", "1")]


def test_a_run_that_had_ended_when_a_process_failed_is_not_trained_again(office: Path) -> None:
    fails = "--trainer.callbacks.fails=true"
    first, second = (each.outcome() for each in start_two(office, "0", fails))
    assert second.code == 2
    assert "error in process 1: [Errno 2] No such file or directory: 'nowhere/history.json'" in second.err
    assert "/recorder.py, line 19)" in second.err
    assert first.code != 0  # it waits for the other
    assert (RUNS / "version_0/end.json").exists()

    again = [each.outcome() for each in start_two(office, "1", fails)]
    assert [each.code for each in again] == [0, 0], again[0].err + again[1].err
    assert "version_0 is finished" in again[0].out
    assert [each.name for each in RUNS.iterdir()] == ["version_0"]
