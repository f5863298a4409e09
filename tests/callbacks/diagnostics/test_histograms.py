"""Histograms have the range and the number of values of the tensors that they show."""

import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import callbacks.diagnostics.histograms as module
from callbacks.diagnostics.histograms import Histograms
from tests.callbacks.plain import Plain, fit, mlp, rows

X, Y = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), torch.zeros(8, 1)


def histograms(model, tmp_path, **kwargs):
    logger = TensorBoardLogger(tmp_path)
    fit(model, rows(X, Y), Histograms(2), steps=4, logger=logger, **kwargs)
    events = EventAccumulator(logger.log_dir, {"histograms": 0}).Reload()
    return {
        tag: [(event.step, event.histogram_value) for event in events.Histograms(tag)]
        for tag in events.Tags()["histograms"]
    }


def test_weights_and_hidden_activations_at_probe_steps(tmp_path):
    torch.manual_seed(0)
    model = Plain(mlp(4, 3, 1))
    before, hidden = model.net[0].weight.detach().clone(), model.net[:2](X).detach()
    found = histograms(model, tmp_path)
    assert set(found) == {"weights/00_net.0", "weights/01_net.2", "activations/00_net.0"}
    assert [step for step, _ in found["weights/00_net.0"]] == [0, 1, 3]
    for tag, tensor in (("weights/00_net.0", before), ("activations/00_net.0", hidden)):
        first = found[tag][0][1]
        assert first.num == tensor.numel()
        assert first.min == pytest.approx(tensor.min().item())
        assert first.max == pytest.approx(tensor.max().item())
        assert first.sum == pytest.approx(tensor.sum().item(), rel=1e-5)


def test_values_that_are_not_finite_are_left_out(tmp_path):
    model = Plain(mlp(4, 3, 1, activation=nn.ReLU))
    with torch.no_grad():
        model.net[0].weight[0, 0] = float("inf")
    assert histograms(model, tmp_path)["weights/00_net.0"][0][1].num == 11


def test_of_many_values_some_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_VALUES", 5)
    assert histograms(Plain(mlp(4, 3, 1)), tmp_path)["weights/00_net.0"][0][1].num == 4  # every third of 12
