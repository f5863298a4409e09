"""What is set for the whole process, and that importing this project sets nothing."""

import logging
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from runtime.process import is_for_users, prepare_process, report_failed_thread

ROOT = Path(__file__).parents[2]

STEPS = """
import resource, sys
import torch
from runtime.process import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no glibc")
x = torch.ones(1_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(1000):
    (x + 1) * 2  # 4 MB each, or a thousand pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", STEPS, way], capture_output=True, text=True)
    if "no glibc" in done.stderr:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_pages_are_asked_for_once() -> None:
    assert page_faults("keep") < 20_000  # else 80,000 and more


IMPORTS = """
import os, pkgutil, sys, threading, warnings
from importlib import import_module
# The libraries do change it.
import jsonargparse, matplotlib, optuna, pytorch_lightning, sklearn.datasets, torch, torchmetrics, torchvision, yaml
from pytorch_lightning.cli import LightningCLI

def world():
    hooks = threading.excepthook, sys.excepthook, dict(yaml.SafeDumper.yaml_multi_representers)
    settings = list(warnings.filters), dict(os.environ), dict(matplotlib.rcParams), torch.get_num_threads()
    return *hooks, *settings, optuna.logging.get_verbosity()

before = world()
for name in ("callbacks", "datamodules", "lit_models", "runtime", "sweeps", "pages", "cli"):
    package = import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        import_module(module.name)
print([k for k, (old, new) in enumerate(zip(before, world())) if old != new])
"""


def test_no_import_changes_the_world() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr


def test_the_entry_point_prepares_it_once() -> None:
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    with warnings.catch_warnings():
        prepare_process()
        filters, of_logger = list(warnings.filters), list(logger.filters)
        prepare_process()
        assert warnings.filters == filters
        assert logger.filters == of_logger
    assert threading.excepthook is report_failed_thread


@pytest.mark.parametrize(
    ("text", "shown"), [("Tip: buy", False), ("TPU available: False", False), ("GPU available: True", True)]
)
def test_what_is_for_users(text: str, shown: bool) -> None:
    assert is_for_users(logging.makeLogRecord({"msg": text})) == shown
