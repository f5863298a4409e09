"""The curve of the gradients is what GradientMonitor measured."""

import pytest
import torch

import callbacks.pictures.gradient_curve as module
from callbacks import GradientMonitor
from callbacks.pictures import GradientCurve
from callbacks.pictures.gallery import Gallery
from callbacks.pictures.gradient_curve import draw_gradient_curve
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp, rows

X, Y = torch.randn(32, 5, generator=torch.Generator().manual_seed(1)), torch.zeros(32, 1)


def train(picture, *others, steps=20):
    logger = MemoryLogger()
    fit(Plain(mlp(5, 4, 1)), rows(X, Y), *others, picture, steps=steps, logger=logger, val=rows(X, Y))
    return logger


def test_every_measurement_of_the_monitor_is_in_the_curve():
    curve = GradientCurve()
    logger = train(curve, GradientMonitor(2))
    axes = draw_gradient_curve(curve._points).axes[0]
    assert axes.get_yscale() == "log"
    drawn = {line.get_label(): [tuple(point) for point in line.get_xydata()] for line in axes.lines}
    assert drawn.keys() == {"00_net.0", "01_net.2"}
    for tag, points in drawn.items():
        assert points == logger.values[f"grad_mean_abs/{tag}"]


def test_the_picture_is_there_at_the_end(tmp_path):
    train(GradientCurve(tmp_path), GradientMonitor(2))
    assert [path.name for path in tmp_path.iterdir()] == ["depth_gradient_over_steps_000020.png"]


def test_without_a_monitor_there_is_no_curve(tmp_path):
    train(GradientCurve(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_draws_the_same_curve(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Also when points were dropped, and inside a Gallery."""
    monkeypatch.setattr(module, "MAX_POINTS", 8)
    model = Plain(mlp(5, 4, 1))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    options = {"val": rows(X, Y), "enable_checkpointing": False}
    whole, first, second = GradientCurve(), GradientCurve(), GradientCurve()
    fit(model, rows(X, Y), GradientMonitor(2), Gallery([whole]), steps=50, **options)
    model.load_state_dict(start)
    fit(model, rows(X, Y), GradientMonitor(2), Gallery([first]), steps=30, **options).save_checkpoint(
        tmp_path / "a.ckpt"
    )
    later = Gallery([second])
    fit(model, rows(X, Y), GradientMonitor(2), later, steps=50, ckpt_path=tmp_path / "a.ckpt", **options)
    assert second._points == whole._points
    assert second._points[0][0] == 0
    assert [
        line.get_label()
        for line in draw_gradient_curve(second._points, {"00_net.0": "hidden 1"}).axes[0].lines
    ] == [
        "hidden 1",
        "01_net.2",
    ]


def test_a_long_training_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_POINTS", 8)
    curve = GradientCurve()
    train(curve, GradientMonitor(1), steps=50)
    steps = [step for step, _ in curve._points]
    assert len(steps) <= 8
    assert steps[0] == 0
    assert steps[-1] == 49
    assert steps == sorted(steps)


def test_of_many_layers_only_some_are_named():
    """Otherwise the names would leave no room for the curves."""
    tags = [f"{depth:02d}_layer" for depth in range(40)]
    points = [(step, dict.fromkeys(tags, 1.0 / step)) for step in (1, 2)]
    axes = draw_gradient_curve(points).axes[0]
    assert len(axes.lines) == 40
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(named) == 12
    assert (named[0], named[-1]) == ("00_layer", "39_layer")
