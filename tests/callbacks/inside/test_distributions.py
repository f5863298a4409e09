"""distributions.npz counts every weight and every activation, at the steps of the pictures."""

import numpy as np
import pytest
import torch
from torch import nn

from callbacks import ActivationMonitor
from callbacks.inside import Distributions
from callbacks.inside.distributions import BINS, FILE, activations, histogram
from callbacks.pictures.gallery import Gallery
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp, rows

X, Y = torch.rand(8, 2), torch.rand(8, 1)


def load(folder):
    with np.load(folder / FILE) as file:
        return {name: file[name] for name in file.files}


def test_counts_and_edges(tmp_path):
    model, data = Plain(mlp(2, 3, 1)), rows(X, Y)
    before = model.net[0].weight.detach().clone()
    fit(model, data, Gallery([Distributions(tmp_path)]), steps=20, val=data)
    found = load(tmp_path)
    steps = found["steps"].tolist()
    assert steps[0] == 0
    assert steps[-1] == 20
    assert len(steps) == 5
    kinds = [f"{kind}/{tag}" for kind in ("weights", "activations") for tag in ("00_net.0", "01_net.2")]
    assert set(found) == {"steps", *(f"{kind}/{part}" for kind in kinds for part in ("counts", "edges"))}
    for kind, size in zip(kinds, (6, 3, 24, 8), strict=True):
        assert found[f"{kind}/counts"].shape == (5, BINS)
        assert found[f"{kind}/edges"].shape == (5, BINS + 1)
        assert found[f"{kind}/counts"].sum(1).tolist() == [size] * 5
    for row, weight in ((0, before), (-1, model.net[0].weight.detach())):
        counts, edges = np.histogram(weight.double().numpy(), BINS)
        assert found["weights/00_net.0/counts"][row].tolist() == counts.tolist()
        np.testing.assert_allclose(found["weights/00_net.0/edges"][row], edges)
    hidden = model.net[:2](X).detach().double().numpy()
    assert found["activations/00_net.0/counts"][-1].tolist() == np.histogram(hidden, BINS)[0].tolist()


def test_an_activation_is_what_a_layer_passes_on():
    relu, conv, norm = nn.ReLU(inplace=True), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
    net = nn.Sequential(conv, norm, nn.MaxPool2d(2), relu, nn.Flatten(), nn.Linear(18, 2), nn.Linear(2, 1))
    x = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        found = activations(Plain(net).eval(), x)
        assert list(found) == ["net.0", "net.1", "net.5", "net.6"]
        torch.testing.assert_close(found["net.0"], conv(x))
        torch.testing.assert_close(found["net.1"], net[:4](x))
        torch.testing.assert_close(found["net.5"], net[:6](x))
        torch.testing.assert_close(found["net.6"], net(x))


def test_tags_are_those_of_the_monitors(tmp_path):
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.unused, self.body = nn.Linear(3, 1), nn.Linear(2, 2), nn.Linear(2, 3)

        def forward(self, x):
            return self.head(self.body(x).relu())

    logger, data = MemoryLogger(), rows(X, Y)
    model = Plain(Backwards())
    fit(model, data, ActivationMonitor(), Gallery([Distributions(tmp_path)]), val=data, logger=logger)
    tags = {name.split("/")[1] for name in load(tmp_path) if name.startswith("activations/")}
    assert tags == {"00_net.body", "01_net.head"}
    assert {tag.partition("/")[2] for tag in logger.tags("activation_mean")} == {"00_net.body"}
    assert {name.split("/")[1] for name in load(tmp_path) if name.startswith("weights/")} == {
        *tags,
        "02_net.unused",
    }


def test_without_validation_or_a_forward_there_are_the_weights(tmp_path):
    class NoForward(Plain):
        def forward(self, x):
            raise NotImplementedError

        def training_step(self, batch, batch_idx):
            return self.loss(self.net(batch[0]), batch[1])

        def validation_step(self, batch, batch_idx):
            self.log("val/loss", self.training_step(batch, batch_idx))

    data = rows(X, Y)
    fit(NoForward(mlp(2, 1)), data, Gallery([Distributions(tmp_path / "a")]), val=data)
    fit(Plain(mlp(2, 1)), data, Gallery([Distributions(tmp_path / "b")]))
    for folder in ("a", "b"):
        names = {name.split("/")[0] for name in load(tmp_path / folder)}
        assert names == {"steps", "weights"}


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path):
    data, model = rows(X, Y), Plain(mlp(2, 1))
    trainer = fit(model, data, val=data, steps=10)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    steps = np.array([0, 5, 10, 15])
    counts, edges = np.ones((4, BINS), dtype=int), np.ones((4, BINS + 1))
    content = {"steps": steps, "weights/00_net.0/counts": counts, "weights/00_net.0/edges": edges}
    np.savez(tmp_path / FILE, **content)
    fit(model, data, Gallery([Distributions(tmp_path)]), steps=12, val=data, ckpt_path=tmp_path / "a.ckpt")
    found = load(tmp_path)
    assert found["steps"].tolist() == [0, 5, 10, 12]
    assert found["weights/00_net.0/counts"][:3].tolist() == counts[:3].tolist()
    assert found["activations/00_net.0/counts"].sum(1).tolist() == [0, 0, 0, 8]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive"])
def test_a_damaged_file_is_written_anew(tmp_path, damage):
    data, model = rows(X, Y), Plain(mlp(2, 1))
    trainer = fit(model, data, val=data, steps=10)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    (tmp_path / FILE).write_bytes(damage)
    fit(model, data, Gallery([Distributions(tmp_path)]), steps=12, val=data, ckpt_path=tmp_path / "a.ckpt")
    assert load(tmp_path)["steps"].tolist() == [12]


def test_odd_values():
    counts, edges = histogram(torch.tensor([1.0, float("nan"), float("inf"), 3.0]))
    assert (counts.sum(), edges[0], edges[-1]) == (2, 1.0, 3.0)
    counts, edges = histogram(torch.tensor([2.0, 2.0]))
    assert (counts.sum(), edges[0], edges[-1]) == (2, 1.5, 2.5)
    counts, edges = histogram(torch.tensor([float("nan")]))
    assert (counts.sum(), edges[0], edges[-1]) == (0, 0.0, 1.0)
    assert histogram(torch.zeros(3 * 2**18))[0].sum() == 2**18
