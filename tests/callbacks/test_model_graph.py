"""The graph of a network: it names its layers, and leaves no trace in the training."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader

from callbacks import GradientMonitor
from callbacks.model_graph import ModelGraph
from runtime.tensorboard import BufferedTensorBoardLogger
from tests.callbacks.plain import MemoryLogger, Plain, fit, has_hooks, mlp, rows

X, Y = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), torch.zeros(8, 1)
DICTS = DataLoader([{"x": x} for x in X], batch_size=4)


def train(model, tmp_path, *callbacks, batches=None, steps=3):
    torch.manual_seed(0)
    logger = BufferedTensorBoardLogger(tmp_path, default_hp_metric=False)
    fit(model, batches or rows(X, Y, batch_size=4), *callbacks, steps=steps, logger=logger)
    return EventAccumulator(logger.log_dir).Reload()


def dropout_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))


def test_the_graph_has_the_layers(tmp_path):
    events = train(Plain(mlp(4, 3, 1)), tmp_path, ModelGraph())
    names = [node.name for node in events.Graph().node]
    for layer in ("Linear[0]", "Sigmoid[1]", "Linear[2]"):
        assert any(layer in name for name in names)


def test_weights_buffers_and_random_numbers_are_those_of_a_training_without(tmp_path):
    with_graph, without = Plain(dropout_net()), Plain(dropout_net())
    train(with_graph, tmp_path / "with", ModelGraph(), GradientMonitor(1))
    after_with = torch.rand(1)
    train(without, tmp_path / "without", GradientMonitor(1))
    assert torch.equal(after_with, torch.rand(1))
    assert with_graph.state_dict().keys() == without.state_dict().keys()
    for name, value in with_graph.state_dict().items():
        assert torch.equal(value, without.state_dict()[name]), name
    assert with_graph.training
    assert not has_hooks(with_graph)


class Several(Plain):
    """Its batch begins with a dict, so `forward` gets something that cannot be traced."""

    def training_step(self, batch, batch_idx):
        return self.net(batch["x"]).mean()


class Undecided(Plain):
    def forward(self, x):
        raise RuntimeError("there is no forward here")

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).mean()


@pytest.mark.parametrize(
    ("model", "batches", "words"),
    [
        (Several, DICTS, "the batch begins with dict"),
        (Undecided, None, "there is no forward here"),
    ],
)
def test_what_cannot_be_traced_has_no_graph_which_one_line_says(
    model, batches, words, tmp_path, caplog, capsys
):
    with caplog.at_level("INFO", logger="pytorch_lightning.utilities.rank_zero"):
        events = train(model(mlp(4, 3, 1)), tmp_path, ModelGraph(), batches=batches)
    assert not events.Tags()["graph"]
    (line,) = [record.message for record in caplog.records if "graph" in record.message]
    assert line.startswith("TensorBoard shows no graph: ")
    assert words in line
    assert "Error occurs" not in capsys.readouterr().out


class WithExample(Several):
    def __init__(self, net):
        super().__init__(net)
        self.example_input_array = torch.zeros(2, 4)


def test_an_example_of_the_module_comes_first(tmp_path):
    assert train(WithExample(mlp(4, 3, 1)), tmp_path, ModelGraph(), batches=DICTS).Tags()["graph"]


def test_a_copy_is_traced(monkeypatch):
    traced = []

    class Logger(MemoryLogger):
        def write_graph(self, module, inputs):
            traced.append((module, inputs))

    model = Plain(mlp(4, 3, 1))
    fit(model, rows(X, Y), ModelGraph(), steps=3, logger=Logger())
    ((module, inputs),) = traced
    assert module is not model
    assert all(mine is not own for mine, own in zip(module.parameters(), model.parameters(), strict=True))
    assert torch.equal(inputs, X)
    assert not module.training


def test_loggers_that_keep_no_graph_cost_no_copy(monkeypatch):
    monkeypatch.setattr(copy, "deepcopy", lambda *args: pytest.fail("a copy was made"))
    callback = ModelGraph()
    fit(Plain(mlp(4, 3, 1)), rows(X, Y), callback, steps=1, logger=MemoryLogger())
    assert not callback.watches_next_step(pl.Trainer(logger=False, enable_checkpointing=False))
