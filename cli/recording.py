"""What `fit` writes about itself: the complete config.yaml, and run.json."""

import contextlib
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from callbacks.observing import in_words
from cli.request import option_values
from cli.resume_checks import differences
from cli.saved_config import write_config
from cli.settings_beyond import merged, settings_beyond
from runtime.commit import commit
from runtime.phases import seconds_by_phase
from runtime.result_file import EvaluationResult, path_in
from runtime.resume import first_step_to_log
from runtime.run_notes import add_tags
from runtime.run_record import Launch, Record, now, read_record, write_record
from runtime.surroundings import machine, versions

SEED = "--seed_everything="
# settings of data that leave the evaluated rows as they are
SAME_ROWS = {"data_dir", "batch_size", "eval_batch_size"}

if TYPE_CHECKING:
    from cli.build import Run


def writes(run: "Run") -> bool:
    """Whether this process writes the run's files."""
    return rank_zero_only.rank == 0 and not run.settings.trainer.fast_dev_run


def save_settings(run: "Run") -> None:
    """Write the complete config and begin this launch's entry in run.json; a kill leaves the old files."""
    if not writes(run):
        return
    settings = run.settings.clone()
    if tags := settings.tag:
        with harmless():
            add_tags(run.folder, [tags] if isinstance(tags, str) else tags)
    settings.resume = settings.sweep = settings.tag = None
    settings.ckpt_path = None if run.resumed else settings.ckpt_path
    write_config(run.parser, settings, run.folder / "config.yaml")
    with harmless():
        write_record(run.folder, record_of(run))


@contextlib.contextmanager
def launch(run: "Run") -> Iterator[None]:
    """Complete this launch's entry in run.json at the end of a training, however it ends; a kill leaves it open."""
    error = None
    try:
        yield
    except Exception as raised:
        error = in_words(raised)
        raise
    finally:
        if writes(run):
            with harmless():
                complete(run, error)


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """A block whose failure is a warning: a training does not depend on what is noted about it."""
    try:
        yield
    except Exception as error:
        warnings.warn(f"run.json could not be written ({in_words(error)})", stacklevel=2)


def record_of(run: "Run") -> Record:
    """The record of a run whose settings are complete, with this launch as its last."""
    record = read_record(run.folder) if run.resumed else Record(run.folder.parent.name)
    words, seed = list(run.request.typed or run.request.args), run.config.seed_everything
    if run.trainer is None:  # one of a sweep's runs that train together, whose words are those of the first
        words = [f"{SEED}{seed}" if word.startswith(SEED) else word for word in words]
    started = now(time.perf_counter() - run.started)
    from_step = first_step_to_log(run.checkpoint) if run.checkpoint else 0
    record.launches.append(Launch(words, started, from_step=from_step))
    if run.trainer is None:  # its files are written after its training
        record.launches[-1].ended = now()
    defaults = run.parser.get_defaults().as_dict()
    settings = run.config_dump | {"seed_everything": seed}
    record.from_defaults = settings_beyond(settings, defaults)
    if (config := config_of(record.launches[0].command)) is not None:
        record.from_config = settings_beyond(settings, merged(defaults, config))
    record.seed = seed
    record.commit, record.versions, record.machine = commit(), versions(), machine(run.trainer)
    return record


def config_of(command: list[str]) -> dict[str, Any] | None:
    """The experiment's own config file, the first that is no preset; None if the command names none.

    Also None if it is not there: a run may be resumed from another folder than that in which it was begun.
    """
    paths = map(Path, option_values(command, "--config", "-c"))
    own = next((path for path in paths if path.parent.name not in ("presets", "sweeps")), None)
    return yaml.safe_load(own.read_text(encoding="utf-8")) if own is not None and own.is_file() else None


def complete(run: "Run", error: str | None) -> None:
    """Note when and how this launch ended, and where its time went; nothing if it never began to train."""
    if run.resumed and math.isnan(run.start_up):
        return  # the newest launch in the file is an earlier one
    record, this = read_record(run.folder), Launch()
    newest = record.launches[-1] if record.launches else None
    if newest is None or (newest.host, newest.process) != (this.host, this.process):
        return
    newest.ended, newest.error = now(), error
    newest.seconds = seconds_by_phase(run.trainer, run.started)
    write_record(run.folder, record)


def evaluates_as_trained(run: "Run") -> bool:
    """Whether `validate` or `test` uses the rows and the model of the run's own config, not others given by flags."""
    config = run.folder / "config.yaml"
    if run.request.run_folder is None or not config.is_file():
        return run.request.run_folder is None
    then = yaml.safe_load(config.read_text(encoding="utf-8"))
    changed = [name for name, _ in differences(then, run.config_dump)]
    return not any(
        name.startswith(("data", "model", "trainer.limit_", "trainer.overfit"))
        and name.rpartition(".")[2] not in SAME_ROWS
        for name in changed
    )


def evaluation_result(run: "Run") -> EvaluationResult:
    """The callback that writes the figures of this evaluation into the run's folder."""
    checkpoint = run.checkpoint or {}
    return EvaluationResult(
        run.folder,
        {"validate": "validation"}.get(run.request.command, run.request.command),
        path_in(run.folder, run.settings.ckpt_path),
        first_step_to_log(checkpoint) if checkpoint else 0,
        int(checkpoint.get("epoch", 0)),
    )
