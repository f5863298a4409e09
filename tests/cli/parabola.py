"""A problem whose largest learning rate is known."""

from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"
# Least squares on normalized x and y: the loss is a parabola of curvature 2 in the weight and in the bias.
PARABOLA = [
    "--config",
    str(CONFIGS / "linear_regression.yaml"),
    "--model.optimizer=SGD",
    "--trainer.accelerator=cpu",
]
