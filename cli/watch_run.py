"""`train.py watch RUN`: a run that another process trains, or that has ended. Nothing is written."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.build import build
from cli.config_files import check_config
from cli.request import Request, take_flag
from cli.trust import allowed_imports
from pages.watch.controls import Controls
from pages.watch.follower import Follower
from pages.watch.server import Server
from pages.watch.show import Show
from runtime.read_checkpoint import read_checkpoint
from sweeps.trials import silence

ALONE = [
    "--trainer.logger=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.devices=1",
    "--trainer.limit_val_batches=1",
    "--trainer.fast_dev_run=false",
]


def follow(folder: Path, words: Sequence[str], controls: Controls, server: Server) -> None:
    """Show a run until a signal comes.

    Args:
        folder: of the run.
        words: further flags, such as `--data.data_dir`.
        controls: what the pages ask for.
        server: of the pages.
    """
    trust, words = take_flag(words, "--trust")
    config = folder / "config.yaml"
    check_config("validate", config)
    show = Show(controls, server.publish, f"{folder.parent.name} {folder.name}")
    follower = Follower(folder, controls, show, weights_of)
    server.pictures = folder / "pictures"
    path = follower.checkpoint
    args = [
        "validate",
        f"--config={config}",
        *words,
        *ALONE,
        f"--ckpt_path={'null' if path is None else path}",
    ]
    imports = allowed_imports(config, trust, words)
    with tempfile.TemporaryDirectory() as scratch, silence():
        (own := Path(scratch) / "run").mkdir()
        run = build(Request("validate", args, imports=imports), callbacks=(follower,), folder=own)
        run.validate()


def weights_of(path: Path) -> dict[str, Any]:
    """The weights in a checkpoint."""
    return read_checkpoint(path)["state_dict"]
