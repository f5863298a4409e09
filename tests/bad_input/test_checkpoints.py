"""Files that are no checkpoint, those of other programs, and those that carry code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.bad_input.conftest import Refused

BEST = "runs/quick/version_0/checkpoints/best.ckpt"
TEST = "test --config quick.yaml --ckpt_path bad.ckpt"
Content = dict[str, Any]


class Malice:
    """Pickled, it runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


def only(*keys: str) -> Callable[[Content], Content]:
    return lambda content: {key: content[key] for key in keys}


def flattened(content: Content) -> Content:
    weights = {name: weight.flatten() for name, weight in content["state_dict"].items()}
    return {**content, "state_dict": weights}


def of_a_network_for_series(content: Content) -> Content:
    return {**content, "hyper_parameters": {"_class_path": "lit_models.LitRNN"}}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "bad.ckpt is damaged or no checkpoint"),
        (lambda content: np.random.default_rng(0).bytes(5000), "bad.ckpt is damaged or no checkpoint"),
        (lambda content: content[: len(content) // 2], "bad.ckpt is damaged or no checkpoint"),
        (lambda content: content[:-20], "bad.ckpt is damaged or no checkpoint"),
        (lambda content: b"model: LitMLP\n", "bad.ckpt is damaged or no checkpoint"),
    ],
    ids=["empty", "garbage", "half", "without its end", "config"],
)
def test_damaged(damage: Callable[[bytes], bytes], message: str, refused: Refused, place: Path) -> None:
    (place / "bad.ckpt").write_bytes(damage((place / BEST).read_bytes()))
    refused(TEST, message)


@pytest.mark.parametrize("command", ["test", "predict", "fit"])
def test_one_flipped_byte_in_a_weight(command: str, refused: Refused, place: Path) -> None:
    """The file would load, with another weight."""
    weight = torch.load(place / BEST, weights_only=True)["state_dict"]["layers.0.weight"]
    content = bytearray((place / BEST).read_bytes())
    content[content.index(weight.numpy().tobytes())] ^= 255
    (place / "bad.ckpt").write_bytes(content)
    refused(f"{command} --config quick.yaml --ckpt_path bad.ckpt", "bad.ckpt is damaged: the checksum of")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["state_dict"], "is not a Lightning checkpoint: it has no `state_dict`"),
        (lambda content: [1, 2], "is not a Lightning checkpoint"),
        (only("state_dict"), "is not a Lightning checkpoint: it has no `pytorch-lightning_version`"),
        (
            lambda content: {**content, "state_dict": {"layers.0.weight": "x"}},
            "`state_dict` holds more than tensors",
        ),
        (lambda content: {**content, "hyper_parameters": [1]}, "`hyper_parameters` is of type list"),
        (lambda content: {**content, "callbacks": 3}, "`callbacks` is of type int"),
        (flattened, "layers.0.weight: [4, 2], and [8] in the checkpoint"),
        (of_a_network_for_series, "holds a lit_models.LitRNN, but the config asks for a lit_models.LitMLP"),
    ],
)
def test_of_another_program(
    change: Callable[[Content], Any], message: str, refused: Refused, place: Path
) -> None:
    torch.save(change(torch.load(place / BEST, weights_only=True)), place / "bad.ckpt")
    refused(TEST, message)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch": "x"}, "its `epoch` is of type str"),
        ({"global_step": None}, "its `global_step` is of type NoneType"),
        ({"optimizer_states": 3}, "its `optimizer_states` is of type int"),
        ({"lr_schedulers": 3}, "its `lr_schedulers` is of type int"),
        ({"pytorch-lightning_version": 3}, "its `pytorch-lightning_version` is of type int"),
        ({"loops": {"fit_loop": 3}}, "bad.ckpt does not hold what this model"),
        ({"loops": {}}, "bad.ckpt does not hold what this model"),
        ({"optimizer_states": [3]}, "bad.ckpt does not hold what this model"),
        ({"optimizer_states": [{}]}, "bad.ckpt does not hold what this model"),
        ({"exact_resume": [{}]}, "bad.ckpt does not hold what this model"),
        ({"exact_resume": 3}, "bad.ckpt does not hold what this model"),
        ({"hyper_parameters": {"_class_path": 3}}, "bad.ckpt holds a 3, but the config asks for"),
        ({"state_dict": {}}, "bad.ckpt does not fit this model"),
        ({"state_dict": {3: torch.ones(1)}}, "bad.ckpt does not fit this model"),
    ],
    ids=str,
)
def test_malformed_contents(changed: Content, message: str, refused: Refused, place: Path) -> None:
    torch.save({**torch.load(place / BEST, weights_only=True), **changed}, place / "bad.ckpt")
    refused("fit --config quick.yaml --ckpt_path bad.ckpt --trainer.max_epochs 9", message)


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("command", ["test", "predict", "fit"])
def test_code_is_not_run(command: str, as_zip: bool, refused: Refused, place: Path) -> None:
    """Nor does the message say how to have it run."""
    content = torch.load(place / BEST, weights_only=True)
    torch.save({**content, "x": Malice()}, place / "bad.ckpt", _use_new_zipfile_serialization=as_zip)
    message = "it may carry code" if as_zip else "is damaged or no checkpoint"
    outcome = refused(f"{command} --config quick.yaml --ckpt_path bad.ckpt", message)
    assert "weights_only" not in outcome.err
    assert not (place / "owned").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("test --ckpt_path none.ckpt", "--ckpt_path none.ckpt does not exist"),
        ("test --ckpt_path data", "--ckpt_path data is a folder without a checkpoint"),
        ("fit --config quick.yaml --ckpt_path data", "--ckpt_path data is a folder without a checkpoint"),
        (f"fit --resume {BEST}", f"--resume {BEST} is a file; give the folder of its run"),
        ("test --ckpt_path https://localhost:9/best.ckpt", "is an address; download the file"),
        ("fit --config quick.yaml --ckpt_path none.ckpt", "--ckpt_path none.ckpt does not exist"),
        (
            f"test --ckpt_path {BEST} --model.hidden_sizes [5]",
            "model.hidden_sizes is [5], and [4] in the checkpoint",
        ),
        (
            f"test --ckpt_path {BEST} --data.features [male]",
            "model.in_shape is [1], and [2] in the checkpoint",
        ),
        (f"test --ckpt_path {BEST} --model LitLinear", "but the config asks for a lit_models.LitLinear"),
        (
            f"fit --config quick.yaml --ckpt_path {BEST} --model.optimizer SGD",
            "model.optimizer is SGD, and Adam",
        ),
        ("fit --resume runs/quick/version_0 --model.optimizer.lr 0.5", "Adam(lr=0.5), and Adam(lr=0.02)"),
        (
            "fit --resume runs/quick/version_0 --data.train_csv none.csv --trainer.max_epochs 9",
            "the table none.csv",
        ),
    ],
)
def test_in_the_wrong_place(line: str, message: str, refused: Refused) -> None:
    refused(line, message)
