"""Pictures of a recurrent network: the forecast, and how far back its error reaches."""

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.pictures import Forecast, TimeDelta
from callbacks.pictures.time_delta import deltas_over_time
from tests.callbacks.pictures.plain import data_like, draw
from tests.callbacks.plain import Plain

STATISTICS = {"target_mean": 7.0, "target_std": 2.0}
DATA = data_like("regression", [6, 1], statistics=STATISTICS)


class Recurrent(Plain):
    """Predicts each next value; a forecast repeats the last."""

    def __init__(self, cell=nn.RNN, hidden_size=3, **options):
        torch.manual_seed(0)
        super().__init__(None)
        self.cell, self.head = cell(1, hidden_size, batch_first=True, **options), nn.Linear(hidden_size, 1)
        self.double().eval()

    def forward(self, x):
        return self.head(self.cell(x)[0])

    def forecast(self, x, horizon):
        return x[:, -1:].repeat(1, horizon, 1)


def test_the_forecast_shows_series_predictions_and_forecast_where_they_belong():
    model, series = Recurrent(), torch.randn(5, 10, 1).double()
    known, future = series[:, :6], series[:, 6:]
    figure = draw(Forecast(), model, DATA, known, future)["fit/forecast"]
    with torch.no_grad():
        one_step = model(known[:, :-1])
    assert len(figure.axes) == 4
    for row, axes in enumerate(figure.axes):
        drawn = {line.get_label(): line.get_xydata().T for line in axes.lines}
        np.testing.assert_allclose(drawn["series"], [np.arange(10), 2 * series[row, :, 0] + 7])
        np.testing.assert_allclose(drawn["one step ahead"], [np.arange(1, 6), 2 * one_step[row, :, 0] + 7])
        np.testing.assert_allclose(
            drawn["free forecast"], [np.arange(6, 10), [2 * known[row, -1, 0] + 7] * 4]
        )


def test_delta_over_time_of_one_tanh_unit_is_the_closed_form():
    """dL/dh_t = dL/dh_T times the product over s > t of w (1 - h_s^2)."""
    model, x = Recurrent(hidden_size=1), torch.randn(1, 8, 1).double()
    hidden = model.cell(x[:, :-1])[0][0, :, 0]
    error = model.head(hidden[-1:]) - x[0, -1]
    factor = (model.cell.weight_hh_l0 * (1 - hidden**2)).flatten().abs().detach().numpy()
    last = (2 * error * model.head.weight).abs().item()
    expected = [last * np.prod(factor[t + 1 :]) for t in range(7)]
    with torch.no_grad():
        assert deltas_over_time(model, x) == pytest.approx(np.array(expected), rel=1e-9)


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_delta_over_time_agrees_with_differences(cell, num_layers):
    """Of the first state: a small push to it changes the loss by delta times the push."""
    model, x = Recurrent(cell, num_layers=num_layers), torch.randn(2, 6, 1).double()
    state = model.cell(x[:, :1])[1]
    parts = [part.detach().requires_grad_() for part in (state if isinstance(state, tuple) else (state,))]
    rest = model.head(model.cell(x[:, 1:-1], tuple(parts) if len(parts) > 1 else parts[0])[0])
    loss = (rest[:, -1] - x[:, -1]).square().mean()
    gradients = torch.autograd.grad(loss, parts)
    expected = float(torch.cat([g.flatten() for g in gradients]).norm())
    with torch.no_grad():
        deltas = deltas_over_time(model, x)
    assert len(deltas) == 5
    assert deltas[0] == pytest.approx(expected, rel=1e-9)


def test_looking_back_leaves_nothing_behind():
    model, x = Recurrent(nn.GRU), torch.randn(2, 6, 1).double()
    (axes,) = draw(TimeDelta(), model, DATA, x, x)["depth/delta_over_time"].axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), deltas_over_time(model, x))
    assert axes.get_yscale() == "log"
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3, 4, 5]
    assert all(p.grad is None for p in model.parameters())
    assert not model.cell._forward_hooks


def test_other_networks_and_data_do_not_suit():
    assert TimeDelta().suits(Recurrent(), DATA)
    assert not TimeDelta().suits(Plain(nn.Linear(1, 1)), DATA)
    assert not TimeDelta().suits(
        Recurrent(), data_like("regression", [6, 1], out_features=4)
    )  # a whole forecast
    assert not Forecast().suits(Plain(nn.Linear(1, 1)), DATA)
    assert not Forecast().suits(Recurrent(), data_like("regression", [1]))
