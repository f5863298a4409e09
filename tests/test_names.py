"""The tests have the same names whenever and wherever they are collected.

pytest-xdist compares the names that its processes found, and a test that failed is looked for by its name.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def names(home: Path, **environment: str) -> list[str]:
    """The names of all tests, as a process of its own collects them."""
    home.mkdir()
    places = {name: str(home) for name in ("HOME", "TMPDIR", "MNIST_DIR")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--color=no", "-p", "no:xdist"],
        cwd=ROOT,
        env={**os.environ, **places, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("tests/")]


def test_another_process_finds_the_same_names(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """It differs in time, hashes, random numbers, folders, time zone and size of the terminal."""
    other = names(tmp_path / "other", PYTHONHASHSEED="2", TZ="Asia/Tokyo", COLUMNS="200")
    assert len(other) > 1000
    own = [item.nodeid for item in request.session.items]
    assert set(own) <= set(other)
    if len(own) == len(other):  # unless only some tests were asked for
        assert own == other
    assert not any(str(place) in name for name in other for place in (ROOT, Path.home(), tmp_path))
