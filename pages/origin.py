"""The last section: where the time went, and what is needed to get the same run again."""

from __future__ import annotations

import math
from html import escape
from urllib.parse import quote

from callbacks.pictures.style import BLUE, GREEN, ORANGE, PURPLE, SKY
from pages.frame import Html, Section, code, command, facts, note, part, table
from pages.run_files import RunFiles, mapping
from runtime.commands import tensorboard, train_py

PHASES = {"start-up": SKY, "check-up": PURPLE, "training": BLUE, "validation": ORANGE, "drawing": GREEN}
LINKED = (
    "config.yaml",
    "metrics.csv",
    "diagnosis.json",
    "result.json",
    "run.json",
    "predictions.csv",
    "predictions",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "pictures",
    "inside",
)


def time_section(run: RunFiles) -> Section:
    """Seconds by phase, of all launches together."""
    spent = dict.fromkeys(PHASES, 0.0)
    for launch in run.launches:
        for phase, seconds in mapping(launch.get("seconds")).items():
            if phase in spent and isinstance(seconds, int | float) and 0 <= seconds < math.inf:
                spent[phase] += seconds
    total = sum(spent.values())
    if not total:
        return Section("time", "Time", "", "")
    bar = "".join(
        f'<i style="width:{100 * seconds / total:.2f}%;background:{PHASES[phase]}"></i>'
        for phase, seconds in spent.items()
    )
    rows: list[tuple[str, str, str]] = [
        (
            Html(f'<span class="swatch" style="background:{PHASES[phase]}"></span>{phase}'),
            duration(seconds),
            share(seconds, total),
        )
        for phase, seconds in spent.items()
    ]
    rows.append(("in all", duration(total), ""))
    how = "Where the time went" + (
        f", all {len(run.launches)} launches together." if len(run.launches) > 1 else "."
    )
    body = (
        f'<div class="bar" aria-hidden="true">{bar}</div>{table(rows, ("", "time", "share"), numbers=(1, 2))}'
    )
    return Section("time", "Time", how, body)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def share(seconds: float, total: float) -> str:
    """A share in per cent."""
    return f"{100 * seconds / total:.0f} %"


def section(run: RunFiles) -> Section:
    """Commit, versions, machine, seed, the command to repeat, and the run's files."""
    repeat = train_py("fit", "--config", run.folder / "config.yaml")
    body = part(
        "Repeat it", command(repeat), "The run's config is complete: this command trains the same again."
    )
    best = run.folder / "checkpoints" / "best.ckpt"
    if best.exists():
        body += part("Test it", command(train_py("test", "--ckpt_path", best)))
    body += part(
        "Look further",
        command(tensorboard(run.folder.resolve().parent.parent)),
        "Every number, in TensorBoard.",
    )
    halves = part("Made with", made_with(run)), part("Files", files(run))
    body += f'<div class="columns"><div>{halves[0]}</div><div>{halves[1]}</div></div>'
    if not run.record:
        body += note(run.why_missing("run.json"))
    for sentence in run.damaged.values():
        body += note(sentence)
    return Section(
        "repeat", "Repeat it, and look further", "What it takes to get the same network again.", body
    )


def made_with(run: RunFiles) -> str:
    """Seed, commit, machine and versions."""
    machine, versions = mapping(run.record.get("machine")), mapping(run.record.get("versions"))
    known = {
        "seed": run.record.get("seed", run.config.get("seed_everything")),
        "commit": commit(mapping(run.record.get("commit"))),
        "machine": ", ".join(
            str(machine[key]) for key in ("accelerator", "processor", "system") if machine.get(key)
        ),
        "cores": machine.get("cores"),
        "memory": f"{machine['memory_gib']} GiB" if machine.get("memory_gib") else None,
        "processes": machine.get("processes"),
        "precision": machine.get("precision"),
    }
    return facts(known | {str(name): version for name, version in versions.items()})


def commit(found: dict[str, object]) -> Html | None:
    """The commit, and whether the files were as in it."""
    if not found.get("hash"):
        return None
    state = "no file was changed" if found.get("clean") else "with changes that are not committed"
    return Html(f"{code(str(found['hash'])[:12])} ({state})")


def files(run: RunFiles) -> str:
    """Links to the run's files, relative to the page."""
    links = [
        f'<li><a href="{quote(name)}">{escape(name)}</a></li>'
        for name in LINKED
        if (run.folder / name).exists()
    ]
    return f"<ul>{''.join(links)}</ul>" if links else ""
