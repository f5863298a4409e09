"""What costs time is rare: counted, because times on a shared machine prove nothing."""

import sys
from collections import Counter
from pathlib import Path
from statistics import median

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cli.build import Run, build
from cli.request import prepare
from datamodules import MNISTDataModule
from datamodules.loader import TensorLoader
from runtime.loop import LeanEpochLoop

STEPS, EVERY, EPOCHS = 55, 10, 2  # 220 images in batches of 4
LOGGED = [step for step in range(STEPS * EPOCHS) if step == 0 or (step + 1) % EVERY == 0]


def fit(mnist_dir: str, *flags: str) -> Run:
    """Everything on, as `train.py fit` has it; the guard against NaN checks as it does on an accelerator."""
    words = ["fit", "--model=LitMLP", "--model.hidden_sizes=[8]", "--model.optimizer=Adam"]
    words += ["--model.optimizer.fused=true", "--data=MNISTDataModule", f"--data.data_dir={mnist_dir}"]
    words += ["--data.batch_size=4", f"--trainer.max_epochs={EPOCHS}", f"--trainer.log_every_n_steps={EVERY}"]
    words += ["--trainer.accelerator=cpu", "--trainer.num_sanity_val_steps=0"]
    words += ["--trainer.callbacks+=callbacks.NonFiniteGuard", f"--trainer.callbacks.every_n_steps={EVERY}"]
    run = build(prepare([*words, *flags]))
    run.fit()
    return run


class Accelerator(TorchFunctionMode):
    """Takes every tensor for one on an accelerator, except what `cpu()` copied; notes when the host waits for one."""

    WAITS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__")

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func == Tensor.is_cpu.__get__:
            return False
        output = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        on_host = isinstance(args[0] if args else None, Tensor) and getattr(args[0], "on_host", False)
        if name in self.WAITS and not on_host:
            self.waits.append(name)
        if isinstance(output, Tensor) and (name == "cpu" or on_host):
            output.on_host = True
        return output


def test_an_accelerator_is_not_waited_for_between_logging_steps(
    mnist_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    waited: Counter[int] = Counter()
    with Accelerator() as accelerator:
        advance = LeanEpochLoop.advance

        def counted(loop: object, fetcher: object) -> None:
            step, accelerator.waits = loop.trainer.global_step, []
            advance(loop, fetcher)
            if accelerator.waits:
                waited[step] += len(accelerator.waits)

        monkeypatch.setattr(LeanEpochLoop, "advance", counted)
        fit(mnist_dir)
    assert set(waited) == set(LOGGED)
    assert max(waited.values()) <= 20  # a handful for each callback, whatever the number of layers


def test_logs_checkpoints_loaders_and_events_of_an_epoch(
    mnist_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: Counter[str] = Counter()
    for owner, name in (
        (pl.LightningModule, "log"),
        (pl.Trainer, "save_checkpoint"),
        (TensorLoader, "__init__"),
        (TensorLoader, "__iter__"),
        (MNISTDataModule, "train_dataloader"),
    ):
        original = getattr(owner, name)

        def counted(self, *args, _original=original, _name=name, **kwargs):
            calls[_name] += 1
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, counted)
    run = fit(mnist_dir, "--pictures=false", "--checkup=false")  # which take batches of their own
    metrics = 2  # val/loss and val/accuracy
    assert calls["log"] == STEPS * EPOCHS // EVERY + metrics * EPOCHS
    assert calls["save_checkpoint"] <= 2 * EPOCHS  # best and last
    assert calls["__init__"] == 2
    assert calls["train_dataloader"] == 1
    assert calls["__iter__"] <= 3 * EPOCHS  # one that is not advanced costs nothing

    events: Counter[int] = Counter()
    (path,) = run.folder.glob("events*")
    for event in EventFileLoader(str(path)).Load():
        tags = [value.tag for value in event.summary.value if "/" in value.tag or value.tag == "epoch"]
        if any(not tag.startswith(("diagnosis", "hp")) for tag in tags):
            events[event.step] += 1
    validated = {STEPS * (epoch + 1) - 1 for epoch in range(EPOCHS)}
    # One for all that Lightning and the callbacks have found at a step.
    allowed = dict.fromkeys((*LOGGED, *validated), 1)
    # Once, before the first step and after the last, come the layout of the page and the hyper-parameters.
    within = {step: count for step, count in events.items() if 0 < step < STEPS * EPOCHS}
    beyond = {step: count for step, count in within.items() if count > allowed.get(step, 0)}
    assert not beyond
    assert set(LOGGED) <= set(events)


def test_the_lean_loop_saves_most_calls_of_a_step(
    mnist_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    advance, calls = LeanEpochLoop.advance, {}

    def counted(loop: LeanEpochLoop, fetcher: object) -> None:
        number = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal number
            number += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            advance(loop, fetcher)
        finally:
            sys.setprofile(None)
        calls[loop.global_step - 1] = number

    monkeypatch.setattr(LeanEpochLoop, "advance", counted)
    steps = {}
    for name in ("lean", "usual"):
        run = fit(mnist_dir, "--pictures=false")
        assert run.trainer.fit_loop.epoch_loop.obstacle == (None if name == "lean" else "for comparison")
        steps[name] = median(calls.pop(step) for step in range(STEPS * EPOCHS) if step not in LOGGED)
        monkeypatch.setattr("runtime.loop.why_not_lean", lambda *args: "for comparison")
    assert steps["lean"] < 0.6 * steps["usual"]


class OneDevice(TorchDispatchMode):
    """Fails where an operation brings tensors from one device to another."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        tensors = [each for each in (*args, output) if isinstance(each, Tensor)]
        assert len({tensor.device for tensor in tensors}) <= 1, func
        return output


@pytest.mark.parametrize("normalize", ["none", "dataset", "pixel", "image"])
def test_images_stay_on_the_device_as_bytes(mnist_dir: str, normalize: str) -> None:
    """Once an epoch's order is there, nothing goes to or fro: a batch is gathered, normalized and warped in place."""
    data = MNISTDataModule(
        data_dir=mnist_dir,
        normalize=normalize,
        batch_size=64,
        augment={"degrees": 10, "shift": 2, "elastic": 1},
    )
    data.setup()
    x, y = (tensor.to("meta") for tensor in data.splits["train"])
    assert x.dtype == torch.uint8
    batches = iter(TensorLoader((x, y), batch_size=64, shuffle=True, transform=data.augment_parts))
    next(batches)
    with OneDevice():
        for images, labels in batches:
            assert images.device == labels.device == x.device
            assert images.dtype == torch.float32
