"""Data and models with hooks of their own: trained together only where the bulk loop does what Lightning would do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from cli import main
from cli.sweep import build_trial
from datamodules import ToyDataModule
from lit_models import LitMLP
from lit_models.tasks import Binary
from sweeps.bulk import why_not
from tests.sweeps.test_bulk import MLP, SHORT, rows


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards


class Blind(ToyDataModule):
    """Inputs are changed after the transfer to the device, a hook that only Lightning calls."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        x, y = batch
        return torch.ones_like(x), y


class WithSampler(ToyDataModule):
    """Batches of PyTorch's own loader, with a sampler."""

    def train_dataloader(self) -> Any:
        data = TensorDataset(*super().train_dataloader().tensors)
        return DataLoader(data, batch_size=30, sampler=RandomSampler(data, num_samples=60))


class Noisy(ToyDataModule):
    """Validation inputs get noise."""

    def transform_batch(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class OtherDataEachSeed(ToyDataModule):
    """Draws its data from the training's random numbers."""

    def load(self) -> Any:
        return {name: (x + torch.randn_like(x), y) for name, (x, y) in super().load().items()}


class MirroredTogether(ToyDataModule):
    """Inputs are mirrored, with a hook that sees the target, too."""

    def augment_parts(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, y = parts
        return -x, y


class WithWeights(ToyDataModule):
    """Rows on the left count more."""

    def load(self) -> Any:
        return {name: (x, y, 1.0 + (x[:, 0] < 0)) for name, (x, y) in super().load().items()}


class OwnTable(ToyDataModule):
    """Own data without anything that the loop does not know."""

    def load(self) -> Any:
        return {name: (x * 2, y) for name, (x, y) in super().load().items()}

    def fit_statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {**super().fit_statistics(x, y), "input_mean": torch.full((2,), 0.5)}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Blind, "Blind has its own on_after_batch_transfer"),
        (WithSampler, "WithSampler has its own train_dataloader"),
        (Noisy, "Noisy has its own transform_batch"),
        (OtherDataEachSeed, "OtherDataEachSeed loads other data with each seed"),
        (MirroredTogether, "MirroredTogether has its own augment_parts"),
        (WithWeights, "the batches of WithWeights hold more than inputs and targets"),
        (OwnTable, None),
    ],
)
def test_each_data_module_gets_the_scores_that_it_gets_alone(
    data: type, reason: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--data={data.__module__}.{data.__name__}", "--vary", "model.optimizer.lr=0.1,0.01"]
    command = ["sweep", *MLP, *SHORT, *words, "--sweep.seeds=2"]
    assert main([*command, "--run_name=mine"]) == 0
    said = capsys.readouterr().err
    assert said.count("runs train one after the other: ") == (reason is not None)
    assert (f"runs train one after the other: {reason}" in said) == (reason is not None)
    assert ("4 runs trained together" in said) == (reason is None)
    for (lr, seed), row in rows("mine").items():
        run = build_trial([*MLP, *SHORT, words[0], f"--model.optimizer.lr={lr}", f"--seed_everything={seed}"])
        run.fit()
        alone = run.trainer.checkpoint_callback.best_model_score
        assert float(row["score"]) == pytest.approx(float(alone), rel=1e-5)


class OwnTask(Binary):
    """The largest loss of the batch, which is no mean."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits.squeeze(-1), target.float(), reduction="none").max()


class OwnTaskData(ToyDataModule):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = replace(self.spec, task=f"{OwnTask.__module__}.OwnTask")


def test_a_task_and_a_hook_of_the_users_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = build_trial([*MLP, f"--data={OwnTaskData.__module__}.OwnTaskData"], with_trainer=False)
    assert str(why_not(run.model, run.datamodule, run.settings)).startswith("the loss of OwnTask")
    run = build_trial(MLP, with_trainer=False)
    monkeypatch.setattr(LitMLP, "on_train_batch_start", lambda *_: None)  # written into the file
    assert why_not(run.model, run.datamodule, run.settings) == "LitMLP has its own on_train_batch_start"
