"""Errors of several outputs one by one, against NumPy."""

import numpy as np
import pytest
import torch

from lit_models.metrics import measured, update_metrics
from lit_models.task_choice import make_task

NAMES = ("price (EUR)", "days")


def logged(
    names: tuple[str, ...], shape: tuple[int, ...], steps: int = 1
) -> tuple[dict[str, float], np.ndarray]:
    """What is logged of two batches, and the mean absolute error of each column."""
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randn(2, *shape, generator=generator)
    task = make_task("regression", out_features=steps * shape[-1], target_mean=0.0, target_std=1.0)
    metrics = task.metrics()
    for part in (slice(0, 4), slice(4, None)):
        update_metrics(metrics, task, prediction[part].flatten(1), truth[part])
    values = {name: float(value) for name, value in measured(metrics, names).items()}
    return values, (prediction - truth).abs().flatten(0, -2).mean(0).numpy()


@pytest.mark.parametrize(("shape", "steps"), [((10, 2), 1), ((10, 3, 2), 3)])
def test_named_outputs(shape: tuple[int, ...], steps: int) -> None:
    values, errors = logged(NAMES, shape, steps)
    assert (values["mae/price_(EUR)"], values["mae/days"]) == pytest.approx(tuple(errors))
    assert values["mae"] == pytest.approx(errors.mean())


@pytest.mark.parametrize("names", [(), ("a",), ("a", "a"), ("a", "b", "c")])
def test_without_a_name_for_each_there_is_one_error(names: tuple[str, ...]) -> None:
    assert set(logged(names, (10, 2))[0]) == {"mse", "mae", "r2"}


def test_of_many_outputs_there_is_one_error() -> None:
    assert "mae/c0" in logged(tuple(f"c{k}" for k in range(12)), (10, 12))[0]
    assert set(logged(tuple(f"c{k}" for k in range(13)), (10, 13))[0]) == {"mse", "mae", "r2"}
