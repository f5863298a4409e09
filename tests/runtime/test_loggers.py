"""metrics.csv keeps every row, whatever comes later."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from runtime.errors import UsageError
from runtime.loggers import MetricsCSV, Row
from runtime.tensorboard import BufferedTensorBoardLogger


def test_rows_of_one_step_are_one_row(tmp_path: Path) -> None:
    logger = MetricsCSV(tmp_path)
    logger.log_metrics({"train/loss": 0.5, "epoch": 0}, step=3)
    logger.log_metrics({"val/loss": 0.25, "epoch": 0}, step=3)
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,train/loss,epoch,val/loss\n3,0.5,0,0.25\n"


def test_rows_of_an_evaluation_are_at_the_checkpoints_step(tmp_path: Path) -> None:
    logger = MetricsCSV(tmp_path, step=360)
    logger.log_metrics({"test/loss": 0.5}, step=0)
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,test/loss\n360,0.5\n"


def test_a_column_that_comes_later_leaves_earlier_rows_as_they_are(tmp_path: Path) -> None:
    logger = MetricsCSV(tmp_path)
    logger.log_metrics({"a": 1}, step=0)
    logger.flush()
    logger.log_metrics({"b": 2}, step=1)
    logger.flush()
    assert (tmp_path / "metrics.csv").read_text() == "step,a,b\n0,1,\n1,,2\n"


def test_a_second_logger_appends(tmp_path: Path) -> None:
    for step in range(3):
        logger = MetricsCSV(tmp_path)
        logger.log_metrics({"a": step}, step=step)
        logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,a\n0,0\n1,1\n2,2\n"


def test_nothing_logged_writes_nothing(tmp_path: Path) -> None:
    MetricsCSV(tmp_path).finalize("success")
    assert list(tmp_path.iterdir()) == []


def test_a_long_run_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("runtime.loggers.time.monotonic", lambda: next(clock) / 10)
    logger, written = MetricsCSV(tmp_path), []
    for step in range(250):
        logger.log_metrics({"a": step}, step=step)
        written.append(
            len(pd.read_csv(tmp_path / "metrics.csv")) if (tmp_path / "metrics.csv").exists() else 0
        )
    assert written[-1] > 230
    assert 20 < len(set(written)) < 40  # ten times slower than the clock that is asked at each step
    logger.finalize("success")
    assert pd.read_csv(tmp_path / "metrics.csv")["step"].tolist() == list(range(250))


@pytest.mark.parametrize("pause", [0.0, 1e9])
def test_what_shares_a_row_does_not_depend_on_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    monkeypatch.setattr("runtime.loggers.PAUSE", pause)
    logger = MetricsCSV(tmp_path)
    for step in (0, 1):
        for tag in ("a", "b"):
            logger.log_metrics({tag: step}, step=step)
            logger.save()
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,a,b\n0,0,0\n1,1,1\n"


def test_tags_with_commas_and_quotes_survive(tmp_path: Path) -> None:
    for tag in ('x, "y"', "z"):
        logger = MetricsCSV(tmp_path)
        logger.log_metrics({tag: 1.0}, step=0)
        logger.flush()
    assert list(pd.read_csv(tmp_path / "metrics.csv").columns) == ["step", 'x, "y"', "z"]


def test_what_comes_after_the_checkpoint_is_logged_once(tmp_path: Path) -> None:
    """Stopped after step 9 with a checkpoint of 5 steps (0 to 4), it resumes with step 5."""
    for first, purge_step in ((0, None), (5, 5)):
        logger = MetricsCSV(tmp_path, purge_step)
        for step in range(first, 10):
            logger.log_metrics({"a": step}, step=step)
        logger.finalize("success")
    assert pd.read_csv(tmp_path / "metrics.csv")["step"].tolist() == list(range(10))


def test_a_run_that_fails_before_it_logs_keeps_its_table(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,a\n8,0.5\n9,0.25\n")
    MetricsCSV(tmp_path, purge_step=9).finalize("failed")
    assert (tmp_path / "metrics.csv").read_text() == "step,a\n8,0.5\n9,0.25\n"


def test_a_run_without_a_table_goes_on(tmp_path: Path) -> None:
    MetricsCSV(tmp_path, purge_step=3)
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,a\n8,0.5\n9,0.25\n1")  # of "10,0.125"
    logger = MetricsCSV(tmp_path, purge_step=10)
    logger.log_metrics({"a": 0.125}, step=10)
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,a\n8,0.5\n9,0.25\n10,0.125\n"


def test_a_full_disk_delays_rows_and_loses_none(small_disk: Path) -> None:
    logger = MetricsCSV(small_disk)
    logger.log_metrics({"a": 0.5}, step=0)
    logger.flush()
    status = os.statvfs(small_disk)
    (small_disk / "other").write_bytes(bytes(status.f_bavail * status.f_frsize))
    for step in range(1, 2000):
        logger.rows.append(Row(step, 0.0, {"a": 0.25}))
    with pytest.raises(OSError, match="No space left"):
        logger.flush()
    assert (small_disk / "metrics.csv").read_text() == "step,a\n0,0.5\n"
    (small_disk / "other").unlink()
    logger.finalize("success")
    assert pd.read_csv(small_disk / "metrics.csv")["step"].tolist() == list(range(2000))


def test_a_line_cut_short_is_not_continued_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,a\n8,0.5\n9,0.2")
    logger = MetricsCSV(tmp_path)  # not a resumed run: `test` appends, too
    logger.log_metrics({"a": 0.125}, step=10)
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,a\n8,0.5\n10,0.125\n"


@pytest.mark.parametrize("garbage", ["x,0.5", "1,2,3", "\x00\x00", '"', "\ufffd\ufffd,1"])
def test_a_garbage_row_is_left_out_with_a_warning(garbage: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    content = f"step,a\n1,0.5\n{garbage}\n".encode().replace("\ufffd".encode(), b"\xff")
    path.write_bytes(content)
    logger = MetricsCSV(tmp_path, purge_step=3)
    logger.log_metrics({"a": 0.25}, step=3)
    with pytest.warns(UserWarning, match=f"{path}: line [34] is damaged and left out"):
        logger.finalize("success")
    assert path.read_text() == "step,a\n1,0.5\n3,0.25\n"


def test_a_table_without_its_first_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("1,0.5\n2,0.25\n")
    with pytest.raises(UsageError, match=f"{tmp_path / 'metrics.csv'} has no column `step`"):
        MetricsCSV(tmp_path, purge_step=3)
    assert (tmp_path / "metrics.csv").read_text() == "1,0.5\n2,0.25\n"


LOGGED = {
    "loss": torch.tensor(1.5),
    "count": torch.tensor([3]),
    "array": np.float32(0.5),
    "deep": {"a": 1, "b": {"c": torch.tensor(0.25, dtype=torch.bfloat16)}},
    "flag": True,
}


def test_tensors_and_nested_dicts_are_written_as_numbers(tmp_path: Path) -> None:
    table, board = MetricsCSV(tmp_path), BufferedTensorBoardLogger(tmp_path, name="", version="")
    for logger in (table, board):
        logger.log_metrics(LOGGED, step=2)
        logger.finalize("success")
    expected = {"loss": 1.5, "count": 3, "array": 0.5, "deep/a": 1, "deep/b/c": 0.25, "flag": 1}
    assert (tmp_path / "metrics.csv").read_text() == (
        "step,loss,count,array,deep/a,deep/b/c,flag\n2,1.5,3,0.5,1,0.25,1.0\n"
    )
    (path,) = tmp_path.glob("events*")
    found = {
        value.tag: value.tensor.float_val[0]
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag != "hp_metric"
    }
    assert found == expected


@pytest.mark.parametrize("value", ["text", torch.ones(2), None, [1.0], 1j])
def test_what_is_no_number_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the logged value deep/x is .*; it must be one number"):
        MetricsCSV(tmp_path).log_metrics({"deep": {"x": value}}, step=0)


def test_a_clock_that_is_set_back_does_not_reorder_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 40.0, 150.0])
    monkeypatch.setattr("runtime.loggers.time.time", lambda: next(clock))
    monkeypatch.setattr("runtime.loggers.PAUSE", 1e9)
    logger = MetricsCSV(tmp_path)
    for step in range(3):
        logger.log_metrics({"a": step}, step=step)
    assert [row.seconds for row in logger.rows] == [100.0, 100.0, 150.0]
