"""Does it find what is wrong, and keep silent when nothing is? Small programs with a planted fault, and healthy ones.

python benchmarks/faults.py                     nine minutes on two cores
python benchmarks/faults.py --only no_causal_mask --only splits      programs, or files of programs
python benchmarks/faults.py --zoo               the networks of torchvision, timm and transformers, too: half an hour
python benchmarks/faults.py --zoo --write       also put the tables into docs/faults.md

Each fault stands next to its healthy twin, the same code without it. Thresholds were set on the half of the programs
whose name has an even CRC-32; the other half is held out.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fault_programs import FAULTS, HEALTHY, Program
from benchmarks.fault_programs.zoo import ZOO
from benchmarks.fault_rivals import RIVALS, WITH_TRAININGS_OF_THEIR_OWN
from benchmarks.fault_runs import Outcome, train
from benchmarks.fault_scores import OURS, Row, Scores, false_alarms, score, summary
from benchmarks.report import machine, write_between

GROUPS = ("healthy twins", "other healthy programs", "networks of libraries")
ZOO_STEPS = 40


@dataclass(frozen=True)
class Task:
    """A program to be trained, with its fault or without."""

    name: str
    faulty: bool
    group: str = ""
    steps: int = 100
    every: int = 5
    rivals: bool = True

    @property
    def program(self) -> Program:
        return (FAULTS | HEALTHY | ZOO)[self.name]

    def run(self) -> Outcome:
        return train(self.program, self.faulty, self.steps, self.every, self.rivals)


def tasks(only: list[str], steps: int, every: int, zoo: bool, rivals: bool) -> list[Task]:
    def chosen(program: Program) -> bool:
        return not only or program.name in only or program.family in only

    def listed(programs: dict[str, Program], group: str, most: int, faulty: bool = False) -> list[Task]:
        chosen_ones = filter(chosen, programs.values())
        return [Task(p.name, faulty, group, min(steps, most), every, rivals) for p in chosen_ones]

    twins, others, networks = GROUPS
    planted = zip(listed(FAULTS, "", steps, True), listed(FAULTS, twins, steps), strict=True)
    pairs = [task for pair in planted for task in pair]
    return pairs + listed(HEALTHY, others, steps) + (listed(ZOO, networks, ZOO_STEPS) if zoo else [])


def outcomes(listed: list[Task], jobs: int) -> Iterator[tuple[Task, Outcome]]:
    """Train all programs in so many processes, with a line about each."""
    with ProcessPoolExecutor(jobs) as pool:
        futures = {pool.submit(task.run): task for task in listed}
        for i, future in enumerate(as_completed(futures), 1):
            task, outcome = futures[future], future.result()
            print(f"[{i:3}/{len(listed)}] {line(task, outcome)}  {outcome.seconds:.1f} s", flush=True)
            yield task, outcome


def line(task: Task, outcome: Outcome) -> str:
    """What became of a run."""
    if task.faulty:
        row = score(task.program, outcome)
        return f"{task.name}: {row.state} {row.kind} {row.when} {outcome.error}".rstrip()
    said = ", ".join(f.kind for f in false_alarms(outcome))
    learned = (
        "learned"
        if outcome.learned
        else f"did not learn ({outcome.first_loss:.3g} to {outcome.last_loss:.3g})"
    )
    return f"{task.name}, healthy: {learned} {said and 'FALSE ALARM ' + said} {outcome.error}".rstrip()


def scored(results: list[tuple[Task, Outcome]], tools: tuple[str, ...] = OURS) -> Scores:
    """Rows and groups in the order of the programs."""
    order = {name: i for i, name in enumerate(FAULTS | HEALTHY | ZOO)}
    results = sorted(results, key=lambda result: order[result[0].name])
    rows = [score(task.program, outcome, tools) for task, outcome in results if task.faulty]
    groups = {
        group: [(task.program, outcome) for task, outcome in results if task.group == group]
        for group in GROUPS
    }
    return Scores(rows, {group: runs for group, runs in groups.items() if runs})


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(row) + " |" for row in cells]


def totals(scores: Scores) -> list[str]:
    parts = [summary(scores.half(False)), summary(scores.half(True)), summary(scores)]
    rows = [[name, *(part[name] for part in parts)] for name in parts[0]]
    return table(["", "thresholds set on these", "**held out**", "all"], rows)


def rivals(results: list[tuple[Task, Outcome]]) -> list[str]:
    """A row for each tool."""
    tools = {"**check-up and diagnosis**": OURS} | {
        rival.name: (rival.name,) for rival in [*RIVALS, *WITH_TRAININGS_OF_THEIR_OWN]
    }
    rows, groups = [], {task.group: f"false alarms: {task.group}" for task, _ in results if task.group}
    for label, names in tools.items():
        figures = summary(scored(results, names), names)
        columns = ("faults named", "misnamed", "precision", *groups.values())
        rows.append([label, *(figures[column] for column in columns)])
    return table(["", "named", "misnamed", "precision", *groups.values()], rows)


def fault_rows(rows: list[Row]) -> list[str]:
    cells = [
        [
            row.program.family,
            f"`{row.program.name}`: {row.program.fault}" + (" (held out)" if row.program.held_out else ""),
            row.program.kinds[0],
            f"**{row.state}**" if row.state != "named" else "named",
            f"{row.kind} ({row.severity})" if row.kind else "",
            row.when,
            ", ".join(row.others),
        ]
        for row in rows
    ]
    return table(["file", "program and fault", "kind", "", "first verdict", "when", "further alarms"], cells)


def alarm_rows(scores: Scores) -> list[str]:
    cells = [
        [group, f"`{program.name}`", ", ".join(f"{f.kind} ({f.severity})" for f in false_alarms(outcome))]
        for group in scores.healthy
        for program, outcome in scores.alarmed(group)
    ]
    return (
        table(["group", "program", "false alarm"], cells) if cells else ["No healthy run drew a false alarm."]
    )


def page(results: list[tuple[Task, Outcome]]) -> list[str]:
    """All tables."""
    scores = scored(results)
    blocks = [
        ("Totals", totals(scores)),
        ("False alarms", alarm_rows(scores)),
        ("Fault by fault", fault_rows(scores.rows)),
    ]
    if results[0][0].rivals:
        blocks.insert(1, ("Next to other tools", rivals(results)))
    lines = [f"{len(results)} runs; {machine(1)}.", ""]
    for title, block in blocks:
        lines += [f"## {title}", "", *block, ""]
    return lines[:-1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a program, or a file of programs"
    )
    parser.add_argument("--list", action="store_true", help="print the programs and what is wrong with them")
    parser.add_argument("--steps", type=int, default=100, help="the most steps that a program is trained for")
    parser.add_argument(
        "--every", type=int, default=5, help="steps between two measurements of the diagnosis"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, of one thread each")
    parser.add_argument(
        "--zoo", action="store_true", help="also networks of torchvision, timm and transformers"
    )
    parser.add_argument("--no-rivals", action="store_true", help="leave out the other tools: half the time")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/faults.md")
    options = parser.parse_args(arguments)
    listed = tasks(options.only, options.steps, options.every, options.zoo, not options.no_rivals)
    if not listed:
        parser.error(f"no program or file is named {' or '.join(options.only)}; see --list")
    if options.list:
        for task in listed:
            kind = f"[{task.program.kinds[0]}] " if task.faulty else "healthy "
            print(
                f"{task.program.family:15} {task.name:45} {kind}{task.program.fault if task.faulty else ''}"
            )
        return 0
    results = list(outcomes(listed, options.jobs))
    lines = page(results)
    print("", *lines, sep="\n")
    if options.write:
        write_between("faults", lines)
    broken = [
        task.name for task, outcome in results if not task.faulty and (outcome.error or not outcome.learned)
    ]
    if broken:
        print(f"\nThese healthy programs broke or did not learn: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
