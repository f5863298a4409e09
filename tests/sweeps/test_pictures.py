"""What lies behind the axes: the values drawn, their scale and their labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import AxesImage

from sweeps.pictures import draw_all, heat_figure, parallel_figure, score_figure
from sweeps.plan import Plan
from sweeps.space import Choice, key

Read = Callable[..., Plan]


def tables(plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores 1, 2, 3, ... for the runs of a plan, and the settings' table."""
    rows = [{**setting, "setting": key(setting), "seed": seed} for setting, seed in plan.runs()]
    runs = pd.DataFrame(rows).assign(score=np.arange(1.0, len(rows) + 1), state="complete")
    settings = runs.groupby("setting", sort=False).first().reset_index()
    settings["mean"] = runs.groupby("setting", sort=False)["score"].mean().to_numpy()
    return runs, settings.assign(runs=len(plan.seeds))


def test_every_run_is_a_dot_and_the_line_joins_the_best_means(plan: Read) -> None:
    read = plan("--vary", "model.lr=1e-3,1e-2,1e-1", "--vary", "model.init=he,xavier", "--sweep.seeds", "2")
    runs, settings = tables(read)
    rates, inits = score_figure(read, runs, settings).axes
    assert (rates.get_xlabel(), rates.get_xscale(), rates.get_ylabel()) == ("model.lr", "log", "val/loss")
    he_dots, he_best, xavier_dots, xavier_best = rates.get_lines()
    # trained in the order of lr, then init: seed 42 scores 1 to 6, seed 43 scores 7 to 12
    assert sorted(he_dots.get_ydata()) == [1, 3, 5, 7, 9, 11]
    assert sorted(xavier_dots.get_ydata()) == [2, 4, 6, 8, 10, 12]
    assert he_best.get_xydata().tolist() == [[1e-3, 4.0], [1e-2, 6.0], [1e-1, 8.0]]
    assert xavier_best.get_ydata().tolist() == [5.0, 7.0, 9.0]
    assert [text.get_text() for text in rates.get_legend().get_texts()] == ["he", "xavier"]
    assert [label.get_text() for label in inits.get_xticklabels()] == ["he", "xavier"]
    assert inits.get_lines()[1].get_ydata().tolist() == [4.0, 5.0]


def test_the_best_is_the_largest_where_large_is_good(plan: Read) -> None:
    read = plan("--vary", "a=1,2", "--vary", "b=1,2", mode="max")
    (axes, _) = score_figure(read, *tables(read)).axes
    assert axes.get_lines()[1].get_ydata().tolist() == [2.0, 4.0]


@pytest.mark.parametrize(("values", "scale"), [("10,20", "linear"), ("10,1000", "log"), ("0,1000", "linear")])
def test_the_scale_follows_the_values(plan: Read, values: str, scale: str) -> None:
    read = plan("--vary", f"data.num_samples={values}")
    assert score_figure(read, *tables(read)).axes[0].get_xscale() == scale


def test_numbers_that_would_crowd_stand_side_by_side(plan: Read) -> None:
    read = plan("--vary", "data.subset=5010,5030,5100,15000")
    axes = score_figure(read, *tables(read)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5010", "5030", "5100", "15000"]
    assert axes.get_lines()[1].get_xdata().tolist() == [0, 1, 2, 3]
    assert axes.get_lines()[1].get_linestyle() == "-"


def test_heat_map(plan: Read) -> None:
    """The third flag is averaged away by taking its best; a pair that was never run stays empty."""
    read = plan("--vary", "a=x,y", "--vary", "b=p,q,r", "--vary", "c=1,2")
    _, settings = tables(read)
    settings = settings[(settings["a"] != "y") | (settings["b"] != "r")]
    first, second = (axis for axis in read.axes[:2] if isinstance(axis, Choice))
    axes = heat_figure(read, settings, first, second, "mean", "loss").axes[0]
    (image,) = (child for child in axes.get_children() if isinstance(child, AxesImage))
    shown = np.ma.filled(
        image.get_array(), np.nan
    )  # rows are b, columns are a; scores count up with c fastest
    np.testing.assert_array_equal(shown, [[1, 7], [3, 9], [5, np.nan]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["p", "q", "r"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")


def test_parallel_coordinates(plan: Read) -> None:
    read = plan("--vary", "lr=0.001,0.1,0.01", "--vary", "b=x,y")
    _, settings = tables(read)
    axes = parallel_figure(read, settings).axes[0]
    drawn = sorted(line.get_ydata().tolist() for line in axes.get_lines() if len(line.get_ydata()) == 3)
    expected = [[0, 0, 0.0], [0, 1, 0.2], [1, 0, 0.4], [1, 1, 0.6], [0.5, 0, 0.8], [0.5, 1, 1.0]]
    np.testing.assert_allclose(drawn, sorted(expected), atol=1e-12)


def test_files(plan: Read) -> None:
    read = plan("--vary", "a=1,2", "--vary", "b=1,2")
    runs, settings = tables(read)
    paths = draw_all(read, runs, settings.assign(gradient_ratio=[1e-9, 1.0, 0.5, 0.0]), Path("pictures"))
    assert [path.name for path in paths] == [
        "score.png",
        "parallel.png",
        "heat_a_b.png",
        "heat_a_b_gradient.png",
    ]
    assert all(path.stat().st_size > 5000 for path in paths)
    assert draw_all(read, runs, settings.assign(runs=0), Path("none")) == []
