"""metrics.csv keeps every row, whatever comes later."""

from pathlib import Path

import pandas as pd

from cli.loggers import MetricsCSV


def test_rows_of_one_step_are_one_row(tmp_path: Path) -> None:
    logger = MetricsCSV(tmp_path)
    logger.log_metrics({"train/loss": 0.5, "epoch": 0}, step=3)
    logger.log_metrics({"val/loss": 0.25, "epoch": 0}, step=3)
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,train/loss,epoch,val/loss\n3,0.5,0,0.25\n"


def test_a_column_that_comes_later_leaves_earlier_rows_as_they_are(tmp_path: Path) -> None:
    logger = MetricsCSV(tmp_path)
    logger.log_metrics({"a": 1}, step=0)
    logger.save()
    logger.log_metrics({"b": 2}, step=1)
    logger.save()
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


def test_a_long_run_is_written_now_and_then(tmp_path: Path) -> None:
    logger = MetricsCSV(tmp_path)
    for step in range(250):
        logger.log_metrics({"a": step}, step=step)
    assert len(pd.read_csv(tmp_path / "metrics.csv")) >= 200
    logger.finalize("success")
    assert pd.read_csv(tmp_path / "metrics.csv")["step"].tolist() == list(range(250))


def test_tags_with_commas_and_quotes_survive(tmp_path: Path) -> None:
    for tag in ('x, "y"', "z"):
        logger = MetricsCSV(tmp_path)
        logger.log_metrics({tag: 1.0}, step=0)
        logger.save()
    assert list(pd.read_csv(tmp_path / "metrics.csv").columns) == ["step", 'x, "y"', "z"]


def test_what_comes_after_the_checkpoint_is_logged_once(tmp_path: Path) -> None:
    """Stopped after step 9 with a checkpoint of 5 steps (0 to 4), it goes on with step 5."""
    for first, purge_step in ((0, None), (5, 5)):
        logger = MetricsCSV(tmp_path, purge_step)
        for step in range(first, 10):
            logger.log_metrics({"a": step}, step=step)
        logger.finalize("success")
    assert pd.read_csv(tmp_path / "metrics.csv")["step"].tolist() == list(range(10))


def test_a_run_without_a_table_goes_on(tmp_path: Path) -> None:
    MetricsCSV(tmp_path, purge_step=3)
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,a\n8,0.5\n9,0.25\n1")  # of "10,0.125"
    logger = MetricsCSV(tmp_path, purge_step=10)
    logger.log_metrics({"a": 0.125}, step=10)
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,a\n8,0.5\n9,0.25\n10,0.125\n"
