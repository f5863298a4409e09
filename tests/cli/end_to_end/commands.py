"""Commands that should succeed, and how to read what they printed and saved."""

from pathlib import Path

import pytest
import torch

from cli import main

FIT = ["fit", "--config", "quick.yaml"]
RUN = Path("runs/quick/version_0")
BEST = str(RUN / "checkpoints/best.ckpt")

OWN_MODEL = """
import pytorch_lightning as pl
import torch

class Tiny(pl.LightningModule):
    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.lr = lr
        self.net = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.binary_cross_entropy_with_logits(self.net(batch[0])[:, 0], batch[1].float())

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.training_step(batch, batch_idx))

    def predict_step(self, batch, batch_idx):
        return self.net(batch[0])[:, 0].sigmoid()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
"""


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that should succeed; what it printed."""
    code = main(words)
    output = capsys.readouterr()
    assert code == 0, output.err
    return output.out


def row(text: str, name: str) -> str:
    """The value that a closing table gives to a name."""
    found = [
        line.split(None, len(name.split()))[-1] for line in text.splitlines() if line.startswith(f"  {name} ")
    ]
    assert len(found) == 1, f"{name} in\n{text}"
    return found[0]


def newest(experiment: str) -> Path:
    return max(Path("runs", experiment).iterdir(), key=lambda path: int(path.name.removeprefix("version_")))


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
