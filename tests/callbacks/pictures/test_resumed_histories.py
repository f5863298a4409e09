"""Pictures of a whole training, drawn by a run that was resumed: they begin at the first step, and no step is twice."""

import pytest
import torch

from callbacks import GradientMonitor
from callbacks.pictures import DepthPlot, GradientCurve
from callbacks.pictures.gallery import Gallery
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp, rows

X, Y = torch.randn(32, 5, generator=torch.Generator().manual_seed(1)), torch.zeros(32, 1)


def train(folder, steps, ckpt_path=None):
    torch.manual_seed(0)
    curve, depth = GradientCurve(folder), DepthPlot(2, folder)
    callbacks = [GradientMonitor(2), Gallery([curve]), depth]
    options = {"logger": MemoryLogger(), "val": rows(X, Y), "ckpt_path": ckpt_path}
    trainer = fit(Plain(mlp(5, 4, 1)), rows(X, Y), *callbacks, steps=steps, **options)
    return trainer, curve, depth


def test_a_resumed_training_draws_what_an_unbroken_one_draws(tmp_path):
    trainer, _, _ = train(tmp_path / "parts", 9)
    trainer.save_checkpoint(tmp_path / "nine.ckpt")
    _, curve, depth = train(tmp_path / "parts", 20, tmp_path / "nine.ckpt")
    _, whole_curve, whole_depth = train(tmp_path / "whole", 20)
    assert curve._points == whole_curve._points
    assert [step for step, _ in curve._points] == [0, *range(1, 20, 2)]
    assert depth.measured == whole_depth.measured
    for name in ("depth_gradient_over_steps_000020.png", "depth_gradients_000019.png"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("picture", [GradientCurve, DepthPlot])
def test_a_second_training_of_the_same_trainer_starts_over(picture, tmp_path):
    trainer, curve, depth = train(tmp_path, 4)
    trainer.fit_loop.epoch_loop.max_steps = 6
    trainer.fit(trainer.lightning_module, rows(X, Y), rows(X, Y))
    steps = [step for step, _ in curve._points] if picture is GradientCurve else list(depth.measured)
    assert steps == [5]


def test_layers_that_come_and_go_survive_a_checkpoint():
    curve, other = GradientCurve(), GradientCurve()
    curve._points = [(0, {"00_a": 0.5}), (1, {"00_a": 0.25, "01_b": 1e-30})]
    other.load_state_dict(curve.state_dict())
    assert other._points == curve._points


def test_a_gallery_passes_over_pictures_that_a_checkpoint_does_not_have():
    curve = GradientCurve()
    curve._points = [(0, {"00_a": 0.5})]
    state = Gallery([curve]).state_dict()
    assert list(state) == ["GradientCurve"]
    Gallery([DepthPlot()]).load_state_dict(state)
