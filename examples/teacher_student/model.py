"""Mean teacher: a network learns from few labels, and from its own average; Tarvainen and Valpola 2017.

https://arxiv.org/abs/1703.01780
"""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.teacher_student.data import UNLABELED
from lit_models.base import Batch, LitModel


class LitMeanTeacher(LitModel):
    """The student learns the labels, and for all points what the teacher says of a point nearby.

    The teacher's weights are the exponential average of the student's. They have no gradient, and are in every
    checkpoint, as all weights are. Validation, test and prediction ask the teacher.

    Args:
        width: units of the hidden layers.
        noise: deviation of what is added to the inputs of both, which are normalized.
        decay: of the average; at each step the teacher keeps so much of itself.
        consistency: weight of the agreement with the teacher; 0 learns from the labels alone.
        rampup_steps: in which this weight rises from almost 0.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        noise: float = 0.3,
        decay: float = 0.99,
        consistency: float = 50.0,
        rampup_steps: int = 500,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.noise, self.decay = noise, decay
        self.consistency, self.rampup_steps = consistency, rampup_steps
        (in_features,) = self.require_shape("rows of a table", "F")
        self.student = nn.Sequential(
            nn.Linear(in_features, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, self.out_features),
        )
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """The teacher's logits (N, K) of inputs (N, F)."""
        return self.teacher(x)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        logits = self.student(x + self.noise * torch.randn_like(x))
        with torch.no_grad():
            target = self.teacher(x + self.noise * torch.randn_like(x)).softmax(1)
        num_labels = (y != UNLABELED).sum().clamp(min=1)
        label_loss = F.cross_entropy(logits, y, ignore_index=UNLABELED, reduction="sum") / num_labels
        disagreement = F.mse_loss(logits.softmax(1), target)
        loss = label_loss + self.consistency * self.rampup() * disagreement
        if self.is_logged_step():
            losses = {"loss": loss, "label_loss": label_loss, "disagreement": disagreement}
            self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        return loss

    def rampup(self) -> float:
        """From exp(-5) to 1, as in the paper: at first the teacher knows nothing."""
        done = min(1.0, self.global_step / max(1, self.rampup_steps))
        return math.exp(-5 * (1 - done) ** 2)

    @torch.no_grad()
    def on_train_batch_end(self, *args: Any) -> None:
        for mean, weight in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            mean.lerp_(weight, 1 - self.decay)
