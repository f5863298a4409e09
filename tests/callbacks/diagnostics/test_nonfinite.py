"""NonFiniteGuard against NaN and infinity planted in a known place."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning.plugins import MixedPrecision
from torch import nn

from callbacks import NonFiniteGuard
from callbacks.diagnostics.nonfinite import _all_finite
from tests.callbacks.plain import MemoryLogger, Plain, fit, has_hooks, mlp, rows

X, Y = torch.randn(32, 6, generator=torch.Generator().manual_seed(1)), torch.zeros(32, 1)

WARNING = "NonFiniteGuard, step"


class Plant(nn.Module):
    """Passes its input on, but from call `at` on puts `value` into the forward or the backward pass."""

    def __init__(self, value=math.nan, where="forward", at=3):
        super().__init__()
        self.value, self.where, self.at, self.calls = value, where, at, 0

    def forward(self, x):
        self.calls += 1
        if self.calls <= self.at:
            return x
        if self.where == "forward":
            return x + self.value
        return _BadSlope.apply(x, self.value)


class _BadSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, value):
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient + ctx.value, None


def planted(**kwargs):
    return nn.Sequential(
        nn.Linear(6, 8), nn.Tanh(), Plant(**kwargs), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)
    )


def guard(net, steps=6, loss=F.mse_loss, x=X, y=Y, guard=None, **kwargs):
    guard = guard or NonFiniteGuard()
    model = Plain(net, loss)
    fit(model, rows(x, y), guard, steps=steps, **kwargs)
    assert not has_hooks(model)
    return guard


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_names_the_layer_and_the_direction(value, where):
    with pytest.warns(UserWarning, match=WARNING):
        reports = guard(planted(value=value, where=where)).reports
    assert len(reports) == 1  # the steps after it are full of NaN too, and are not reported again
    assert reports[0].startswith("step 3: ")
    assert f"first in the {where} pass, in " in reports[0]
    assert "net.2" in reports[0]


@pytest.mark.parametrize(("where", "at"), [("forward", "net.2"), ("backward", "net.2")])
def test_clipping_by_norm_does_not_hide_the_origin(where, at):
    """Clipping would spread one NaN over the gradients of all layers."""
    with pytest.warns(UserWarning, match=at):
        assert f"{where} pass" in guard(planted(where=where), gradient_clip_val=1.0).reports[0]


def test_a_weight_that_is_already_nan():
    net = mlp(6, 8, 8, 1)
    with torch.no_grad():
        net[2].weight[0, 0] = math.nan
    with pytest.warns(UserWarning, match=WARNING):
        report = guard(net).reports[0]
    assert "step 0" in report
    assert "output of net.2 (Linear), 32 of 256 values; its weight held such values already" in report


def test_the_loss():
    with pytest.warns(UserWarning, match=WARNING):
        report = guard(mlp(6, 8, 1), loss=lambda y, t: y.mean() + torch.log(t).mean() * 0).reports[0]
    assert "first in the loss" in report


def test_the_backward_pass_of_the_loss():
    """The root of a sum of squares is finite at 0, its slope is not."""
    net = mlp(6, 8, 1, bias=False)
    nn.init.zeros_(net[2].weight)
    with pytest.warns(UserWarning, match=WARNING):
        report = guard(net, loss=lambda y, t: y.square().sum().sqrt()).reports[0]
    assert "first in the backward pass, in the loss" in report


def test_the_data():
    x = X.clone()
    x[3, 2] = math.nan
    with pytest.warns(UserWarning, match=WARNING):
        assert "first in the batch" in guard(mlp(6, 8, 1), x=x).reports[0]


def test_stop_raises_before_the_weights_are_touched():
    net, monitor = planted(), NonFiniteGuard("stop")
    model = Plain(net)
    with pytest.raises(
        FloatingPointError, match=r"step 3: NaN first in the forward pass, in the output of net.2"
    ):
        fit(model, rows(X, Y), monitor, steps=6)
    assert all(bool(torch.isfinite(p).all()) for p in net.parameters())
    assert not has_hooks(model)


def test_a_healthy_run_is_silent_and_counts_zero(recwarn):
    logger = MemoryLogger()
    monitor = guard(planted(at=100), logger=logger, log_every_n_steps=2)
    assert monitor.reports == []
    assert not [w for w in recwarn if "NonFiniteGuard" in str(w.message)]
    assert logger.tags("nonfinite") == [f"nonfinite/{tag}" for tag in ("00_net.0", "01_net.3", "02_net.5")]
    assert logger.values["nonfinite/00_net.0"] == [(0, 0.0), (1, 0.0), (3, 0.0), (5, 0.0)]


def test_counts_are_those_of_the_gradients():
    """A NaN behind layer 0 leaves the layers above it finite."""
    logger = MemoryLogger()
    with pytest.warns(UserWarning, match=WARNING):
        guard(planted(where="backward"), steps=4, logger=logger)
    assert logger.values["nonfinite/00_net.0"][-1] == (3, 6.0 * 8 + 8)
    assert logger.values["nonfinite/02_net.5"][-1] == (3, 0.0)


def test_large_gradients_are_not_infinite():
    """Their squares overflow float32, they do not."""
    assert guard(mlp(6, 8, 1), steps=1, loss=lambda y, t: 1e25 * y.sum()).reports == []


def test_an_fp16_overflow_is_normal():
    net = mlp(6, 8, 1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
    amp = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    monitor = guard(net, steps=20, plugins=[amp], y=Y + 3)
    assert 0 < monitor.overflows < 20
    assert monitor.bad_steps == 0
    assert "fp16 overflow at loss scale 1.67772e+07" in monitor.reports[0]
    assert "normal early" in monitor.reports[0]


def test_running_the_step_again_changes_nothing():
    """Weights, buffers and random numbers after an outbreak are those of a run without the callback."""
    finals = []
    for callbacks in ([], [NonFiniteGuard()]):
        torch.manual_seed(5)
        net = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), Plant(where="backward"), nn.Linear(8, 1)
        )
        model = Plain(net, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))  # keeps the weights finite
        fit(model, rows(X, Y), *callbacks, steps=4)
        finals.append((copy.deepcopy(model.state_dict()), torch.rand(3)))
    (a, random_a), (b, random_b) = finals
    assert a["net.1.running_mean"].abs().sum() > 0
    assert all(torch.equal(a[key].nan_to_num(), b[key].nan_to_num()) for key in a)
    assert torch.equal(random_a, random_b)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="action='halt' is unknown; give 'warn' or 'stop'"):
        NonFiniteGuard("halt")


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_check_finds_one_value_among_many_and_changes_no_bit(dtype, value):
    gradients = [torch.randn(n).to(dtype) for n in (1, 7, 64, 1001)]
    gradients[3][:2] = 1e-40  # below the normal range of float32
    before = copy.deepcopy(gradients)
    assert _all_finite(gradients, torch.tensor(1.0))
    assert all(torch.equal(a, b) for a, b in zip(gradients, before, strict=True))
    assert not _all_finite(gradients, torch.tensor(value))
    for bad in gradients:
        bad[-1] = value
        assert not _all_finite(gradients, torch.tensor(1.0))
        bad[-1] = 0.0


def test_the_check_takes_every_kind_of_gradient():
    mixed = [torch.ones(3), torch.ones(3).double(), torch.ones(3).bfloat16(), torch.zeros(0)]
    sparse = torch.sparse_coo_tensor([[0, 2]], [1.0, math.inf], (4,), check_invariants=True)
    assert _all_finite(mixed, None)
    assert _all_finite([torch.ones(1).expand(5)], None)  # values that share memory
    assert not _all_finite([torch.tensor([math.nan]).expand(5)], None)
    assert not _all_finite([*mixed, sparse], None)
    assert _all_finite(
        [torch.full((4,), 1e30), torch.full((1000,), 6e4).half()], None
    )  # their norms overflow
    assert _all_finite([], torch.ones(()))


def test_a_gradient_with_a_graph_is_left_as_it_is():
    """After `backward(create_graph=True)` a change in place would spoil the second backward pass."""
    x = torch.ones(3, requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    penalty = (x.grad**2).sum()
    assert _all_finite([x.grad], None)
    (second,) = torch.autograd.grad(penalty, x)
    assert second.tolist() == [36.0] * 3  # of 9 x^4
