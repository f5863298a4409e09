"""The moving average of the weights, against one that is computed step by step."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD

from runtime.averaging import EMAWeightAveraging
from runtime.errors import UsageError
from tests.lit_models.cases import make, make_loader, make_trainer

CASE = "mlp-image"
STEPS = 6  # two epochs of three
State = dict[str, Tensor]


def weights_after_steps() -> list[State]:
    """The weights of a plain loop, before the first step and after each."""
    model = make(CASE)
    optimizer = SGD(model.parameters(), lr=0.1)
    states = [{name: value.clone() for name, value in model.state_dict().items()}]
    for x, y in [*make_loader(CASE), *make_loader(CASE)]:
        optimizer.zero_grad()
        model.task.loss(model(x), y).backward()
        optimizer.step()
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    return states


def averaged(states: list[State], decay: float) -> State:
    """The first state, then so much of itself and the rest of each later one."""
    mean = states[0]
    for state in states[1:]:
        mean = {name: decay * value + (1 - decay) * state[name] for name, value in mean.items()}
    return mean


class Noting(pl.Callback):
    """Notes the weights that validation and a checkpoint have."""

    def __init__(self) -> None:
        self.validated: list[State] = []
        self.saved: list[dict[str, Any]] = []

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.validated.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        path = Path(trainer.default_root_dir) / "noted.ckpt"
        trainer.save_checkpoint(path)
        self.saved.append(torch.load(path, weights_only=True))


def train(folder: Path, average: EMAWeightAveraging, model: Any = None) -> tuple[nn.Module, Noting]:
    model = make(CASE, optimizer=lambda parameters: SGD(parameters, lr=0.1)) if model is None else model
    noting = Noting()
    trainer = make_trainer(
        folder, max_epochs=2, num_sanity_val_steps=0, callbacks=[average, noting], limit_val_batches=1
    )
    trainer.fit(model, make_loader(CASE), make_loader(CASE))
    return model, noting


def assert_close(found: State, expected: State) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_validation_checkpoints_and_the_end_have_the_average(tmp_path: Path) -> None:
    states = weights_after_steps()
    model, noting = train(tmp_path, EMAWeightAveraging(decay=0.7))
    after_epoch = [averaged(states[1:4], 0.7), averaged(states[1:], 0.7)]
    for found, expected in zip(noting.validated, after_epoch, strict=True):
        assert_close(found, expected)
    for checkpoint, expected, current in zip(noting.saved, after_epoch, (states[3], states[6]), strict=True):
        assert_close(checkpoint["state_dict"], expected)
        assert_close(checkpoint["current_model_state"], current)
    assert_close(model.state_dict(), after_epoch[1])
    assert not torch.allclose(states[6]["layers.0.weight"], after_epoch[1]["layers.0.weight"])


def test_until_it_begins_the_network_s_own_weights_count(tmp_path: Path) -> None:
    states = weights_after_steps()
    model, noting = train(tmp_path, EMAWeightAveraging(decay=0.7, update_starting_at_step=4))
    assert_close(noting.validated[0], states[3])
    assert_close(noting.saved[0]["state_dict"], states[3])
    assert_close(model.state_dict(), averaged(states[5:], 0.7))
    never, _ = train(tmp_path, EMAWeightAveraging(update_starting_at_step=100))
    assert_close(never.state_dict(), states[6])


def test_every_second_step(tmp_path: Path) -> None:
    """Steps are counted from 0."""
    states = weights_after_steps()
    model, _ = train(tmp_path, EMAWeightAveraging(decay=0.7, update_every_n_steps=2))
    assert_close(model.state_dict(), averaged([states[1], states[3], states[5]], 0.7))


@pytest.mark.parametrize("use_buffers", [True, False])
def test_whole_numbers_are_copied(use_buffers: bool, tmp_path: Path) -> None:
    model = make(CASE, optimizer=lambda parameters: SGD(parameters, lr=0.1))
    positions, mask = torch.arange(2000), torch.arange(2000) % 2 == 0
    model.register_buffer("positions", positions.clone())
    model.register_buffer("mask", mask.clone())
    train(tmp_path, EMAWeightAveraging(use_buffers=use_buffers), model)
    assert torch.equal(model.positions, positions)
    assert torch.equal(model.mask, mask)


def test_weights_that_are_divided_are_refused() -> None:
    trainer: Any = SimpleNamespace(strategy=object())
    with pytest.raises(UsageError, match="EMAWeightAveraging needs whole weights"):
        EMAWeightAveraging().setup(trainer, make(CASE), "fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"decay": 1.5}, r"Invalid decay value 1.5"), ({"update_every_n_steps": 0}, "must be at least 1")],
)
def test_wrong_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EMAWeightAveraging(**options)
