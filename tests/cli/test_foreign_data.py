"""A data module from elsewhere, with workers: stopped in the middle, the run ends as if it had not been."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cli import main
from tests.cli.end_to_end.commands import OWN_MODEL

OWN_DATA = """
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import DataLoader, Dataset, IterableDataset

class Rows(Dataset):
    def __len__(self):
        return 60

    def __getitem__(self, index):
        x = torch.tensor([index / 60, 1.0]) + 0.1 * torch.randn(2)
        return x, torch.tensor(index % 2)

class Stream(IterableDataset):
    # 60 samples, drawn at random; their number is not announced
    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        share = 60 // worker.num_workers if worker else 60
        return map(Rows().__getitem__, torch.randint(60, [share]).tolist())

class OwnData(pl.LightningDataModule):
    def __init__(self, num_workers: int = 0, stream: bool = False, combined: bool = False):
        super().__init__()
        self.is_set_up = False
        self.combined = combined
        self.num_workers = num_workers
        self.stream = stream

    def setup(self, stage):
        self.is_set_up = True

    def on_after_batch_transfer(self, batch, dataloader_idx):
        if isinstance(batch[0], list):  # of two loaders
            return [torch.cat(both) for both in zip(*batch)]
        return batch

    def train_dataloader(self):
        if not self.is_set_up:
            print("asked before setup")
        if self.combined:
            loaders = [DataLoader(Rows(), batch_size=8, shuffle=True), DataLoader(Rows(), batch_size=16, shuffle=True)]
            return CombinedLoader(loaders, "max_size_cycle")
        if self.stream:
            return DataLoader(Stream(), batch_size=8, num_workers=self.num_workers)
        return DataLoader(Rows(), batch_size=8, shuffle=True, num_workers=self.num_workers)

    def val_dataloader(self):
        return DataLoader(Rows(), batch_size=8)
"""
DROPOUT = OWN_MODEL.replace(
    "self.net(batch[0])[:, 0], ", "self.net(torch.dropout(batch[0], 0.2, self.training))[:, 0], "
)
FIT = "fit --model foreign_model.Tiny --data foreign_data.OwnData --trainer.max_epochs 3 --trainer.accelerator cpu"
FIT += " --trainer.enable_progress_bar false --pictures false"
Stopped = Callable[..., tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]


def ended(folder: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(folder) / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture
def stopped_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stopped:
    """Train once in one go and once with a stop after a step; the weights that each ends with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("foreign_model.py").write_text(DROPOUT)
    Path("foreign_data.py").write_text(OWN_DATA)

    def train(stop_at: int, *words: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        assert main([*FIT.split(), *words, "--run_name", "whole"]) == 0

        from foreign_model import Tiny

        def press_ctrl_c(model: Tiny, *args: object) -> None:
            if model.global_step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(Tiny, "on_train_batch_end", press_ctrl_c)
            assert main([*FIT.split(), *words, "--run_name", "parts"]) == 130
        torch.rand(7)
        assert main(["fit", "--resume", "runs/parts/version_0"]) == 0
        return ended("runs/parts/version_0"), ended("runs/whole/version_0")

    return train


@pytest.mark.parametrize("stop_at", [8, 13])
@pytest.mark.parametrize("num_workers", ["0", "2"])
def test_a_foreign_data_module_goes_on_exactly(
    num_workers: str, stop_at: int, stopped_and_whole: Stopped
) -> None:
    """8 is after the last step of the first epoch, 13 within the second of 8 steps."""
    parts, whole = stopped_and_whole(stop_at, "--data.num_workers", num_workers)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    loaded = torch.load("runs/parts/version_0/checkpoints/best.ckpt", weights_only=True)
    assert loaded["exact_resume"]


@pytest.mark.parametrize("num_workers", ["0", "2"])
@pytest.mark.filterwarnings("ignore:the training data are a stream")
def test_a_stream_goes_on_exactly_at_the_end_of_an_epoch(
    num_workers: str, stopped_and_whole: Stopped
) -> None:
    parts, whole = stopped_and_whole(16, "--data.num_workers", num_workers, "--data.stream", "true")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_stream_does_not_within_an_epoch_and_the_run_says_so(stopped_and_whole: Stopped) -> None:
    with pytest.warns(UserWarning, match="the training data are a stream.* resumes with other batches"):
        parts, whole = stopped_and_whole(13, "--data.stream", "true")
    assert not all(torch.equal(whole[name], parts[name]) for name in whole)


def test_two_loaders_of_which_one_starts_over_go_on_exactly(
    stopped_and_whole: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shorter of the two starts over after 4 of 8 batches; the stop is behind that."""
    parts, whole = stopped_and_whole(14, "--data.combined", "true")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert "asked before setup" not in capsys.readouterr().out
