"""What holds for a whole epoch, and a profiler that measures nothing."""

import pytest
import torch

from runtime.step_plan import NoProfiler
from tests.callbacks.plain import Plain, fit, mlp, rows

X = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
Y = X.sum(1, keepdim=True)


def trained_weights(profiler: NoProfiler | None) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    model = Plain(mlp(4, 3, 1))
    fit(model, rows(X, Y), steps=5, profiler=profiler)
    return model.state_dict()


def test_without_a_profiler_the_weights_are_the_same_to_the_bit() -> None:
    usual, lean = trained_weights(None), trained_weights(NoProfiler())
    assert all(torch.equal(usual[name], lean[name]) for name in usual)


def test_an_error_in_what_would_be_profiled_comes_through() -> None:
    with pytest.raises(ZeroDivisionError), NoProfiler().profile("anything"):
        _ = 1 / 0
