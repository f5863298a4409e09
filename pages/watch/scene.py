"""What all scenes have: a scene is what is shown of the data, and of each unit on them."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from pages.watch.columns import Column

Units = list[dict[str, Any]]  # small pictures, each a plain dict of `frames.unit`


class Scene:
    """A scene without a picture: the page shows losses, layers and findings only.

    Args:
        why: why there is none.
    """

    kind = "none"
    num_inputs = 0  # units of the input, from which edges begin; 0 for no edges

    def __init__(self, why: str = "") -> None:
        self.why = why

    def hello(self) -> dict[str, Any]:
        """What stays the same over the frames."""
        return {"why": self.why}

    def probe(self) -> Tensor | None:
        """What passes through the network, so that units can be shown."""
        return None

    def inputs(self) -> Units:
        """The input, or its parts."""
        return []

    def state(self, column: Column) -> tuple[Units, int]:
        """What the first layer with weights reads, if it is not the input; and how many units that has."""
        return [], 0

    def units(self, column: Column, *, is_output: bool) -> tuple[Units, int]:
        """Units of a layer, and how many it has."""
        return [], column.units

    def output(self, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The large picture: what the network says."""
        return {}

    def add_points(self, batch: Any) -> bool:
        """Draw the points of a batch of training, too; whether any were added."""
        return False

    def change(self, change: dict[str, Any]) -> None:
        """Do what a page asks for."""
