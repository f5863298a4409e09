"""A few of the resumed runs that `benchmarks/kill_and_resume.py` makes by the hundred."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.kill_and_resume import main, write_table
from benchmarks.resume_modes import MODES
from tests.processes import Forked

FEW = {
    "from checkpoints": (["--times", "3"], ["unfreezing", "counts epochs, workers", "stream (It"]),
    "killed": (["--random", "--times", "2"], ["one process", "SWA"]),
    "killed, two processes": (["--random", "--times", "1"], ["two processes, two"]),
}


def interrupt(*words: str) -> int:
    """The command of the benchmark."""
    sys.argv = ["kill_and_resume.py", *words]
    return main()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark forks")
@pytest.mark.parametrize("which", FEW)
def test_a_resumed_run_ends_bit_for_bit_like_one_that_was_left_alone(which: str, tmp_path: Path) -> None:
    words, modes = FEW[which]
    done = Forked(interrupt, *words, "--modes", *modes, folder=tmp_path).outcome()
    assert done.code == 0, done.out + done.err
    times = words[-1]
    for name in MODES:
        if any(word in name for word in modes):
            assert f"{name}: {times} of {times}" in done.out
    assert f"{len(modes)} of {len(modes)} modes as promised" in done.out


def test_what_is_not_measured_stays_in_the_table(tmp_path: Path) -> None:
    page = tmp_path / "resume.md"
    page.write_text("before\n<!-- resume -->\n<!-- /resume -->\nafter\n")
    first, second = list(MODES)[:2]
    write_table(0, {first: "50 of 50"}, tmp_path)
    write_table(1, {first: "49 of 50 (70 kills)", second: "1 of 1 (1 kills)"}, tmp_path)
    lines = page.read_text().splitlines()
    assert f"| {first} | 50 of 50 | 49 of 50 (70 kills) |" in lines
    assert f"| {second} | - | 1 of 1 (1 kills) |" in lines
    assert len(lines) == len(MODES) + 6
    assert lines[-1] == "after"
