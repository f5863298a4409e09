"""A data module from elsewhere, with workers: stopped within an epoch, the run ends as if it had not been."""

import os
import signal
from pathlib import Path

import pytest
import torch

from cli import main
from tests.cli.end_to_end.commands import OWN_MODEL

OWN_DATA = """
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

class Rows(Dataset):
    def __len__(self):
        return 60

    def __getitem__(self, index):
        x = torch.tensor([index / 60, 1.0]) + 0.1 * torch.randn(2)
        return x, torch.tensor(index % 2)

class OwnData(pl.LightningDataModule):
    def __init__(self, num_workers: int = 0):
        super().__init__()
        self.num_workers = num_workers

    def train_dataloader(self):
        return DataLoader(Rows(), batch_size=8, shuffle=True, num_workers=self.num_workers)

    def val_dataloader(self):
        return DataLoader(Rows(), batch_size=8)
"""
DROPOUT = OWN_MODEL.replace(
    "self.net(batch[0])[:, 0], ", "self.net(torch.dropout(batch[0], 0.2, self.training))[:, 0], "
)
FIT = "fit --model foreign_model.Tiny --data foreign_data.OwnData --trainer.max_epochs 3 --trainer.accelerator cpu"


def ended(folder: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(folder) / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("stop_at", [8, 13])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_foreign_data_module_goes_on_exactly(
    num_workers: int, stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 is after a step of the first epoch, 13 within the second of 8 steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("foreign_model.py").write_text(DROPOUT)
    Path("foreign_data.py").write_text(OWN_DATA)
    quiet = ["--trainer.enable_progress_bar", "false", "--data.num_workers", str(num_workers)]
    assert main([*FIT.split(), *quiet, "--run_name", "whole"]) == 0

    from foreign_model import Tiny

    def press_ctrl_c(model: Tiny, *args: object) -> None:
        if model.global_step == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Tiny, "on_train_batch_end", press_ctrl_c)
        assert main([*FIT.split(), *quiet, "--run_name", "parts"]) == 130
    torch.rand(7)
    assert main(["fit", "--resume", "runs/parts/version_0", *quiet[:2]]) == 0
    whole, parts = ended("runs/whole/version_0"), ended("runs/parts/version_0")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    loaded = torch.load("runs/parts/version_0/checkpoints/best.ckpt", weights_only=True)
    assert loaded["exact_resume"]
