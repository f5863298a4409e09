"""Weights cut into shards, as FSDP2 does it, over two processes: the callbacks report what they report of one process.

DTensors behave on the CPU, over gloo, as they do on GPUs.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp, rows
from tests.processes import run_two

STEPS = 4


class Planted(Plain):
    """In the last step one NaN, in the last row of the second layer's gradient: the second process holds that row."""

    def on_after_backward(self) -> None:
        gradient = self.net[2].weight.grad
        if isinstance(gradient, DTensor):
            gradient = gradient.to_local()
        if self.global_step == STEPS - 1 and self.trainer.global_rank == self.trainer.world_size - 1:
            gradient[-1, -1] = torch.nan


class Sharded(Planted):
    """Each linear layer is sharded by itself; the 7 rows of one do not divide by 2."""

    def configure_model(self) -> None:
        for module in (self.net[0], self.net[2], self.net[4], self.net):
            fully_shard(module, mesh=self.device_mesh["data_parallel"])


def train(processes: int) -> dict[str, Any]:
    """Train on 64 samples; returns {tag: [[step, value], ...]} and the guard's reports, as process zero has them."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 5), torch.randn(64, 1)
    net = mlp(5, 8, 7, 1, activation=torch.nn.ReLU)
    with torch.no_grad():
        net[0].bias[0] = -1e3
    logger, guard = MemoryLogger(), NonFiniteGuard()
    watchers = [GradientMonitor(1), ActivationMonitor(1, window=2), guard, Diagnosis()]
    options: dict[str, Any] = {
        "steps": STEPS,
        "logger": logger,
        "gradient_clip_val": 0.1,
        "log_every_n_steps": 1,
    }
    model: Planted = Planted(net)
    if processes == 2:
        rank = int(os.environ["LOCAL_RANK"])
        x, y = x[rank::2], y[rank::2]
        strategy = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
        options |= {"strategy": strategy, "devices": 2, "use_distributed_sampler": False}
        model = Sharded(net)
    fit(model, rows(x, y), *watchers, **options)
    if processes == 2:
        assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
    return {"values": dict(logger.values), "reports": guard.reports}


def write_result() -> int:
    result = train(2)
    if os.environ["LOCAL_RANK"] == "0":
        Path("two.json").write_text(json.dumps(result))
    return 0


def test_shards_add_up_to_the_whole(tmp_path: Path) -> None:
    run_two(write_result, folder=tmp_path)
    two, one = json.loads((tmp_path / "two.json").read_text()), train(1)
    assert two["values"].keys() == one["values"].keys()
    for tag, pairs in one["values"].items():
        found = two["values"][tag]
        assert [step for step, _ in pairs] == [step for step, _ in found], tag
        expected = pytest.approx([v for _, v in pairs], rel=1e-4, abs=1e-9, nan_ok=True)
        assert [v for _, v in found] == expected, tag
    assert two["values"]["nonfinite/01_net.2"][-1] == [STEPS - 1, 1.0]
    assert two["reports"] == one["reports"]
    assert len(one["reports"]) == 1
