"""The section of findings: what check-up and diagnosis say, causes first."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from pages.frame import Html, Section, chip, note
from pages.run_files import RunFiles, listed

WORDS = {"fail": "cannot work", "warn": "very probably harms", "info": "worth knowing"}
CODE = re.compile(r"`([^`]+)`")


def section(run: RunFiles) -> Section:
    """A box for each finding; one sentence if there is none."""
    title = "Findings"
    if not run.diagnosis:
        return Section("findings", title, "", note(run.why_missing("diagnosis.json")))
    found = [each for each in listed(run.diagnosis.get("verdicts")) if isinstance(each, dict)]
    kinds = {str(each.get("kind")): each for each in found}
    boxes = "".join(box(each, kinds) for each in found)
    return Section("findings", title, how(found), summary(run, found) + boxes)


def how(found: list[dict[str, Any]]) -> str:
    """How to read the boxes that there are."""
    if not found:
        return "Before the first step the check-up looked for mistakes, and the diagnosis watched every probe step."
    return (
        "What the check-up found before the first step, and the diagnosis while it trained. Begin at the top: what "
        "follows from something else is indented below its cause, and may be gone when the cause is."
    )


def summary(run: RunFiles, found: list[dict[str, Any]]) -> str:
    """The verdict in one line."""
    measured = run.diagnosis.get("looks", run.diagnosis.get("probe_steps"))
    where = f" at {measured:,} probe steps" if isinstance(measured, int) else ""
    if run.diagnosis.get("healthy"):
        words = "what is worth knowing stands below" if found else "nothing found"
        return f"<p>{chip('healthy', 'good')} No fault{where}; {words}.</p>"
    worst = "fail" if any(each.get("severity") == "fail" for each in found) else "warn"
    return f"<p>{chip('not healthy', worst)} Measured{where}.</p>"


def box(finding: dict[str, Any], kinds: dict[str, dict[str, Any]]) -> str:
    """One finding: what, how bad, where, why, and what to try."""
    severity = str(finding.get("severity", "info"))
    severity = severity if severity in WORDS else "info"
    ended = not finding.get("holds", True)
    cause = str(finding.get("because") or "")
    lines = [
        f"<p>{with_code(finding.get('message', ''))}</p>",
        f"<p><strong>Try</strong> {with_code(finding.get('advice', ''))}.</p>"
        if finding.get("advice")
        else "",
        f"<p><strong>Because of</strong> {escape(cause)}.</p>" if cause else "",
        f'<p class="note">{when(finding)}{layers(finding)} Why: {escape(str(finding.get("link", "")))}</p>',
    ]
    classes = f"finding {severity}{' ended' if ended else ''}{' because' if cause in kinds else ''}"
    over = chip("over") if ended else ""
    return (
        f'<div class="{classes}"><h3>{escape(str(finding.get("kind", "")))}</h3>'
        f"{chip(severity.upper(), severity)} {over}{''.join(lines)}</div>"
    )


def when(finding: dict[str, Any]) -> str:
    """At which steps it was found."""
    first, last = finding.get("first_step"), finding.get("last_step")
    if not isinstance(first, int):
        return ""
    if first == last or not isinstance(last, int):
        return "Before the first step." if first == 0 else f"Step {first:,}."
    return f"Steps {first:,} to {last:,}."


def layers(finding: dict[str, Any]) -> str:
    """The layers concerned."""
    names = ", ".join(escape(str(name)) for name in listed(finding.get("layers")))
    return f" Layers: {names}." if names else ""


def with_code(words: Any) -> Html:
    """Escaped text, in which what stands between backquotes is code."""
    return Html(CODE.sub(r"<code>\1</code>", escape(str(words))))
