"""The lean loop against Lightning's own, resumed from every checkpoint of a training."""

import pytest
import torch

from benchmarks.killed_training import SaveEverywhere
from tests.callbacks.plain import rows
from tests.runtime.test_loop import assert_same, run
from tests.runtime.ways import MODELS, Own, X, Y

WAYS = {
    "plain": {},
    "steps": {"max_steps": 7, "max_epochs": -1},
    "validated at every step": {"val_check_interval": 1},
    "validated by step": {"val_check_interval": 2},
    "validated by fraction": {"val_check_interval": 0.5},
    "validated seldom": {"check_val_every_n_epoch": 2},
    "validated across epochs": {"val_check_interval": 3, "check_val_every_n_epoch": None},
    "never validated": {"limit_val_batches": 0},
    "limited": {"limit_train_batches": 3, "limit_val_batches": 2, "val_check_interval": 2},
    "accumulated": {"accumulate_grad_batches": 2, "val_check_interval": 3},
}
SCHEDULED = ["schedule by step", "plateau by epoch"]


def four_batches():
    return rows(X, Y, batch_size=8)


def assert_same_from_everywhere(tmp_path, make_model, obstacle=None, **flags):
    flags = {"max_epochs": 2, "loader": four_batches, "val_batch_size": 15} | flags
    writer = SaveEverywhere(tmp_path, tmp_path / "copies")
    run(tmp_path, make_model, True, writer, **flags)
    paths = [copy / "checkpoints/last.ckpt" for copy in writer.saved]
    steps = {path: torch.load(path, weights_only=True)["global_step"] for path in paths}
    begun = [path for path in paths if steps[path] < max(steps.values())]
    assert len(begun) > 5
    for path in begun:
        assert_same(tmp_path, make_model, obstacle=obstacle, resume=path, **flags)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_training(tmp_path, way):
    obstacle = "accumulated batches" if way == "accumulated" else None
    assert_same_from_everywhere(tmp_path, Own, obstacle, **WAYS[way])


@pytest.mark.parametrize("schedule", SCHEDULED)
def test_schedules(tmp_path, schedule):
    assert_same_from_everywhere(tmp_path, MODELS[schedule], val_check_interval=2)
