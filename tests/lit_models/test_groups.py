"""Parameter groups and frozen parameters, against steps of plain PyTorch and by what has moved."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import OneCycleLR

from lit_models.base import LitModel
from lit_models.groups import not_decayed, parameter_groups
from tests.lit_models.cases import make, make_batch, make_loader, make_trainer

CASE = "mlp-binary"  # layers.0 and layers.2


def trained(folder: Path, **options: Any) -> nn.Module:
    """After one epoch of three steps."""
    model, loader = make(CASE, **options), make_loader(CASE)
    make_trainer(folder, max_epochs=1).fit(model, loader, loader)
    return model


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters()]


def by_hand(make_groups: Any) -> dict[str, torch.Tensor]:
    """The same three steps with an optimizer that is written out."""
    model = make(CASE)
    optimizer = make_groups(dict(model.named_parameters()))
    for x, y in make_loader(CASE):
        optimizer.zero_grad()
        model.task.loss(model(x), y).backward()
        optimizer.step()
    return model.state_dict()


def test_each_pattern_has_its_own_rate_and_decay(tmp_path: Path) -> None:
    first = names(make(CASE))[0]
    layer = first.rpartition(".")[0]
    model = trained(
        tmp_path,
        optimizer=partial(AdamW, lr=0.1, weight_decay=0.2),
        optimizer_groups={
            f"{layer}.weight": {"lr": 0.003, "weight_decay": 0.5},
            f"{layer}.*": {"lr_factor": 0.1},
        },
    )

    def groups(parameters: dict[str, nn.Parameter]) -> AdamW:
        return AdamW(
            [
                {"params": [parameters[f"{layer}.weight"]], "lr": 0.003, "weight_decay": 0.5},
                {"params": [parameters[f"{layer}.bias"]], "lr": 0.01},
                {"params": [each for name, each in parameters.items() if not name.startswith(f"{layer}.")]},
            ],
            lr=0.1,
            weight_decay=0.2,
        )

    expected = by_hand(groups)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_biases_and_norms_are_not_decayed(tmp_path: Path) -> None:
    """A gradient of 0 leaves the decay as the only force."""
    model = make(
        "convnet-batch-norm", optimizer=partial(SGD, lr=0.1, weight_decay=0.5), decay_biases_and_norms=False
    )
    optimizer = model.make_optimizer(parameter_groups(model, {}, decay_all=False), lambda: 1)["optimizer"]
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
        parameter.data.add_(1.0)
    optimizer.step()
    vectors = set()
    for name, value in model.named_parameters():
        decayed = not torch.allclose(value, before[name] + 1)
        assert torch.allclose(value, (before[name] + 1) * (0.95 if decayed else 1.0))
        vectors |= set() if decayed else {name}
    norms = {
        f"{place}.{kind}"
        for place, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for kind in ("weight", "bias")
    }
    assert norms
    assert vectors == norms | {name for name in before if name.endswith("bias")}


def test_a_recurrent_network_has_biases_too() -> None:
    spared = not_decayed(nn.LSTM(2, 3))
    assert spared == {"bias_ih_l0", "bias_hh_l0"}


def test_what_is_frozen_does_not_move(tmp_path: Path) -> None:
    first = names(make(CASE))[0].rpartition(".")[0]
    model, before = trained(tmp_path, frozen=[f"{first}.*"]), make(CASE).state_dict()
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]) == name.startswith(f"{first}.")
        assert value.requires_grad != name.startswith(f"{first}.")


class Normed(LitModel):
    """Two layers, each with batch norm and dropout."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.first, self.second = (
            nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Dropout(0.1)) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))[:, :1]


def test_statistics_of_frozen_layers_do_not_move(tmp_path: Path) -> None:
    model = Normed(in_shape=[5], frozen=["first.*", "second.1.bias"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loader = make_loader(CASE)
    make_trainer(tmp_path, max_epochs=1).fit(model, loader, loader)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"second.1.running_mean", "second.1.running_var", "second.0.weight"} <= moved
    assert not any(name.startswith("first") for name in moved)
    assert model.first[2].training


def test_a_schedule_keeps_the_shares_of_the_groups(tmp_path: Path) -> None:
    first = names(make(CASE))[0]
    model = make(
        CASE,
        optimizer=partial(SGD, lr=0.1),
        optimizer_groups={first: {"lr_factor": 0.5}},
        scheduler=partial(OneCycleLR, total_steps=None),
    )
    groups = parameter_groups(model, model.optimizer_groups, decay_all=True)
    chosen: Any = model.make_optimizer(groups, lambda: 10)
    assert [group["max_lr"] for group in chosen["optimizer"].param_groups] == [0.05, 0.1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer_groups": {"encoder.*": {"lr": 0.1}}},
            r"optimizer_groups has 'encoder\.\*', which matches no",
        ),
        ({"optimizer_groups": {"*": {"lr": 0.1}, "*.bias": {"lr": 0.2}}}, "earlier patterns match all"),
        ({"optimizer_groups": {"*": {"weight_decy": 0.1}}}, "has 'weight_decy'.*did you mean 'weight_decay'"),
        ({"optimizer_groups": {"*": {"lr": 0.1, "lr_factor": 2}}}, "both lr and lr_factor"),
        ({"frozen": ["encoder.*"]}, r"model.frozen has 'encoder\.\*', which matches no"),
        ({"frozen": ["*"]}, "leaves no parameter to train"),
    ],
)
def test_what_does_nothing_is_refused(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        trained(tmp_path, **options)


def test_without_groups_the_optimizer_gets_the_parameters_as_before() -> None:
    model = make(CASE)
    model.trainer = make_trainer(Path())
    (group,) = model.configure_optimizers()["optimizer"].param_groups
    assert [id(each) for each in group["params"]] == [id(each) for each in model.parameters()]
    assert model(make_batch(CASE)[0]).requires_grad
