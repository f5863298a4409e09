"""How verdicts are reported: as a table for the terminal, as Markdown for TensorBoard, as a file for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from callbacks.diagnostics.history import History
from callbacks.files import write_whole


def table(history: History, num_steps: int) -> str:
    """The summary table for the terminal.

    Args:
        history: what was found.
        num_steps: number of probe steps.
    """
    if not num_steps:
        return "Diagnosis: no step was measured."
    heading = f"Diagnosis, {num_steps} probe step{'s' if num_steps != 1 else ''}:"
    if not history.holding:
        return f"{heading} nothing found. Gradients, activations and step sizes are in range."
    width = max(map(len, history.kinds))
    lines = [heading]
    for verdict in history.holding:
        first, last = history.steps[verdict.kind]
        lines.append(f"  {verdict.kind:{width}}  steps {first} to {last}: {verdict.message}")
        lines.append(f"  {'':{width}}  Try {verdict.advice}.")
    return "\n".join(lines)


def markdown(history: History, num_steps: int) -> str:
    """The same table for TensorBoard's text page, which renders Markdown and would drop the indentation."""
    lines = [*table(history, num_steps).split("\n")[:1], ""]
    for verdict in history.holding:
        first, last = history.steps[verdict.kind]
        lines.append(
            f"- **{verdict.kind}**, steps {first} to {last}: {verdict.message} *Try {verdict.advice}.*"
        )
    return "\n".join(lines).strip()


def write_json(folder: Path, history: History, step: int | None, num_steps: int) -> None:
    """Write `diagnosis.json`: the verdicts that hold, and those that have ended.

    Args:
        folder: of the run.
        history: what was found.
        step: the last probe step.
        num_steps: number of probe steps.
    """
    verdicts = []
    for kind, verdict in history.newest.items():
        if kind in history.held:
            first, last = history.steps[kind]
            known = {"first_step": first, "last_step": last, "holds": kind in history.kinds}
            verdicts.append(asdict(verdict) | known)
    report = {"healthy": not history.holding, "step": step, "looks": num_steps, "verdicts": verdicts}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "diagnosis.json", json.dumps(report, indent=2) + "\n")
