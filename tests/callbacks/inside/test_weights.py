"""weights.csv has every weight at the steps that it says; the other table is the same function of raw inputs."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from callbacks.inside import WeightTable, weights
from callbacks.inside.weights import is_kept, stride_of
from datamodules.base import TensorDataModule
from tests.callbacks.plain import Plain, fit, mlp, rows

X, Y = torch.rand(8, 2), torch.rand(8, 1)


def test_names_and_values(tmp_path):
    model = Plain(mlp(2, 3, 1))
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    fit(model, rows(X, Y), WeightTable(tmp_path), steps=7, log_every_n_steps=3)
    table = pd.read_csv(tmp_path / "weights.csv")
    names = [f"net.0.weight[{i},{j}]" for i in range(3) for j in range(2)]
    names += [f"net.0.bias[{i}]" for i in range(3)]
    names += [f"net.2.weight[0,{j}]" for j in range(3)] + ["net.2.bias[0]"]
    assert list(table) == ["step", *names]
    assert table["step"].tolist() == [0, 1, 3, 6, 7]
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    for row, expected in ((0, before), (-1, after)):
        found = torch.tensor(table.iloc[row, 1:].to_numpy(), dtype=torch.float32)
        assert torch.equal(found, expected)  # nine digits tell every float32 from its neighbors
    assert not (tmp_path / "weights_table_units.csv").exists()


def test_single_numbers_and_large_networks(tmp_path):
    class Scaled(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.scale, self.layer = nn.Parameter(torch.ones(())), nn.Linear(2, width)

        def forward(self, x):
            return self.scale * self.layer(x).mean(1, keepdim=True)

    fit(Plain(Scaled(1)), rows(X, Y), WeightTable(tmp_path))
    expected = ["step", "net.scale", "net.layer.weight[0,0]", "net.layer.weight[0,1]", "net.layer.bias[0]"]
    assert list(pd.read_csv(tmp_path / "weights.csv")) == expected
    fit(Plain(Scaled(17)), rows(X, Y), WeightTable(tmp_path / "large"))  # 52 parameters
    assert not (tmp_path / "large").exists()


@pytest.mark.parametrize("every", [1, 3])
def test_rows_are_thinned(tmp_path, monkeypatch, every):
    monkeypatch.setattr(weights, "MOST_ROWS", 10)
    fit(Plain(mlp(2, 1)), rows(X, Y), WeightTable(tmp_path), steps=50 * every, log_every_n_steps=every)
    steps = pd.read_csv(tmp_path / "weights.csv")["step"].tolist()
    assert steps == [0, 1, *(8 * every * k for k in range(1, 7)), 50 * every]


@pytest.mark.parametrize("stride", [1, 2, 8])
@pytest.mark.parametrize("every", [1, 50])
def test_the_stride_is_read_from_the_rows(stride, every):
    steps = [step for step in range(0, 100 * every, every) if is_kept(step, every, stride)]
    assert stride_of([*steps, 99 * every + 1], every) == stride
    assert stride_of([], every) == stride_of([0, 1], every) == stride_of([0, 1, 2], every) == 1


def saving(steps):
    """Saves a checkpoint after so many steps, and raises some steps later."""

    class Saving(pl.Callback):
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step == steps:
                trainer.save_checkpoint("saved.ckpt")
            if trainer.global_step == steps + 7:
                raise RuntimeError("killed")

    return Saving()


@pytest.mark.parametrize("every", [1, 3])
def test_a_resumed_run_has_the_rows_of_one_that_was_never_stopped(tmp_path, monkeypatch, every):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "MOST_ROWS", 10)
    data, state = rows(X, Y), mlp(2, 3, 1).state_dict()

    def train(folder, *callbacks, **options):
        model = Plain(mlp(2, 3, 1))
        model.net.load_state_dict(state)
        fit(model, data, WeightTable(folder), *callbacks, steps=40, log_every_n_steps=every, **options)

    train(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", saving(20))
    table = pd.read_csv(tmp_path / "parts/weights.csv")
    assert table["step"].max() > 20
    train(tmp_path / "parts", ckpt_path="saved.ckpt")
    assert (tmp_path / "parts/weights.csv").read_text() == (tmp_path / "whole/weights.csv").read_text()


class Table(TensorDataModule):
    """Two columns far from zero, and a target far from zero."""

    spec = SimpleNamespace(task="regression", in_shape=[2], out_features=1)

    def load(self):
        generator = torch.Generator().manual_seed(3)
        x = 50 + 20 * torch.randn(40, 2, generator=generator)
        y = 1000 + 3 * x[:, 0] - x[:, 1]
        return {"train": (x, y), "val": (x, y)}


class Regression(Plain):
    def training_step(self, batch, batch_idx):
        return self.loss(self(batch[0])[:, 0], batch[1])

    validation_step = None


def fit_table(folder, net, **options):
    data = Table(batch_size=None, eval_batch_size=40, passes_per_epoch=1, order_seed=0, **options)
    model = Regression(net)
    trainer = pl.Trainer(
        max_steps=20,
        callbacks=[WeightTable(folder)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        log_every_n_steps=5,
        limit_val_batches=0,
    )
    trainer.fit(model, data)
    return data, model


def net_of(row, like):
    """The network whose numbers stand in a row."""
    values, start = torch.tensor(row[1:].to_numpy(), dtype=torch.float64), 0
    net = like.double()
    for parameter in net.parameters():
        parameter.data = values[start : start + parameter.numel()].reshape(parameter.shape)
        start += parameter.numel()
    return net


@pytest.mark.parametrize("sizes", [(2, 1), (2, 3, 1)])
@pytest.mark.parametrize("normalize_target", [False, True])
def test_in_table_units_it_is_the_same_function_of_raw_inputs(tmp_path, sizes, normalize_target):
    data, model = fit_table(tmp_path, mlp(*sizes), normalize=True, normalize_target=normalize_target)
    own, raw = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("weights", "weights_table_units"))
    assert list(own) == list(raw)
    assert own["step"].tolist() == raw["step"].tolist() == [0, 1, 5, 10, 15, 20]
    x, _ = data.splits["train"]
    prepared = (x.double() - data.statistics["input_mean"]) / data.statistics["input_std"]
    for k in range(len(own)):
        answer = net_of(own.iloc[k], mlp(*sizes))(prepared)
        answer = answer * data.statistics["target_std"] + data.statistics["target_mean"]
        torch.testing.assert_close(net_of(raw.iloc[k], mlp(*sizes))(x.double()), answer, rtol=1e-5, atol=1e-4)
    if len(sizes) == 2:
        weight, bias = data.coefficients_in_table_units(model.net[0].weight, model.net[0].bias)
        np.testing.assert_allclose(
            raw.iloc[-1, 1:].to_numpy(), [*weight[0].tolist(), *bias.tolist()], rtol=1e-5
        )


class Doubled(nn.Module):
    """Its first layer does not read the inputs as they come."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(2 * x)


class Squared(Doubled):
    """Its last layer does not answer."""

    def forward(self, x):
        return self.layer(x) ** 2


@pytest.mark.parametrize(
    ("net", "options"),
    [
        (mlp(2, 1), {"normalize": False, "normalize_target": False}),
        (mlp(2, 1, bias=False), {"normalize": True, "normalize_target": False}),
        (Doubled(), {"normalize": True, "normalize_target": False}),
        (Squared(), {"normalize": False, "normalize_target": True}),
        (
            nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 1))),
            {"normalize": True, "normalize_target": False},
        ),
    ],
)
def test_no_table_that_would_be_wrong_or_the_same(tmp_path, net, options):
    fit_table(tmp_path, net, **options)
    assert (tmp_path / "weights.csv").exists()
    assert not (tmp_path / "weights_table_units.csv").exists()
