"""How verdicts are told: as a table for the terminal, as Markdown for TensorBoard, as a file for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from callbacks.diagnostics.rules import Verdict
from callbacks.files import write_whole

Steps = dict[str, list[int]]  # by kind of verdict: the first and the last step at which it was found


def table(verdicts: list[Verdict], steps: Steps, looks: int) -> str:
    """The closing table."""
    if not looks:
        return "Diagnosis: no step was looked at."
    heading = f"Diagnosis, {looks} look{'s' if looks != 1 else ''}:"
    if not verdicts:
        return f"{heading} nothing found. Gradients, activations and step sizes are in range."
    width = max(len(verdict.kind) for verdict in verdicts)
    lines = [heading]
    for verdict in verdicts:
        first, last = steps[verdict.kind]
        lines.append(f"  {verdict.kind:{width}}  steps {first} to {last}: {verdict.message}")
        lines.append(f"  {'':{width}}  Try {verdict.advice}.")
    return "\n".join(lines)


def markdown(verdicts: list[Verdict], steps: Steps, looks: int) -> str:
    """The same for TensorBoard's text page, which renders Markdown and would swallow the indentation."""
    lines = [*table(verdicts, steps, looks).split("\n")[:1], ""]
    for verdict in verdicts:
        first, last = steps[verdict.kind]
        lines.append(
            f"- **{verdict.kind}**, steps {first} to {last}: {verdict.message} *Try {verdict.advice}.*"
        )
    return "\n".join(lines).strip()


def write_json(folder: Path, report: dict[str, Any]) -> None:
    """`diagnosis.json`; a run that is killed leaves a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "diagnosis.json", json.dumps(report, indent=2) + "\n")
