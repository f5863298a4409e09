"""The ways of training that `speed.py` compares: by hand, with Lightning as commonly used, and with this template.

All train the same network with plain Adam on batches of the same size, and validate on the same rows. One turn is an
epoch with its validation. Each way is a function for `interleave.time_interleaved`, called in its own process.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from benchmarks.interleave import EndTurn
from benchmarks.problems import EVAL_BATCH_SIZE, NETWORKS, Problem
from cli.build import build
from cli.request import prepare
from lit_models.base import LitModel


def by_hand(
    problem: Problem,
    end_turn: EndTurn,
    *,
    device: str = "cpu",
    data: str = "memory",
    fused: bool | None = None,
) -> None:
    """The raw loop. `data`: "memory", or "torchvision" for a DataLoader."""
    device = {"gpu": "cuda"}.get(device, device)
    model = problem.build().to(device)
    optimizer = torch.optim.Adam(model.parameters(), problem.lr, fused=fused)
    train, val = problem.in_memory(device) if data == "memory" else problem.loaders()
    while True:
        model.train()
        for x, y in train:
            loss = problem.loss(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        validate_by_hand(problem, model, val, device)
        end_turn()


def validate_by_hand(problem: Problem, model: nn.Module, val: Any, device: str) -> tuple[float, float]:
    """The sum of the loss over the rows, and how many predictions were right."""
    model.eval()
    total = correct = torch.zeros((), device=device)
    with torch.no_grad():
        for x, y in val:
            logits, y = model(x.to(device)), y.to(device)
            total = total + problem.loss(logits, y) * len(y)
            correct = correct + (problem.predict(logits) == y).sum()
    return total.item(), correct.item()


def captured(problem: Problem, end_turn: EndTurn) -> None:
    """The raw loop on a GPU, with its whole step captured as a CUDA graph; a smaller last batch runs as usual.

    After https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture.
    """
    model = problem.build().cuda()
    optimizer = torch.optim.Adam(model.parameters(), problem.lr, fused=True, capturable=True)
    train, val = problem.in_memory("cuda")
    inputs, targets = train.tensors
    chosen = torch.arange(train.batch_size, device="cuda")

    def step(rows: Tensor) -> None:
        optimizer.zero_grad()
        problem.loss(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()

    warm_up = torch.cuda.Stream()
    warm_up.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warm_up):
        for _ in range(3):
            step(chosen)
    torch.cuda.current_stream().wait_stream(warm_up)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(chosen)
    while True:
        model.train()
        for rows in train.rows():
            if len(rows) == len(chosen):
                chosen.copy_(rows)
                graph.replay()
            else:
                step(rows)
        validate_by_hand(problem, model, val, "cuda")
        end_turn()


class Bare(pl.LightningModule):
    """Only what Lightning requires: no metrics and no logs."""

    def __init__(self, problem: Problem, end_turn: EndTurn) -> None:
        super().__init__()
        self.problem, self.net, self.end_turn = problem, problem.build(), end_turn

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return self.problem.loss(self.net(x), y)

    def on_validation_epoch_start(self) -> None:
        self.total = self.correct = torch.zeros((), device=self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        logits = self.net(x)
        self.total = self.total + self.problem.loss(logits, y) * len(y)
        self.correct = self.correct + (self.problem.predict(logits) == y).sum()

    def on_train_epoch_start(self) -> None:
        self.end_turn()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.problem.lr)


def lightning_floor(problem: Problem, end_turn: EndTurn, *, device: str = "cpu") -> None:
    """Lightning with everything switched off, on tensors in memory: a lower bound, not a way to work."""
    trainer = pl.Trainer(
        accelerator=device,
        devices=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Bare(problem, end_turn), *problem.in_memory({"gpu": "cuda"}.get(device, device)))


class Usual(Bare):
    """The steps of the best-known template, https://github.com/ashleve/lightning-hydra-template."""

    def __init__(self, problem: Problem, end_turn: EndTurn) -> None:
        super().__init__(problem, end_turn)
        binary = problem.network == "tiny_mlp"
        self.train_acc, self.val_acc = (
            BinaryAccuracy() if binary else MulticlassAccuracy(10, average="micro") for _ in range(2)
        )
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        logits = self.net(x)
        loss = self.problem.loss(logits, y)
        self.train_loss(loss)
        self.train_acc(self.problem.predict(logits), y)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None: ...

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        logits = self.net(x)
        self.val_loss(self.problem.loss(logits, y))
        self.val_acc(self.problem.predict(logits), y)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("val/acc", self.val_acc, on_step=False, on_epoch=True, prog_bar=True)


def usual_template(problem: Problem, end_turn: EndTurn, *, device: str = "cpu") -> None:
    """torchmetrics and `self.log` in every step, DataLoader, TensorBoard, progress bar, best and last checkpoint."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # Lightning sets it; this template removes it
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator=device,
            devices=1,
            max_epochs=-1,
            logger=TensorBoardLogger(folder),
            callbacks=[
                ModelCheckpoint(folder, monitor="val/acc", mode="max", save_last=True),
                RichProgressBar(),
            ],
        )
        trainer.fit(Usual(problem, end_turn), *problem.loaders())


class Same(LitModel):
    """The network of the other contenders as a model of this template."""

    def __init__(self, *, network: str, **base: Any) -> None:
        super().__init__(**base)
        torch.manual_seed(0)
        self.net: nn.Module = NETWORKS[network]()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def with_everything(problem: Problem, end_turn: EndTurn, *, model: dict[str, Any], flags: list[str]) -> None:
    """`train.py fit` with logs, validation, diagnostics, checkpoints and progress bar.

    Without pictures: a run draws five of each, however long it is, and the runs here are short. Without the check-up,
    which is made once, before the first step, and calls the hook that ends a turn.
    """
    settings = {
        "model": model,
        "data": {
            "class_path": f"datamodules.{problem.data_class}",
            "init_args": {**problem.data, "eval_batch_size": EVAL_BATCH_SIZE},
        },
        "trainer": {"max_epochs": -1},
        "monitor": "val/accuracy",
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("speed.yaml").write_text(yaml.safe_dump(settings))
        words = ["fit", "--config", "speed.yaml", "--pictures=false", "--checkup=false"]
        run = build(prepare([*words, *flags]))
        run.model.on_train_epoch_start = (
            end_turn  # ends a turn with each epoch; a callback would add to each step
        )
        run.fit()


def ours(
    problem: Problem,
    end_turn: EndTurn,
    *,
    device: str = "cpu",
    fused: bool | None = None,
    flags: Sequence[str] = (),
) -> None:
    """This template on the same network, with the same arithmetic."""
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": problem.lr, "fused": fused}}
    model = {
        "class_path": "benchmarks.contenders.Same",
        "init_args": {"network": problem.network, "optimizer": optimizer},
    }
    with_everything(problem, end_turn, model=model, flags=[f"--trainer.accelerator={device}", *flags])


def fast(problem: Problem, end_turn: EndTurn, *, device: str = "cpu", flags: Sequence[str] = ()) -> None:
    """The same convolutional network in its fastest form: pooled before relu, channels last, fused Adam, bfloat16."""
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": problem.lr, "fused": True}}
    model = {
        "class_path": "lit_models.LitConvNet",
        "init_args": {"channels": [16, 64, 128], "optimizer": optimizer},
    }
    common = [f"--trainer.accelerator={device}", "--trainer.precision=bf16-mixed"]
    with_everything(problem, end_turn, model=model, flags=[*common, *flags])
