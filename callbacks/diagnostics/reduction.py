"""Norms and sums in float64, over all tensors at once and over all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

try:
    from torch.distributed.tensor import DTensor, Partial, Shard
except ImportError:  # a torch built without distributed
    DTensor = None  # type: ignore[assignment, misc]

_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


def float64(device: torch.device) -> torch.dtype:
    """The dtype to accumulate in. In float32 the square of 1e-30 is 0, but Apple's GPUs have no wider type."""
    return torch.float32 if device.type == "mps" else torch.float64


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, dense and real: a DTensor's shard, the values of a sparse or nested tensor."""
    tensor = tensor.detach()
    if DTensor is not None and isinstance(tensor, DTensor):
        tensor = (
            tensor.full_tensor()
            if any(isinstance(p, Partial) for p in tensor.placements)
            else tensor.to_local()
        )
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    elif tensor.is_nested or tensor.layout in _COMPRESSED:
        tensor = tensor.values()
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def share(tensor: Tensor, trainer: pl.Trainer) -> float:
    """The weight of this process's part, chosen so that the sum over all processes counts every element once.

    A parameter that all W processes hold in full counts 1/W in each; one that is cut into W shards counts 1.
    """
    if DTensor is not None and isinstance(tensor, DTensor):
        shards = 1
        for size, placement in zip(tensor.device_mesh.shape, tensor.placements, strict=True):
            shards *= size if isinstance(placement, Shard) else 1
        return shards / trainer.world_size
    if _is_fsdp1_sharded(trainer):
        return 1.0
    return 1.0 / trainer.world_size


def is_sharded(tensor: Tensor, trainer: pl.Trainer) -> bool:
    """Whether this process may hold only part of a parameter (FSDP)."""
    return (DTensor is not None and isinstance(tensor, DTensor)) or _is_fsdp1_sharded(trainer)


def _is_fsdp1_sharded(trainer: pl.Trainer) -> bool:
    strategy: Any = trainer.strategy
    return type(strategy).__name__ == "FSDPStrategy" and strategy.sharding_strategy.name != "NO_SHARD"


def scaler_of(trainer: pl.Trainer) -> Any:
    """The loss scaler of fp16 training, or None."""
    scaler: Any = getattr(trainer.precision_plugin, "scaler", None)
    return scaler if scaler is not None and scaler.is_enabled() else None


def norms(tensors: Sequence[Tensor], order: int = 2) -> list[Tensor]:
    """The norm of each tensor as a 0-dimensional float64 tensor, in one call; no copy to the host.

    Order 2 is the L2 norm, order 1 the sum of the absolute values.
    """
    if not tensors:
        return []
    return list(torch._foreach_norm(list(tensors), order, dtype=float64(tensors[0].device)))


def to_host(tensors: list[Tensor]) -> list[float]:
    """The values of all tensors, one after the other; from an accelerator in one copy."""
    if not all(tensor.is_cpu for tensor in tensors):
        device = tensors[0].device
        return torch.cat([tensor.to(device, float64(device)).view(-1) for tensor in tensors]).tolist()
    numbers: list[float] = []
    for tensor in tensors:
        numbers += tensor.tolist() if tensor.ndim else [tensor.item()]
    return numbers


def sum_over_processes(trainer: pl.Trainer, numbers: list[float]) -> list[float]:
    """The sum of the numbers over all processes; every process gets it."""
    if trainer.world_size == 1:
        return numbers
    device = trainer.strategy.root_device
    vector = torch.tensor(numbers, dtype=float64(device), device=device)
    return trainer.strategy.reduce(vector, reduce_op="sum").tolist()
