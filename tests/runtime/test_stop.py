"""A signal stops the training between two steps, and everything up to there is saved."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from runtime.resume import ExactResume
from runtime.signals import STOP_SIGNALS, Interrupted, raised_at_once
from runtime.stop import StopOnSignal

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


class Signals(pl.LightningModule):
    """Sends signals to itself inside a step; its weight counts the steps."""

    def __init__(self, *signums: int, in_validation: bool = False) -> None:
        super().__init__()
        self.signums = signums
        self.in_validation = in_validation
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 2 and not self.in_validation:
            self._send()
        return -self.weight

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.in_validation:
            self._send()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def _send(self) -> None:
        for signum in self.signums:
            os.kill(os.getpid(), signum)


def fit(folder: Path, model: Signals, **options: Any) -> None:
    loader = DataLoader(TensorDataset(torch.zeros(5)))
    options |= {"num_sanity_val_steps": 0, "enable_checkpointing": False, **QUIET}
    trainer = pl.Trainer(
        max_epochs=2, callbacks=[ExactResume(), StopOnSignal(folder)], default_root_dir=folder, **options
    )
    trainer.fit(model, loader, loader)


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)]
)
def test_the_step_is_finished_and_saved(signum: int, code: int, tmp_path: Path) -> None:
    handlers = [signal.getsignal(each) for each in STOP_SIGNALS]
    with pytest.raises(Interrupted, match=f"stopped by {signal.Signals(signum).name}") as stopped:
        fit(tmp_path, Signals(signum))
    assert stopped.value.exit_code == code
    assert stopped.value.folder == tmp_path
    checkpoint = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3
    assert checkpoint["state_dict"]["weight"].item() == 3
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == handlers


@pytest.mark.parametrize(("accumulated", "step"), [(1, 3), (2, 2)])
def test_a_validation_after_every_step_delays_nothing(accumulated: int, step: int, tmp_path: Path) -> None:
    """The third batch is the first of the second step if two are accumulated."""
    options = {"val_check_interval": accumulated, "accumulate_grad_batches": accumulated}
    with pytest.raises(Interrupted):
        fit(tmp_path, Signals(signal.SIGTERM), **options)
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == step


def test_a_second_ctrl_c_interrupts_at_once(tmp_path: Path) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, Signals(signal.SIGINT, signal.SIGINT))
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


def test_outside_of_training_a_signal_raises_at_once() -> None:
    handlers = [signal.getsignal(each) for each in STOP_SIGNALS]
    for signum in STOP_SIGNALS:
        with pytest.raises(Interrupted, match=signal.Signals(signum).name) as stopped, raised_at_once():
            os.kill(os.getpid(), signum)
        assert stopped.value.folder is None
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == handlers


def test_a_signal_that_was_lost_before_the_training_stops_it(tmp_path: Path) -> None:
    with raised_at_once():
        with contextlib.suppress(Interrupted):  # as an import does now and then
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted) as stopped:
            fit(tmp_path, Signals())
    assert stopped.value.signum == signal.SIGTERM
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 0


def test_a_validation_is_finished_first(tmp_path: Path) -> None:
    """The epoch's training is not lost: the checkpoint is that of its end."""
    with pytest.raises(Interrupted):
        fit(tmp_path, Signals(signal.SIGTERM, in_validation=True))
    checkpoint = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 5
    assert checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"] == 1


def test_without_a_signal_nothing_changes(tmp_path: Path) -> None:
    handlers = [signal.getsignal(each) for each in STOP_SIGNALS]
    model = Signals()
    fit(tmp_path, model)
    assert model.weight.item() == 10
    assert list(tmp_path.iterdir()) == []
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == handlers
