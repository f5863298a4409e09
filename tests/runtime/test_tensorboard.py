"""What a run writes for TensorBoard, read from its event files."""

import time
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from runtime.tensorboard import BufferedTensorBoardLogger, EvaluationLogger

PLACE: dict[str, Any] = {"name": "run", "version": "version_0", "default_hp_metric": False}
RUN = Path("run/version_0")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wait_for_the_next_second() -> None:
    """TensorBoard reads event files in the order of their names, which begin with the second in which they began."""
    time.sleep(1.0)


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in EventAccumulator(str(folder)).Reload().Scalars(tag)]


def test_one_event_for_each_step() -> None:
    logger = BufferedTensorBoardLogger(".", **PLACE)
    logger.log_hyperparams({"width": 3})
    for step in (0, 50):
        logger.log_metrics({"train/loss": 0.5, "epoch": 0}, step=step)
        logger.log_metrics({"grad_norm/00_net": 1.0}, step=step)
    logger.log_metrics({"val/loss": 0.25}, step=54)
    logger.finalize("success")
    (path,) = RUN.glob("events*")
    found = {
        event.step: [value.tag for value in event.summary.value]
        for event in EventFileLoader(str(path)).Load()
        if event.summary.value
    }
    both = ["train/loss", "epoch", "grad_norm/00_net", "Log10_grad_norm/00_net"]
    assert found == {0: both, 50: both, 54: ["val/loss"]}
    assert (RUN / "hparams.yaml").read_text() == "width: 3\n"


def test_training_and_validation_are_two_runs_with_the_same_tags() -> None:
    logger = BufferedTensorBoardLogger(".", **PLACE)
    logger.log_metrics({"train/loss": 0.5, "val/loss": 0.75, "lr": 0.25}, step=3)
    logger.finalize("success")
    assert curve(RUN / "train", "Learning/Loss") == [(3, 0.5)]
    assert curve(RUN / "val", "Learning/Loss") == [(3, 0.75)]
    assert curve(RUN / "train", "Learning/lr") == [(3, 0.25)]
    assert curve(RUN, "train/loss") == [(3, 0.5)]  # the tags that were logged stay where they were
    assert curve(RUN, "lr") == [(3, 0.25)]


def test_what_the_module_logs_comes_before_what_a_callback_found() -> None:
    logger = BufferedTensorBoardLogger(".", **PLACE)
    logger.log_learning({"accuracy": 0.5}, step=0)
    logger.log_learning({"accuracy": 0.5}, step=1)
    logger.log_metrics({"train/accuracy": 0.75}, step=1)
    logger.finalize("success")
    assert curve(RUN / "train", "Learning/accuracy") == [(0, 0.5), (1, 0.75)]
    assert EventAccumulator(str(RUN)).Reload().Tags()["scalars"] == ["train/accuracy"]


def test_a_resumed_run_has_each_step_once_in_every_folder() -> None:
    for first, purge_step in ((0, None), (5, 5)):
        logger = BufferedTensorBoardLogger(".", **PLACE, purge_step=purge_step)
        for step in range(first, 10):
            logger.log_metrics({"train/loss": step, "val/loss": step}, step=step)
        logger.finalize("success")
        wait_for_the_next_second()
    for folder, tag in ((RUN, "val/loss"), (RUN / "train", "Learning/Loss"), (RUN / "val", "Learning/Loss")):
        assert curve(folder, tag) == [(step, step) for step in range(10)]


def test_a_resumed_run_hides_orphans_of_a_curve_that_it_has_not_continued_yet() -> None:
    """The run was killed after the validation of step 9, and is resumed from step 5, far from the next validation."""
    for purge_step, metrics in ((None, {"train/loss": 1.0, "val/loss": 1.0}), (5, {"train/loss": 2.0})):
        logger = BufferedTensorBoardLogger(".", **PLACE, purge_step=purge_step)
        for step in (4, 9) if purge_step is None else (5,):
            logger.log_metrics(metrics, step=step)
        logger.finalize("success")
        wait_for_the_next_second()
    assert curve(RUN / "val", "Learning/Loss") == [(4, 1.0)]


@pytest.mark.parametrize(("folder", "where"), [("validate", RUN / "validate"), ("", RUN)])
def test_an_evaluation_leaves_the_curves_of_the_training_alone(folder: str, where: Path) -> None:
    logger = BufferedTensorBoardLogger(".", **PLACE)
    for step in (9, 19):
        logger.log_metrics({"val/loss": step, "epoch": step}, step=step)
    logger.finalize("success")
    wait_for_the_next_second()
    logger = EvaluationLogger(".", **PLACE, folder=folder, step=9)
    tag = "val/loss" if folder else "test/loss"
    logger.log_metrics({tag: 0.5, "epoch": 0}, step=0)
    logger.finalize("success")
    assert curve(where, tag) == [(9, 0.5)]
    assert curve(RUN, "val/loss") == curve(RUN, "epoch") == [(9, 9.0), (19, 19.0)]
    assert not (RUN / "val" / "validate").exists()


def test_a_plain_logger_gets_nothing_but_what_is_logged() -> None:
    logger = TensorBoardLogger(".", **PLACE)
    logger.log_metrics({"train/loss": 0.5, "grad_norm/00_net": 1.0}, step=0)
    logger.finalize("success")
    assert [path.name for path in RUN.iterdir() if path.is_dir()] == []
    assert EventAccumulator(str(RUN)).Reload().Tags()["scalars"] == ["train/loss", "grad_norm/00_net"]
