"""Recurrent network that learns a series one step ahead and then forecasts it freely."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import MeanSquaredError

from lit_models.base import LitModel, Metrics

CELLS: dict[str, type[nn.RNN | nn.GRU | nn.LSTM]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class LitRNN(LitModel):
    """Reads x_1 ... x_t and predicts x_{t+1}, as x_t plus a learned difference.

    Training uses teacher forcing: every input is the true value (Williams and Zipser 1989). Evaluation forecasts
    freely: after the known part, each prediction is the next input.

    Args:
        hidden_size: numbers that the network remembers from step to step.
        num_layers: recurrent layers on top of each other.
        cell: "rnn" (Elman, tanh), "gru" (Cho et al. 2014) or "lstm" (Hochreiter and Schmidhuber 1997).
    """

    def __init__(
        self,
        *,
        hidden_size: int = 32,
        num_layers: int = 1,
        cell: Literal["rnn", "gru", "lstm"] = "gru",
        **base: Any,
    ) -> None:
        super().__init__(**base)
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}; it must be one of {', '.join(CELLS)}")
        num_features = self.require_shape("series", "T F")[-1]
        self.rnn = CELLS[cell](num_features, hidden_size, num_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, self.out_features)
        for metrics in (self.val_metrics, self.test_metrics):
            metrics["baseline_mse"] = MeanSquaredError()  # of repeating the last difference

    def forward(self, x: Tensor) -> Tensor:
        """Turn series (N, T, F) into one-step predictions (N, T, F); entry t is the prediction of x_{t+1}."""
        steps = torch.diff(x, dim=1, prepend=x[:, :1])
        return x + self.head(self.rnn(steps)[0])

    def forecast(self, x: Tensor, horizon: int) -> Tensor:
        """Continue the known series (N, T, F) by `horizon` steps (N, horizon, F), feeding predictions back."""
        hidden, state = self.rnn(torch.diff(x, dim=1, prepend=x[:, :1]))
        level, predictions = x[:, -1:], []
        for _ in range(horizon):
            step = self.head(hidden[:, -1:])
            level = level + step
            predictions.append(level)
            hidden, state = self.rnn(step, state)
        return torch.cat(predictions, dim=1)

    def update_metrics(self, metrics: Metrics, batch: Any) -> None:
        (known,), future, weight = self.unpack(batch)
        horizon = future.shape[1]
        forecast, truth = self.forecast(known, horizon), self.task.truth(future)
        prediction = self.task.predict(forecast)["prediction"]
        baseline = self.task.predict(repeat_last_difference(known, horizon))["prediction"]
        loss, total = self.task.mean_and_weight(forecast, future, weight)
        metrics["loss"].update(loss, weight=total)
        metrics["baseline_mse"].update(baseline.flatten(), truth.flatten())
        for name, metric in metrics.items():
            if name not in ("loss", "baseline_mse"):
                metric.update(prediction.flatten(), truth.flatten())

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """The free-running forecast (N, horizon, F)."""
        (known,), future, _ = self.unpack(batch)
        return self.task.predict(self.forecast(known, future.shape[1]))


def repeat_last_difference(x: Tensor, horizon: int) -> Tensor:
    """Continue each series (N, T, F) along the line through its last two values: (N, horizon, F)."""
    steps = torch.arange(1, horizon + 1, device=x.device, dtype=x.dtype)
    return x[:, -1:] + steps[:, None] * (x[:, -1:] - x[:, -2:-1])
