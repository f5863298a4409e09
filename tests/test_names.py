"""The tests have the same names whenever and wherever they are collected.

pytest-xdist compares the names that its processes found, and a test that failed is looked for by its name.
"""

import os
import subprocess
import sys
from pathlib import Path

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


def test_two_processes_find_the_same_names(tmp_path: Path) -> None:
    """They differ in time, hashes, random numbers, folders, time zone and size of the terminal."""
    one = names(tmp_path / "one", PYTHONHASHSEED="1", TZ="UTC", COLUMNS="80")
    two = names(tmp_path / "two", PYTHONHASHSEED="2", TZ="Asia/Tokyo", COLUMNS="200")
    assert len(one) > 1000
    assert one == two
    assert not any(str(place) in name for name in one for place in (ROOT, Path.home(), tmp_path))
