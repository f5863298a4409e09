"""A checkpoint that does not fit the config is refused, with both values."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cli.checkpoint_checks import check_architecture, check_length, check_resumable, check_shapes
from lit_models import LitMLP
from runtime.errors import UsageError


@pytest.fixture
def checkpoint() -> dict[str, Any]:
    model = LitMLP(in_shape=[2], hidden_sizes=[4])
    return {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}


def test_a_checkpoint_that_fits(checkpoint: dict[str, Any]) -> None:
    check_shapes(checkpoint, "good.ckpt", LitMLP(in_shape=[2], hidden_sizes=[4]), {"hidden_sizes": [4]})


class WithExtraState(torch.nn.Linear):
    """A module whose state has more than weights."""

    def get_extra_state(self) -> Any:
        return {"seen": 3}

    def set_extra_state(self, state: Any) -> None:
        assert state == {"seen": 3}


def test_state_that_is_no_weight_is_left_to_its_module() -> None:
    model = torch.nn.Sequential(WithExtraState(2, 1))
    assert "0._extra_state" in model.state_dict()
    check_shapes({"state_dict": model.state_dict()}, "x.ckpt", model, {})
    check_shapes({"state_dict": WithExtraState(2, 1).state_dict()}, "x.ckpt", WithExtraState(2, 1), {})
    with pytest.raises(UsageError, match="holds more than tensors"):
        check_shapes({"state_dict": {"0.weight": {"seen": 3}}}, "x.ckpt", model, {})


@pytest.mark.parametrize("class_path", ["lit_models.LitMLP", "lit_models.mlp.LitMLP", "LitMLP"])
def test_a_class_has_several_addresses(class_path: str) -> None:
    check_architecture({"hyper_parameters": {"_class_path": "lit_models.LitMLP"}}, "x.ckpt", class_path)


class Extended(LitMLP):
    """One's own version of the model that a checkpoint is from."""


def test_a_class_that_extends_the_one_of_the_checkpoint_may_take_it() -> None:
    saved = {"hyper_parameters": {"_class_path": "lit_models.LitMLP"}}
    check_architecture(saved, "x.ckpt", f"{__name__}.Extended")
    with pytest.raises(UsageError, match=r"holds a .*LitRNN"):
        check_architecture(
            {"hyper_parameters": {"_class_path": "lit_models.LitRNN"}}, "x.ckpt", f"{__name__}.Extended"
        )


def test_another_architecture() -> None:
    saved = {"hyper_parameters": {"_class_path": "lit_models.LitRNN"}}
    with pytest.raises(
        UsageError, match=r"x.ckpt holds a lit_models.LitRNN, but the config asks for a .*LitMLP"
    ):
        check_architecture(saved, "x.ckpt", "lit_models.LitMLP")


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({"hidden_sizes": [5]}, ["model.hidden_sizes is [5], and [4] in the checkpoint"]),
        ({"in_shape": [3]}, ["model.in_shape is [3], and [2] in the checkpoint"]),
        (
            {"bias": False},
            ["model.bias is False, and True in the checkpoint", "layers.0.bias: missing, and [4]"],
        ),
        ({"depth": 2}, ["model.depth is 2, and 1 in the checkpoint", "layers.4.weight: [1, 4], and missing"]),
    ],
)
def test_contradicting_flags_name_both_values(
    changed: dict[str, Any], lines: list[str], checkpoint: dict[str, Any]
) -> None:
    model = LitMLP(**{"in_shape": [2], "hidden_sizes": [4], **changed})
    with pytest.raises(UsageError) as raised:
        check_shapes(checkpoint, "x.ckpt", model, model.hparams)
    assert "x.ckpt does not fit this model" in str(raised.value)
    for line in lines:
        assert line in str(raised.value)
    assert len(str(raised.value).splitlines()) < 10


ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1, "betas": [0.9, 0.999]}}
SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
STATE = {
    "epoch": 0,
    "global_step": 0,
    "optimizer_states": [],
    "loops": {},
    "hyper_parameters": {"optimizer": ADAM, "scheduler": None},
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": SGD}, "model.optimizer is SGD, and Adam in x.ckpt"),
        (
            {"optimizer": {**ADAM, "init_args": {"lr": 0.5, "betas": [0.9, 0.999]}}},
            r"model.optimizer is Adam\(lr=0.5\), and Adam\(lr=0.1\) in x.ckpt",
        ),
        ({"scheduler": {"class_path": "StepLR"}}, "model.scheduler is StepLR, and None in x.ckpt"),
    ],
)
def test_a_run_keeps_its_optimizer(changed: dict[str, Any], message: str) -> None:
    now = {"optimizer": {**ADAM, "init_args": {"lr": 0.1, "betas": (0.9, 0.999)}}, "scheduler": None}
    check_resumable(STATE, "x.ckpt", now)
    with pytest.raises(UsageError, match=message):
        check_resumable(STATE, "x.ckpt", {**now, **changed})


def test_weights_alone_cannot_go_on() -> None:
    with pytest.raises(UsageError, match=r"x.ckpt holds weights only"):
        check_resumable({"state_dict": {}}, "x.ckpt", {})


def test_a_schedule_that_ends_is_not_trained_beyond(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("trainer: {max_epochs: 3}")
    one_cycle = {"lr_schedulers": [{"total_steps": 30}]}
    check_length(one_cycle, config, 3)
    check_length({"lr_schedulers": [{}]}, config, 9)
    with pytest.raises(UsageError, match=r"trainer.max_epochs is 9, but .* ends after 3"):
        check_length(one_cycle, config, 9)
