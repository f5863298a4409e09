"""DepthPlot draws what was measured, before any training and at its end."""

import math

import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from callbacks import DepthPlot, GradientMonitor
from callbacks.pictures.depth import draw_depth
from tests.callbacks.plain import Plain, fit, has_hooks, mlp, rows

X, Y = torch.randn(32, 5, generator=torch.Generator().manual_seed(1)), torch.zeros(32, 1)


def net():
    torch.manual_seed(2)
    return mlp(5, 8, 8, 8, 1, activation=nn.Sigmoid)


def test_the_first_and_the_last_measurement_are_kept_and_are_those_of_the_gradient_monitor():
    plot, monitor, model = DepthPlot(every_n_steps=2), GradientMonitor(every_n_steps=2), Plain(net())
    fit(model, rows(X, Y), plot, monitor, steps=8)
    assert list(plot.measured) == [0, 7]
    assert plot.measured[7] == monitor.latest
    assert not has_hooks(model)


def test_the_first_measurement_is_before_any_training():
    """Its gradients are those of the initial weights."""
    model = net()
    nn.functional.mse_loss(model(X), Y).backward()
    expected = [float(model[k].weight.grad.abs().mean()) for k in (0, 2, 4, 6)]
    plot = DepthPlot()
    fit(Plain(net()), rows(X, Y), plot, steps=3)
    assert list(plot.measured[0]["grad_mean_abs"].values()) == pytest.approx(expected, rel=1e-5)


def test_a_resumed_run_keeps_the_measurement_before_training(tmp_path):
    plot, later, model = DepthPlot(2), DepthPlot(2), Plain(net())
    fit(model, rows(X, Y), plot, steps=4).save_checkpoint(tmp_path / "a.ckpt")
    before = plot.measured[0]
    fit(model, rows(X, Y), later, steps=8, ckpt_path=tmp_path / "a.ckpt")
    assert list(later.measured) == [0, 7]
    assert later.measured[0] == before


def test_layers_are_called_by_plain_names_unless_there_are_too_many():
    values = {"delta_norm": {"00_a": 1.0, "01_b": 2.0}}
    few = draw_depth({0: values}, {"00_a": "hidden 1 (00_a)", "01_b": "output (01_b)"}).axes[1]
    assert [label.get_text() for label in few.get_xticklabels()] == ["hidden 1 (00_a)", "output (01_b)"]
    many = draw_depth({0: values}, {f"{k:02d}_a": "hidden" for k in range(20)}).axes[1]
    assert many.get_xlabel() == "layer (0 is the first)"


def test_the_lines_are_the_measurements_on_a_log_scale():
    measured = {"grad_mean_abs": {"00_a": 1e-6, "01_b": 0.0, "02_c": 1e-2}, "delta_norm": {"00_a": 3.0}}
    left, right = draw_depth({0: measured, 9: measured}).axes
    assert [line.get_label() for line in left.lines] == ["before training", "step 9"]
    assert [list(line.get_xdata()) for line in left.lines] == [[0, 2]] * 2
    assert list(left.lines[0].get_ydata()) == [1e-6, 1e-2]
    assert list(right.lines[0].get_ydata()) == [3.0]
    assert left.get_yscale() == right.get_yscale() == "log"


def test_the_axes_of_a_level_and_of_a_vanishing_gradient_are_the_same():
    level = {"00_a": 2e-3, "01_b": 1e-2}
    vanishing = {"00_a": 4e-11, "01_b": 2e-2}
    limits = [draw_depth({0: {"delta_norm": values}}).axes[1].get_ylim() for values in (level, vanishing)]
    assert limits[0] == pytest.approx(limits[1])
    assert limits[0] == pytest.approx((1e-11, 1e-1))


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
def test_what_has_no_logarithm_is_left_out(value):
    left, _ = draw_depth({0: {"grad_mean_abs": {"00_a": value, "01_b": 1.0}}}).axes
    assert list(left.lines[0].get_xdata()) == [1]


def test_pictures_in_tensorboard_and_in_the_run_folder(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="run")
    fit(Plain(net()), rows(X, Y), DepthPlot(every_n_steps=5), steps=10, logger=logger)
    events = EventAccumulator(logger.log_dir, {"images": 0}).Reload()
    assert [image.step for image in events.Images("depth/gradients")] == [0, 9]
    names = sorted(path.name for path in (tmp_path / "run" / "version_0" / "pictures").iterdir())
    assert names == ["depth_gradients_000000.png", "depth_gradients_000009.png"]
