"""The lean loop against Lightning's own, resumed from every checkpoint of a training."""

import pytest
from pytorch_lightning.callbacks import Callback

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


class SaveOften(Callback):
    """Saves in every hook in which a callback might: at the ends of batches, validations and epochs."""

    def __init__(self, folder):
        self.folder = folder
        self.saved = {}  # path: step

    def save(self, trainer, *args):
        if not trainer.sanity_checking:
            path = self.folder / f"saved_{len(self.saved)}.ckpt"
            trainer.save_checkpoint(path, weights_only=False)
            self.saved[path] = trainer.global_step

    on_train_batch_end = on_validation_end = on_train_epoch_start = on_train_epoch_end = save


def assert_same_from_everywhere(tmp_path, make_model, obstacle=None, **flags):
    flags = {"max_epochs": 2, "loader": four_batches, "val_batch_size": 15} | flags
    writer = SaveOften(tmp_path)
    run(tmp_path, make_model, True, writer, **flags)
    begun = [path for path, step in writer.saved.items() if step < max(writer.saved.values())]
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
