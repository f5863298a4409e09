"""Score what was said of each program: faults named, misnamed and missed, false alarms, and their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from scipy.stats import binomtest

from benchmarks.fault_programs import Program
from benchmarks.fault_runs import Finding, Outcome

OURS = ("check-up", "diagnosis")
State = Literal["named", "misnamed", "missed"]


@dataclass(frozen=True)
class Row:
    """What was said of a program with a planted fault.

    Args:
        program: the program.
        state: named: a verdict, also a note, is of an accepted kind; misnamed: there is a fail or warn and none is;
            missed: nothing was said.
        kind: the verdict that names it, or the first wrong one.
        severity: of that verdict.
        step: steps done before it was said; 0: before training.
        others: further kinds with fail or warn that no other verdict explains.
    """

    program: Program
    state: State
    kind: str = ""
    severity: str = ""
    step: int | None = None
    others: tuple[str, ...] = ()

    @property
    def when(self) -> str:
        if self.step is None:
            return ""
        return "before training" if self.step == 0 else f"step {self.step}"


def names(finding: Finding, program: Program) -> bool:
    """Whether a verdict, or a rival's alarm, names the program's fault."""
    return any(kind in program.kinds for kind in (finding.kind, *finding.names))


def is_alarm(finding: Finding) -> bool:
    return finding.severity in ("fail", "warn")


def score(program: Program, outcome: Outcome, tools: Iterable[str] = OURS) -> Row:
    """Judge the run of a faulty program by the findings of these tools."""
    tools = tuple(tools)
    said = sorted((f for f in outcome.findings if f.tool in tools), key=lambda f: f.step)
    right = [f for f in said if names(f, program)]
    wrong = [f for f in said if not names(f, program) and is_alarm(f)]
    others = tuple(dict.fromkeys(f.kind for f in wrong if not f.because))
    for state, findings in (("named", right), ("misnamed", wrong)):
        if findings:
            first = max(findings, key=lambda f: (f.step == findings[0].step, is_alarm(f)))
            rest = tuple(kind for kind in others if kind != first.kind)
            return Row(program, state, first.kind, first.severity, first.step, rest)
    return Row(program, "missed")


def false_alarms(outcome: Outcome, tools: Iterable[str] = OURS) -> list[Finding]:
    """Fails and warnings on a healthy program."""
    return [f for f in outcome.findings if f.tool in tuple(tools) and is_alarm(f)]


@dataclass(frozen=True)
class Share:
    """So many of so many, with the exact interval (Clopper and Pearson, 95 %)."""

    hits: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        low, high = binomtest(self.hits, self.of).proportion_ci(0.95, method="exact")
        return float(low), float(high)

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = self.interval
        return f"{self.hits} of {self.of} = {self.hits / self.of:.1%} ({low:.1%} to {high:.1%})"


def alarm_rate(hits: int, runs: int) -> str:
    """False alarms per run; without any, the bound that they stay below with 95 % confidence, 3 / n."""
    if not runs:
        return "-"
    return f"0 of {runs}, below {3 / runs:.1%}" if hits == 0 else str(Share(hits, runs))


@dataclass
class Scores:
    """All rows, and the outcomes of healthy runs by group ("twins", "healthy", "networks")."""

    rows: list[Row]
    healthy: dict[str, list[tuple[Program, Outcome]]]

    def half(self, held_out: bool) -> Scores:
        """Those of the half on which thresholds were set, or of the other."""
        rows = [row for row in self.rows if row.program.held_out == held_out]
        groups = {
            group: [(program, outcome) for program, outcome in runs if program.held_out == held_out]
            for group, runs in self.healthy.items()
        }
        return Scores(rows, groups)

    def count(self, condition: Callable[[Row], bool]) -> Share:
        return Share(sum(map(condition, self.rows)), len(self.rows))

    def alarmed(self, group: str, tools: Iterable[str] = OURS) -> list[tuple[Program, Outcome]]:
        """Healthy runs with a false alarm."""
        return [(p, o) for p, o in self.healthy.get(group, []) if false_alarms(o, tools)]

    def precision(self, tools: Iterable[str] = OURS) -> Share:
        """Of all runs that draw a fail or warn, or a note that names the fault, the share of which the fault is named."""
        named = sum(row.state == "named" for row in self.rows)
        wrong = sum(row.state == "misnamed" for row in self.rows)
        return Share(named, named + wrong + sum(len(self.alarmed(group, tools)) for group in self.healthy))


def summary(scores: Scores, tools: Iterable[str] = OURS) -> dict[str, str]:
    """The figures of a set of runs, by what they count."""
    figures = {
        "faults named": str(scores.count(lambda row: row.state == "named")),
        "of them before training": str(scores.count(lambda row: row.state == "named" and row.step == 0)),
        "with a fail or a warning": str(
            scores.count(lambda row: row.state == "named" and row.severity != "info")
        ),
        "misnamed": str(scores.count(lambda row: row.state == "misnamed")),
        "missed": str(scores.count(lambda row: row.state == "missed")),
        "precision": str(scores.precision(tools)),
    }
    for group, runs in scores.healthy.items():
        figures[f"false alarms: {group}"] = alarm_rate(len(scores.alarmed(group, tools)), len(runs))
    return figures
