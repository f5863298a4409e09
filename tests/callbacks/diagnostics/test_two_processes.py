"""Two processes with half of the batch each see what one process with the whole batch sees."""

import json
import os
from pathlib import Path

import pytest
import torch

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp, rows
from tests.processes import run_two


def train(devices):
    """Four steps of 64 samples; returns {tag: [(step, value), ...]} as process zero logged it."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 5), torch.randn(64, 1)
    model = Plain(mlp(5, 8, 8, 1, activation=torch.nn.ReLU))
    with torch.no_grad():
        model.net[0].bias[0] = -1e3
    parallel = {"strategy": "ddp", "devices": 2, "use_distributed_sampler": False} if devices == 2 else {}
    if devices == 2:
        rank = int(os.environ["LOCAL_RANK"])
        x, y = x[rank::2], y[rank::2]
    logger = MemoryLogger()
    watchers = [GradientMonitor(1), ActivationMonitor(1, window=2), NonFiniteGuard(), Diagnosis()]
    fit(model, rows(x, y), *watchers, steps=4, logger=logger, gradient_clip_val=0.1, **parallel)
    return dict(logger.values)


def write_values() -> int:
    values = train(2)
    if os.environ["LOCAL_RANK"] == "0":
        Path("two.json").write_text(json.dumps(values))
    return 0


def test_two_processes_are_one(tmp_path):
    run_two(write_values, folder=tmp_path)
    two, one = json.loads((tmp_path / "two.json").read_text()), train(1)
    assert two.keys() == one.keys()
    for tag, pairs in one.items():
        assert [step for step, _ in pairs] == [step for step, _ in two[tag]], tag
        assert [v for _, v in two[tag]] == pytest.approx([v for _, v in pairs], rel=1e-4, abs=1e-9), tag
    assert two["activation_dead_units/00_net.0"][-1] == [3, 1.0]
