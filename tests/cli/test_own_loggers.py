"""With loggers of one's own, the run's folder has all that it has without, and no row is lost at a resume."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pytorch_lightning.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cli import main
from runtime.own_loggers import keep_rows

FIT = (
    "fit --model LitLinear --data TitanicDataModule --run_name own --trainer.accelerator cpu --pictures false"
)
QUIET = "--checkup false --trainer.enable_progress_bar false --trainer.enable_model_summary false"
WORDS = f"{FIT} {QUIET} --trainer.max_epochs 2 --trainer.log_every_n_steps 1".split()
RUN = Path("runs/own/version_0")
PINNED = """
trainer:
  logger:
    class_path: CSVLogger
    init_args: {save_dir: elsewhere, name: csv, version: one}
"""
STORE = """
from pytorch_lightning.loggers import Logger

class Store(Logger):
    # as W&B's and MLflow's: its folder is not the run's
    name = "store"
    version = 1
    save_dir = "."
    seen = []

    def log_metrics(self, metrics, step=None):
        self.seen.append(step)

    def log_hyperparams(self, params, *args, **kwargs):
        pass
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_pinned_csv_logger_keeps_its_rows_at_a_resume() -> None:
    Path("logger.yaml").write_text(PINNED)
    assert main([*WORDS, "--config", "logger.yaml"]) == 0
    first = pd.read_csv("elsewhere/csv/one/metrics.csv")
    assert main(["fit", "--resume", str(RUN), "--trainer.max_epochs=4"]) == 0
    both = pd.read_csv("elsewhere/csv/one/metrics.csv")
    pd.testing.assert_frame_equal(both[first.columns][: len(first)], first)
    losses = both["train/loss"].notna().sum()
    assert losses == 2 * first["train/loss"].notna().sum() > 0
    assert pd.read_csv(RUN / "metrics.csv")["train/loss"].notna().sum() == losses


KILLED = """
from pytorch_lightning.callbacks import Callback

class Killed(Callback):
    # as kill -9 between two steps: nothing is saved, and the loggers have written what they had
    def __init__(self, at: int = -1):
        self.at = at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.at:
            for logger in trainer.loggers:
                logger.save()
            raise KeyboardInterrupt
"""


@pytest.mark.parametrize("version", ["one", None])
def test_own_tensorboard_and_table_have_each_step_once(version: str | None) -> None:
    """The run is stopped after its last checkpoint, in the third epoch, and resumed."""
    Path("killed_at.py").write_text(KILLED)
    pinned = f", version: {version}" if version else ""
    Path("loggers.yaml").write_text(
        f"""
trainer:
  logger:
    - class_path: TensorBoardLogger
      init_args: {{save_dir: elsewhere, name: board{pinned}}}
    - class_path: CSVLogger
      init_args: {{save_dir: elsewhere, name: csv{pinned}, flush_logs_every_n_steps: 1}}
"""
    )
    words = [
        *WORDS,
        "--config=loggers.yaml",
        "--trainer.max_epochs=4",
        "--trainer.callbacks+=killed_at.Killed",
    ]
    words += ["--save_every_n_steps=20", "--data.batch_size=60"]  # 12 steps in an epoch
    assert main([*words, "--trainer.callbacks.at=30"]) == 130
    assert main(["fit", "--resume", str(RUN), "--trainer.callbacks.at=-1"]) == 0
    for table in Path("elsewhere/csv").glob("*/metrics.csv"):
        losses = pd.read_csv(table).dropna(subset="train/loss")
        assert losses["step"].is_unique
    boards = sorted(Path("elsewhere/board").iterdir())
    assert len(boards) == (1 if version else 2)
    for board in boards:
        events = EventAccumulator(str(board)).Reload()
        for tag in ("train/loss", "val/loss", "grad_norm/00_linear"):
            steps = [event.step for event in events.Scalars(tag)]
            assert steps == sorted(set(steps)), (board, tag)
        if version:
            steps = [event.step for event in events.Scalars("train/loss")]
            assert steps == list(range(4 * 12))


def test_a_logger_that_cannot_take_back_is_named_at_a_resume() -> None:
    Path("store_of_mine.py").write_text(STORE)
    assert main([*WORDS, "--trainer.logger=store_of_mine.Store"]) == 0
    with pytest.warns(
        UserWarning, match=r"Store keeps what it was given after the checkpoint: .* steps from \d+ on"
    ):
        assert main(["fit", "--resume", str(RUN), "--trainer.max_epochs=3"]) == 0


@pytest.mark.parametrize(
    "given", [["--trainer.logger=store_of_mine.Store"], ["--trainer.logger+=store_of_mine.Store"]]
)
def test_everything_of_the_run_is_in_its_folder(given: list[str]) -> None:
    Path("store_of_mine.py").write_text(STORE)
    assert main([*WORDS, *given]) == 0
    assert {"config.yaml", "metrics.csv", "diagnosis.json", "checkpoints"} <= {
        path.name for path in RUN.iterdir()
    }
    assert list(RUN.glob("events.out.tfevents*"))
    assert "verdicts" in json.loads((RUN / "diagnosis.json").read_text())
    assert not Path("diagnosis.json").exists()

    from store_of_mine import Store

    assert Store.seen
    Store.seen.clear()


def test_no_logger_is_none() -> None:
    assert main([*WORDS, "--trainer.logger=false"]) == 0
    assert not (RUN / "metrics.csv").exists()


def test_a_second_table_in_the_runs_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logger.yaml").write_text(
        PINNED.replace("elsewhere", "runs").replace("csv,", "own,").replace("one", "version_0")
    )
    assert main([*WORDS, "--config", "logger.yaml"]) == 2
    assert "CSVLogger would write runs/own/version_0/metrics.csv" in capsys.readouterr().err
    assert not RUN.exists()


def test_rows_that_are_logged_again_are_not_kept(tmp_path: Path) -> None:
    def logger() -> CSVLogger:
        return CSVLogger(tmp_path, name="csv", version="one")

    first = logger()
    for step in range(4):
        first.log_metrics({"a": step}, step)
    first.save()
    again = logger()
    keep_rows(again, before=2)
    again.log_metrics({"a": 7, "b": 1}, 2)
    again.save()
    table = pd.read_csv(tmp_path / "csv/one/metrics.csv")
    assert table["step"].tolist() == [0, 1, 2]
    assert table["a"].tolist() == [0, 1, 7]
    assert table["b"].tolist()[2] == 1
