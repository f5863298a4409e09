"""A check-up leaves no trace, works on any module and loaders, and never breaks a training."""

import random
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, TensorDataset

from callbacks import Checkup
from callbacks.checkup.check import Check
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp


class Noisy(Dataset):
    """Draws from every generator there is, one of its own included."""

    def __init__(self, n=48):
        self.x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
        self.own, self.reads = np.random.default_rng(0), []

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        self.reads.append(i)
        noise = 0.1 * (random.random() + np.random.rand() + torch.rand(()) + self.own.random())
        return (self.x[i] + noise).float(), int(self.x[i].sum() > 0)


class CountingSampler(Sampler):
    """A new order each time, from a count that it keeps."""

    def __init__(self, n):
        self.n, self.count = n, 0

    def __len__(self):
        return self.n

    def __iter__(self):
        self.count += 1
        return iter(np.random.RandomState(self.count).permutation(self.n).tolist())


class Stream(IterableDataset):
    def __iter__(self):
        for _ in range(20):
            yield torch.randn(4), 1


class UsedUp(Stream):
    def __init__(self):
        self.source = super().__iter__()

    def __iter__(self):
        return self.source


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


class Manual(Plain):
    """Two optimizers, stepped by hand."""

    def __init__(self):
        super().__init__(network(), F.cross_entropy)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            loss = self.loss(self(batch[0]), batch[1])
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.log("train/loss", loss)

    def configure_optimizers(self):
        return torch.optim.Adam(self.net[0].parameters()), torch.optim.SGD(self.net[4].parameters(), 0.1)


class Counting(Plain):
    """Keeps a state of its own in training_step, and logs it."""

    def __init__(self):
        super().__init__(network(), F.cross_entropy)
        self.count, self.seen = 0, []

    def training_step(self, batch, batch_idx):
        self.count += 1
        self.seen.append(float(batch[0].sum()))
        self.log("count", float(self.count))
        return super().training_step(batch, batch_idx)


class Scheduled(Plain):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)]


def classifier(optimizer=None):
    return Plain(network(), F.cross_entropy, optimizer)


MODULES = {
    "plain": classifier,
    "manual": Manual,
    "own state": Counting,
    "scheduled": lambda: Scheduled(network(), F.cross_entropy),
    "LBFGS": lambda: classifier(torch.optim.LBFGS),
}
LOADERS = {
    "shuffled": lambda data: DataLoader(data, 8, shuffle=True),
    "own generator": lambda data: DataLoader(
        data, 8, shuffle=True, generator=torch.Generator().manual_seed(3)
    ),
    "own sampler": lambda data: DataLoader(data, 8, sampler=CountingSampler(len(data))),
    "workers": lambda data: DataLoader(data, 8, shuffle=True, num_workers=1, persistent_workers=True),
}


def outcome(make_module, make_loader, *callbacks):
    """Everything that a training leaves: weights, optimizer, logged values, random numbers, what was read."""
    pl.seed_everything(0, verbose=False)
    module, data, logger = make_module(), Noisy(), MemoryLogger()
    trainer = fit(
        module,
        make_loader(data),
        *callbacks,
        steps=8,
        logger=logger,
        val=DataLoader(Noisy(16), 8),
        log_every_n_steps=1,
    )
    state = [value for optimizer in trainer.optimizers for value in optimizer.state_dict()["state"].values()]
    return {
        "weights": module.state_dict(),
        "optimizer": state,
        "logged": dict(logger.values),
        "random": (random.random(), np.random.rand(), torch.rand(()), data.own.random()),
        "reads": data.reads,
        "own": (getattr(module, "count", 0), getattr(module, "seen", [])),
    }


WAYS = [*((module, "shuffled") for module in MODULES), *(("plain", loader) for loader in LOADERS)]


@pytest.mark.parametrize(("module", "loader"), WAYS)
def test_it_leaves_no_trace(module, loader):
    checkup = Checkup(60, thorough=True)
    with_it = outcome(MODULES[module], LOADERS[loader], checkup)
    torch.testing.assert_close(with_it, outcome(MODULES[module], LOADERS[loader]), rtol=0, atol=0)
    assert any(not each.why_not for each in checkup.outcomes)


@dataclass
class Pair:
    x: torch.Tensor
    y: torch.Tensor


class FromDict(Plain):
    def training_step(self, batch, batch_idx):
        x, y = (batch["x"], batch["y"]) if isinstance(batch, dict) else (batch.x, batch.y)
        return self.loss(self(x), y)


def as_dict(rows):
    return {"x": torch.stack([row[0] for row in rows]), "y": torch.tensor([row[1] for row in rows])}


def as_pair(rows):
    return Pair(**as_dict(rows))


@pytest.mark.parametrize("collate", [as_dict, as_pair])
def test_batches_may_be_dicts_or_dataclasses(collate):
    model = FromDict(nn.Sequential(network(), nn.Softmax(1)), F.cross_entropy)
    checkup = Checkup()
    fit(model, DataLoader(Noisy(), 8, collate_fn=collate), checkup)
    assert "softmax before cross-entropy" in [verdict.kind for verdict in checkup.verdicts]


@pytest.mark.parametrize(("dataset", "readable"), [(Stream, True), (UsedUp, False)])
def test_a_stream_that_can_be_read_once_is_left_to_the_training(dataset, readable):
    checkup, model = Checkup(60), Counting()
    fit(model, DataLoader(dataset(), 4), checkup, steps=5)
    assert model.count == 5
    assert ("the loader can be read only once" in {each.why_not for each in checkup.outcomes}) is not readable


def test_a_module_that_cannot_be_copied_trains_all_the_same():
    model = classifier()
    model.lock = threading.Lock()
    checkup = Checkup()
    assert fit(model, DataLoader(Noisy(), 8), checkup, steps=3).global_step == 3
    assert any("cannot be copied" in outcome.why_not for outcome in checkup.outcomes)


def test_a_check_that_fails_does_not_stop_the_training(monkeypatch):
    def broken(subject):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("callbacks.checkup.callback.CHECKS", (Check("it holds", broken),))
    checkup = Checkup()
    assert fit(classifier(), DataLoader(Noisy(), 8), checkup, steps=3).global_step == 3
    assert checkup.outcomes[0].why_not == "it failed: ZeroDivisionError: a mistake of ours"


def test_a_resumed_training_is_not_checked_again(tmp_path):
    data = DataLoader(Noisy(), 8)
    fit(classifier(), data, steps=2).save_checkpoint(tmp_path / "saved.ckpt")
    checkup = Checkup()
    fit(classifier(), data, checkup, steps=4, ckpt_path=tmp_path / "saved.ckpt")
    assert not checkup.outcomes


def test_what_it_prints(capsys):
    x = torch.randn(32, 4)
    data = DataLoader(TensorDataset(x, x[:, :2].argmax(1)), 8, shuffle=True)
    fit(Plain(nn.Sequential(mlp(4, 8, 2), nn.Softmax(1)), F.cross_entropy), data, Checkup())
    printed = capsys.readouterr().out
    assert "FAIL  softmax before cross-entropy: cross_entropy gets probabilities" in printed
    assert "docs/diagnosis.md#softmax-before-cross-entropy" in printed


def test_a_time_of_nothing_is_refused():
    with pytest.raises(ValueError, match="max_seconds=0 is no time"):
        Checkup(0)


class Transferring(Plain):
    """Counts what its transfer hook sees, and draws from a generator of its own."""

    def __init__(self):
        super().__init__(network(), F.cross_entropy)
        self.generator, self.transferred = np.random.default_rng(0), []

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.transferred.append(self.generator.random())
        return batch


def test_hooks_that_move_batches_leave_no_trace_either():
    numbers = {}
    for name, callbacks in {"with": [Checkup(60)], "without": []}.items():
        model = Transferring()
        fit(model, DataLoader(Noisy(), 8), *callbacks, steps=4)
        numbers[name] = model.transferred
    assert numbers["with"] == numbers["without"]


class OwnTrainer(pl.Trainer):
    """A data module refers to its Trainer, and that to everything."""


def test_only_data_are_restored_whatever_class_the_trainer_is_of():
    checkup, model = Checkup(60), classifier()
    data = pl.LightningDataModule.from_datasets(
        TensorDataset(torch.randn(48, 4), torch.randint(2, (48,))), batch_size=8
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = OwnTrainer(callbacks=[checkup], max_steps=1, accelerator="cpu", devices=1, **quiet)
    trainer.fit(model, data)
    assert any(not outcome.why_not for outcome in checkup.outcomes)


class Stubborn(dict):
    """A container that cannot be copied."""

    def copy(self):
        raise RuntimeError("no copies")


def test_data_whose_state_cannot_be_kept_do_not_stop_the_training():
    data = Noisy()
    data.cache = Stubborn()
    checkup = Checkup()
    assert fit(classifier(), DataLoader(data, 8), checkup, steps=3).global_step == 3
    assert checkup.why_not == "it failed: RuntimeError: no copies"
