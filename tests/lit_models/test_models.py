"""What every architecture must do, then what each of them promises on its own."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

import lit_models
from lit_models import LitAutoencoder, LitConvNet, LitLinear, LitMLP, LitModel, LitRNN
from lit_models.autoencoder import NeighborAgreement, nearest_neighbors
from lit_models.convnet import conv_block

IMAGE = {"in_shape": [1, 8, 8], "out_features": 3, "task": "multiclass"}
SERIES = {"in_shape": [12, 1], "out_features": 1, "task": "regression"}
FLAT = {"in_shape": [5], "out_features": 1}

# Name of the case: class, arguments
CASES: dict[str, tuple[type[LitModel], dict[str, Any]]] = {
    "linear-binary": (LitLinear, {**FLAT, "task": "binary"}),
    "linear-regression": (LitLinear, {**FLAT, "task": "regression"}),
    "linear-image": (LitLinear, IMAGE),
    "mlp-binary": (LitMLP, {**FLAT, "task": "binary", "hidden_sizes": [16]}),
    "mlp-regression": (LitMLP, {**FLAT, "task": "regression", "hidden_sizes": [16], "depth": 2}),
    "mlp-image": (LitMLP, {**IMAGE, "hidden_sizes": [16, 8], "activation": "gelu", "init": "he"}),
    "convnet": (LitConvNet, {**IMAGE, "channels": [4, 8]}),
    "convnet-batch-norm": (
        LitConvNet,
        {**IMAGE, "channels": [4, 8], "convs_per_block": 2, "batch_norm": True, "global_pool": True},
    ),
    "autoencoder-dense": (LitAutoencoder, {**IMAGE, "code_size": 6, "hidden_sizes": [32]}),
    "autoencoder-conv": (LitAutoencoder, {**IMAGE, "code_size": 6, "channels": [4, 8]}),
    **{
        f"rnn-{cell}": (LitRNN, {**SERIES, "cell": cell, "hidden_size": 16})
        for cell in ("rnn", "gru", "lstm")
    },
}
every_architecture = pytest.mark.parametrize("case", CASES)


def make(case: str, **more: Any) -> LitModel:
    torch.manual_seed(0)
    cls, arguments = CASES[case]
    return cls(**{**arguments, **more})


def make_batch(case: str, num_samples: int = 8) -> tuple[Tensor, Tensor]:
    """Inputs and targets that go with a case; of a series, training targets, one step ahead."""
    arguments = CASES[case][1]
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(num_samples, *arguments["in_shape"], generator=generator)
    if case.startswith("rnn"):
        return x, torch.cat([x[:, 1:], x[:, :1]], dim=1)
    if arguments["task"] == "regression":
        return x, torch.randn(num_samples, generator=generator)
    return x, torch.arange(num_samples) % max(2, arguments["out_features"])


def make_trainer(folder: Path, **options: Any) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    defaults = {"accelerator": "cpu", "max_epochs": 2, "enable_checkpointing": False}
    return pl.Trainer(default_root_dir=folder, **{**quiet, **defaults, **options})


def make_loader(case: str) -> DataLoader:
    return DataLoader(TensorDataset(*make_batch(case, 12)), batch_size=4)


# Every architecture


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


# Optimizers and schedules


class Watch(pl.Callback):
    """Notes the learning rate that each step is taken with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


def learning_rates(folder: Path, **model_options: Any) -> list[float]:
    """Learning rates of 4 epochs of 3 steps each."""
    watch, loader = Watch(), make_loader("mlp-binary")
    sgd = partial(torch.optim.SGD, lr=1.0)
    model = make("mlp-binary", **{"optimizer": sgd, **model_options})
    make_trainer(folder, max_epochs=4, callbacks=[watch]).fit(model, loader, loader)
    return watch.rates


def test_one_cycle_gets_its_length_and_counts_steps(tmp_path: Path) -> None:
    described = partial(
        OneCycleLR, max_lr=1.0, total_steps=None
    )  # what the command line makes of `OneCycleLR`
    rates = learning_rates(tmp_path, scheduler=described)
    reference_optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    reference = OneCycleLR(reference_optimizer, max_lr=1.0, total_steps=12)
    expected = []
    for _ in range(12):
        expected.append(reference.get_last_lr()[0])
        reference_optimizer.step()
        reference.step()
    assert rates == pytest.approx(expected)


def test_other_schedules_count_epochs(tmp_path: Path) -> None:
    rates = learning_rates(tmp_path, scheduler=partial(StepLR, step_size=1, gamma=0.5))
    assert rates == [1.0] * 3 + [0.5] * 3 + [0.25] * 3 + [0.125] * 3


def test_the_interval_can_be_chosen(tmp_path: Path) -> None:
    schedule = partial(CosineAnnealingLR, T_max=12)
    rates = learning_rates(tmp_path, scheduler=schedule, scheduler_interval="step")
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 12


def test_reduce_on_plateau_watches_the_validation_loss(tmp_path: Path) -> None:
    """Without learning nothing improves after the first epoch."""
    frozen = partial(torch.optim.SGD, lr=1e-30)
    schedule = partial(ReduceLROnPlateau, patience=0, factor=0.1, eps=0.0)
    rates = learning_rates(tmp_path, optimizer=frozen, scheduler=schedule)
    assert rates[::3] == pytest.approx([1e-30, 1e-30, 1e-31, 1e-32], rel=1e-6, abs=0)


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


# Wrong arguments


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


def test_unknown_architecture() -> None:
    with pytest.raises(AttributeError, match="it has LitModel, LitLinear"):
        _ = lit_models.LitMPL


# Multilayer perceptron


def test_depth_repeats_the_hidden_layers() -> None:
    model = LitMLP(**FLAT, hidden_sizes=[10], depth=20)
    linear = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [5] + [10] * 20


def test_output_has_neither_activation_nor_dropout() -> None:
    layers = LitMLP(**FLAT, hidden_sizes=[4], dropout=0.5).layers
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]


def test_without_bias() -> None:
    model = LitMLP(**FLAT, bias=False)
    assert not any(name.endswith("bias") for name, _ in model.named_parameters())
    assert model(torch.zeros(1, 5)).item() == 0


# Convolutional network


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus"])
def test_pooling_before_an_increasing_activation_equals_pooling_after(activation: str) -> None:
    torch.manual_seed(0)
    conv, pool, act = block = conv_block(1, 4, 1, 3, activation, batch_norm=False)
    x = torch.randn(2, 1, 9, 9)
    torch.testing.assert_close(block(x), pool(act(conv(x))))


def test_batch_norm_block_starts_with_a_convolution_without_bias() -> None:
    conv, *_ = block = conv_block(1, 4, 1, 3, "relu", batch_norm=True)
    assert conv.bias is None
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in block)


def test_memory_format_changes_no_output() -> None:
    last, first = (make("convnet", channels_last=on) for on in (True, False))
    x, _ = make_batch("convnet")
    torch.testing.assert_close(last(x), first(x))


# Autoencoder and its neighbors


def test_code_has_its_size_and_is_linear() -> None:
    model, (x, _) = make("autoencoder-conv"), make_batch("autoencoder-conv")
    code = model.encode(x)
    assert code.shape == (8, 6)
    assert (code < 0).any()
    assert torch.equal(model.decode(code), model(x))
    assert model(x).min() >= 0
    assert model(x).max() <= 1


@pytest.mark.parametrize("chunk_size", [1, 7, 40, 1000])
def test_neighbors_equal_those_of_scikit_learn(chunk_size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(60, 5, generator=generator)
    queries = torch.randn(40, 5, generator=generator)
    cosines, rows = nearest_neighbors(queries, codes, 4, chunk_size)
    reference = NearestNeighbors(n_neighbors=4, metric="cosine").fit(codes.numpy())
    distances, expected = reference.kneighbors(queries.numpy())
    assert rows.tolist() == expected.tolist()
    torch.testing.assert_close(1 - cosines, torch.from_numpy(distances), atol=1e-5, rtol=0, check_dtype=False)


def test_more_neighbors_than_codes() -> None:
    with pytest.raises(ValueError, match="5 neighbors were asked for among 3 codes"):
        nearest_neighbors(torch.ones(1, 2), torch.ones(3, 2), 5)


def agreement(codes: list[list[float]], labels: list[int], k: int) -> float:
    metric = NeighborAgreement(k)
    for code, label in zip(codes, labels, strict=True):  # one at a time, as from several batches
        metric.update(torch.tensor([code]), torch.tensor([label]))
    return metric.compute().item()


def test_neighbor_agreement_by_hand() -> None:
    """Two pairs of directions; the nearest of each is its partner, of which one has the other label."""
    codes = [[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0]]
    assert agreement(codes, [0, 0, 1, 1], k=1) == 1.0
    assert agreement(codes, [0, 0, 1, 0], k=1) == 0.5
    assert agreement(codes, [0, 0, 0, 1], k=3) == pytest.approx((2 + 2 + 2 + 0) / 12)


def test_a_code_is_never_its_own_neighbor_even_among_duplicates() -> None:
    """All identical, all labels different: counting itself would give more than 0."""
    assert agreement([[1.0, 2.0]] * 6, list(range(6)), k=2) == 0.0
    assert agreement([[1.0, 2.0]] * 6, [3] * 6, k=2) == 1.0


def test_neighbor_agreement_of_a_few_samples() -> None:
    assert agreement([[1.0], [2.0]], [1, 1], k=5) == 1.0
    assert agreement([[1.0]], [1], k=5) != agreement([[1.0]], [1], k=5)  # not a number


# Recurrent network


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_teacher_forcing_sees_no_future(cell: str) -> None:
    model, (x, _) = make(f"rnn-{cell}"), make_batch(f"rnn-{cell}")
    x.requires_grad_()
    model(x)[:, 5].sum().backward()
    assert x.grad is not None
    assert x.grad[:, :6].any(0).all()
    assert not x.grad[:, 6:].any()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_forecast_equals_a_loop_that_reads_everything_anew(cell: str, num_layers: int) -> None:
    model, (x, _) = make(f"rnn-{cell}", num_layers=num_layers), make_batch(f"rnn-{cell}")
    series = x
    for _ in range(7):
        series = torch.cat([series, model(series)[:, -1:]], dim=1)
    torch.testing.assert_close(model.forecast(x, 7), series[:, x.shape[1] :])


def test_forecast_continues_from_the_level_of_the_series() -> None:
    """It learns differences, so a shifted series has the shifted forecast."""
    model, (x, _) = make("rnn-gru"), make_batch("rnn-gru")
    torch.testing.assert_close(model.forecast(x + 100, 5), model.forecast(x, 5) + 100, atol=1e-3, rtol=0)
