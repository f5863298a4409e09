"""What `fit` writes about itself: the complete config.yaml, and run.json."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from callbacks.observing import in_words
from cli.request import option_values
from cli.saved_config import write_config
from cli.settings_beyond import merged, settings_beyond
from runtime.commit import commit
from runtime.phases import seconds_by_phase
from runtime.resume import first_step_to_log
from runtime.run_notes import add_tags
from runtime.run_record import Launch, Record, now, read_record, write_record
from runtime.surroundings import machine, versions

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
    words = list(run.request.typed or run.request.args)
    started = now(time.perf_counter() - run.started)
    from_step = first_step_to_log(run.checkpoint) if run.checkpoint else 0
    record.launches.append(Launch(words, started, from_step=from_step))
    defaults = run.parser.get_defaults().as_dict()
    settings = run.config_dump
    record.from_defaults = settings_beyond(settings, defaults)
    config = config_of(record.launches[0].command)
    record.from_config = {} if config is None else settings_beyond(settings, merged(defaults, config))
    record.seed = run.config.seed_everything
    record.commit, record.versions, record.machine = commit(), versions(), machine(run.trainer)
    return record


def config_of(command: list[str]) -> dict[str, Any] | None:
    """The experiment's own config file, the first that is no preset; None if the command names none."""
    for path in map(Path, option_values(command, "--config", "-c")):
        if path.parent.name not in ("presets", "sweeps"):
            return yaml.safe_load(path.read_text(encoding="utf-8"))
    return None


def complete(run: "Run", error: str | None) -> None:
    """Note when and how this launch ended, and where its time went; nothing if it never began to train."""
    record, this = read_record(run.folder), Launch()
    newest = record.launches[-1] if record.launches else None
    if newest is None or (newest.host, newest.process) != (this.host, this.process):
        return
    newest.ended, newest.error = now(), error
    newest.seconds = seconds_by_phase(run.trainer, run.started)
    write_record(run.folder, record)
