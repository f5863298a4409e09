"""GradientMonitor against gradients that were derived by hand."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks import GradientMonitor
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp, rows

EXACT = {"rel": 1e-12, "abs": 0}


def watch(model, loader, steps=1, **kwargs):
    logger = MemoryLogger()
    fit(model, loader, GradientMonitor(every_n_steps=1), steps=steps, logger=logger, **kwargs)
    return logger


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_sigmoid_mlp_against_back_propagation_by_hand(double):
    """delta_L = 2 (y - t) / n for the mean squared error; delta_k = (delta_{k+1} W_{k+1}) * a_k (1 - a_k)."""
    x, t = torch.randn(16, 3), torch.randn(16, 1)
    net = mlp(3, 5, 4, 1)
    linears = [net[0], net[2], net[4]]
    weights = [layer.weight.detach().clone() for layer in linears]
    biases = [layer.bias.detach().clone() for layer in linears]

    a = [x]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        a.append(1 / (1 + torch.exp(-(a[-1] @ w.T + b))))
    y = a[-1] @ weights[-1].T + biases[-1]
    deltas = [2 * (y - t) / y.numel()]
    for w, activation in zip(weights[:0:-1], a[:0:-1], strict=True):
        deltas.insert(0, (deltas[0] @ w) * activation * (1 - activation))

    logged = watch(Plain(net), rows(x, t))
    total = 0.0
    for k, (delta, below) in enumerate(zip(deltas, a, strict=True)):
        w_grad, b_grad, tag = delta.T @ below, delta.sum(0), f"0{k}_net.{2 * k}"
        squares = float(w_grad.square().sum() + b_grad.square().sum())
        total += squares
        assert logged.last(f"delta_norm/{tag}") == pytest.approx(float(delta.norm()), **EXACT)
        assert logged.last(f"grad_norm/{tag}") == pytest.approx(math.sqrt(squares), **EXACT)
        assert logged.last(f"grad_mean_abs/{tag}") == pytest.approx(float(w_grad.abs().mean()), **EXACT)
        assert logged.last(f"weight_norm/{tag}") == pytest.approx(float(weights[k].norm()), **EXACT)
        ratio = (
            0.1 * float(w_grad.norm()) / float(weights[k].norm())
        )  # SGD with lr 0.1 takes the step lr * gradient
        assert logged.last(f"update_ratio/{tag}") == pytest.approx(ratio, rel=1e-9)
    assert logged.last("grad_norm_total") == pytest.approx(math.sqrt(total), **EXACT)


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 2.0])
def test_orthogonal_linear_network_shrinks_delta_by_its_gain(double, gain):
    """y = (c Q_20) ... (c Q_1) x: delta shrinks by exactly c per layer backward, and the signal by c per
    layer forward, so that the gradient of every weight, their product, is the same."""
    depth, n = 20, 8
    net = mlp(*[n] * (depth + 1), activation=nn.Identity, bias=False)
    for layer in net[::2]:
        nn.init.orthogonal_(layer.weight, gain=gain)
    logged = watch(Plain(net, loss=lambda y, t: (y * t).sum()), rows(torch.randn(1, n), torch.randn(1, n)))
    deltas = [logged.last(tag) for tag in logged.tags("delta_norm")]
    norms = [logged.last(tag) for tag in logged.tags("grad_norm")]
    assert len(deltas) == depth
    assert [d / above for d, above in pairwise(deltas)] == pytest.approx([gain] * 19, rel=1e-12)
    assert norms == pytest.approx([norms[0]] * depth, rel=1e-12)


def test_logistic_regression(double):
    """The gradient of the mean log loss is X^T (p - y) / n, and sum(p - y) / n for the intercept."""
    x, y = torch.randn(50, 4), torch.randint(0, 2, (50, 1)).double()
    net = nn.Linear(4, 1)
    error = torch.sigmoid(net(x)).detach() - y
    w_grad, b_grad = x.T @ error / 50, error.mean()
    logged = watch(Plain(net, loss=F.binary_cross_entropy_with_logits), rows(x, y))
    expected = math.sqrt(float(w_grad.square().sum() + b_grad**2))
    assert logged.last("grad_norm/00_net") == pytest.approx(expected, **EXACT)
    assert logged.last("grad_mean_abs/00_net") == pytest.approx(float(w_grad.abs().mean()), **EXACT)
    assert logged.last("delta_norm/00_net") == pytest.approx(float(error.norm()) / 50, **EXACT)


class LinearRNN(nn.Module):
    """h_t = w h_{t-1} + x_t, one number each; the loss is h_T."""

    def __init__(self, w):
        super().__init__()
        self.cell = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.cell.weight, w)

    def forward(self, x):  # (N, T)
        h = torch.zeros(len(x), 1)
        for t in range(x.shape[1]):
            h = self.cell(h) + x[:, t : t + 1]
        return h


@pytest.mark.parametrize("w", [0.5, 1.0, 1.5])
def test_scalar_linear_rnn(double, w):
    """dh_T / dh_t = w^(T-t): call t of the cell, from 1, gets exactly that, and the layer their norm."""
    monitor = GradientMonitor(every_n_steps=1)
    x = torch.randn(1, 12)
    fit(Plain(LinearRNN(w), loss=lambda y, t: y.sum()), rows(x, x), monitor)
    expected = [w ** (12 - t) for t in range(1, 13)]
    assert monitor.calls["00_net.cell"] == pytest.approx(expected, **EXACT)
    assert monitor.latest["delta_norm"]["00_net.cell"] == pytest.approx(math.hypot(*expected), **EXACT)


def test_gradient_of_1e_30_is_not_zero():
    """In float32 its square is 0."""
    net = nn.Linear(1, 1, bias=False)
    logged = watch(Plain(net, loss=lambda y, t: (y * 1e-30).sum()), rows(torch.ones(1, 1), torch.ones(1, 1)))
    for quantity in ("grad_norm", "grad_mean_abs", "delta_norm"):
        assert logged.last(f"{quantity}/00_net") == pytest.approx(1e-30, rel=1e-6)
    assert logged.last("grad_norm_total") == pytest.approx(1e-30, rel=1e-6)


def test_update_ratio_is_the_step_taken_not_gradient_over_weight():
    """Adam's first step is lr for every weight, whatever its gradient."""
    net = nn.Linear(4, 1, bias=False)
    norm = float(net.weight.detach().norm())
    model = Plain(net, optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
    logged = watch(model, rows(torch.randn(8, 4), torch.randn(8, 1)))
    assert logged.last("update_ratio/00_net") == pytest.approx(1e-3 * 2 / norm, rel=1e-3)
    assert logged.last("grad_norm/00_net") / norm > 0.01


def test_delta_is_that_before_an_activation_in_place():
    """relu(inplace=True) overwrites the layer's output; its delta is still the one at the layer's output."""
    x, t = torch.randn(8, 3), torch.randn(8, 1)
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    out = watch(Plain(net), rows(x, t))
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(inplace=True), nn.Linear(6, 1))
    net.load_state_dict(state)
    inplace = watch(Plain(net), rows(x, t))
    assert out.last("delta_norm/00_net.0") == inplace.last("delta_norm/00_net.0") > 0
