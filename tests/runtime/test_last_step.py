"""The figures of the last step are written, however seldom figures are."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitMLP
from runtime.loggers import MetricsCSV
from runtime.loop import use_lean_loop
from tests.callbacks.plain import Plain, mlp
from tests.runtime.ways import Manual

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


class Foreign(Plain):
    """Logs one value at every step, and another one at the first step of an epoch only."""

    def __init__(self) -> None:
        super().__init__(mlp(4, 3, 1))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        self.log("train/loss", loss, on_step=True, on_epoch=False)
        if batch_idx == 0:
            self.log("first", 1.0)
        return loss


def own() -> LitMLP:
    return LitMLP(in_shape=[4], hidden_sizes=[3], task="regression")


def logged(folder: Path, model: Any, **options: Any) -> list[tuple[int, str]]:
    """Step and name of everything that a training with four steps per epoch writes, but the epoch's number."""
    table = MetricsCSV(folder)
    quiet = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(default_root_dir=folder, accelerator="cpu", logger=table, **{**quiet, **options})
    use_lean_loop(trainer)
    trainer.fit(model, DataLoader(TensorDataset(X, Y), batch_size=8))
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    names = rows[0]
    cells = [(int(row[names.index("step")]), dict(zip(names, row, strict=True))) for row in rows[1:]]
    return [
        (step, name) for step, row in cells for name in names if row[name] and name not in ("step", "epoch")
    ]


@pytest.mark.parametrize("make", [own, Foreign])
@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"max_epochs": 2}, [7]),
        ({"max_epochs": 2, "log_every_n_steps": 3}, [2, 5, 7]),
        ({"max_epochs": 2, "log_every_n_steps": 4}, [3, 7]),
        ({"max_epochs": -1, "max_steps": 6}, [5]),
        ({"max_epochs": 2, "max_steps": 100}, [7]),
        ({"max_epochs": 1, "limit_train_batches": 3}, [2]),
        ({"max_epochs": 2, "accumulate_grad_batches": 2}, [3]),
    ],
    ids=str,
)
def test_the_last_step_is_written(
    make: Any, options: dict[str, Any], steps: list[int], tmp_path: Path
) -> None:
    assert [step for step, name in logged(tmp_path, make(), **options) if name == "train/loss"] == steps


def test_only_values_of_the_last_step_itself_are_written(tmp_path: Path) -> None:
    assert logged(tmp_path, Foreign(), max_epochs=2, log_every_n_steps=50) == [(7, "train/loss")]


def test_manual_optimization(tmp_path: Path) -> None:
    written = logged(tmp_path, Manual(), max_epochs=2, log_every_n_steps=50)
    assert (7, "train/loss_step") in written
    assert (7, "now_and_then") in written


def test_nothing_logged_stays_nothing(tmp_path: Path) -> None:
    logged_nothing = Plain(mlp(4, 3, 1))
    table = tmp_path / "metrics.csv"
    table.write_text("step\n")
    assert logged(tmp_path, logged_nothing, max_epochs=1) == []
