"""Fine-tuning: a network of torchvision that has learned another task learns a new one from few examples."""

from typing import Any

from torch import Tensor, nn
from torchvision.models import ShuffleNet_V2_X0_5_Weights, shufflenet_v2_x0_5

from lit_models.base import LitModel


class LitShuffleNet(LitModel):
    """ShuffleNet V2 with a new head; Ma et al. 2018, https://arxiv.org/abs/1807.11164.

    Args:
        weights: of torchvision to begin with, such as "DEFAULT" (ImageNet), which are downloaded. Weights of one's own
            runs are given as `pretrained`.
    """

    def __init__(self, *, weights: str | None = None, **base: Any) -> None:
        super().__init__(**base)
        self.weights = weights
        self.backbone = shufflenet_v2_x0_5()
        features = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.head = nn.Linear(features, self.out_features)

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.weights is not None and self.trainer.ckpt_path is None:
            saved = ShuffleNet_V2_X0_5_Weights[self.weights].get_state_dict(check_hash=True)
            self.backbone.load_state_dict(saved, strict=False)  # all but `fc`, which is replaced
        super().setup(stage)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, 3, H, W), or gray ones (N, 1, H, W), into logits (N, K)."""
        return self.head(self.backbone(x.expand(-1, 3, -1, -1)))
