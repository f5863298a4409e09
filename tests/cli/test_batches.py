"""Batches with weights of rows, with lengths of sequences, and dictionaries: through every command."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, Dataset

from cli import main
from cli.build import build
from cli.request import prepare
from datamodules.base import Split, TensorDataModule
from lit_models import LitModel
from tests.cli.end_to_end.commands import assert_same_weights, weights
from tests.processes import run_two, train_py

HERE = __name__
COMMON = "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
FIT = f"{COMMON} --trainer.max_epochs 6 --trainer.log_every_n_steps 5 --model.optimizer.lr 0.03 --seed_everything 1"


class RowsWithWeights(TensorDataModule):
    """Points in a plane; rows of class 1 are rare, and count as much as the others by their weights."""

    task, in_shape, out_features = "binary", (2,), 1

    def load(self) -> dict[str, Split]:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(400, 2, generator=generator)
        y = (x.sum(1) + torch.randn(400, generator=generator) > 2).long()
        weight = torch.where(y == 1, 6.0, 1.0)
        train, val = slice(0, 300), slice(300, 400)
        held_out = (x[val], y[val], weight[val])
        predict = (x[val], torch.arange(300, 400))
        return {
            "train": (x[train], y[train], weight[train]),
            "val": held_out,
            "test": held_out,
            "predict": predict,
        }


class Sequences(TensorDataModule):
    """Sequences (N, 7, 2) of different lengths (N,), whose class is the sign of their sum."""

    task, in_shape, out_features = "binary", (7, 2), 1

    def load(self) -> dict[str, Split]:
        x, y, lengths = sequences(200)
        held_out = (x[:50], y[:50], lengths[:50])
        predict = (x[:50], torch.arange(50), lengths[:50])
        return {
            "train": (x[50:], y[50:], lengths[50:]),
            "val": held_out,
            "test": held_out,
            "predict": predict,
        }


def sequences(num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 8, (num_rows,), generator=generator)
    x = torch.randn(num_rows, 7, 2, generator=generator) * (torch.arange(7) < lengths[:, None])[..., None]
    return x, (x.sum((1, 2)) > 0).long(), lengths


class Named(Dataset):
    """The same sequences, each a dictionary."""

    def __init__(self, rows: slice) -> None:
        self.parts = [part[rows] for part in sequences(200)]

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return dict(zip(("sequence", "label", "length"), (part[row] for part in self.parts), strict=True))


class NamedSequences(pl.LightningDataModule):
    task, in_shape, out_features = "binary", (7, 2), 1

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Named(slice(50, 200)), batch_size=30, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Named(slice(0, 50)), batch_size=30)

    test_dataloader = predict_dataloader = val_dataloader


class LitPacked(LitModel):
    """Reads sequences (N, T, F) of different lengths (N,)."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.rnn = nn.GRU(self.in_shape[-1], 16, batch_first=True)
        self.head = nn.Linear(16, self.out_features)

    def unpack(self, batch: Any) -> tuple[tuple[Any, ...], Any, Tensor | None]:
        x, y, lengths = batch
        return (x, lengths), y, None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return self.head(self.rnn(x)[1][-1])
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return self.head(self.rnn(packed)[1][-1])


class LitNamed(LitPacked):
    def unpack(self, batch: Any) -> tuple[tuple[Any, ...], Any, Tensor | None]:
        return (batch["sequence"], batch["length"]), batch["label"], None


KINDS = {
    "weights": f"--model LitMLP --model.hidden_sizes [8] --data {HERE}.RowsWithWeights",
    "lengths": f"--model {HERE}.LitPacked --data {HERE}.Sequences",
    "names": f"--model {HERE}.LitNamed --data {HERE}.NamedSequences --model.in_shape [7,2]",
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", autouse=True)
def _in_empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("batches"))
        patch.setenv("LIGHTNING_INSIDE_RUN", "")
        yield


def run(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    code = main(words.split())
    output = capsys.readouterr()
    assert code == 0, output.err
    return output.out, output.err


@every_kind
def test_every_command_knows_the_batches(
    kind: str, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    printed, _ = run(f"check {KINDS[kind]} {COMMON}", capsys)
    assert re.findall(r"(?:FAIL|WARN)  ([^:]+):", printed) == []
    assert "it failed" not in printed
    run(f"fit {KINDS[kind]} {FIT} --run_name {kind} --pictures true", capsys)
    assert [str(each.message) for each in recwarn if "drawn" in str(each.message)] == []
    run(f"fit {KINDS[kind]} {FIT} --run_name {kind}_idle --model.optimizer.lr 0 --pictures false", capsys)
    folder = f"runs/{kind}/version_0"
    printed, _ = run(f"test --ckpt_path {folder} {COMMON}", capsys)
    assert float(re.findall(r"test/accuracy +([\d.]+)", printed)[0]) > 0.75
    run(f"predict --ckpt_path {folder} {COMMON}", capsys)
    predicted = pd.read_csv(f"{folder}/predictions.csv")
    assert len(predicted) == (100 if kind == "weights" else 50)
    printed, _ = run(f"compare {folder} runs/{kind}_idle/version_0", capsys)
    accuracy = (predicted["prediction"].to_numpy() == held_out(kind)).mean()
    assert float(re.findall(r"accuracy of A +([\d.]+)", printed)[0]) == pytest.approx(accuracy, abs=1e-3)


def held_out(kind: str) -> np.ndarray:
    rows = RowsWithWeights().load()["val"] if kind == "weights" else Sequences().load()["val"]
    return rows[1].numpy()


def test_weights_make_both_classes_count_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Weighted, the network finds most of the rare class; and nobody takes that for a failure."""
    words = KINDS["weights"]
    run(f"fit {words} {FIT} --trainer.max_epochs 60 --run_name balanced --pictures false", capsys)
    folder = Path("runs/balanced/version_0")
    predicted = pd.read_csv(folder / "metrics.csv").dropna(subset="val/loss").iloc[-1]
    data = RowsWithWeights()
    _, y, weight = data.load()["val"]
    run(f"predict --ckpt_path {folder} {COMMON}", capsys)
    found = pd.read_csv(folder / "predictions.csv")
    assert (found["prediction"][y.numpy() == 1] == 1).mean() > 0.7
    logit = torch.tensor(found["probability"].to_numpy()).logit()
    losses = F.binary_cross_entropy_with_logits(logit, y.double(), reduction="none")
    best = pd.read_csv(folder / "metrics.csv")["val/loss"].min()
    assert best == pytest.approx(float((losses * weight).sum() / weight.sum()), rel=1e-3)
    assert predicted["val/loss"] >= best
    assert '"severity": "warn"' not in (folder / "diagnosis.json").read_text()


class FlippedPoints(RowsWithWeights):
    """Points whose class is mirrored with them."""

    def augment_parts(self, parts: Split) -> Split:
        x, y, weight = parts
        flip = torch.rand(len(x), device=x.device) < 0.5
        return x.where(~flip[:, None], -x), y.where(~flip, 1 - y), weight


class Kill(pl.Callback):
    """Ends the training in the middle of the second epoch."""

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == 7:
            raise RuntimeError("as if killed")


def test_augmentation_of_all_parts_is_resumed_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        f"--model LitMLP --model.hidden_sizes [8] --data {HERE}.FlippedPoints {FIT} --trainer.max_epochs 3"
    )
    words += " --pictures false --checkup false --save_every_n_steps 3"
    run(f"fit {words} --run_name whole", capsys)
    with pytest.raises(RuntimeError, match="as if killed"):
        build(prepare(f"fit {words} --run_name parts".split()), callbacks=[Kill()]).fit()
    whole, parts = Path("runs/whole/version_0"), Path("runs/parts/version_0")
    run(f"fit --resume {parts}", capsys)
    assert_same_weights(weights(parts), weights(whole))


def test_two_processes_weigh_rows_as_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"{KINDS['weights']} {FIT} --trainer.max_epochs 1 --pictures false --checkup false"
    run(f"fit {words} --run_name one --data.batch_size null", capsys)
    by_two = "--trainer.strategy ddp --trainer.devices 2 --data.eval_batch_size 9"
    words = f"test --ckpt_path runs/one/version_0 {COMMON} {by_two}"
    printed_by_two = run_two(train_py, *words.split(), folder=Path())
    printed, _ = run(f"test --ckpt_path runs/one/version_0 {COMMON}", capsys)
    losses = [float(re.findall(r"test/loss +([\d.]+)", text)[0]) for text in (printed, printed_by_two)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-6)
