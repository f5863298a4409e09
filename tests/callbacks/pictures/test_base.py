"""When pictures are drawn, and of what; nothing is learnt differently for it."""

import errno
import gc
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from matplotlib.image import imread
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from callbacks.pictures.base import NUM_DRAWINGS, Picture, epochs_to_draw
from callbacks.pictures.style import DPI, new_figure
from tests.callbacks.plain import Plain, rows

X = torch.randn(48, 5, generator=torch.Generator().manual_seed(1))
Y = X.mean(1, keepdim=True)


class Sketch(Picture):
    """Records how it found the network; uses random numbers, as a sloppy picture might."""

    def __init__(self, folder=None, error=None):
        super().__init__(folder)
        self.error = error
        self.seen, self.figures_made = [], []

    def suits(self, pl_module, data):
        return True

    def figures(self, pl_module, data, batch):
        outputs = pl_module(batch[0])
        torch.rand(3), np.random.rand(3)
        if self.error is not None:
            raise self.error
        modes = {module.training for module in pl_module.modules()}
        self.seen.append((pl_module.global_step, modes, outputs.requires_grad, batch[0]))
        figure = new_figure(3, 2)
        self.figures_made.append(weakref.ref(figure))
        figure.subplots().plot(outputs.float().cpu().flatten())
        figure.suptitle("Sketch")
        yield "fit/sketch", figure


def network():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))
    return Plain(net, optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2))


class Augmented(Plain):
    def training_step(self, batch, batch_idx):
        x, y = batch
        return super().training_step((x + 0.1 * torch.randn_like(x), y), batch_idx)


def train(*callbacks, epochs=8, logger=False, model=None, val=True, **kwargs):
    """Three steps an epoch; returns the model and two random numbers drawn afterwards."""
    model = model or network()
    torch.manual_seed(7)
    shuffled = torch.utils.data.DataLoader(rows(X, Y).dataset, batch_size=16, shuffle=True)
    options = {"accelerator": "cpu", "devices": 1, "enable_checkpointing": False, "max_epochs": epochs}
    options |= {"enable_progress_bar": False, "enable_model_summary": False, "logger": logger}
    trainer = pl.Trainer(callbacks=list(callbacks), **options | kwargs)
    held_out = torch.utils.data.DataLoader(rows(X, Y).dataset, batch_size=20) if val else None
    trainer.fit(model, shuffled, held_out)
    return model, torch.rand(2)


def test_weights_and_random_state_are_the_same_with_and_without():
    """With dropout, augmentation and a shuffled loader, which would go astray if a single random number were used."""
    (plain, next_random), sketch = train(model=Augmented(network().net)), Sketch()
    drawn, same_random = train(sketch, model=Augmented(network().net))
    assert len(sketch.seen) == NUM_DRAWINGS
    assert all(torch.equal(plain.state_dict()[k], drawn.state_dict()[k]) for k in plain.state_dict())
    assert torch.equal(next_random, same_random)


def test_nothing_is_used_up_by_a_picture_that_fails():
    (plain, next_random) = train(model=Augmented(network().net))
    with pytest.warns(UserWarning, match="cannot be drawn"):
        drawn, same_random = train(Sketch(error=ValueError()), model=Augmented(network().net))
    assert all(torch.equal(plain.state_dict()[k], drawn.state_dict()[k]) for k in plain.state_dict())
    assert torch.equal(next_random, same_random)


def test_no_figure_is_kept():
    import matplotlib.pyplot as plt

    sketch = Sketch()
    train(sketch)
    gc.collect()
    assert [figure() for figure in sketch.figures_made] == [None] * NUM_DRAWINGS
    assert plt.get_fignums() == []


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_in_the_precision_of_the_training(precision):
    sketch = Sketch()
    train(sketch, precision=precision)
    assert len(sketch.seen) == NUM_DRAWINGS


def test_a_model_that_is_cut_into_shards_is_not_drawn(monkeypatch: pytest.MonkeyPatch):
    """A forward pass on one process alone would wait for the others forever."""
    monkeypatch.setattr("callbacks.pictures.base.is_sharded", lambda parameter, trainer: True)
    sketch = Sketch()
    with pytest.warns(UserWarning, match="no pictures are drawn: each process holds only a part"):
        train(sketch)
    assert sketch.seen == []


def test_drawn_before_training_at_growing_distances_and_at_the_end():
    sketch = Sketch()
    train(sketch, epochs=16)
    assert [step for step, *_ in sketch.seen] == [0, 3 * 2, 3 * 4, 3 * 8, 3 * 16]


@pytest.mark.parametrize(("total", "epochs"), [(1, set()), (2, {1}), (3, {1, 2}), (100, {3, 10, 32})])
def test_epochs_in_between(total, epochs):
    assert epochs_to_draw(total) == epochs


def test_a_length_in_steps_and_no_length_at_all():
    sketch = Sketch()
    train(sketch, epochs=-1, max_steps=48)
    assert [step for step, *_ in sketch.seen] == [0, 6, 12, 24, 48]
    assert len(epochs_to_draw(None)) <= 8  # with the first and the last, TensorBoard keeps them all


def test_in_eval_mode_without_gradients_on_one_batch_and_each_module_goes_back_to_its_mode():
    model, sketch = network(), Sketch()
    modes = []

    class Frozen(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            pl_module.net[1].eval()  # as for a frozen BatchNorm

        def on_train_epoch_end(self, trainer, pl_module):
            modes.append([module.training for module in pl_module.net])

    train(Frozen(), sketch, model=model)
    assert all(seen == {False} and not has_gradient for _, seen, has_gradient, _ in sketch.seen)
    assert all(torch.equal(batch, X[:20]) for *_, batch in sketch.seen)
    assert modes[2:] == [[True, False, True, True, True]] * 6
    assert sketch.batch is None  # let go at the end


def test_several_share_one_batch():
    first, second = Sketch(), Sketch()
    train(first, second)
    assert first.seen[0][3] is second.seen[0][3]


def test_a_picture_that_fails_warns_once_and_training_goes_on():
    broken, sketch = Sketch(error=RuntimeError("no ink\nleft")), Sketch()
    with pytest.warns(UserWarning, match=r"Sketch cannot be drawn \(RuntimeError: no ink\)$") as caught:
        model, _ = train(broken, sketch)
    assert len([each for each in caught if "cannot be drawn" in str(each.message)]) == 1
    assert len(sketch.seen) == NUM_DRAWINGS
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()], ids=type)
def test_a_full_disk_is_no_fault_of_the_picture_and_stops_the_run(error):
    """So that it does not count as ended, and is resumed."""
    with pytest.raises(type(error)):
        train(Sketch(error=error))


def test_an_error_of_a_file_that_no_system_raised_is_the_pictures_own():
    with pytest.warns(UserWarning, match=r"Sketch cannot be drawn \(OSError: no such font\)$"):
        train(Sketch(error=OSError("no such font")))


def test_a_run_without_validation_data_is_not_disturbed():
    with pytest.warns(UserWarning, match="there are no validation data") as caught:
        train(Sketch(), Sketch(), val=False)
    drawn = [
        (str(each.message), each.filename, each.lineno) for each in caught if "drawn" in str(each.message)
    ]
    assert len(set(drawn)) == 1  # which Python shows once


def test_a_data_module_without_validation_is_no_error():
    class Training(pl.LightningDataModule):
        def train_dataloader(self):
            return rows(torch.zeros(4, 5), torch.zeros(4, 1), batch_size=2)

    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(max_epochs=1, callbacks=[Sketch()], accelerator="cpu", **quiet)
    with pytest.warns(UserWarning, match="^no pictures are drawn, as there are no validation data$"):
        trainer.fit(Plain(network()), datamodule=Training())


def test_what_does_not_suit_is_not_drawn_and_says_nothing():
    class Elsewhere(Sketch):
        def suits(self, pl_module, data):
            return data is not None

    sketch = Elsewhere()
    with warnings.catch_warnings(record=True) as caught:
        train(sketch)
    assert sketch.seen == []
    assert not [each for each in caught if "drawn" in str(each.message)]


def test_the_same_picture_in_tensorboard_and_in_the_folder(tmp_path: Path):
    logger = TensorBoardLogger(tmp_path, name="run")
    sketch = Sketch()
    train(sketch, logger=logger)
    events = EventAccumulator(logger.log_dir, {"images": 0}).Reload().Images("fit/sketch")
    assert [image.step for image in events] == [step for step, *_ in sketch.seen]
    files = sorted((Path(logger.log_dir) / "pictures").iterdir())
    assert [path.name for path in files] == [f"fit_sketch_{image.step:06d}.png" for image in events]
    assert [path.read_bytes() for path in files] == [image.encoded_image_string for image in events]
    assert (
        {imread(path).shape[:2] for path in files}
        == {(events[0].height, events[0].width)}
        == {(2 * DPI, 3 * DPI)}
    )
    assert sketch.seconds > 0


def test_nothing_is_drawn_in_a_dry_run(tmp_path: Path):
    sketch = Sketch(tmp_path)
    train(sketch, fast_dev_run=True)
    assert sketch.seen == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("targets", "drawn"), [(1, True), (3, False)])
def test_what_needs_one_class_per_sample_is_not_drawn_for_several(targets, drawn, tmp_path):
    picture = Sketch(tmp_path)
    picture.one_class_per_sample = True
    model = Plain(nn.Linear(5, targets))
    data = rows(X, torch.randn(48, targets))
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "accelerator": "cpu",
    }
    trainer = pl.Trainer(max_epochs=1, callbacks=[picture], default_root_dir=tmp_path, **quiet)
    with warnings.catch_warnings(record=True) as warned:
        trainer.fit(model, data, data)
    assert bool(picture.seen) == drawn
    assert not [each for each in warned if "cannot be drawn" in str(each.message)]


def test_loaders_that_come_with_the_first_validation_are_waited_for():
    """Lightning makes them only then, if there is no sanity check; see `check_val_every_n_epoch`."""
    sketch = Sketch()
    with warnings.catch_warnings(record=True) as caught:
        train(sketch, epochs=16, check_val_every_n_epoch=3, num_sanity_val_steps=0)
    assert [step for step, *_ in sketch.seen] == [3 * 4, 3 * 8, 3 * 16]
    assert not [each for each in caught if "drawn" in str(each.message)]
