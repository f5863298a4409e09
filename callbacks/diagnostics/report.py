"""How verdicts are reported: as a table for the terminal, as Markdown for TensorBoard, as a file for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from callbacks.diagnostics.causes import depth
from callbacks.diagnostics.history import History
from callbacks.diagnostics.verdict import Verdict
from callbacks.files import write_whole


def table(history: History, num_steps: int, summary: str = "") -> str:
    """The summary table for the terminal: causes first, symptoms indented below them.

    Args:
        history: what was found.
        num_steps: number of probe steps.
        summary: of what is right.
    """
    if not num_steps:
        return "Diagnosis: no step was measured."
    lines = [_heading(history, num_steps, summary)]
    for verdict in history.holding:
        indent = "  " * (1 + depth(verdict, history.holding))
        because = f" (because of: {verdict.because})" if verdict.because else ""
        lines.append(f"{indent}{_label(verdict, history)}{because}: {verdict.message}")
        lines.append(f"{indent}     Try {verdict.advice}. See {verdict.link}")
    return "\n".join(lines)


def markdown(history: History, num_steps: int, summary: str = "") -> str:
    """The same table for TensorBoard's text page, which renders Markdown and would drop the indentation."""
    if not num_steps:
        return table(history, num_steps)
    lines = [_heading(history, num_steps, summary), ""]
    for verdict in history.holding:
        indent = "  " * depth(verdict, history.holding)
        lines.append(
            f"{indent}- **{verdict.kind}** ({verdict.severity}), {_when(verdict, history)}: {verdict.message} "
            f"*Try {verdict.advice}.*"
        )
    return "\n".join(lines).strip()


def _heading(history: History, num_steps: int, summary: str) -> str:
    heading = f"Diagnosis, {num_steps} probe step{'s' if num_steps != 1 else ''}:"
    if history.problems:
        return heading
    notes = notes_in_words(history.holding) or "nothing found"
    return (
        f"{heading} {notes}. Gradients, activations and step sizes are in range{summary and '; '}{summary}."
    )


def notes_in_words(verdicts: list[Verdict]) -> str:
    """How many notes there are, if there is nothing but notes; else nothing."""
    if not verdicts or any(each.severity != "info" for each in verdicts):
        return ""
    return f"no fault, {len(verdicts)} note{'s' if len(verdicts) > 1 else ''}"


def _label(verdict: Verdict, history: History) -> str:
    return f"{verdict.severity.upper():4} {verdict.kind}, {_when(verdict, history)}"


def _when(verdict: Verdict, history: History) -> str:
    first, last = history.steps[verdict.kind]
    return f"step {first}" if first == last else f"steps {first} to {last}"


def write_json(folder: Path, history: History, step: int | None, num_steps: int) -> None:
    """Write `diagnosis.json`: the verdicts that hold, causes first, and those that have ended.

    Args:
        folder: of the run.
        history: what was found.
        step: the last probe step.
        num_steps: number of probe steps.
    """
    ended = [
        each for kind, each in history.newest.items() if kind in history.held and kind not in history.kinds
    ]
    verdicts = []
    for verdict in [*history.holding, *ended]:
        first, last = history.steps[verdict.kind]
        known = {
            "link": verdict.link,
            "first_step": first,
            "last_step": last,
            "holds": verdict.kind in history.kinds,
        }
        verdicts.append(asdict(verdict) | known)
    report = {"healthy": not history.problems, "step": step, "looks": num_steps, "verdicts": verdicts}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "diagnosis.json", json.dumps(report, indent=2) + "\n")
