"""FSDP on one device, over gloo on the CPU: its gradients are those of the weights that they belong to."""

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.distributed import destroy_process_group
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from runtime.sharding import ContiguousWeights


class FSDPOnCPU(FSDPStrategy):
    """Lightning's own wants a GPU; PyTorch accepts a CPU that is named."""

    def _setup_model(self, model: nn.Module) -> nn.Module:
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **self.kwargs)


class Pictures(pl.LightningModule):
    """Convolutions in channels_last: one with few inputs, a larger one, and one of a single pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        convs = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 1)]
        self.net = nn.Sequential(*convs, nn.Flatten(), nn.Linear(3 * 16, 1)).to(
            memory_format=torch.channels_last
        )
        self.strides_agree: list[bool] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.net(batch[0]).square().mean()

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """What fused optimizers demand on a GPU."""
        for parameter in self.parameters():
            assert parameter.grad is not None
            self.strides_agree.append(parameter.stride() == parameter.grad.stride())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def train(strategy: Any, *callbacks: pl.Callback) -> Pictures:
    """Four steps; returns the module with its weights."""
    model = Pictures()
    data = TensorDataset(torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "use_distributed_sampler": False}
    trainer = pl.Trainer(
        strategy=strategy,
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        callbacks=list(callbacks),
        **quiet,
    )
    trainer.fit(model, DataLoader(data, batch_size=4))
    return model


@pytest.fixture
def sharded() -> Any:
    yield FSDPOnCPU(process_group_backend="gloo")
    destroy_process_group()


def weights(model: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_one_device_trains_as_without_fsdp(sharded: FSDPStrategy) -> None:
    expected, model = train("auto"), train(sharded, ContiguousWeights())
    torch.testing.assert_close(weights(model), weights(expected), rtol=1e-5, atol=1e-6)
    assert all(model.strides_agree)


def test_without_the_callback_it_does_not(sharded: FSDPStrategy) -> None:
    """If this fails, PyTorch has been mended, and the callback can go."""
    expected, model = train("auto"), train(sharded)
    assert not torch.allclose(weights(model), weights(expected), atol=1e-3)
    assert not all(model.strides_agree)


def test_other_trainings_keep_their_layout() -> None:
    model = train("auto", ContiguousWeights())
    assert model.net[2].weight.is_contiguous(memory_format=torch.channels_last)
