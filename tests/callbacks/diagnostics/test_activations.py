"""ActivationMonitor against units that were made dead or saturated, and against the plain statistics."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks import ActivationMonitor
from tests.callbacks.plain import MemoryLogger, Plain, fit, has_hooks, rows

X, Y = torch.randn(32, 6, generator=torch.Generator().manual_seed(1)), torch.zeros(32, 1)


def watch(net, x=X, y=Y, steps=5, loss=F.mse_loss, monitor=None, **kwargs):
    logger = MemoryLogger()
    model = Plain(net, loss, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    fit(
        model, rows(x, y), monitor or ActivationMonitor(every_n_steps=1), steps=steps, logger=logger, **kwargs
    )
    assert not has_hooks(model)
    return logger


class Functional(nn.Module):
    """The nonlinearity as a function in the forward pass: there is no module that could be hooked."""

    def __init__(self, function, width=10):
        super().__init__()
        self.hidden, self.head, self.function = nn.Linear(6, width), nn.Linear(width, 1), function

    def forward(self, x):
        return self.head(self.function(self.hidden(x)))


RELUS = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU(inplace)": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "Tensor.clamp": lambda x: x.clamp(min=0),
    "torch.clamp": lambda x: torch.clamp(input=x, min=0.0),
    "torch.clamp_": lambda x: torch.clamp_(x, 0),
}


@pytest.mark.parametrize("function", RELUS.values(), ids=RELUS.keys())
def test_planted_dead_units_are_found_exactly(function):
    net = Functional(function)
    with torch.no_grad():
        net.hidden.bias[[2, 5, 9]] = -1e3
    monitor = ActivationMonitor(every_n_steps=1)
    logged = watch(net, monitor=monitor)
    assert monitor.dead == {"00_net.hidden": [2, 5, 9]}
    assert logged.values["activation_dead_units/00_net.hidden"] == [
        (4, 3.0)
    ]  # said after a whole window, not before
    y = torch.relu(net.hidden(X)).double()
    assert logged.last("activation_mean/00_net.hidden") == pytest.approx(float(y.mean()), rel=1e-9)
    assert logged.last("activation_std/00_net.hidden") == pytest.approx(float(y.std(correction=0)), rel=1e-9)
    assert logged.last("activation_zero_fraction/00_net.hidden") == float((y == 0).double().mean()) >= 0.3
    assert not logged.tags("activation_saturated")


def test_a_unit_that_fires_once_in_the_window_is_alive():
    net = Functional(F.relu)
    with torch.no_grad():
        net.hidden.weight[0], net.hidden.bias[0] = 0.0, -1.0
        net.hidden.weight[0, 0] = 1.0
    x = torch.zeros(5 * 8, 6)
    x[19, 0] = 2.0  # one sample of the third of five batches
    logger, monitor = MemoryLogger(), ActivationMonitor(every_n_steps=1)
    model = Plain(net, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    fit(model, rows(x, torch.zeros(40, 1), batch_size=8), monitor, steps=5, logger=logger)
    assert 0 not in monitor.dead["00_net.hidden"]


@pytest.mark.parametrize("function", [nn.Sigmoid(), F.sigmoid, torch.sigmoid, lambda x: x.sigmoid()])
def test_planted_saturated_sigmoids(function):
    net = Functional(function)
    with torch.no_grad():
        net.hidden.weight.mul_(0.1)
        net.hidden.bias[:4] = torch.tensor([50.0, -50.0, 50.0, -50.0])
    logged = watch(net)
    assert logged.last("activation_saturated/00_net.hidden") == pytest.approx(0.4)
    assert logged.last("activation_dead_units/00_net.hidden") == 0


@pytest.mark.parametrize("function", [nn.Tanh(), torch.tanh, lambda x: x.tanh_()])
def test_planted_saturated_tanhs(function):
    net = Functional(function)
    with torch.no_grad():
        net.hidden.weight.mul_(0.1)
        net.hidden.bias[:3] = torch.tensor([9.0, -9.0, 9.0])
    assert watch(net).last("activation_saturated/00_net.hidden") == pytest.approx(0.3)


@pytest.mark.parametrize("norm", [nn.Identity(), nn.BatchNorm2d(4)], ids=["conv", "conv-norm"])
def test_the_unit_of_a_convolution_is_its_channel(norm):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(64, 1))
    dead_layer, name = (net[0], "00_net.0") if isinstance(norm, nn.Identity) else (norm, "01_net.1")
    with torch.no_grad():
        dead_layer.bias[1] = -1e3
    monitor = ActivationMonitor(every_n_steps=1)
    watch(net, x=torch.randn(8, 1, 6, 6), y=torch.zeros(8, 1), monitor=monitor)
    assert monitor.dead == {name: [1]}
    assert monitor.units == {name: 4}


class Recurrent(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn, self.head = rnn, nn.Linear(4, 1)

    def forward(self, x):  # (N, T, 6)
        output, _ = self.rnn(x)
        return self.head(output[:, -1])


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_modules_that_return_tuples(kind):
    net = Recurrent(kind(6, 4, batch_first=True))
    x = torch.randn(8, 5, 6)
    output = net.rnn(x)[0].detach().double()
    logged = watch(net, x=x, y=torch.zeros(8, 1))
    assert logged.last("activation_mean/00_net.rnn") == pytest.approx(float(output.mean()), rel=1e-9)
    assert logged.last("activation_saturated/00_net.rnn") == float((output.abs() > 0.95).double().mean())


def test_a_module_called_several_times_is_seen_every_time():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.Linear(6, 6), nn.Linear(6, 1)

        def forward(self, x):
            self.seen = []
            for _ in range(3):
                x = torch.tanh(self.cell(x))
                self.seen.append(x.detach())
            return self.head(x)

    net = Cell()
    logged = watch(net)
    seen = torch.stack(net.seen).double()
    assert logged.tags("activation_mean") == ["activation_mean/00_net.cell"]
    assert logged.last("activation_mean/00_net.cell") == pytest.approx(float(seen.mean()), rel=1e-9)
    assert logged.last("activation_std/00_net.cell") == pytest.approx(float(seen.std(correction=0)), rel=1e-9)


def test_two_nonlinearities_of_one_layer_have_two_names():
    logged = watch(Functional(lambda x: torch.tanh(x) * torch.sigmoid(x)))
    expected = ["activation_mean/00_net.hidden", "activation_mean/00_net.hidden.sigmoid"]
    assert logged.tags("activation_mean") == expected


def test_the_output_is_not_a_hidden_unit():
    """A good classifier's probabilities are saturated, and that is no trouble."""
    net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    assert watch(net).tags("activation_mean") == ["activation_mean/00_net.0"]


def test_validation_stays_out_and_accumulated_batches_count_together():
    net = Functional(F.relu)
    whole = watch(net, steps=6)
    logger = MemoryLogger()
    model = Plain(net, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    parts = {"accumulate_grad_batches": 2, "val": rows(1e6 * X, Y), "val_check_interval": 1}
    fit(model, rows(X, Y, batch_size=16), ActivationMonitor(every_n_steps=1), steps=6, logger=logger, **parts)
    for quantity in ("mean", "std", "zero_fraction", "dead_units"):
        tag = f"activation_{quantity}/00_net.hidden"
        assert [s for s, _ in whole.values[tag]] == [s for s, _ in logger.values[tag]]
        assert whole.last(tag) == pytest.approx(logger.last(tag), rel=1e-9)


def test_compiled_forward_is_seen():
    torch._dynamo.reset()
    net = Functional(F.relu)
    eager = watch(net)
    compiled = watch(torch.compile(net, backend="eager"))
    assert eager.values.keys() == compiled.values.keys()
    for tag in eager.values:
        assert eager.values[tag] == compiled.values[tag]


def test_activation_checkpointing_does_not_count_twice():
    """The forward pass runs again in the backward pass."""

    class Checkpointed(Functional):
        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(super().forward, x, use_reentrant=False)

    net = Checkpointed(F.relu)
    y = torch.relu(net.hidden(X)).double()
    logged = watch(net)
    assert logged.last("activation_mean/00_net.hidden") == pytest.approx(float(y.mean()), rel=1e-9)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="every_n_steps=-1"):
        ActivationMonitor(every_n_steps=-1)
    with pytest.raises(ValueError, match="window=0"):
        ActivationMonitor(window=0)


def test_nan_is_reported_and_not_raised():
    net = Functional(F.relu)
    with torch.no_grad():
        net.hidden.weight[0, 0] = math.nan
    assert math.isnan(watch(net).last("activation_mean/00_net.hidden"))


def test_the_window_goes_on_after_a_resume(tmp_path):
    net = Functional(F.relu)
    with torch.no_grad():
        net.hidden.bias[4] = -1e3
    model = Plain(net, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    path = tmp_path / "three.ckpt"
    fit(model, rows(X, Y), ActivationMonitor(every_n_steps=1), steps=3).save_checkpoint(path)
    logger = MemoryLogger()
    fit(model, rows(X, Y), ActivationMonitor(every_n_steps=1), steps=6, logger=logger, ckpt_path=path)
    assert logger.values["activation_dead_units/00_net.hidden"] == [(4, 1.0), (5, 1.0)]


def test_units_whose_number_changes_are_counted_anew():
    class Widening(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.calls = nn.Linear(6, 10), 0

        def forward(self, x):
            self.calls += 1
            width = 4 if self.calls <= 2 else 5
            return F.relu(self.hidden(x)[:, :width] - 1e3).sum(1, keepdim=True)

    monitor = ActivationMonitor(every_n_steps=1, window=2)
    net = nn.Sequential(Widening(), nn.Linear(1, 1))
    logged = watch(net, steps=4, monitor=monitor)
    assert logged.values["activation_dead_units/00_net.0.hidden"] == [(1, 4.0), (3, 5.0)]


def test_an_empty_batch_is_passed_over():
    """As in a detector where there is nothing to detect."""

    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.head, self.calls = nn.Linear(6, 4), nn.Linear(4, 1), 0

        def forward(self, x):
            self.calls += 1
            found = x[:0] if self.calls == 2 else x
            return self.head(F.relu(self.hidden(found))).sum(0, keepdim=True).expand(len(x), 1)

    logged = watch(Sometimes(), steps=3)
    assert [step for step, _ in logged.values["activation_mean/00_net.hidden"]] == [0, 2]
