import pytest
import torch

from tests.callbacks.plain import MemoryLogger


@pytest.fixture
def logger():
    return MemoryLogger()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
