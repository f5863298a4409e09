"""Contenders take turns, fail aloud, and are gone afterwards."""

import multiprocessing
import os
from pathlib import Path

import pytest

from benchmarks.interleave import WARM_UP, time_interleaved


def writer(path: Path, letter: str):
    def work(end_turn):
        while True:
            with path.open("a") as file:
                file.write(letter)
            end_turn()

    return work


def test_one_works_at_a_time_in_an_order_that_is_reversed_from_round_to_round(tmp_path):
    path = tmp_path / "turns"
    contenders = {letter: writer(path, letter) for letter in "abc"}
    ratios = time_interleaved(contenders, 5, seldom="c")
    assert WARM_UP == 2
    assert path.read_text() == "abc" "cba" "abc" "ba" "ab" "ba" "abc"  # fmt: skip
    assert str(ratios["a"]) == "1.00 (1.00 to 1.00)"
    assert all(ratio.low <= ratio.middle <= ratio.high for ratio in ratios.values())
    assert not multiprocessing.active_children()


def test_preparing_together_changes_only_the_first_round(tmp_path):
    path = tmp_path / "turns"
    contenders = {letter: writer(path, letter) for letter in "abc"}
    time_interleaved(contenders, 2, prepare_together=True)
    assert sorted(path.read_text()[:3]) == list("abc")
    assert path.read_text()[3:] == "cba" "abc" "cba"  # fmt: skip


def test_processes_are_replaced(tmp_path):
    path = tmp_path / "processes"

    def notes_its_process(letter):
        def work(end_turn):
            while True:
                with path.open("a") as file:
                    file.write(f"{letter} {os.getpid()}\n")
                end_turn()

        return work

    time_interleaved(
        {letter: notes_its_process(letter) for letter in "abc"}, 5, seldom="c", rounds_per_process=2
    )
    processes = {line for line in path.read_text().split("\n") if line}
    assert sorted(line[0] for line in processes) == ["a", "a", "a", "b", "b", "b", "c"]
    assert not multiprocessing.active_children()


def test_what_went_wrong_is_told():
    def fails(end_turn):
        end_turn()
        raise ValueError("no such file")

    with pytest.raises(RuntimeError, match="ValueError: no such file"):
        time_interleaved({"fails": fails}, 2)
    assert not multiprocessing.active_children()
