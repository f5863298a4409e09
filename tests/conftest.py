"""Fixtures that several folders of tests share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small tensors gain nothing from threads, and tests may run in parallel."""
    torch.set_num_threads(1)
