"""`train.py check`: the check-up alone. Nothing is trained, and nothing is written."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks import Checkup
from callbacks.checkup.report import full
from cli.build import build
from cli.request import Request, option_values, prepare
from cli.sweep import QUIET
from runtime.errors import UsageError
from sweeps.trials import silence

ALONE = [
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.min_epochs=null",  # it stops before the first epoch
    "--trainer.min_steps=null",
    "--diagnostics=false",
]
MAX_SECONDS = 6.0  # starting up takes some more


class StopBeforeFirstStep(Callback):
    """Ends the training when it has begun."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = True


def main(words: Sequence[str]) -> int:
    """Check, and print everything; returns the exit code.

    Raises:
        UsageError: for a wrong command.
    """
    if option_values(words, "--resume") or option_values(words, "--ckpt_path"):
        raise UsageError(
            "check looks at a training before its first step; leave out --resume and --ckpt_path"
        )
    request = prepare(["fit", *words])
    checkup = Checkup(MAX_SECONDS, thorough=True)
    # One folder deeper, so that a wrong flag can remove the run's folder.
    with tempfile.TemporaryDirectory() as scratch:
        (folder := Path(scratch) / "run").mkdir()
        words = [*QUIET, *request.args[1:], *ALONE]
        with silence():
            run = build(
                Request("fit", ["fit", *words]), callbacks=(checkup, StopBeforeFirstStep()), folder=folder
            )
            run.fit()
    print(full(checkup))
    return int(bool(checkup.why_not) or any(verdict.severity == "fail" for verdict in checkup.verdicts))
