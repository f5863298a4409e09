"""With what a run runs: the versions of the libraries, the machine."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy
import pytorch_lightning as pl
import torch
import torchmetrics
from pytorch_lightning import Trainer


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that decide what a run computes."""
    libraries = {"torch": torch, "pytorch-lightning": pl, "torchmetrics": torchmetrics, "numpy": numpy}
    return {"python": platform.python_version()} | {
        name: str(library.__version__) for name, library in libraries.items()
    }


def machine(trainer: Trainer | None) -> dict[str, Any]:
    """The computer, and the part of it that this Trainer uses; None for networks that are trained without one."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": memory_gib(),
        "accelerator": accelerator(trainer.strategy.root_device) if trainer else "",
        "processes": trainer.world_size if trainer else 1,
        "precision": str(trainer.precision) if trainer else "32-true",
    }


def processor() -> str:
    """The model of the processor if the system says it, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_gib() -> float | None:
    """Size of the main memory in GiB; None if the system does not say it."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def accelerator(device: torch.device) -> str:
    """The name of the device that the first process trains on."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
