"""Labels of layers: each kind is counted, the last layer that answers is the output."""

import torch
from torch import nn

from callbacks.layer_labels import layer_label, layer_labels
from lit_models import LitAutoencoder, LitConvNet, LitLinear, LitMLP, LitRNN


def labels_of(model: nn.Module) -> list[str]:
    return list(layer_labels(model).values())


def test_bundled_architectures() -> None:
    assert labels_of(LitLinear(in_shape=[3])) == ["output"]
    assert labels_of(LitMLP(in_shape=[2], hidden_sizes=[2])) == ["hidden 1", "output"]
    assert labels_of(LitMLP(in_shape=[2], hidden_sizes=[5, 3])) == ["hidden 1", "hidden 2", "output"]
    images = {"in_shape": [1, 8, 8], "out_features": 4, "task": "multiclass"}
    assert labels_of(LitConvNet(channels=[2, 3], **images)) == ["convolution 1", "convolution 2", "output"]
    assert labels_of(LitAutoencoder(code_size=3, in_shape=[1, 8, 8])) == ["code", "output"]
    deep = LitAutoencoder(code_size=3, channels=[2], hidden_sizes=[5], in_shape=[1, 8, 8])
    expected = ["convolution 1", "hidden 1", "code", "hidden 2", "hidden 3", "output"]
    assert labels_of(deep) == expected
    assert labels_of(LitRNN(in_shape=[9, 1], task="regression")) == ["recurrent 1", "output"]


def test_order_of_depth_counts_not_that_of_registration() -> None:
    model = nn.ModuleDict({"head": nn.Linear(4, 1), "body": nn.Linear(2, 4)})
    assert layer_labels(model, ["body", "head"]) == {"body": "hidden 1", "head": "output"}
    assert layer_label(model, "body", ["body", "head"]) == "hidden 1"


def test_tags_and_modules_without_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert [layer_label(model, each) for each in ("0", "00_0", "01_2", "1")] == [
        "hidden 1",
        "hidden 1",
        "output",
        "1",
    ]


def test_kinds_of_other_networks() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.embedding = nn.Embedding(5, 4)
            self.attention = nn.MultiheadAttention(4, 2)
            self.norm = nn.LayerNorm(4)
            self.mine = Scale()
            self.head = nn.Linear(4, 5)

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

    expected = {
        "root": "the model's own",
        "embedding": "embedding 1",
        "attention": "attention 1",
        "attention.out_proj": "attention projection 1",
        "norm": "normalization 1",
        "mine": "Scale 1",
        "head": "output",
    }
    assert layer_labels(Own()) == expected


def test_a_recurrent_network_that_ends_without_a_head_has_no_output() -> None:
    assert labels_of(nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 1))) == ["hidden 1", "recurrent 1"]
