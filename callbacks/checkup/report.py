"""What a check-up prints."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from callbacks.checkup.check import MORE_TIME
from callbacks.diagnostics.report import notes_in_words
from callbacks.diagnostics.verdict import Verdict

if TYPE_CHECKING:
    from callbacks.checkup.callback import Checkup

WIDTH = 116


def summary(checkup: Checkup) -> str:
    """What was found, and how many checks were made; for the start of a training."""
    if checkup.why_not:
        return f"Check-up: not made; {checkup.why_not}."
    made = [outcome for outcome in checkup.outcomes if not outcome.why_not]
    failed = sum(bool(outcome.why_not) and outcome.applies for outcome in checkup.outcomes)
    late = sum(outcome.is_late for outcome in checkup.outcomes)
    why = f", {late} of them for lack of time; {MORE_TIME[checkup.thorough]}" if late else ""
    left = f" ({failed} could not be made{why})" if failed else ""
    heading = f"Check-up, {len(made)} checks in {checkup.seconds:.1f} s{left}"
    if not checkup.verdicts:
        return f"{heading}: nothing found."
    notes = notes_in_words(checkup.verdicts)
    heading = f"{heading}: {notes}:" if notes else f"{heading}:"
    return "\n".join([heading, *(paragraph(verdict) for verdict in checkup.verdicts)])


def full(checkup: Checkup) -> str:
    """Everything: what was found, what is in order, and what could not be checked and why."""
    lines = [summary(checkup)]
    fine = [
        outcome.check.claim for outcome in checkup.outcomes if not outcome.verdicts and not outcome.why_not
    ]
    skipped = [outcome for outcome in checkup.outcomes if outcome.why_not]
    if fine:
        lines += ["", "In order:", *(f"  {claim}" for claim in fine)]
    for heading, applies in (("Could not be checked:", True), ("Does not apply:", False)):
        those = [outcome for outcome in skipped if outcome.applies is applies]
        lines += ["", heading] if those else []
        lines += [_wrapped(f"{each.check.claim}: {each.why_not}", "  ", "      ") for each in those]
    return "\n".join(lines)


def paragraph(verdict: Verdict) -> str:
    """One verdict in a few lines."""
    text = f"{verdict.severity.upper()}  {verdict.kind}: {verdict.message}"
    return "\n".join(
        [
            _wrapped(text, "  ", "        "),
            _wrapped(f"Try {verdict.advice}. ({verdict.link})", "        ", "        "),
        ]
    )


def _wrapped(text: str, first: str, others: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
