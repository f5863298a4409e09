"""The factor lasts for one step, for every kind of rate."""

import pytest
import torch
from torch import Tensor

from pages.watch.rate import RateFactor, rate_of


@pytest.mark.parametrize("rate", [0.5, torch.tensor(0.5)])
def test_a_step_is_so_many_times_as_long_and_the_rate_stays(rate: float | Tensor) -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.SGD([{"params": [weight]}], lr=rate)
    factors = [1.0]
    hooks = RateFactor([optimizer, object()], lambda: factors[-1])
    moved = []
    for factor in (1.0, 4.0, 1.0):
        factors.append(factor)
        before = weight.item()
        weight.grad = torch.tensor([0.25])
        optimizer.step()
        moved.append(before - weight.item())
        assert rate_of([optimizer]) == 0.5
    assert moved == [0.125, 0.5, 0.125]
    hooks.remove()
    factors.append(4.0)
    before = weight.item()
    optimizer.step()
    assert before - weight.item() == 0.125


def test_an_optimizer_without_a_rate() -> None:
    assert rate_of([object()]) is None
