"""A flag that switches something off wins over a callback of the config that needs it.

Lightning refuses such a pair. But no flag takes a callback of a config away for one launch, and `check`, `tune-lr`,
`watch` and `sweep` switch off what they do not need.
"""

from collections.abc import Sequence

from jsonargparse import Namespace
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import Checkpoint, DeviceStatsMonitor, LearningRateMonitor, ProgressBar
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.pictures.base import Picture

NEEDED_BY: dict[str, tuple[type[Callback], ...]] = {
    "pictures": (Picture,),
    "trainer.enable_checkpointing": (Checkpoint,),
    "trainer.enable_progress_bar": (ProgressBar,),
    "trainer.logger": (LearningRateMonitor, DeviceStatsMonitor),
}


def not_switched_off(callbacks: Sequence[Callback], settings: Namespace) -> list[Callback]:
    """The callbacks of the config without those that need what a setting switches off; a warning names these."""
    kept = list(callbacks)
    for name, kinds in NEEDED_BY.items():
        out = [each for each in kept if isinstance(each, kinds)] if settings[name] is False else []
        kept = [each for each in kept if each not in out]
        if out and name != "pictures":
            names = ", ".join(type(each).__name__ for each in out)
            rank_zero_warn(f"--{name} false leaves out {names} of the config")
    return kept
