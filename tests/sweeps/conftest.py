"""Plans without a model, and rows as the tables have them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.plan import Plan, read_plan


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Read a plan in an empty folder, as the command would, without its rehearsal."""
    monkeypatch.chdir(tmp_path)

    def read(*given: str, mode: str = "min") -> Plan:
        return read_plan(["--model", "LitMLP", *given]).with_metric("val/loss", mode)

    return read
