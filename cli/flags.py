"""The flags that Lightning's command line lacks."""

from typing import Any, Literal

from jsonargparse.typing import PositiveInt
from pytorch_lightning.cli import LightningArgumentParser


def add_flags(parser: LightningArgumentParser) -> None:
    """Add the flags of all commands; a new one must also go into `SETTINGS` of `cli/config_files.py`."""
    parser.add_argument(
        "--run_name", type=str | None, help="Folder below runs/; by default the config's name."
    )
    parser.add_argument(
        "--tag",
        type=list[str] | str | None,
        help="A word, or a list of them, by which `runs --tag` finds the run.",
    )
    parser.add_argument("--resume", type=str | None, help="Folder of a run to resume (fit only).")
    parser.add_argument("--debug", type=bool, default=False, help="Show the traceback of an error.")
    parser.add_argument("--monitor", type=str, default="val/loss", help="Metric that chooses best.ckpt.")
    parser.add_argument(
        "--monitor_mode",
        type=Literal["min", "max"] | None,
        help="Whether the best is the smallest or the largest; needed where the metric's name does not say it.",
    )
    parser.add_argument(
        "--save_every_n_steps",
        type=PositiveInt | None,
        help="Write last.ckpt within an epoch as well, after so many steps; by default after 5 minutes.",
    )
    parser.add_argument("--checkup", type=bool, default=True, help="Look for mistakes before the first step.")
    parser.add_argument("--diagnostics", type=bool, default=True, help="Watch gradients and activations.")
    parser.add_argument(
        "--histograms", type=bool, default=False, help="TensorBoard: histograms of weights and activations."
    )
    parser.add_argument("--pictures", type=bool, default=True, help="Draw what the network has learnt.")
    parser.add_argument("--page", type=bool, default=True, help="Write report.html, the page of the run.")
    parser.add_argument(
        "--graph", type=bool, default=False, help="Replay the training step as a CUDA graph (docs/gpu.md)."
    )
    parser.add_argument(
        "--sweep",
        type=dict[str, Any] | None,
        help="What the command sweep varies; fit itself ignores it.",
    )
