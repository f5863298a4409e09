"""The recorded step on a graphics card, against the same training without it."""

import os
import signal
import subprocess
import sys
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from datamodules import MNISTDataModule
from lit_models import LitConvNet
from runtime.graph.device_graph import CudaGraph
from tests.callbacks.plain import Plain, mlp
from tests.conftest import ROOT
from tests.runtime.graph.trainings import (
    ONE_CYCLE,
    OPTIMIZERS,
    STEPS,
    diagnostics,
    epoch_loop,
    furthest,
    model_of,
    train,
)

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def repeatable():
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def both(**how):
    """The same training with and without a graph; most steps of the first must have been replayed."""
    with_graph, without = train(CudaGraph, accelerator="gpu", **how), train(None, accelerator="gpu", **how)
    loop = epoch_loop(with_graph[1])
    assert loop.why_not is None
    assert loop.replayed > STEPS / 2
    assert with_graph[1].global_step == without[1].global_step == STEPS
    return with_graph, without


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"dropout": 0.3}], ids=["plain", "dropout"])
@pytest.mark.parametrize("flags", [{}, {"gradient_clip_val": 0.1}, {"precision": "bf16-mixed"}], ids=str)
def test_weights_are_the_same_to_the_bit(optimizer, options, flags):
    make = partial(model_of, optimizer=OPTIMIZERS[optimizer], **options)
    with_graph, without = both(make_model=make, **flags)
    assert furthest(with_graph[0], without[0]) == 0
    assert repr(with_graph[2]) == repr(without[2])


@pytest.mark.parametrize("cycle_momentum", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_schedules_take_effect(optimizer, cycle_momentum):
    make = partial(
        model_of,
        optimizer=OPTIMIZERS[optimizer],
        scheduler=partial(ONE_CYCLE, cycle_momentum=cycle_momentum),
    )
    with_graph, without = both(make_model=make)
    # The rate is a float32 on the device, and a float64 without a graph.
    assert furthest(with_graph[0], without[0]) < 1e-4


def test_optimizers_that_cannot_be_recorded_step_as_usual():
    make = partial(model_of, optimizer=partial(torch.optim.Adagrad, lr=0.02))
    with_graph, without = both(make_model=make)
    assert furthest(with_graph[0], without[0]) == 0


def test_diagnostics_measure_the_same():
    with_graph, without = both(callbacks=diagnostics()), None
    with_graph, without = with_graph
    assert furthest(with_graph[0], without[0]) == 0


def digits(**options):
    images = torch.randint(
        0, 256, (640, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )

    class Random(MNISTDataModule):
        def prepare_data(self):
            pass

        def load(self):
            labels = images.float().mean((1, 2, 3)).long() % 10
            return dict.fromkeys(("train", "val"), (images, labels))

    return Random(batch_size=64, **options)


@pytest.mark.parametrize("augment", [None, {"degrees": 10, "shift": 2}], ids=["plain", "augmented"])
def test_images_are_gathered_and_warped_within_the_step(augment):
    def convnet(data):
        torch.backends.cudnn.deterministic = True
        options = {"in_shape": data.in_shape, "out_features": 10, "task": "multiclass", "channels": [4, 8]}
        return LitConvNet(batch_norm=True, optimizer=OPTIMIZERS["adamw"], **options)

    with_graph, without = both(data=partial(digits, augment=augment), make_model=convnet)
    assert furthest(with_graph[0], without[0]) < 1e-5


class Elsewhere(Plain):
    """A module from elsewhere, which logs at every step."""

    def __init__(self):
        super().__init__(mlp(4, 8, 1))

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("loss_of_all", loss, on_step=True, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01, fused=True)


class Loaders(pl.LightningDataModule):
    def train_dataloader(self):
        x = torch.randn(320, 4, generator=torch.Generator().manual_seed(1))
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=32, shuffle=True)


def test_modules_and_loaders_from_elsewhere():
    with_graph, without = both(data=Loaders, make_model=lambda data: Elsewhere())
    assert furthest(with_graph[0], without[0]) == 0
    assert repr(with_graph[2]) == repr(without[2])


class ReadsLoss(Elsewhere):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx) + torch.nn.functional.dropout(batch[0]).sum() * 0
        return loss * 2 if loss.item() > 0.1 else loss


class OnHost(Elsewhere):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) + torch.rand(1).to(self.device) * 0


class Anneals(Elsewhere):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * (1 + self.global_step / 100)


@pytest.mark.parametrize("module", [ReadsLoss, OnHost, Anneals])
def test_what_cannot_be_recorded_runs_as_usual(module):
    with_graph = train(CudaGraph, accelerator="gpu", data=Loaders, make_model=lambda data: module())
    without = train(None, accelerator="gpu", data=Loaders, make_model=lambda data: module())
    loop = epoch_loop(with_graph[1])
    assert loop.why_not is not None
    assert loop.replayed == 0
    assert furthest(with_graph[0], without[0]) == 0


class Draws(Elsewhere):
    """With a generator of its own on the device."""

    def on_fit_start(self):
        self.own = torch.Generator(self.device).manual_seed(3)

    def training_step(self, batch, batch_idx):
        noise = torch.rand(batch[0].shape, device=self.device, generator=self.own)
        return super().training_step([batch[0] + noise, batch[1]], batch_idx)


def test_generators_of_the_module_draw_new_numbers():
    with_graph, without = both(data=Loaders, make_model=lambda data: Draws())
    assert furthest(with_graph[0], without[0]) == 0


def fit(folder, *flags):
    """Run the command in a process of its own; returns its exit code and what it printed."""
    words = [sys.executable, ROOT / "train.py", "fit", *flags]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=os.environ, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    config = [f"--config={ROOT}/configs/blobs.yaml", f"--config={ROOT}/configs/presets/graph.yaml"]
    common = [
        *config,
        "--pictures=false",
        "--checkup=false",
        "--trainer.max_epochs=5",
        "--save_every_n_steps=30",
    ]
    kill = ["--trainer.callbacks+=tests.runtime.graph.kill.KillAt", "--trainer.callbacks.step"]
    code, printed = fit(tmp_path, *common, "--run_name=whole", *kill, "100000")
    assert code == 0, printed
    assert "steps are replayed from now on" in printed
    code, printed = fit(tmp_path, *common, "--run_name=killed", *kill, "170")
    assert code == -signal.SIGKILL, printed
    code, printed = fit(tmp_path, "--resume=runs/killed/version_0", "--trainer.callbacks.step=100000")
    assert code == 0, printed
    assert "steps are replayed from now on" in printed
    whole, killed = (
        torch.load(
            tmp_path / "runs" / name / "version_0/checkpoints/last.ckpt",
            map_location="cpu",
            weights_only=True,
        )
        for name in ("whole", "killed")
    )
    assert whole["global_step"] == killed["global_step"] > 170
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, killed["state_dict"][name]), name
    tables = [
        (tmp_path / "runs" / name / "version_0/metrics.csv").read_text() for name in ("whole", "killed")
    ]
    assert tables[0] == tables[1]
