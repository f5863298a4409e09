"""The page "Text" of TensorBoard."""

from runtime.run_record import Launch, Record
from runtime.run_text import launch_table


def test_the_newest_launch_is_described() -> None:
    launches = [
        Launch(["fit", "--config", "a.yaml"]),
        Launch(["fit", "--resume", "runs/a|b"], "2026-01-02T03:04:05+00:00"),
    ]
    commit = {"hash": "0123abcd", "clean": False}
    record = Record("a", launches, {"model.lr": 0.5}, {}, 42, commit, {"torch": "2.15"}, {"cores": 2})
    lines = launch_table(record).splitlines()
    assert lines[:3] == ["| | |", "|---|---|", "| command | `python train.py fit --resume runs/a\\|b` |"]
    for line in (
        "| commit | `0123abcd`, with changes that are not committed |",
        "| seed | 42 |",
        "| differs from the config: model.lr | `0.5` |",
        "| torch | 2.15 |",
        "| cores | 2 |",
    ):
        assert line in lines


def test_a_run_without_a_record_has_a_table_all_the_same() -> None:
    assert launch_table(Record("a")).startswith("| | |\n|---|---|\n| seed |")
