"""The mean absolute error of each of several outputs, which have names and units of their own."""

import torch
from torch import Tensor
from torchmetrics import Metric


class OutputErrors(Metric):
    """Mean absolute error (K,) of predictions (N, K); of predictions in another form nothing is counted."""

    higher_is_better = False
    sums: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("rows", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        if truth.ndim == 2:
            self.sums = self.sums + (prediction - truth).abs().sum(0)
            self.rows = self.rows + len(truth)

    def compute(self) -> Tensor:
        return self.sums / self.rows
