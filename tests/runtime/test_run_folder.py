"""Run folders are claimed, never shared."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.run_folder import new_run_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards
    monkeypatch.delenv("LIGHTNING_INSIDE_RUN")


def test_numbers_count_up_and_are_not_used_again() -> None:
    assert new_run_folder("mine", rank=0) == Path("runs/mine/version_0")
    assert new_run_folder("mine", rank=0) == Path("runs/mine/version_1")
    Path("runs/mine/version_0").rmdir()
    Path("runs/mine/version_7").mkdir()
    Path("runs/mine/version_old").mkdir()
    Path("runs/mine/version_²").mkdir()  # a digit, but no number
    assert new_run_folder("mine", rank=0) == Path("runs/mine/version_8")
    assert new_run_folder("other", rank=0) == Path("runs/other/version_0")


def test_threads_that_start_at_once_share_no_folder() -> None:
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: new_run_folder("mine", rank=0), range(64)))
    assert len(set(folders)) == 64
    assert all(folder.is_dir() for folder in folders)


def test_processes_that_start_at_once_share_no_folder(tmp_path: Path) -> None:
    code = (
        "from runtime.run_folder import new_run_folder as new\nfor _ in range(20): print(new('mine', rank=0))"
    )
    command = [sys.executable, "-c", code]
    launches = [
        subprocess.Popen(
            command, env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    folders = [line for launch in launches for line in launch.communicate(timeout=30)[0].split()]
    assert len(folders) == 80
    assert len(set(folders)) == 80


def test_all_processes_of_a_launch_share_one_folder() -> None:
    """The first process hands its folder on through the environment."""
    folder = new_run_folder("mine", rank=0)
    assert new_run_folder("mine", rank=1) == folder
    assert [path.name for path in Path("runs/mine").iterdir()] == ["version_0"]


def test_ranks_that_something_else_started_make_no_folder() -> None:
    new_run_folder("mine", rank=3)
    assert not Path("runs").exists()
