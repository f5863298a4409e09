"""The summary that is printed before training, against counts by hand."""

import pytest
import torch
from torch import nn

from callbacks import LayerSummary
from callbacks.summary import MAX_ROWS, different_rates, summary
from lit_models import LitConvNet, LitMLP
from tests.callbacks.plain import Plain, fit, mlp, rows


def test_one_line_per_layer_with_shapes_and_counts() -> None:
    assert summary(LitMLP(in_shape=[2], hidden_sizes=[2])) == [
        "LitMLP: 9 parameters",
        "  layers.0  Linear  weight 2 x 2, bias 2  6",
        "  layers.2  Linear  weight 1 x 2, bias 1  3",
    ]


def test_convolutions() -> None:
    lines = summary(LitConvNet(in_shape=[1, 8, 8], out_features=10, task="multiclass", channels=[4]))
    assert lines[1].split() == [
        "blocks.0.0",
        "Conv2d",
        "weight",
        "4",
        "x",
        "1",
        "x",
        "3",
        "x",
        "3,",
        "bias",
        "4",
        "40",
    ]


def test_frozen_and_lazy_parameters() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LazyLinear(2))
    model[0].bias.requires_grad = False
    assert summary(model)[0] == "Sequential: 16 parameters, 4 of them frozen"


def test_a_scalar_and_nothing_to_learn() -> None:
    model = nn.PReLU()
    assert summary(model) == ["PReLU: 1 parameter", "  root  PReLU  weight 1  1"]
    assert summary(nn.Flatten()) == ["Flatten: 0 parameters"]


def test_of_many_layers_the_middle_ones_are_left_out() -> None:
    lines = summary(nn.Sequential(*(nn.Linear(2, 2) for _ in range(50))))
    assert len(lines) == MAX_ROWS + 2
    assert "... 20 more layers" in lines[MAX_ROWS // 2 + 1]
    assert lines[-1].split()[0] == "49"


def test_rates_of_layers_are_shown_where_they_differ() -> None:
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    model[0].requires_grad_(False)
    groups = [
        {"params": [model[0].weight, model[1].weight], "lr": 0.1},
        {"params": [model[1].bias, *model[2].parameters()], "lr": 0.2},
    ]
    optimizer = torch.optim.SGD(groups)
    torch.optim.lr_scheduler.LinearLR(optimizer, 0.001)  # a warm-up has lowered the rates
    assert [line[-17:].strip() for line in summary(model, different_rates([optimizer]))[1:]] == [
        "6  frozen",
        "6  lr 0.1 to 0.2",
        "6  lr 0.2",
        "6",
    ]
    assert different_rates([torch.optim.SGD(model.parameters(), lr=0.1)]) == {}


def test_it_is_printed_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    fit(Plain(mlp(2, 3, 1)), rows(torch.zeros(4, 2), torch.zeros(4, 1)), LayerSummary())
    assert capsys.readouterr().out.splitlines()[0] == "Plain: 13 parameters"
