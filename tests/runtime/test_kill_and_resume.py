"""`kill -9` at random moments, a few times; `benchmarks/kill_and_resume.py` does it 50 times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark forks")
@pytest.mark.parametrize(("processes", "trials"), [(1, 2), (2, 1)])
def test_a_killed_run_ends_bit_for_bit_like_one_that_was_left_alone(processes: int, trials: int) -> None:
    words = ["--trials", str(trials), "--processes", str(processes)]
    done = subprocess.run(
        [sys.executable, "benchmarks/kill_and_resume.py", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{trials} of {trials}" in done.stdout
