"""Every parameter that the optimizer has is measured, in whatever a module keeps it."""

import math

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.utils import get_total_norm

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, LayerSummary, NonFiniteGuard
from callbacks.diagnostics.probe import find_layers
from tests.callbacks.plain import Plain, fit, has_hooks, rows

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = X.mean(1, keepdim=True)


class Listed(nn.Module):
    """Keeps its weights in a list, without a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(6, 6) / 3, torch.randn(6, 6) / 3])

    def forward(self, x):
        return (x @ self.weights[0]).tanh() @ self.weights[1]


class Nested(nn.Module):
    """A dict of lists next to a bare parameter."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))
        self.parts = nn.ParameterDict({"a": nn.ParameterList([torch.randn(6, 6) / 3]), "b": torch.zeros(6)})

    def forward(self, x):
        return (x @ self.parts["a"][0]).tanh() * self.scale + self.parts["b"]


class Rooted(Plain):
    """The LightningModule itself has a list, and a bare parameter."""

    def __init__(self, net):
        super().__init__(net)
        self.gains, self.shift = nn.ParameterList([torch.ones(6)]), nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(self(x * self.gains[0]) + self.shift, y)


class Loose(Plain):
    """The optimizer also has a tensor that belongs to no module."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(self(x) * self.loose[0], y)

    def configure_optimizers(self):
        self.loose = [torch.full((), 3.0, requires_grad=True)]
        return torch.optim.SGD([*self.parameters(), *self.loose], lr=0.1)


def chain(*modules):
    return nn.Sequential(*modules, nn.Linear(6, 1))


MODELS = {
    "list": lambda: Plain(chain(Listed())),
    "dict of lists": lambda: Plain(chain(nn.Linear(6, 6), Nested())),
    "of the LightningModule": lambda: Rooted(chain(Listed(), Nested())),
    "of no module": lambda: Loose(chain(Nested())),
}


class Truth(pl.Callback):
    """What torch says about the gradients of the optimizer's tensors."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        self.total = float(get_total_norm([p.grad for p in owned]))
        self.norms = {name: float(p.grad.norm()) for name, p in pl_module.named_parameters()}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_the_total_is_that_of_the_optimizer(build):
    torch.manual_seed(0)
    model, monitor, truth = build(), GradientMonitor(1), Truth()
    fit(
        model,
        rows(X, Y),
        monitor,
        truth,
        ActivationMonitor(1),
        NonFiniteGuard(),
        Diagnosis(1),
        LayerSummary(),
    )
    assert monitor.latest["grad_norm_total"][""] == pytest.approx(truth.total, rel=1e-5)
    of_layers = math.hypot(*monitor.latest["grad_norm"].values())
    assert of_layers == pytest.approx(math.hypot(*truth.norms.values()), rel=1e-5)
    assert not has_hooks(model)


def test_a_list_is_part_of_the_module_that_holds_it():
    torch.manual_seed(0)
    model = Rooted(chain(Listed(), Nested()))
    assert {layer.name: sorted(name for name, _ in layer.parameters()) for layer in find_layers(model)} == {
        "root": ["gains.0", "shift"],
        "net.0": ["weights.0", "weights.1"],
        "net.1": ["parts.a.0", "parts.b", "scale"],
        "net.2": ["bias", "weight"],
    }
    monitor, truth = GradientMonitor(1, per_parameter=True), Truth()
    fit(model, rows(X, Y), monitor, truth)
    found = {
        tag.partition("_")[2].removeprefix("root."): value
        for tag, value in monitor.latest["grad_norm"].items()
    }
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in truth.norms.items()}


def test_a_nan_in_a_list_is_found():
    model = Plain(chain(Listed()))
    with torch.no_grad():
        model.net[0].weights[1][0, 0] = torch.nan
    guard = NonFiniteGuard()
    with pytest.warns(UserWarning, match=r"net\.0"):
        fit(model, rows(X, Y), guard)
