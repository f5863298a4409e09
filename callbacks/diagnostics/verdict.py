"""A verdict: what was found wrong, where, how bad it is, and what to try."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["fail", "warn", "info"]

SEVERITIES: tuple[Severity, ...] = ("fail", "warn", "info")  # worst first
EXPLAINED = "docs/diagnosis.md"


@dataclass
class Verdict:
    """What is wrong, or worth a note.

    Args:
        kind: in a few words, always the same for the same fault; a heading of `docs/diagnosis.md`.
        layers: tags of the layers concerned.
        message: what was measured, with its numbers; ends with a full stop.
        advice: what to try, as a flag, a line of code or a change; without a full stop.
        severity: "fail": it cannot work as written; "warn": it very probably harms; "info": worth knowing.
        because: the kind of another verdict that explains this one; empty if none does.
    """

    kind: str
    layers: list[str]
    message: str
    advice: str
    severity: Severity = "warn"
    because: str = field(default="")

    def __str__(self) -> str:
        return f"{self.kind}: {self.message} Try {self.advice}."

    @property
    def link(self) -> str:
        """The paragraph that explains this kind."""
        return f"{EXPLAINED}#{anchor(self.kind)}"


def anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading: lower case, without punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def worst_first(verdicts: list[Verdict]) -> list[Verdict]:
    """By severity; within one severity the order stays."""
    return sorted(verdicts, key=lambda verdict: SEVERITIES.index(verdict.severity))
