"""Mean teacher: a network learns from few labels, and from its own average; Tarvainen and Valpola 2017.

https://arxiv.org/abs/1703.01780
"""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.augment import random_affine
from examples.teacher_student.data import UNLABELED
from lit_models.base import Batch, LitModel


class LitMeanTeacher(LitModel):
    """The student learns the labels, and for all images what the teacher says of another view of them.

    The teacher's weights are the exponential average of the student's. They have no gradient, and are in every
    checkpoint, as all weights are. Validation, test and prediction ask the teacher.

    Args:
        width: channels of the first convolution.
        decay: of the average; the teacher keeps so much of itself at each step.
        consistency: weight of the agreement with the teacher; 0 learns from the labels alone.
        rampup_steps: in which this weight rises from 0.
    """

    def __init__(
        self,
        *,
        width: int = 16,
        decay: float = 0.99,
        consistency: float = 20.0,
        rampup_steps: int = 200,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.require_shape("images", "C H W")
        self.decay, self.consistency, self.rampup_steps = decay, consistency, rampup_steps
        self.student = convnet(width, self.out_features)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, 1, 28, 28) into logits (N, K)."""
        return self.student(x) if self.training else self.teacher(x)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        logits = self.student(random_view(x))
        with torch.no_grad():
            target = self.teacher(random_view(x)).softmax(1)
        is_labeled = y != UNLABELED
        label_loss = F.cross_entropy(
            logits, y, ignore_index=UNLABELED, reduction="sum"
        ) / is_labeled.sum().clamp(min=1)
        agreement = F.mse_loss(logits.softmax(1), target)
        loss = label_loss + self.consistency * self.rampup() * agreement
        if self.is_logged_step():
            self.log_dict({"train/loss": loss, "train/label_loss": label_loss, "train/agreement": agreement})
        return loss

    def rampup(self) -> float:
        """From 0 to 1, as in the paper: at first the teacher knows nothing."""
        done = min(1.0, self.global_step / max(1, self.rampup_steps))
        return math.exp(-5 * (1 - done) ** 2)

    @torch.no_grad()
    def on_train_batch_end(self, *args: Any) -> None:
        for mean, weight in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            mean.lerp_(weight, 1 - self.decay)


def convnet(width: int, num_classes: int) -> nn.Sequential:
    """Three convolutions that halve the image, then a linear layer: (N, 1, 28, 28) to (N, K)."""
    layers: list[nn.Module] = []
    for before, after in ((1, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 4 * 4, num_classes))


def random_view(x: Tensor) -> Tensor:
    """Images (N, 1, 28, 28), each shifted, rotated and scaled at random."""
    return random_affine(x, degrees=10, shift=2, scale=0.1)
