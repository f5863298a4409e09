"""What every architecture must do."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

import lit_models
from lit_models import LitAutoencoder, LitRNN
from tests.lit_models.cases import CASES, every_architecture, make, make_batch, make_loader, make_trainer


def test_no_architecture_is_left_out() -> None:
    tested = {cls.__name__ for cls, _ in CASES.values()} | {"LitModel"}
    assert tested == set(lit_models.__all__)


@every_architecture
def test_shapes_forward_and_backward(case: str) -> None:
    model, (x, y) = make(case), make_batch(case)
    x.requires_grad_()
    logits = model(x)
    expected = x.shape if isinstance(model, LitAutoencoder | LitRNN) else (len(x), model.out_features)
    assert logits.shape == expected
    loss = model.task.loss(logits, model.target(x, y))
    assert loss.shape == ()
    loss.backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


@every_architecture
def test_every_parameter_gets_a_gradient(case: str) -> None:
    model, (x, y) = make(case), make_batch(case)
    model.task.loss(model(x), model.target(x, y)).backward()
    assert [
        name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()
    ] == []


@every_architecture
def test_one_batch_is_overfitted(case: str) -> None:
    model, (x, y) = make(case), make_batch(case, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.2 if case.startswith("linear") else 0.02)
    losses = []
    for _ in range(250):
        optimizer.zero_grad()
        loss = model.task.loss(model(x), model.target(x, y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


@every_architecture
def test_samples_of_a_batch_do_not_mix(case: str) -> None:
    """The outputs of one sample depend on its own inputs alone (batch norm: in evaluation)."""
    model, (x, _) = make(case).eval(), make_batch(case)
    x.requires_grad_()
    model(x)[3].sum().backward()
    assert x.grad is not None
    is_used = x.grad.flatten(1).any(1)
    assert is_used.nonzero().flatten().tolist() == [3]


@every_architecture
@pytest.mark.parametrize("optimizer", ["default", "lambda", "partial"])
def test_save_and_load(case: str, optimizer: str, tmp_path: Path) -> None:
    factory = {
        "default": {},
        "lambda": {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1)},
        "partial": {"optimizer": partial(torch.optim.SGD, lr=0.1), "scheduler": partial(StepLR, step_size=1)},
    }[optimizer]
    model = make(case, **factory)
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, make_loader(case))
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)

    assert "state_dict" in torch.load(path, weights_only=True)
    restored = type(model).load_from_checkpoint(path, weights_only=True)
    x, _ = make_batch(case)
    assert torch.equal(restored.eval()(x), model.eval()(x))
    # A function that was given in Python is no plain value: the default stands in for it.
    described = ("optimizer", "scheduler")
    assert {k: v for k, v in restored.hparams.items() if k not in described} == {
        k: v for k, v in model.hparams.items() if k not in described
    }


@every_architecture
def test_training_twice_with_one_seed_gives_the_same_weights(case: str, tmp_path: Path) -> None:
    models = []
    for _ in range(2):
        pl.seed_everything(7, verbose=False)
        cls, arguments = CASES[case]
        dropout = {"dropout": 0.3} if "dropout" in inspect.signature(cls).parameters else {}
        model = cls(**arguments, **dropout)
        make_trainer(tmp_path).fit(model, make_loader(case))
        models.append(model)
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


@every_architecture
def test_metrics_are_logged_and_predictions_are_columns(case: str, tmp_path: Path) -> None:
    model, loader, trainer = make(case), make_loader(case), make_trainer(tmp_path)
    if isinstance(model, LitRNN):  # it is evaluated on what follows the known part
        x, _ = make_batch(case, 12)
        loader = DataLoader(TensorDataset(x[:, :8], x[:, 8:]), batch_size=4)
    values = trainer.test(model, loader, verbose=False)[0]
    assert set(values) == {f"test/{name}" for name in model.test_metrics}
    assert all(value == value for value in values.values()), f"not a number: {values}"
    for columns in trainer.predict(model, loader) or []:
        assert all(len(column) == 4 for column in columns.values())


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("rnn")])
def test_the_mean_over_uneven_batches_is_the_mean_over_samples(case: str, tmp_path: Path) -> None:
    model, (x, y) = make(case), make_batch(case, 10)
    loader = DataLoader(TensorDataset(x, y), batch_size=7)  # batches of 7 and 3
    measured = make_trainer(tmp_path).test(model, loader, verbose=False)[0]["test/loss"]
    with torch.no_grad():
        expected = model.eval().task.loss(model(x), model.target(x, y)).item()
    assert measured == pytest.approx(expected, rel=1e-5)


def test_compiling_in_place_keeps_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler itself takes a minute; what counts is that it wraps no module."""
    plain, compiled = make("convnet"), make("convnet", compile=True)
    called = []
    monkeypatch.setattr(torch, "compile", lambda function, *args, **kwargs: called.append(1) or function)
    x, _ = make_batch("convnet")
    compiled.setup("fit")
    assert called
    assert list(compiled.state_dict()) == list(plain.state_dict())
    assert torch.equal(compiled(x), plain(x))


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        ("mlp-binary", {"hidden_sizes": [4, 0]}, r"layer sizes are \[5, 4, 0, 1\]; each must be at least 1"),
        ("mlp-binary", {"activation": "rellu"}, "activation is 'rellu'; it must be one of sigmoid"),
        ("mlp-binary", {"init": "glorot"}, "init is 'glorot'; it must be one of default"),
        ("mlp-binary", {"depth": -1}, "depth is -1"),
        ("mlp-binary", {"dropout": 1.5}, "dropout is 1.5"),
        ("convnet", {"channels": [1, 1, 1, 1]}, "4 blocks halve a 8 x 8 image to nothing"),
        ("convnet", {"in_shape": [5]}, r"LitConvNet wants images, in_shape \[C, H, W\].*\[5\]"),
        ("autoencoder-conv", {"channels": [1, 1, 1, 1]}, "4 blocks cannot halve a 8 x 8 image"),
        ("autoencoder-conv", {"in_shape": [5]}, r"LitAutoencoder wants images, in_shape \[C, H, W\].*\[5\]"),
        ("rnn-gru", {"cell": "grru"}, "cell is 'grru'; it must be one of rnn, gru, lstm"),
        ("rnn-gru", {"in_shape": [5]}, r"LitRNN wants series, in_shape \[T, F\].*\[5\]"),
    ],
)
def test_wrong_arguments_are_named(case: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(case, **options)
