"""What the Trainer is plugged into: the disk and the cluster."""

from typing import Any

from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from runtime.checkpoint_io import AtomicIO


def complete(given: Any) -> list[Any]:
    """The config's plugins, and where it has none of its own, checkpoints that are whole and SLURM as we use it.

    Lightning's own way with SLURM saves inside a signal handler, and resumes whatever `hpc_ckpt` it finds.
    """
    plugins = [each for each in (given if isinstance(given, list) else [given]) if each is not None]
    if not any(isinstance(each, CheckpointIO) for each in plugins):
        plugins.append(AtomicIO())
    chosen = any(isinstance(each, ClusterEnvironment) for each in plugins) or TorchElasticEnvironment.detect()
    if not chosen and SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins
