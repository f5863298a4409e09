"""What the entry point sets once for the whole process. Importing a module of this project changes nothing."""

import ctypes
import logging
import os
import sys
import threading
import warnings
from enum import Enum

import yaml
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

# From glibc's malloc.h; the second is the largest value allowed on 64 bits, HEAP_MAX_SIZE / 2.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20

NOT_FOR_USERS = (
    "LightningCLI's args parameter is intended",
    ".*treespec, LeafSpec.*",  # Lightning's own use of a deprecated test
    "Checkpoint directory .* exists and is not empty",  # a resumed run has checkpoints
    "Be aware that when using `ckpt_path`",  # an evaluation saves nothing
)


def prepare_process() -> None:
    """Set filters, hooks and memory; a second call changes nothing."""
    hide_noise()
    keep_freed_memory()
    # Lightning's Timer has an Enum as the default of a string; YAML cannot write it without help.
    yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))
    # If the disk is full, TensorBoard's writing thread ends with a traceback; the main thread gets the error, too.
    threading.excepthook = report_failed_thread
    # Lightning sets this on import; without a GPU, each optimizer step would ask the driver again (130 us).
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def hide_noise() -> None:
    """Hide messages of libraries that a user can do nothing about."""
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message=message)
    if "SLURM_JOB_ID" not in os.environ:  # if SLURM is installed, Lightning wants every run to be a SLURM job
        warnings.filterwarnings("ignore", message="The `srun` command is available")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(is_for_users)


def is_for_users(record: logging.LogRecord) -> bool:
    """Whether Lightning's message is neither advertising nor repeated in the next line."""
    return not any(part in record.msg for part in ("Tip:", "TPU available: False", "Restoring states from"))


def report_failed_thread(failure: threading.ExceptHookArgs) -> None:
    """Print one line instead of a traceback."""
    rank_zero_warn(f"{failure.exc_type.__name__}: {failure.exc_value}")


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory instead of returning it to the system; returns whether that worked.

    Otherwise every step requests a tensor of a few megabytes from the system again, page by page. On a CPU this costs
    a convolutional network more than all of Lightning's work. Nothing is done except on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    trimmed = mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    return bool(trimmed and mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD))
