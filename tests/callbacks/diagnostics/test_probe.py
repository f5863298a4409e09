"""The callbacks only observe: nothing is learnt differently, and nothing is left behind."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from torch import nn

import callbacks
from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from tests.callbacks.plain import Plain, fit, has_hooks, mlp, rows

ROOT = Path(__file__).parents[3]
X = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))
Y = X.mean((1, 2, 3))[:, None]


def every_callback():
    return [GradientMonitor(1), ActivationMonitor(1), NonFiniteGuard(), Diagnosis()]


def convnet():
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout2d(0.2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(144, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))


class Augmented(Plain):
    """Draws random numbers in the training step, as augmentation does."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        return super().training_step((x + 0.1 * torch.randn_like(x), y), batch_idx)


def train(callbacks, model_class=Augmented, **kwargs):
    torch.manual_seed(7)
    model = model_class(convnet(), optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2))
    loader = torch.utils.data.DataLoader(rows(X, Y).dataset, batch_size=16, shuffle=True)
    fit(model, loader, *callbacks, steps=10, **kwargs)
    return model.state_dict(), torch.rand(2)


@pytest.mark.parametrize("kwargs", [{}, {"gradient_clip_val": 0.1, "accumulate_grad_batches": 2}], ids=str)
@pytest.mark.parametrize("which", [[0], [1], [2], [3], [0, 1, 2, 3]], ids=str)
def test_weights_are_bit_identical_with_and_without(which, kwargs):
    """With dropout and augmentation, which would go astray if a single random number were used up."""
    without, next_random = train([], **kwargs)
    observed, same_random = train([every_callback()[k] for k in which], **kwargs)
    assert all(torch.equal(without[key], observed[key]) for key in without)
    assert torch.equal(next_random, same_random)


class Fails(Plain):
    def __init__(self, *args, error=None, at=2, **kwargs):
        super().__init__(*args, **kwargs)
        self.error, self.at = error, at

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        if self.global_step == self.at:
            raise self.error
        return loss


@pytest.mark.parametrize(
    ("error", "raised"), [(ValueError(), ValueError), (KeyboardInterrupt(), SystemExit)], ids=type
)
def test_no_hook_is_left_after_an_error_in_the_step(error, raised):
    model = Fails(mlp(64, 8, 1), error=error)
    with pytest.raises(raised):
        fit(model, rows(X.flatten(1), Y), *every_callback(), steps=5)
    assert not has_hooks(model)


@pytest.mark.parametrize("hook", ["on_before_backward", "on_before_optimizer_step", "on_train_batch_end"])
def test_no_hook_is_left_after_an_error_in_a_hook(hook):
    class Breaks(pl.Callback): ...

    def fail(*args):
        raise RuntimeError("in a callback")

    breaks = Breaks()
    setattr(breaks, hook, fail)
    model = Plain(mlp(64, 8, 1))
    with pytest.raises(RuntimeError, match="in a callback"):
        fit(model, rows(X.flatten(1), Y), breaks, *every_callback(), steps=5)
    assert not has_hooks(model)


def test_the_same_callbacks_serve_a_second_fit_and_another_model():
    cast = every_callback()
    for width in (8, 5):
        model = Plain(mlp(64, width, 1), optimizer=lambda p: torch.optim.SGD(p, lr=1e-3))
        fit(model, rows(X.flatten(1), Y), *cast, steps=6)
        assert not has_hooks(model)
    assert cast[1].units == {"00_net.0": 5}
    assert cast[3]._run["looks"] == 6


def test_hooks_are_there_only_at_probe_steps():
    seen = []

    class Watching(Plain):
        def training_step(self, batch, batch_idx):
            seen.append((self.global_step, has_hooks(self)))
            return super().training_step(batch, batch_idx)

    fit(Watching(mlp(64, 8, 1)), rows(X.flatten(1), Y), GradientMonitor(3), ActivationMonitor(3), steps=7)
    assert seen == [(0, True), (1, False), (2, True), (3, False), (4, False), (5, True), (6, False)]


# --- loggers ---


def test_tensorboard_gets_one_event_per_probe_step_and_one_file(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="run")
    model = Plain(mlp(64, *[8] * 11, 1), optimizer=lambda p: torch.optim.SGD(p, lr=1e-3))
    fit(model, rows(X.flatten(1), Y), GradientMonitor(2), ActivationMonitor(2), steps=6, logger=logger)
    files = list(Path(logger.log_dir).glob("events*"))
    assert len(files) == 1
    per_step = {}
    for event in EventFileLoader(str(files[0])).Load():
        tags = [value.tag for value in event.summary.value]
        if any("/" in tag and "activation" not in tag for tag in tags):
            per_step.setdefault(event.step, []).append(len(tags))
    assert {step: len(counts) for step, counts in per_step.items()} == {0: 1, 1: 1, 3: 1, 5: 1}
    assert per_step[0] == [5 * 12 + 1]


def test_tensorboard_opens_well(tmp_path):
    """Layers in order of depth, and one chart per quantity with a line per layer."""
    logger = TensorBoardLogger(tmp_path, name="run")
    fit(Plain(mlp(64, *[8] * 11, 1)), rows(X.flatten(1), Y), *every_callback()[:3], steps=2, logger=logger)
    events = EventAccumulator(logger.log_dir).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("grad_norm/")]
    assert sorted(tags) == [f"grad_norm/{k:02d}_net.{2 * k}" for k in range(12)]
    layouts = events.Tensors("custom_scalars__config__")
    assert len(layouts) == 1  # TensorBoard reads no second one
    layout = layouts[0].tensor_proto.string_val[0].decode(errors="replace")
    for chart in (*GradientMonitor.charts, *ActivationMonitor.charts, "nonfinite"):
        assert f"^{chart}/.*" in layout


def test_csv_logger(tmp_path):
    logger = CSVLogger(tmp_path, name="run")
    model = Plain(mlp(64, 8, 1))
    fit(model, rows(X.flatten(1), Y), *every_callback(), steps=4, logger=logger)
    header, *lines = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    assert {"grad_norm/00_net.0", "delta_norm/01_net.2", "activation_mean/00_net.0"} < set(header.split(","))
    assert len(lines) >= 4


def test_histograms_are_of_the_gradients(tmp_path):
    logger, model = TensorBoardLogger(tmp_path, name="run"), Plain(mlp(64, 8, 1))
    layer = model.net[0]
    loss = model.training_step((X.flatten(1), Y), 0)
    gradients = torch.cat([g.flatten() for g in torch.autograd.grad(loss, [layer.weight, layer.bias])])
    fit(model, rows(X.flatten(1), Y), GradientMonitor(1, histograms=True), steps=2, logger=logger)
    events = EventAccumulator(logger.log_dir, {"histograms": 0}).Reload()
    assert events.Tags()["histograms"] == ["grad/00_net.0", "grad/01_net.2"]
    histogram = events.Histograms("grad/00_net.0")[0].histogram_value
    assert histogram.num == len(gradients)
    assert histogram.min == pytest.approx(float(gradients.min()), rel=1e-5)
    assert histogram.max == pytest.approx(float(gradients.max()), rel=1e-5)


# --- the package ---


def test_every_name_is_there():
    for name in callbacks.__all__:
        assert getattr(callbacks, name).__name__ == name
