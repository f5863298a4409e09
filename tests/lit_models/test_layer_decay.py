"""Which layers there are and in which order, and the factors of their rates."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torchvision.models import VisionTransformer, resnet18

from lit_models.groups import parameter_groups
from lit_models.layer_decay import layer_factors, layers_in_order
from tests.lit_models.cases import CASES, make, make_loader, make_trainer


def test_entries_of_lists_are_layers() -> None:
    assert list(layers_in_order(make("mlp-image"))) == ["layers.0", "layers.2", "layers.4"]
    convnet = layers_in_order(make("convnet-batch-norm"))
    assert list(convnet)[:2] == ["blocks.0", "blocks.1"]
    assert "blocks.0.1.weight" in convnet["blocks.0"]


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_is_in_one_layer(case: str) -> None:
    model = make(case)
    names = [name for layer in layers_in_order(model).values() for name in layer]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_blocks_of_a_residual_network() -> None:
    layers = layers_in_order(resnet18())
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert list(layers) == ["conv1", *blocks, "fc"]
    assert layers["conv1"] == ["conv1.weight", "bn1.weight", "bn1.bias"]


def test_a_transformer_has_its_token_and_positions_in_the_first_layer() -> None:
    """With L blocks timm has L + 2 layers, too: what is before the blocks, the blocks, and the head."""
    model = VisionTransformer(
        image_size=8, patch_size=4, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=5
    )
    layers = layers_in_order(model)
    blocks = [f"encoder.layers.encoder_layer_{number}" for number in range(3)]
    assert list(layers) == ["conv_proj", *blocks, "heads.head"]
    assert {"class_token", "encoder.pos_embedding"} < set(layers["conv_proj"])
    factors = layer_factors(model, 0.5)
    assert factors["class_token"] == 0.5**4
    assert [factors[f"{block}.ln_1.weight"] for block in blocks] == [0.5**3, 0.5**2, 0.5]
    assert factors["heads.head.bias"] == 1


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight


def test_shared_weights_count_once_where_they_stand_first() -> None:
    assert layers_in_order(Tied()) == {
        "embedding": ["embedding.weight"],
        "blocks.0": ["blocks.0.weight", "blocks.0.bias"],
        "blocks.1": ["blocks.1.weight", "blocks.1.bias"],
    }


def test_a_model_of_vectors_alone_is_one_layer() -> None:
    assert layers_in_order(nn.LayerNorm(3)) == {"": ["weight", "bias"]}


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5])
def test_other_decays_are_refused(decay: float, tmp_path: Path) -> None:
    model = make("mlp-binary", layer_decay=decay)
    with pytest.raises(ValueError, match=f"model.layer_decay is {decay}; it must be above 0 and at most 1"):
        make_trainer(tmp_path).fit(model, make_loader("mlp-binary"))


def test_steps_are_those_of_rates_by_hand(tmp_path: Path) -> None:
    case = "mlp-image"
    model = make(case, optimizer=partial(SGD, lr=0.1), layer_decay=0.5)
    make_trainer(tmp_path, max_epochs=1).fit(model, make_loader(case))
    expected = make(case)
    rates = {"layers.0": 0.025, "layers.2": 0.05, "layers.4": 0.1}
    optimizer = SGD(
        [
            {"params": list(expected.get_submodule(name).parameters()), "lr": rate}
            for name, rate in rates.items()
        ]
    )
    for x, y in make_loader(case):
        optimizer.zero_grad()
        expected.task.loss(expected(x), y).backward()
        optimizer.step()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)


def test_it_multiplies_the_rates_of_groups_and_leaves_frozen_layers_out() -> None:
    """Also that of a group with a rate of its own."""
    model = make("mlp-image", optimizer=partial(SGD, lr=0.1, weight_decay=0.2), layer_decay=0.5)
    model.layers[0].requires_grad_(False)
    model.optimizer_groups = {"layers.2.weight": {"lr": 0.8}, "*.weight": {"lr_factor": 0.1}}
    groups = parameter_groups(model, model.optimizer_groups, decay_all=False, layer_decay=0.5)
    optimizer = model.make_optimizer(groups, lambda: 1)["optimizer"]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert found == {
        "layers.2.weight": (pytest.approx(0.4), 0.2),
        "layers.2.bias": (pytest.approx(0.05), 0.0),
        "layers.4.weight": (pytest.approx(0.01), 0.2),
        "layers.4.bias": (pytest.approx(0.1), 0.0),
    }
