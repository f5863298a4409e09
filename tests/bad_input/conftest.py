"""A workplace with a config, data and a trained run, and the proof that a refused command leaves it as it was."""

import hashlib
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.titanic import FILES
from tests.conftest import QUICK, write_mnist
from tests.processes import Outcome, run

OWN_MODELS = """
import pytorch_lightning as pl
import torch


class Tiny(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stepless(pl.LightningModule):
    pass
"""
MAX_LINES = 12
Refused = Callable[..., Outcome]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: quick.yaml, a table, models, images and the run that quick.yaml gives."""
    folder = tmp_path_factory.mktemp("bad_input")
    (folder / "quick.yaml").write_text(QUICK)
    (folder / "own.py").write_text(OWN_MODELS)
    shutil.copy(FILES / "train.csv", folder / "table.csv")
    write_mnist(folder / "data", num_train=60, num_test=20)
    outcome = run(["fit", "--config", "quick.yaml"], folder)
    assert outcome.code == 0, outcome.err
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return folder


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, for one test."""
    return Path(shutil.copytree(template, tmp_path / "place"))


@pytest.fixture
def refused(place: Path) -> Refused:
    """Run a command that must be refused: the code, few lines without a traceback, the words, and no trace left."""

    def check(line: str, *parts: str, code: int = 2, leaves: str = "", **environment: str) -> Outcome:
        before = tree(place)
        outcome = run(shlex.split(line), place, PYTHONDONTWRITEBYTECODE="1", **environment)
        after = tree(place)
        assert outcome.code == code, outcome.err
        assert "Traceback" not in outcome.err
        assert len(outcome.err.splitlines()) <= MAX_LINES, outcome.err
        message = outcome.err[outcome.err.rindex("error: ") :]
        for part in parts:
            assert part in message
        assert {path: digest for path, digest in after.items() if path in before} == before
        new = [path for path in after if path not in before]
        assert [path for path in new if not (leaves and path.startswith(leaves))] == []
        return outcome

    return check


def tree(folder: Path) -> dict[str, str]:
    """A digest for each file below `folder`, and the names of the folders; a lock names the process that had it last."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"
    }
