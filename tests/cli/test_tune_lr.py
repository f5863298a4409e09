"""The range test, against problems whose largest rate is known."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cli import main
from cli.tune_lr import RangeTest, draw, smooth, suggest, train_through_range
from runtime.errors import UsageError

CONFIGS = Path(__file__).parents[2] / "configs"
# Least squares on normalized x and y: the loss is a parabola of curvature 2 in the weight and in the bias.
PARABOLA = [
    "--config",
    str(CONFIGS / "linear_regression.yaml"),
    "--model.optimizer=SGD",
    "--trainer.accelerator=cpu",
]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_gradient_descent_on_a_parabola_runs_away_above_two_over_the_curvature(tmp_path: Path) -> None:
    test = RangeTest(1e-3, 100.0, 100)
    train_through_range(PARABOLA, test, tmp_path)
    steps = zip(test.rates, pairwise(test.losses), strict=False)
    growing = [rate for rate, (before, after) in steps if after > 1.5 * before]
    assert growing[0] > 1.0
    assert 1.0 < test.rates[-1] < 10.0  # stopped soon after
    assert 0.01 < suggest(test.rates, test.losses) < 1.0


def test_each_step_trains_with_its_own_rate_whatever_the_schedule(tmp_path: Path) -> None:
    """One weight of gradient descent by hand: w falls by rate times gradient, and the loss is known at every w."""
    schedule = [
        "--model.scheduler=OneCycleLR",
        "--model.scheduler.max_lr=0.5",
        "--model.scheduler.cycle_momentum=false",
    ]
    test = RangeTest(1e-3, 1.0, 30)
    train_through_range([*PARABOLA, *schedule], test, tmp_path)
    assert test.rates == pytest.approx(np.geomspace(1e-3, 1.0, 30))
    least = min(test.losses)
    above = [test.losses[0] - least]
    for rate in test.rates[:9]:  # the distance from the least loss shrinks by (1 - 2 rate)^2
        above.append(above[-1] * (1 - 2 * rate) ** 2)
    assert [loss - least for loss in test.losses[:10]] == pytest.approx(above, rel=1e-3)


def test_only_a_picture_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-lr", *PARABOLA, "--low", "1e-3", "--steps=40"]) == 0
    said = capsys.readouterr().out
    assert [str(path) for path in Path().rglob("*") if path.is_file()] == [
        "runs/tune_lr/linear_regression.png"
    ]
    assert Path("runs/tune_lr/linear_regression.png").stat().st_size > 5000
    (command,) = (line.split("train.py ")[1] for line in said.splitlines() if "train with it" in line)
    assert "--model.optimizer.lr 0." in command
    assert main([*command.split(), "--trainer.max_epochs=1"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--low", "1", "--high", "0.1"], "0 < low < high"),
        (["--low=x"], "--low is x; it must be a number"),
        (["--steps", "5"], "at least 20 steps"),
        (["--low", "10", "--high", "100"], "the loss never falls in this range"),
        (["--model.nothere=1"], "there is no option 'nothere'"),
        (["--trainer.devices=2"], "tune-lr is one process"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-lr", *PARABOLA, *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    rates = np.geomspace(1e-5, 1.0, 200).tolist()
    losses = [
        1 / (1 + math.exp(4 * (math.log10(rate) + 2.5))) + (10 * rate**2) for rate in rates
    ]  # steepest at 10^-2.5
    assert -2.5 < math.log10(suggest(rates, losses)) < -2.0  # the running mean lags behind by some steps
    with pytest.raises(UsageError, match="never falls"):
        suggest(rates, [1.0 + rate for rate in rates])


def test_smoothing_leaves_a_constant_as_it_is() -> None:
    assert smooth([3.0] * 5) == pytest.approx([3.0] * 5)


def test_the_picture_shows_the_losses_on_a_logarithmic_axis() -> None:
    axes = draw([0.01, 0.1, 1.0], [3.0, 2.0, 5.0], 0.1).axes[0]
    raw, smoothed, mark = axes.get_lines()
    assert raw.get_xydata().tolist() == [[0.01, 3.0], [0.1, 2.0], [1.0, 5.0]]
    assert smoothed.get_ydata()[0] == pytest.approx(3.0)
    assert set(mark.get_xdata()) == {0.1}
    assert axes.get_xscale() == "log"
