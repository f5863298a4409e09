"""All processes measure at the same steps: what the first one finds in its folder decides for each of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from callbacks.diagnostics.probe import Probe
from callbacks.inside import LayerTable, WeightTable
from callbacks.inside.layers import FILE
from tests.callbacks.plain import Plain, mlp


def started(table: Any, monkeypatch: pytest.MonkeyPatch, first_says: Callable[[Any], Any]) -> Any:
    """A monitor that has begun in a process which hears this from the first one."""
    trainer, model = (
        pl.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False),
        Plain(mlp(2, 3, 1)),
    )
    trainer.strategy.connect(model)
    monkeypatch.setattr(trainer.strategy, "broadcast", first_says)
    table.start(trainer, model, Probe(model))
    return table


def test_an_old_file_in_the_folder_of_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE).write_text("[]")
    assert started(LayerTable(tmp_path), monkeypatch, lambda is_done: False).is_due(0)


def test_no_folder_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(WeightTable(None), monkeypatch, lambda value: value or True).is_due(0)


def test_a_resumed_training_whose_rows_only_the_first_process_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = started(WeightTable(tmp_path), monkeypatch, lambda value: True if value is True else 64)
    due = [step for step in range(129 * 50) if table.is_due(step)]
    assert len(due) < 10
