"""One small case for each way to build each architecture, with a batch, a loader and a quiet Trainer."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitAutoencoder, LitConvNet, LitLinear, LitMLP, LitModel, LitRNN

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
