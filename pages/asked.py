"""The head of a run's page, and what was asked of it: command, settings, the user's note and tags."""

from __future__ import annotations

import itertools
from html import escape
from pathlib import Path
from typing import Any

from pages.frame import Section, chip, code, command, note, part, written
from pages.run_files import RunFiles, listed, mapping
from runtime.commands import train_py

STATES = {  # what each state is called, and the class of its chip
    "running": ("training", "running"),
    "finished": ("finished", "good"),
    "killed": ("stopped before its end", "warn"),
    "failed": ("failed", "fail"),
}
NO_EXPERIMENTS = ("presets", "sweeps")  # folders of configs that are no experiments


def head(run: RunFiles, state: str, step: int) -> str:
    """The experiment, what it is about, and how far it is.

    Args:
        run: its files.
        state: a key of `STATES`.
        step: steps done.
    """
    words, kind = STATES[state]
    about = headline(run)
    lead = f'<p class="lead">{escape(about)}</p>' if about else ""
    tags = "".join(chip(str(tag)) for tag in listed(run.notes.get("tags")))
    meta = f"{chip(words, kind)}<span>{escape(progress(run, state, step))}</span>{tags}"
    title = f"<h1>{escape(run.experiment)}</h1>{lead}"
    return f'<header>{title}<div class="meta">{meta}</div>{last_error(run, state)}</header>'


def progress(run: RunFiles, state: str, step: int) -> str:
    """How far the run is, when and where it started."""
    started = str(run.launches[0].get("started", "")) if run.launches else ""
    day = started.replace("T", " ").partition("+")[0]
    parts = [
        str(run.folder.resolve().name),
        f"step {step:,}{' so far; this page follows the training' if state == 'running' else ''}",
        str(run.end.get("words", "")) if state == "finished" else "",
        f"started {day} UTC" if day else "",
    ]
    return " · ".join(filter(None, parts))


def last_error(run: RunFiles, state: str) -> str:
    """What stopped a failed run."""
    error = run.launches[-1].get("error") if run.launches else None
    return f'<p class="finding fail">{escape(str(error))}</p>' if state == "failed" and error else ""


def section(run: RunFiles) -> Section:
    """What was asked: command and settings."""
    words = [each.get("command") for each in run.launches]
    commands = [train_py(*each) for each in words if isinstance(each, list) and each]
    body = user_note(run)
    if commands:
        body += command(commands[0])
        body += part("Resumed by", "".join(map(command, commands[1:])))
    elif not run.record:
        body += note(
            run.why_missing("run.json") + " So the command is not known; config.yaml repeats the run."
        )
        body += command(train_py("fit", "--config", run.folder / "config.yaml"))
    body += part(
        "Changed from the experiment's config",
        settings_table(run.record.get("from_config")),
        "Given by a flag or a preset; everything else is as the config file has it.",
    )
    changed = mapping(run.record.get("from_config"))
    own = {
        name: value for name, value in mapping(run.record.get("from_defaults")).items() if name not in changed
    }
    body += part(
        "Set by the experiment",
        settings_table(own),
        "Every other setting that differs from the default of its class.",
    )
    return Section("asked", "What was asked", "The command that started this run, and what it sets.", body)


def user_note(run: RunFiles) -> str:
    """The note that the user wrote about the run."""
    words = run.notes.get("note")
    return f"<blockquote>{escape(str(words))}</blockquote>" if words else ""


def settings_table(settings: Any) -> str:
    """Settings as flags with their values; nothing if there are none."""
    rows = [
        f"<div>{code(f'--{flag(str(name))}')} {code(written(value))}</div>"
        for name, value in mapping(settings).items()
    ]
    return f'<div class="settings">{"".join(rows)}</div>' if rows else ""


def flag(name: str) -> str:
    """A setting's name as it is typed: `model.init_args.lr` is `--model.lr`, `model.class_path` is `--model`."""
    return name.replace(".init_args", "").removesuffix(".class_path")


def headline(run: RunFiles) -> str:
    """The first line of the comment that opens the experiment's config file, if that file can be found."""
    for path in config_paths(run):
        try:
            first = path.read_text(encoding="utf-8-sig").partition("\n")[0]
        except (OSError, ValueError):
            continue
        if first.startswith("#"):
            return first.lstrip("# ").strip()
    return ""


def config_paths(run: RunFiles) -> list[Path]:
    """The config files that the first launch named, the experiment's own first."""
    words = run.launches[0].get("command") if run.launches else None
    words = [str(word) for word in words] if isinstance(words, list) else []
    words = [
        part for word in words for part in (word.split("=", 1) if word.startswith("--config=") else [word])
    ]
    paths = [Path(value) for word, value in itertools.pairwise(words) if word in ("--config", "-c")]
    own = [path for path in paths if path.parent.name not in NO_EXPERIMENTS]
    return own or [Path("configs") / f"{run.experiment}.yaml"]
