"""What TAB offers: commands, flags of the experiment, their values, configs, runs. It imports no PyTorch."""

import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cli.options import HOMES, Option, own_options, parts, settings_of, trainer_options
from cli.overview import CONFIGS
from cli.request import COMMANDS, STUDIES
from cli.runs import ACTIONS
from cli.runs import FLAGS as OF_RUNS
from cli.runs_query import COLUMNS
from runtime.commands import path_from_here
from runtime.errors import UsageError
from runtime.run_folder import ROOT, run_folders
from runtime.run_list import all_runs
from runtime.run_notes import read_notes
from runtime.signatures import read_source, signature, statements
from runtime.trash import TRASH

EVALUATIONS = ("validate", "test", "predict")  # commands that begin with one run
OF_RUN = ("compare", "report", "watch")  # and with several
OF_ONE = {"tune-lr": ("low", "high", "steps"), "sweep": ("vary",), "watch": ("port", "no-browser")}
OTHERS = ("config", "ckpt_path", "model", "data", "print_config", "help", "trust", "debug")
SPECIAL = re.compile(r"([^\w@%+:,./=-])")  # what bash would not take as part of a word


def complete(shell: str, words: Sequence[str]) -> str:
    """One candidate for each line, as the shell wants it; empty if the shell is to offer files.

    Args:
        shell: "bash", "zsh" or "fish".
        words: after `train.py`, the last one still being typed; of bash the whole line, up to the cursor.
    """
    try:
        if shell == "bash":
            words = split_line(words[0])
        if not words:
            return ""
        found = sorted({each for each in candidates(words) if each.startswith(words[-1])})
    except UsageError:  # a config whose name is being typed
        return ""
    return "\n".join(for_bash(each, words[-1]) for each in found) if shell == "bash" else "\n".join(found)


def split_line(line: str) -> list[str]:
    """The words after `train.py`; the last one is empty after a space."""
    for close in ("", "'", '"'):
        try:
            words = shlex.split(line + close)
        except ValueError:  # the quotation goes on
            continue
        if not close and re.search(r"(?<!\\)\s$", line):
            words.append("")
        return words[2:]
    return []


def for_bash(candidate: str, typed: str) -> str:
    """A candidate without what bash keeps, which is all up to the last = or :, and with a space if it is complete."""
    kept = max(typed.rfind("="), typed.rfind(":")) + 1
    text = SPECIAL.sub(r"\\\1", candidate[kept:])
    return text if text.endswith(("/", "=")) else f"{text} "


def candidates(words: Sequence[str]) -> Iterable[str]:
    """All that may stand at the place of the last word."""
    *before, typed = words
    if not before:
        return [*COMMANDS, *STUDIES, "--help", "--version", "--completion"]
    if before == ["--completion"]:
        return ["bash", "zsh", "fish"]
    command = before[0]
    flag, has_value, _ = typed.partition("=")
    if flag.startswith("--") and has_value:
        value = typed.partition("=")[2]
        return [f"{flag}={each}" for each in values(command, before[1:], flag[2:], value)]
    if (
        before[-1].startswith("--")
        and "=" not in before[-1]
        and (found := [*values(command, before[1:], before[-1][2:], typed)])
    ):
        return found
    if typed.startswith("-"):
        return flags(command, before[1:], typed)
    return positional(command, before[1:], typed)


def positional(command: str, before: Sequence[str], typed: str) -> Iterable[str]:
    """Words without a flag: runs, experiments, and what `runs` does with them."""
    if command in EVALUATIONS:
        return [] if before else runs(typed)
    if command in OF_RUN:
        return runs(typed)
    if command != "runs":
        return []
    if not before:
        return [*ACTIONS, *experiments()]
    if before[0] in ("rm", "note", "tag", "untag"):
        return folders(run_folders(ROOT), typed)
    return folders(run_folders(TRASH), typed) if before[0] == "restore" else experiments()


def flags(command: str, before: Sequence[str], typed: str) -> list[str]:
    """All flags of a command, with the options of the model and data that the words name."""
    if command == "runs":
        return list(OF_RUNS)
    extra = [*OF_ONE.get(command, ())]
    if command == "sweep" and (options := signature("sweeps.plan.SweepOptions")):
        extra += [f"sweep.{each.name}" for each in options.arguments]
    of_all = [each.name for each in options_of(command, before, typed)]
    return [f"--{name}" for name in (*OTHERS, *extra, *of_all)]


def options_of(command: str, before: Sequence[str], typed: str) -> Iterator[Option]:
    """The options of the model and data that the words name, of the Trainer and of this project.

    Of a name that is typed up to a dot, only its section is read, which takes half as long.
    """
    section, has_dot, _ = typed.lstrip("-").partition(".")
    settings = settings_of(command, before)
    if section != "trainer":
        for part in parts(settings, [section] if section in ("model", "data") else ("model", "data")):
            yield from part.options
    if not has_dot or section == "trainer":
        yield from trainer_options(settings)
    if not has_dot:
        yield from own_options(settings)


def values(command: str, before: Sequence[str], name: str, typed: str) -> Iterable[str]:
    """What a flag may be set to, as far as that can be listed.

    Args:
        command: of the line.
        before: the words between the command and the one that is typed.
        name: of the flag, without dashes.
        typed: of the value.
    """
    if name in ("config", "c"):
        return [path_from_here(path) for path in CONFIGS.rglob("*.yaml")]
    if name in ("resume", "ckpt_path"):
        return runs(typed)
    if name == "help":
        return ["trainer"]
    if name == "tag":
        return {tag for run in run_folders(ROOT) for tag in read_notes(run).tags}
    if command == "runs" and name in ("sort", "where"):
        names = {*COLUMNS, *(metric for run in all_runs() for metric in run.metrics)}
        return names if name == "sort" else {f"{each}=" for each in names}
    if name == "vary":
        return [f"{each.name}=" for each in options_of(command, before, typed)]
    if name.rpartition(".")[2] in HOMES:
        return classes(HOMES[name.rpartition(".")[2]])
    option = next((each for each in options_of(command, before, name) if each.name == name), None)
    return choices(option.argument.type) if option else []


def choices(kind: str) -> list[str]:
    """The values of a type that has only a few."""
    found = [str(each) for text in re.findall(r"Literal\[([^\]]*)\]", kind) for each in literals(text)]
    return found + (["true", "false"] if re.search(r"\bbool\b", kind) else [])


def literals(text: str) -> Sequence[Any]:
    """The choices of a Literal."""
    try:
        return tuple(ast.literal_eval(f"({text},)"))
    except (ValueError, SyntaxError):
        return ()


def classes(home: str) -> list[str]:
    """The classes that a module defines or imports by name."""
    source = read_source(home)
    names = []
    for node in statements(source) if source else ():
        if isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(home):
            names += [each.asname or each.name for each in node.names]
    return [name for name in names if name[0].isupper()]


def runs(typed: str) -> set[str]:
    """The experiments that have runs; once a folder is typed, the next part of the paths of runs."""
    return folders(run_folders(ROOT), typed) if "/" in typed else {*experiments(), f"{ROOT}/"}


def folders(paths: Iterable[Path], typed: str) -> set[str]:
    """Paths that begin with what is typed, up to the next slash, so that hundreds of runs are not listed at once."""
    found = [str(path) for path in paths if str(path).startswith(typed)]
    return {path[: (path.find("/", len(typed)) + 1) or None] for path in found}


def experiments() -> list[str]:
    """The experiments and sweeps that have runs."""
    return sorted({str(run.parent.relative_to(ROOT)) for run in run_folders(ROOT)})
