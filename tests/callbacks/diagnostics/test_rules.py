"""The rules of Diagnosis: every trouble that was planted is named, and healthy networks are left in peace."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks import Diagnosis, GradientMonitor
from tests.callbacks.diagnostics.deep import HE, G, X, Y, deep
from tests.callbacks.plain import Plain, fit, has_hooks, mlp, rows


def diagnose(*args, **kwargs):
    """What is more than a note."""
    return {kind: each for kind, each in findings(*args, **kwargs).items() if each.severity != "info"}


def findings(
    net, steps=40, lr=1e-3, every=2, optimizer=torch.optim.Adam, loss=F.mse_loss, data=None, **kwargs
):
    diagnosis = Diagnosis(every_n_steps=every)
    model = Plain(net, loss, optimizer=lambda p: optimizer(p, lr=lr))
    fit(model, rows(*(data or (X, Y)), batch_size=64), diagnosis, steps=steps, **kwargs)
    assert not has_hooks(model)
    return {verdict.kind: verdict for verdict in diagnosis.verdicts}


@pytest.mark.parametrize(("width", "depth"), [(64, 20), (10, 10)])
@pytest.mark.parametrize("seed", range(5))
def test_healthy_he_relu_networks_raise_no_alarm(seed, width, depth):
    torch.manual_seed(seed)
    assert diagnose(deep(nn.ReLU, depth=depth, width=width, gain=HE), lr=1e-4) == {}


HEALTHY = {
    "tanh, Xavier, 10": lambda: deep(nn.Tanh, depth=10, gain=1.0),
    "relu, default, 8": lambda: deep(nn.ReLU, depth=8),
    "sigmoid, default, 3": lambda: deep(nn.Sigmoid, depth=3),
    "2 hidden, narrow": lambda: mlp(16, 5, 3, 1, activation=nn.Tanh),
    "linear": lambda: nn.Linear(16, 1),
    "zero-initialized head": lambda: _zero_head(deep(nn.ReLU, depth=4, gain=HE)),
    "gelu and layer norm": lambda: nn.Sequential(
        nn.Linear(16, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 1)
    ),
    "batch norm": lambda: nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 1)),
}


def _zero_head(net):
    nn.init.zeros_(net[-1].weight)
    return net


@pytest.mark.parametrize("build", HEALTHY.values(), ids=HEALTHY.keys())
@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.Adam, 3e-3), (torch.optim.SGD, 0.05)])
def test_healthy_networks_raise_no_alarm(build, optimizer, lr):
    assert diagnose(build(), optimizer=optimizer, lr=lr, steps=60) == {}


def test_units_that_learnt_to_be_on_or_off_are_no_alarm():
    """A disc inside a ring with 8 sigmoid units: they end saturated, and the loss near 0."""
    x = torch.randn(256, 2, generator=G)
    y = (x.norm(dim=1, keepdim=True) > 1.1).float()
    kwargs = {"loss": F.binary_cross_entropy_with_logits, "data": (x, y), "steps": 600, "every": 20}
    assert diagnose(mlp(2, 8, 1), lr=0.1, **kwargs) == {}


def test_vanishing_gradient_of_sigmoids():
    verdict = diagnose(deep(nn.Sigmoid, depth=10, gain=1.0))["vanishing gradient"]
    assert verdict.layers == ["00_net.0", "09_net.18"]
    assert "relu with He" in verdict.advice


def test_the_case_that_weight_gradients_miss():
    """Bias-free relu, He times 0.5, 20 layers: delta falls to 1e-6, and the weight gradients look alike."""
    net = deep(nn.ReLU, gain=0.5 * HE, bias=False)
    monitor = GradientMonitor(every_n_steps=1)
    fit(Plain(net), rows(X, Y), monitor)
    gradients, deltas = (list(monitor.latest[q].values()) for q in ("grad_mean_abs", "delta_norm"))
    assert 0.1 < gradients[0] / gradients[-1] < 10  # nothing to see here
    assert deltas[0] / deltas[-1] < 1e-5
    verdict = diagnose(net, lr=1e-5)["vanishing gradient and signal"]
    assert verdict.layers == ["00_net.0", "19_net.38"]
    assert "look even" in verdict.message


def test_exploding_gradient():
    verdict = diagnose(deep(nn.ReLU, gain=3 * HE, depth=12, bias=False), optimizer=torch.optim.SGD, lr=0.0)
    assert verdict["exploding gradient"].layers == ["00_net.0", "11_net.22"]


def test_dead_units_with_their_number_and_layer():
    net = deep(nn.ReLU, depth=3, gain=HE)
    with torch.no_grad():
        net[2].bias[:40] = -1e3
    verdicts = findings(net)
    assert verdicts["dead units"].severity == "info"  # because the others learn
    assert verdicts["dead units"].layers == ["01_net.2"]
    assert "40 of 64 in 01_net.2" in verdicts["dead units"].message


def test_a_few_dead_units_are_no_alarm():
    net = deep(nn.ReLU, depth=3, gain=HE)
    with torch.no_grad():
        net[2].bias[:8] = -1e3
    assert diagnose(net) == {}


def test_saturation():
    net = deep(nn.Tanh, depth=3, gain=1.0)
    with torch.no_grad():
        net[0].weight.mul_(100)
    verdicts = diagnose(net, lr=1e-5)
    assert verdicts["saturation"].layers == ["00_net.0"]


@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.Adam, 3.0), (torch.optim.SGD, 100.0)])
def test_learning_rate_far_too_high(optimizer, lr):
    assert "learning rate far too high" in diagnose(
        deep(nn.ReLU, depth=3, gain=HE), optimizer=optimizer, lr=lr
    )


class Scaled(nn.Module):
    """A residual block whose branch starts near 0: the layer scale of ConvNeXt (1e-6), or the gate of ReZero (0)."""

    def __init__(self, start):
        super().__init__()
        self.branch, self.scale = nn.Linear(16, 16), nn.Parameter(torch.full((16,), start))

    def forward(self, x):
        return x + self.scale * self.branch(x).relu()


class LoRA(nn.Module):
    """A frozen layer and a trained product of two thin matrices, the second of which starts at 0."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Linear(16, 1).requires_grad_(False)
        self.a, self.b = nn.Linear(16, 2, bias=False), nn.Linear(2, 1, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x):
        return self.frozen(x) + self.b(self.a(x))


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(Scaled(1e-6), Scaled(1e-6), nn.Linear(16, 1)),
        lambda: nn.Sequential(Scaled(0.0), Scaled(0.0), nn.Linear(16, 1)),
        LoRA,
    ],
    ids=["layer scale", "ReZero", "LoRA"],
)
def test_layers_that_start_near_zero_may_grow_by_many_times_their_size(build):
    """Their steps are up to thousands of times their weights, and the loss, that of pure noise, does not fall."""
    noise = torch.randn(256, 1, generator=G)
    monitor = GradientMonitor(every_n_steps=1)
    diagnosis = Diagnosis()
    model = Plain(build(), optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
    fit(model, rows(X, noise, batch_size=64), monitor, diagnosis, steps=40)
    assert diagnosis._run["largest_update"] > 0.5 or isinstance(model.net, LoRA)
    assert diagnosis._run["largest_step"] < 0.1
    assert "learning rate far too high" not in [verdict.kind for verdict in diagnosis.verdicts]


@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.Adam, 1e-8), (torch.optim.SGD, 1e-7)])
def test_learning_rate_far_too_low(optimizer, lr):
    verdicts = diagnose(deep(nn.ReLU, depth=3, gain=HE), optimizer=optimizer, lr=lr)
    assert list(verdicts) == ["learning rate far too low"]


def test_a_run_that_has_converged_has_no_low_learning_rate():
    verdicts = diagnose(
        nn.Linear(16, 1), data=(X, X[:, :1]), optimizer=torch.optim.SGD, lr=0.3, steps=400, every=10
    )
    assert verdicts == {}


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.unused, self.body, self.head = (nn.Linear(16, 16) for _ in range(4))
        self.head = nn.Linear(16, 1)

    def forward(self, x):
        return self.head(self.body(self.stem(x).relu().detach()).relu())


def test_layers_without_gradient():
    verdicts = diagnose(Detached())
    assert list(verdicts) == ["no gradient"]
    assert verdicts["no gradient"].layers == ["00_net.stem", "03_net.unused"]


def test_frozen_layers_are_no_alarm():
    net = deep(nn.ReLU, depth=4, gain=HE)
    net[0].requires_grad_(False)
    assert diagnose(net) == {}


def test_gradients_below_float32():
    verdicts = diagnose(deep(nn.Sigmoid, depth=60, gain=0.5))
    assert "vanishing gradient" in verdicts
    assert verdicts["gradient below float32"].layers[0] == "00_net.0"
    assert "no gradient" not in verdicts


class Unrolled(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.cell, self.head = nn.Linear(16, 16, bias=False), nn.Linear(16, 1)
        nn.init.orthogonal_(self.cell.weight, gain=gain)

    def forward(self, x):
        h = torch.zeros_like(x)
        for _ in range(30):
            h = torch.tanh(self.cell(h) + 0.1 * x)
        return self.head(h)


def test_vanishing_gradient_through_time():
    verdict = diagnose(Unrolled(gain=0.4))["vanishing gradient through time"]
    assert "30 calls of 00_net.cell" in verdict.message
    assert diagnose(Unrolled(gain=1.0)) == {}
