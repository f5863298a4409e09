"""Which run comes next, in one process, in several, and after a kill."""

import dataclasses
import os
from collections.abc import Callable
from math import log10
from pathlib import Path

import pytest
from optuna.trial import TrialState

from cli.sweep import read_plan
from runtime.errors import UsageError
from sweeps.plan import Plan
from sweeps.study import Queue, first_damaged_line
from tests.processes import Forked

Read = Callable[..., Plan]
GRID = ["--vary", "a=1,2,3", "--sweep.seeds", "2"]


def drain(queue: Queue) -> list[tuple[object, int]]:
    """Take and complete everything; setting and seed of each run."""
    taken = []
    while (run := queue.next()) is not None:
        taken.append((run.setting["a"], run.seed))
        queue.complete(run, float(run.setting["a"]), seconds=1.0)
    return taken


def test_each_run_is_taken_once_and_a_new_start_finds_nothing_left(plan: Read) -> None:
    assert drain(Queue(plan(*GRID))) == [(a, seed) for seed in (42, 43) for a in "123"]
    assert drain(Queue(plan(*GRID))) == []
    trials = Queue(plan(*GRID)).trials()
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert trials[0].user_attrs == {"seed": 42, "seconds": 1.0}


def test_seeds_can_be_added_and_none_taken_away(plan: Read) -> None:
    drain(Queue(plan(*GRID)))
    more = ["--vary", "a=1,2,3", "--sweep.seeds", "3"]
    assert drain(Queue(plan(*more))) == [(a, 44) for a in "123"]
    with pytest.raises(UsageError, match="a sweep with other seeds"):
        Queue(plan(*GRID))


def test_a_larger_budget_adds_runs(plan: Read) -> None:
    words = ["--vary", "a=log:1:10", "--sweep.seeds", "2"]
    first = drain(Queue(plan(*words, "--sweep.trials", "4")))
    more = drain(Queue(plan(*words, "--sweep.trials", "6")))
    assert (len(first), len(more)) == (4, 2)
    assert not set(first) & set(more)


def test_a_budget_below_the_grid(plan: Read) -> None:
    assert len(drain(Queue(plan(*GRID, "--sweep.trials", "4")))) == 4


def take_all() -> int:
    """Take runs until there is none, and print them."""
    queue = Queue(read_plan(["--model", "LitMLP", "--vary", "a=int:1:40", "--run_name", "LitMLP_sweep"]))
    while (run := queue.next()) is not None:
        print(run.setting["a"], flush=True)
        queue.complete(run, 1.0)
    return 0


def test_two_processes_share_the_runs(plan: Read) -> None:
    processes = [Forked(take_all, folder=Path()) for _ in range(2)]
    taken = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert sorted(taken) == list(range(1, 41))
    assert all(trial.state == TrialState.COMPLETE for trial in Queue(plan("--vary", "a=int:1:40")).trials())


def test_a_run_whose_process_is_gone_is_queued_again_and_knows_its_folder(plan: Read) -> None:
    queue = Queue(plan(*GRID))
    lost, other = queue.next(), queue.next()
    assert lost is not None
    assert other is not None
    lost.trial.set_user_attr("folder", "runs/x/version_0")
    lost.lock.release()  # as the system does when a process is killed; `other` is still at work
    again = drain(Queue(plan(*GRID)))
    assert sorted(again) == sorted([("1", 42), ("3", 42), ("1", 43), ("2", 43), ("3", 43)])
    assert len(queue.trials()) == 6
    resumed = [trial for trial in queue.trials() if trial.user_attrs.get("folder")]
    assert [(trial.params["a"], trial.user_attrs["seed"]) for trial in resumed] == [("1", 42)]


def test_a_failed_run_is_not_tried_again(plan: Read) -> None:
    queue = Queue(plan(*GRID))
    run = queue.next()
    assert run is not None
    queue.fail(run, "ValueError: no")
    assert len(drain(Queue(plan(*GRID)))) == 5
    assert queue.trials()[0].user_attrs["error"] == "ValueError: no"


@pytest.mark.parametrize(
    "other", [["--vary", "a=1,2"], [*GRID, "--sweep.seeds", "1"], [*GRID, "--data.q", "1"]]
)
def test_another_sweep_in_the_same_folder_is_refused(plan: Read, other: list[str]) -> None:
    Queue(plan(*GRID))
    with pytest.raises(UsageError, match=r"holds a sweep with other .* --run_name"):
        Queue(plan(*other))


def test_tpe_gathers_where_it_is_good_and_repeats_settings_with_every_seed(plan: Read) -> None:
    """A parabola in log a, least at 1; at random an eighth of the settings would lie within a factor of 2.4."""
    read = plan(
        "--vary", "a=log:1e-3:1e3", "--sweep.sampler", "tpe", "--sweep.trials", "60", "--sweep.seeds", "2"
    )
    queue = Queue(read)
    taken = []
    while (run := queue.next()) is not None:
        value = float(run.setting["a"])
        taken.append((value, run.seed))
        queue.complete(run, log10(value) ** 2)
    assert len(taken) == 60
    settings = [value for value, seed in taken if seed == 42]
    assert sorted(settings) == sorted(value for value, seed in taken if seed == 43)
    late = settings[15:]
    assert sum(1 / 2.4 < value < 2.4 for value in late) > 2 * len(late) / 8


def test_a_maximum_is_looked_for_where_large_is_good(plan: Read) -> None:
    assert Queue(plan(*GRID, mode="max")).study.direction.name == "MAXIMIZE"


def test_a_line_cut_short_in_the_journal_is_not_continued_by_the_next(plan: Read) -> None:
    queue = Queue(plan(*GRID))
    run = queue.next()
    assert run is not None
    journal = queue.plan.folder / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "worker_id"')  # a full disk or a kill ended this line
    queue.complete(run, 1.0)
    assert len(drain(Queue(plan(*GRID)))) == 5
    assert first_damaged_line(journal) is None


def test_a_full_disk_leaves_a_journal_that_can_be_read(plan: Read, small_disk: Path) -> None:
    read = dataclasses.replace(plan(*GRID), name=os.path.relpath(small_disk / "study", "runs"))
    queue = Queue(read)
    run = queue.next()
    assert run is not None
    (small_disk / "other").write_bytes(bytes(1_000_000))
    with pytest.raises(OSError, match="No space left"):
        queue.complete(run, 1.0, note="x" * 2_000_000)
    (small_disk / "other").unlink()
    queue.complete(run, 1.0, note="short")
    assert len(drain(Queue(read))) == 5


@pytest.mark.parametrize(
    ("line", "place"),
    [("{half", "line 3 of "), ("[1]", "line 3 of "), ('{"op_code": 4}', ""), ("\x00", "line 3 of ")],
)
def test_a_damaged_journal_is_named_with_the_line(plan: Read, line: str, place: str) -> None:
    journal = Queue(plan(*GRID)).plan.folder / "study.journal"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    with pytest.raises(UsageError, match=rf"^{place}{journal} is damaged .*--run_name"):
        Queue(plan(*GRID))
