"""Runs are removed to a folder from which they come back, and not while a process uses them."""

import os
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from torch.utils.tensorboard import SummaryWriter

from runtime.errors import UsageError
from runtime.run_lock import locked
from runtime.trash import remove, restore
from tests.handmade import make_run

A, B = Path("runs/a/version_0"), Path("runs/a/version_1")


@pytest.fixture(autouse=True)
def _two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(A)
    make_run(B)


def test_there_and_back() -> None:
    before = sorted(path.name for path in A.rglob("*"))
    moved = remove(A)
    assert moved == Path("runs/.trash/a/version_0")
    assert not A.exists()
    assert restore(moved) == A
    assert sorted(path.name for path in A.rglob("*")) == before
    assert not Path("runs/.trash/a").exists()
    assert restore(remove(B)) == B


def test_its_old_name_does_for_bringing_it_back() -> None:
    remove(A)
    assert restore(A) == A


def test_the_last_run_takes_the_folder_of_its_experiment_along() -> None:
    remove(A)
    remove(B)
    assert not Path("runs/a").exists()


def test_a_run_of_the_same_name_is_kept_next_to_it() -> None:
    first = remove(A)
    make_run(A, loss=0.1)
    second = remove(A)
    assert second == Path("runs/.trash/a/version_0-2")
    assert restore(second) == A
    with pytest.raises(UsageError, match="runs/a/version_0 is another run by now"):
        restore(first)


def test_a_run_under_way_stays() -> None:
    with locked(A), pytest.raises(UsageError, match="runs/a/version_0 is in use by process 1 on vm"):
        remove(A)
    assert A.exists()


def test_tensorboard_does_not_show_it() -> None:
    for run in (A, B):
        with SummaryWriter(str(run)) as writer:
            writer.add_scalar("x", 1.0)

    def shown() -> list[str]:
        found = EventMultiplexer()
        found.AddRunsFromDirectory("runs")
        return sorted(found.Runs())

    assert shown() == ["a/version_0", "a/version_1"]
    remove(A)
    assert shown() == ["a/version_1"]
    restore(A)
    assert shown() == ["a/version_0", "a/version_1"]


@pytest.mark.parametrize("run", [Path("elsewhere/version_0"), Path("/"), Path("runs/../x")])
def test_what_lies_elsewhere_is_left_alone(run: Path) -> None:
    with pytest.raises(UsageError, match="does not lie below runs"):
        remove(run)


def test_what_was_not_removed_cannot_come_back() -> None:
    with pytest.raises(UsageError, match=r"runs/\.trash/a/version_7 does not exist"):
        restore(Path("runs/a/version_7"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written() -> None:
    Path("runs").chmod(0o555)
    with pytest.raises(UsageError, match=r"cannot be moved to runs/\.trash: Permission denied"):
        remove(A)
    Path("runs").chmod(0o755)
