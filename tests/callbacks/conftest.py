import pytest
import torch
from plain import MemoryLogger


@pytest.fixture
def logger():
    return MemoryLogger()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
