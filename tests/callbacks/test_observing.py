"""What goes wrong in an observer: reported once, the step is skipped, the training is the same; all else passes."""

import errno
import warnings

import pytest
import torch
from torch import nn

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, LayerSummary, NonFiniteGuard
from callbacks.diagnostics import losses, probe
from callbacks.diagnostics.activations import Activation
from callbacks.diagnostics.losses import LossMonitor, ValidationWatch
from callbacks.diagnostics.measurement import StepMeasurement
from callbacks.diagnostics.observer import Observer
from callbacks.diagnostics.paths import Paths
from callbacks.diagnostics.probe import Probe
from callbacks.diagnostics.upkeep import Upkeep
from callbacks.observing import Observing, observed
from callbacks.pictures import GradientCurve
from callbacks.pictures.base import Picture
from callbacks.pictures.depth import DepthPlot
from tests.callbacks.plain import MemoryLogger, Plain, fit, has_hooks, mlp, rows

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = X.mean(1, keepdim=True)


class Tool:
    skips = 0

    def skip(self):
        self.skips += 1

    @observed
    def hook(self, error):
        if error is not None:
            raise error


def test_the_first_failure_is_a_warning_and_later_ones_are_silent():
    tool = Tool()
    with pytest.warns(UserWarning, match=r"^Tool failed; .* skipped, .* \(KeyError: 'a'\)$") as caught:
        tool.hook(KeyError("a"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tool.hook(ValueError("b"))
        tool.hook(None)
    assert len(caught) == 1
    assert tool.skips == 2


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), MemoryError(), OSError(errno.ENOSPC, "full")],
    ids=type,
)
def test_what_does_not_belong_to_the_observer_passes(error):
    tool = Tool()
    with pytest.raises(type(error)) as caught:
        tool.hook(error)
    assert caught.value is error
    assert tool.skips == 0


def test_what_is_meant_passes():
    with pytest.raises(FloatingPointError), Observing(Tool(), meant=FloatingPointError):
        raise FloatingPointError
    with pytest.warns(UserWarning, match="ArithmeticError"), Observing(Tool(), meant=FloatingPointError):
        raise ArithmeticError


# --- every place in every observer may fail, at every step or at one, and half of a measurement may be made by then ---

PLACES = {
    "the probe's start": (Probe, "__init__"),
    "the probe's hooks": (Probe, "_install"),
    "a layer is entered": (probe, "tensors_in"),
    "paths": (Paths, "add_output"),
    "paths of the loss": (Paths, "add_loss"),
    "paths of an activation": (Paths, "add_activation"),
    "a layer's output": (GradientMonitor, "on_layer_output"),
    "a function": (probe, "nonlinearity_of"),
    "an activation": (Activation, "add"),
    "a loss call": (losses, "count"),
    "a validation": (ValidationWatch, "_count"),
    "a validation's end": (ValidationWatch, "end"),
    "the gradients' norms": (StepMeasurement, "_gradients"),
    "the gradients' numbers": (StepMeasurement, "parts"),
    "the gradients' words": (StepMeasurement, "interpret"),
    "the activations' numbers": (Activation, "sums"),
    "the activations' words": (ActivationMonitor, "_describe"),
    "upkeep": (Upkeep, "start_batch"),
    "upkeep after a step": (Upkeep, "before_backward"),
    "a check for NaN": (NonFiniteGuard, "_seems_finite"),
    "a monitor's start": (LossMonitor, "start"),
    "a reader's start": (Diagnosis, "start_reading"),
    "a judgement": (Diagnosis, "_measurements"),
    "the diagnosis's end": (Diagnosis, "_close"),
    "a picture of the depth": (DepthPlot, "read"),
    "a curve": (GradientCurve, "read"),
    "a summary": (LayerSummary, "on_fit_start"),
    "the layout": (Observer, "_write_layout"),
}


def made():
    return [
        GradientMonitor(1),
        ActivationMonitor(1, window=2),
        NonFiniteGuard(),
        Diagnosis(1, window=2),
        LayerSummary(),
    ]


def train(*callbacks, steps=4, logger=None):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.LSTM(8, 8), First(), nn.Dropout(0.3), nn.Linear(8, 1))
    model = Plain(net, optimizer=lambda p: torch.optim.Adam(p, lr=1e-2))
    loader = rows(X, Y, batch_size=8)
    fit(model, loader, *callbacks, steps=steps, logger=logger, val=rows(X, Y), accumulate_grad_batches=2)
    assert not has_hooks(model)
    return model.state_dict(), torch.rand(2)


class First(nn.Module):
    def forward(self, output):
        return output[0]


def failing(original, when):
    """The same function, which raises at the calls with these numbers, after it has done its work."""
    calls = []

    def fails(*args, **kwargs):
        result = original(*args, **kwargs)
        calls.append(1)
        if when is None or len(calls) in when:
            raise ArithmeticError("planted")
        return result

    return fails


@pytest.fixture(scope="module")
def expected():
    return train()


@pytest.mark.parametrize("when", [None, (2, 5)], ids=["always", "second and fifth call"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_wherever_it_fails_the_training_is_the_same(place, when, expected, monkeypatch):
    owner, name = place
    wraps = observed if (owner, name) == (LayerSummary, "on_fit_start") else (lambda function: function)
    monkeypatch.setattr(owner, name, wraps(failing(getattr(owner, name), when)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pictures = [owner()] if isinstance(owner, type) and issubclass(owner, Picture) else []
        weights, random = train(*made(), *pictures, logger=MemoryLogger())
    assert all(torch.equal(weights[key], expected[0][key]) for key in weights)
    assert torch.equal(random, expected[1])
    reports = [str(each.message) for each in caught if "planted" in str(each.message)]
    assert len(reports) == len(set(reports))
    assert reports or when is not None


@pytest.mark.parametrize(
    "place", ["a layer's output", "the gradients' norms", "the gradients' numbers", "the gradients' words"]
)
def test_half_a_measurement_reaches_nobody_and_later_ones_are_right(place, monkeypatch):
    logger, undisturbed = MemoryLogger(), MemoryLogger()
    train(GradientMonitor(1), logger=undisturbed)
    owner, name = PLACES[place]
    call = 4 if place == "a layer's output" else 2  # the first of a step's second batch; of the second step
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), [call]))
    with pytest.warns(UserWarning, match="GradientMonitor failed"):
        train(GradientMonitor(1), logger=logger)
    for tag, values in undisturbed.values.items():
        if tag.partition("/")[0] in GradientMonitor.charts:
            left = dict(logger.values[tag])
            assert len(left) == 3
            assert left.items() <= dict(values).items()


class Breaks(Plain):
    def training_step(self, batch, batch_idx):
        if self.global_step == 2:
            raise self.error
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("error", [ValueError("mine"), FloatingPointError()], ids=type)
def test_an_error_of_the_users_code_passes_unchanged(error):
    model = Breaks(mlp(6, 8, 1))
    model.error = error
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*skipped")
        with pytest.raises(type(error)) as raised:
            fit(model, rows(X, Y), *made(), steps=5)
    assert raised.value is error
    assert not has_hooks(model)


class BreaksWithin(nn.Module):
    def forward(self, x):
        raise ZeroDivisionError("mine")


def test_an_error_within_a_layer_and_within_a_backward_pass_passes(monkeypatch):
    with pytest.raises(ZeroDivisionError, match="mine"):
        fit(Plain(nn.Sequential(nn.Linear(6, 1), BreaksWithin())), rows(X, Y), *made(), steps=5)
    model = Plain(mlp(6, 8, 1))
    model.net[2].register_full_backward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(model, rows(X, Y), *made(), steps=5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_a_signal_that_arrives_within_an_observer_ends_the_training(error, monkeypatch):
    def interrupted(*args):
        raise error

    monkeypatch.setattr(Activation, "add", interrupted)
    with pytest.raises((error, SystemExit)):
        fit(Plain(mlp(6, 8, 1)), rows(X, Y), ActivationMonitor(1), steps=5)


def test_the_guard_still_stops_a_training_on_purpose():
    with pytest.raises(FloatingPointError):
        fit(Plain(mlp(6, 8, 1)), rows(X * torch.inf, Y), NonFiniteGuard("stop"), steps=3)
