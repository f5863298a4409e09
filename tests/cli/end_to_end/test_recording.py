"""run.json of real trainings: begun, ended, failed and resumed."""

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer

from cli import main, recording
from runtime.run_notes import read_notes
from runtime.run_record import read_record, state_of
from tests.cli.end_to_end.commands import FIT, RUN, newest

PHASES = ["start-up", "check-up", "training", "validation", "drawing"]


class AtStep(Callback):
    """Calls a function at the end of the third step."""

    def __init__(self, call: Any) -> None:
        self.call = call

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_step == 3:
            self.call()


def fit(monkeypatch: pytest.MonkeyPatch, call: Any, *words: str) -> int:
    """Train with something that happens at the third step."""
    original = recording.record_of

    def record_of(run: Any) -> Any:  # called when the Trainer is ready
        run.trainer.callbacks.insert(0, AtStep(call))
        return original(run)

    monkeypatch.setattr(recording, "record_of", record_of)
    code = main([*FIT, *words])
    monkeypatch.setattr(recording, "record_of", original)
    return code


@pytest.mark.usefixtures("table")
def test_a_run_that_ended() -> None:
    record = read_record(RUN)
    assert record.experiment == "quick"
    [launch] = record.launches
    assert launch.command == FIT
    assert launch.ended is not None
    assert launch.started <= launch.ended
    assert launch.error is None
    assert launch.from_step == 0
    assert list(launch.seconds) == [*PHASES, "total"]
    assert sum(launch.seconds[name] for name in PHASES) == pytest.approx(launch.seconds["total"], abs=0.01)
    assert min(launch.seconds["start-up"], launch.seconds["training"], launch.seconds["validation"]) > 0
    assert record.from_config == {}
    assert record.from_defaults["model.class_path"] == "lit_models.LitMLP"
    assert record.seed == 42
    assert record.machine["processes"] == 1
    assert state_of(RUN) == "finished"


def test_while_it_trains_and_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look_and_fail() -> None:
        folder = newest("quick")
        seen.append((state_of(folder), read_record(folder).launches[-1]))
        raise RuntimeError("the disk\nis on fire")

    assert fit(monkeypatch, look_and_fail, "--trainer.max_epochs=1") == 1
    [(state, launch)] = seen
    assert state == "running"
    assert (launch.ended, launch.error, launch.seconds) == (None, None, {})
    folder = newest("quick")
    record = read_record(folder)
    assert state_of(folder) == "failed"
    assert record.launches[-1].error == "RuntimeError: the disk"
    assert record.launches[-1].ended is not None
    assert record.from_config == {"trainer.max_epochs": 1}


def test_a_resume_adds_a_launch() -> None:
    assert main([*FIT, "--trainer.max_epochs=1", "--checkup=false"]) == 0
    folder = newest("quick")
    words = ["fit", "--resume", str(folder), "--trainer.max_epochs=3"]
    assert main(words) == 0
    record = read_record(folder)
    first, second = record.launches
    assert first.command == [*FIT, "--trainer.max_epochs=1", "--checkup=false"]
    assert second.command == words
    assert (first.from_step, second.from_step) == (0, 12)
    assert second.ended is not None
    assert second.seconds["total"] > 0
    assert record.from_config == {"trainer.max_epochs": 3, "checkup": False}
    assert main(words) == 0  # it is finished, so nothing is launched
    assert len(read_record(folder).launches) == 2


def test_a_resume_from_another_folder_keeps_what_differed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the path of the experiment's config leads nowhere."""
    assert main([*FIT, "--trainer.max_epochs=1", "--checkup=false"]) == 0
    folder = newest("quick").resolve()
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--resume", str(folder), "--trainer.max_epochs=2"]) == 0
    record = read_record(folder)
    assert [each.from_step for each in record.launches] == [0, 12]
    assert set(record.from_config) == {"trainer.max_epochs", "checkup"}


def test_a_killed_run_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill() -> None:
        monkeypatch.setattr(recording, "complete", lambda run, error: None)  # as if the process were gone
        raise SystemExit(9)

    assert fit(monkeypatch, kill) == 9
    folder = newest("quick")
    assert state_of(folder) == "killed"
    assert read_record(folder).launches[-1].ended is None


def test_nothing_is_left_of_a_run_that_fails_before_its_first_step() -> None:
    before = newest("quick")
    assert main([*FIT, "--model.hidden_sizes=[0]"]) == 2
    assert main([*FIT, "--trainer.fast_dev_run=1"]) == 0
    assert newest("quick") == before
    assert not Path("run.json").exists()


@pytest.mark.parametrize("broken", ["record_of", "complete"])
def test_a_failure_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, broken: str
) -> None:
    def fail(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording, broken, fail)
    assert main([*FIT, "--trainer.max_epochs=1"]) == 0
    found = [str(each.message) for each in recwarn if "run.json" in str(each.message)]
    assert found == ["run.json could not be written (OSError: [Errno 28] No space left on device)"]
    assert state_of(newest("quick")) == "finished"


def test_tags_are_written_with_the_run_and_kept_when_it_is_resumed() -> None:
    assert main([*FIT, "--run_name", "tagged", "--tag", "[deep,first try]"]) == 0
    folder = newest("tagged")
    assert read_notes(folder).tags == ("deep", "first try")
    assert (
        "tag: null" in (folder / "config.yaml").read_text()
    )  # it is about this run, not about what is repeated
    assert main(["fit", "--resume", "tagged", "--trainer.max_epochs", "3", "--tag", "longer"]) == 0
    assert read_notes(folder).tags == ("deep", "first try", "longer")
    assert "tag" not in read_record(folder).from_config
