"""What is set for the whole process, once, by the entry point: importing a module of this project changes nothing."""

import ctypes
import logging
import os
import sys
import threading
import warnings
from enum import Enum

import yaml
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

# From glibc's malloc.h; the second is as large as it may be on 64 bits, HEAP_MAX_SIZE / 2.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20

NOT_FOR_USERS = (
    "LightningCLI's args parameter is intended",
    ".*treespec, LeafSpec.*",  # Lightning's own use of a deprecated test
    "Checkpoint directory .* exists and is not empty",  # a run that is resumed has checkpoints
    "Be aware that when using `ckpt_path`",  # an evaluation saves nothing
)


def prepare_process() -> None:
    """Set filters, hooks and memory; a second call changes nothing."""
    hide_noise()
    keep_freed_memory()
    # Lightning's Timer has an Enum for the default of a string, which YAML cannot write by itself.
    yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))
    # TensorBoard's writing thread ends with a traceback where the disk is full; its error comes to the main thread, too.
    threading.excepthook = report_failed_thread
    # Lightning sets this on import; on a machine without a GPU each optimizer step would ask the driver again (130 us).
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def hide_noise() -> None:
    """Leave out what libraries say that a user can do nothing about."""
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message=message)
    if (
        "SLURM_JOB_ID" not in os.environ
    ):  # where SLURM is installed, Lightning wants every run to be one of its jobs
        warnings.filterwarnings("ignore", message="The `srun` command is available")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(is_no_tip)


def is_no_tip(record: logging.LogRecord) -> bool:
    """Whether Lightning's message is more than advertising."""
    return "Tip:" not in record.msg


def report_failed_thread(failure: threading.ExceptHookArgs) -> None:
    """One line instead of a traceback."""
    rank_zero_warn(f"{failure.exc_type.__name__}: {failure.exc_value}")


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, instead of giving it back to the system; whether that could be set.

    A tensor of a few megabytes is asked of the system anew in every step, page by page, which costs a convolutional
    network on a processor more than all that Lightning does. On other systems than Linux with glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    trimmed = mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    return bool(trimmed and mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD))
