"""The recurrent network: nothing is read of the future, and forecasts step by step."""

import pytest
import torch

from tests.lit_models.cases import make, make_batch


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_teacher_forcing_sees_no_future(cell: str) -> None:
    model, (x, _) = make(f"rnn-{cell}"), make_batch(f"rnn-{cell}")
    x.requires_grad_()
    model(x)[:, 5].sum().backward()
    assert x.grad is not None
    assert x.grad[:, :6].any(0).all()
    assert not x.grad[:, 6:].any()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_forecast_equals_a_loop_that_reads_everything_anew(cell: str, num_layers: int) -> None:
    model, (x, _) = make(f"rnn-{cell}", num_layers=num_layers), make_batch(f"rnn-{cell}")
    series = x
    for _ in range(7):
        series = torch.cat([series, model(series)[:, -1:]], dim=1)
    torch.testing.assert_close(model.forecast(x, 7), series[:, x.shape[1] :])


def test_forecast_continues_from_the_level_of_the_series() -> None:
    """It learns differences, so a shifted series has the shifted forecast."""
    model, (x, _) = make("rnn-gru"), make_batch("rnn-gru")
    torch.testing.assert_close(model.forecast(x + 100, 5), model.forecast(x, 5) + 100, atol=1e-3, rtol=0)
