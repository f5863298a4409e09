"""Networks that begin with huge outputs."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.signal import signal_at_the_start
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
CLASS, AMOUNT = X[:, :3].argmax(1), X[:, :1] * 3


def scaled(factor, *sizes, all_layers=False):
    torch.manual_seed(0)
    net = mlp(*sizes, activation=nn.ReLU)
    with torch.no_grad():
        for layer in net if all_layers else [net[-1]]:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(factor)
    return net


@pytest.mark.parametrize(
    ("net", "loss", "target", "kinds"),
    [
        (scaled(1, 20, 50, 3), F.cross_entropy, CLASS, []),
        (scaled(10, 20, 50, 3), F.cross_entropy, CLASS, []),
        (scaled(40, 20, 50, 3), F.cross_entropy, CLASS, [("initial loss too high", "info")]),
        (scaled(500, 20, 50, 3), F.cross_entropy, CLASS, [("initial loss too high", "warn")]),
        (
            scaled(12, *[20] * 6, 3, all_layers=True),
            F.cross_entropy,
            CLASS,
            [("signal grows from layer to layer", "warn")],
        ),
        (scaled(1, 20, 50, 1), F.mse_loss, AMOUNT, []),
        (scaled(1, 20, 50, 1), F.mse_loss, AMOUNT / 1e4, []),  # small targets, but no large outputs
        (scaled(1, 20, 50, 1), F.mse_loss, AMOUNT * 1e4, []),
        (
            scaled(12, *[20] * 6, 1, all_layers=True),
            F.mse_loss,
            AMOUNT,
            [("signal grows from layer to layer", "warn")],
        ),
        (
            scaled(12, *[20] * 6, 1, all_layers=True),
            lambda p, y: ((p - y) ** 2).mean(),
            AMOUNT,
            [("signal grows from layer to layer", "warn")],
        ),
    ],
)
def test_networks(net, loss, target, kinds):
    assert found(Plain(net, loss), rows(X, target), signal_at_the_start) == kinds


def test_confident_and_wrong_is_no_fault():
    """Pretrained for the same classes in another order: every answer is wrong, with a margin of 5."""
    net = nn.Linear(20, 3)
    with torch.no_grad():
        net.weight.zero_()
        net.weight[torch.arange(3), torch.tensor([1, 2, 0])] = 3.0
    assert found(Plain(net, F.cross_entropy), rows(X, CLASS), signal_at_the_start) in (
        [],
        [("initial loss too high", "info")],
    )


def test_raw_units_explain_large_outputs():
    """Ages from 0 to 80: not the initialization's fault."""
    ages = 40 + 20 * X
    observer = examine(Plain(scaled(5, 20, 50, 3), F.cross_entropy), rows(ages, CLASS), signal_at_the_start)
    assert observer.verdicts == []
    assert "inputs of rms 4" in observer.why_not[0]


def test_class_weights_and_sums_do_not_count():
    loss = nn.CrossEntropyLoss(torch.tensor([100.0, 1, 1]), reduction="sum")
    assert found(Plain(scaled(1, 20, 50, 3), loss), rows(X, CLASS), signal_at_the_start) == []
