"""Means, deviations and the comparison, against figures worked out by hand and by formula."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sweeps.plan import Plan
from sweeps.study import Queue
from sweeps.summary import comparison, lines, runs_table, settings_table, write_hparams

Read = Callable[..., Plan]
Scores = dict[str, list[float | None]]  # by setting, in the order of the seeds; None where the run failed


@pytest.fixture
def tables(plan: Read) -> Callable[..., tuple[Plan, pd.DataFrame, pd.DataFrame]]:
    """Tell a study these scores, and read the two tables back."""

    def make(
        scores: Scores, mode: str = "min", missing: bool = False
    ) -> tuple[Plan, pd.DataFrame, pd.DataFrame]:
        num_seeds = max(map(len, scores.values()))
        read = plan("--vary", "a=" + ",".join(scores), "--sweep.seeds", str(num_seeds), mode=mode)
        queue = Queue(read)
        while (run := queue.next()) is not None:
            score = scores[str(run.setting["a"])][run.seed - 42]
            if score is None:
                queue.fail(run, "ValueError: no", seconds=1.0)
            else:
                queue.complete(run, score, seconds=2.0, metrics=metrics_at(score))
        runs = runs_table(queue.trials())
        return read, runs, settings_table(read, runs)

    return make


def metrics_at(score: float) -> dict[str, float]:
    return {"val/loss": score, "accuracy": 1 - score / 100, "epoch": 3, "step": 9}


Tables = Callable[..., tuple[Plan, pd.DataFrame, pd.DataFrame]]


def test_one_row_per_run(tables: Tables) -> None:
    _, runs, _ = tables({"x": [1.0, 3.0], "y": [2.0, None]})
    assert runs["a"].tolist() == ["x", "y", "x", "y"]
    assert runs["seed"].tolist() == [42, 42, 43, 43]
    assert runs["state"].tolist() == ["complete", "complete", "complete", "failed"]
    assert runs["score"].tolist()[:3] == [1.0, 2.0, 3.0]
    assert runs["error"].iloc[3] == "ValueError: no"
    assert runs["epoch"].iloc[0] == 3


@pytest.mark.parametrize(("mode", "order"), [("min", ["x", "z", "y"]), ("max", ["z", "x", "y"])])
def test_mean_and_deviation_over_seeds_the_best_first_what_lacks_seeds_last(
    tables: Tables, mode: str, order: list[str]
) -> None:
    _, _, settings = tables({"x": [1.0, 3.0, 5.0], "y": [0.0, None, 9.0], "z": [4.0, 4.0, 7.0]}, mode)
    assert settings["a"].tolist() == order
    found = settings.set_index("a")
    assert found.loc["x", ["mean", "deviation", "runs", "failed"]].tolist() == [3.0, 2.0, 3, 0]
    assert found.loc["y", ["mean", "runs", "failed"]].tolist() == [4.5, 2, 1]


def test_mean_and_deviation_of_every_validation_metric(tables: Tables) -> None:
    read, _, settings = tables({"x": [1.0, 3.0, 5.0], "y": [2.0, None, 9.0]})
    assert [name for name in settings if name.endswith("accuracy")] == ["mean accuracy", "deviation accuracy"]
    assert not {"mean epoch", "mean step", "mean seed", "mean val/loss"} & {*settings}
    found = settings.set_index("a")
    assert found.loc["x", "mean accuracy"] == pytest.approx(0.97)
    assert found.loc["x", "deviation accuracy"] == pytest.approx(0.02)
    assert found.loc["y", "mean accuracy"] == pytest.approx(0.945)  # of the two that ended
    assert "0.970000 ± 0.020000" in lines(read, settings)[1]


def test_a_metric_that_some_runs_lack_does_not_hide_the_others(plan: Read) -> None:
    read = plan("--vary", "a=x,y", "--sweep.seeds", "2")
    queue = Queue(read)
    while (run := queue.next()) is not None:
        others = {f"val/m{k}": run.seed - 42.0 for k in range(6)} if run.setting["a"] == "x" else {}
        queue.complete(run, 1.0, seconds=2.0, metrics={"val/loss": 1.0, **others})
    settings = settings_table(read, runs_table(queue.trials()))
    assert settings.set_index("a")["mean val/m5"].fillna(-1).to_dict() == {"x": 0.5, "y": -1}
    printed = lines(read, settings)
    assert "val/m3" in printed[0]
    assert "val/m4" not in printed[0]


def test_a_paired_test_where_the_seeds_are_the_same(tables: Tables) -> None:
    """t = mean(d) / (s(d) / sqrt(n)) of the differences d, with n - 1 degrees of freedom."""
    first, second = [1.0, 2.0, 3.0, 4.0], [1.2, 2.1, 3.3, 4.2]
    said = comparison(*tables({"x": first, "y": second}))
    d = np.subtract(second, first)
    p = 2 * stats.t.sf(d.mean() / (d.std(ddof=1) / math.sqrt(4)), df=3)
    assert p < 0.05
    assert (
        said
        == f"The best can be told from the runner-up: they differ by 0.200000 over 4 seeds (paired t-test, p = {p:.2g})."
    )


def test_welchs_test_where_they_are_not(tables: Tables) -> None:
    """t = difference / sqrt(v1 / n1 + v2 / n2), degrees of freedom by Welch and Satterthwaite."""
    first, second = [1.0, 2.0, 3.0, 4.0], [None, 2.1, 3.3, 4.2]
    said = comparison(*tables({"x": first, "y": second}))
    a, b = np.array(first), np.array([2.1, 3.3, 4.2])
    va, vb = a.var(ddof=1) / 4, b.var(ddof=1) / 3
    df = (va + vb) ** 2 / (va**2 / 3 + vb**2 / 2)
    p = 2 * stats.t.sf(abs(a.mean() - b.mean()) / math.sqrt(va + vb), df)
    assert said.startswith(
        "The best cannot be told from the runner-up: they differ by 0.700000 over 4 and 3 seeds"
    )
    assert said.endswith(f"(Welch's t-test, p = {p:.2g}).")


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"x": [1.0, 2.0]}, "There is no second setting to compare with."),
        ({"x": [1.0], "y": [2.0]}, "With one run per setting, chance cannot be told from merit"),
        (
            {"x": [1.0, 2.0], "y": [2.0, 3.0]},
            "The best is always 1 better than the runner-up, in each of 2 seeds.",
        ),
        (
            {"x": [1.0, 2.0], "y": [1.0, 2.0]},
            "The best is no different from the runner-up, in each of 2 seeds.",
        ),
        ({"x": [1.0, 2.0], "y": [None, None]}, "There is no second setting to compare with."),
    ],
)
def test_where_there_is_nothing_to_test(tables: Tables, scores: Scores, said: str) -> None:
    assert comparison(*tables(scores)).startswith(said)


def test_the_table_for_the_terminal(tables: Tables) -> None:
    read, _, settings = tables({"x": [1.0, 2.0], "y": [5.0, None], "z": [None, None]})
    head, *rows = lines(read, settings)
    assert head.split() == ["a", "val/loss", "accuracy", "runs", "failed", "s", "each"]
    assert [row.split() for row in rows] == [
        ["x", "1.500000", "±", "0.707107", "0.985000", "±", "0.007071", "2", "0", "2.0"],
        ["y", "5", "0.950000", "1", "1", "1.5"],
        ["z", "-", "-", "0", "2", "1.0"],
    ]


def test_tensorboard_has_a_line_per_setting(tables: Tables, tmp_path: Path) -> None:
    read, _, settings = tables({"x": [1.0, 2.0], "y": [5.0, 6.0]})
    for _ in range(2):  # a second report replaces the first
        write_hparams(read, settings, tmp_path / "settings")
    found = {}
    for folder in sorted((tmp_path / "settings").iterdir()):
        events = EventAccumulator(str(folder))
        events.Reload()
        found[folder.name] = {
            tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
        }
        assert "_hparams_/session_start_info" in events.Tags()["tensors"] or events.summary_metadata
    assert found["000"]["mean/val/loss"] == [1.5]
    assert found["001"]["deviation/val/loss"] == [pytest.approx(math.sqrt(0.5))]
