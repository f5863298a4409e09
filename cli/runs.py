"""`train.py runs`: a table of all runs, and what is done with them. It imports no PyTorch."""

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from cli.request import option_values, take_flag, take_option
from cli.run_paths import is_run, run_of
from cli.runs_query import Condition, chosen, in_order, parse_condition
from runtime.commands import train_py
from runtime.errors import UsageError, did_you_mean
from runtime.run_folder import ROOT, newest_first
from runtime.run_list import ListedRun, all_runs
from runtime.run_notes import Notes, add_tags, read_notes, write_notes
from runtime.trash import check_unused, remove, restore

FLAGS = ("--sort", "--where", "--tag", "--limit", "--json", "--csv", "--html", "--help")


def main(words: Sequence[str]) -> int:
    """Show the runs, or do something with some of them; returns the exit code.

    Raises:
        UsageError: for a wrong command, before anything is changed.
    """
    if words and words[0] in ACTIONS:
        names = [word for word in words[1:] if not word.startswith("-")]
        if len(names) < len(words) - 1:
            odd = next(word for word in words[1:] if word.startswith("-"))
            raise UsageError(f"runs {words[0]} takes no flags, and {odd} looks like one")
        ACTIONS[words[0]](names)
        return 0
    return show(list(words))


def show(words: list[str]) -> int:
    """Print the table, or write the page."""
    as_json, words = take_flag(words, "--json")
    as_csv, words = take_flag(words, "--csv")
    as_html, words = take_flag(words, "--html")
    if as_json + as_csv + as_html > 1:
        raise UsageError("--json, --csv and --html exclude each other")
    sort, words = take_option(words, "--sort")
    given, words = take_option(words, "--limit")
    limit = whole_number(given)
    conditions = [parse_condition(text) for text in option_values(words, "--where")]
    conditions += [Condition("tag", "=", tag) for tag in option_values(words, "--tag")]
    _, words = take_option(words, "--where")
    _, words = take_option(words, "--tag")
    if odd := next((word for word in words if word.startswith("-")), None):
        raise UsageError(f"runs has no flag {odd}; {did_you_mean(odd, FLAGS)}")
    check_readable()
    everything = all_runs()
    runs = chosen(of_experiments(everything, words), conditions)
    runs = in_order(runs, sort) if sort else latest_last(runs)
    if limit is not None:
        runs = runs[:limit] if sort else runs[max(0, len(runs) - limit) :]
    if as_html:
        write_page(runs if sort else runs[::-1])  # a page is read from its top
        return 0
    from cli import runs_table

    if as_json:
        print(json.dumps(runs_table.as_rows(runs), ensure_ascii=False, indent=2, default=str))
    elif as_csv:
        print(runs_table.as_csv(runs), end="")
    elif runs:
        named = [condition.name for condition in conditions if condition.sign != "="]
        runs_table.print_runs(runs, [*named, *([sort.removeprefix("-")] if sort else [])])
    else:
        print(nothing(everything))
    return 0


def check_readable() -> None:
    """Refuse a folder into which the user may not look, which would seem to be empty."""
    try:
        os.listdir(ROOT)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"{ROOT} cannot be read: {error.strerror}") from None


def nothing(everything: Sequence[ListedRun]) -> str:
    """Why no run is shown."""
    if everything:
        return f"none of {len(everything)} runs is meant by that"
    first = train_py("fit", "--config", "configs/titanic_mlp.yaml")
    return f"there is no run below {ROOT} yet; train one with: {first}"


def of_experiments(runs: Sequence[ListedRun], names: Sequence[str]) -> list[ListedRun]:
    """The runs of these experiments and sweeps; all if none is named."""
    known = {run.experiment for run in runs}
    wanted = [name.rstrip("/").removeprefix(f"{ROOT}/") for name in names]
    for given, name in zip(names, wanted, strict=True):
        if name not in known:
            raise UsageError(
                f"{given} is no experiment that has runs, and no action; {did_you_mean(name, [*known, *ACTIONS])}"
            )
    return [run for run in runs if not wanted or run.experiment in wanted]


def latest_last(runs: Sequence[ListedRun]) -> list[ListedRun]:
    """By time, so that the newest stands right above the prompt."""
    return sorted(runs, key=lambda run: (run.started.timestamp() if run.started else 0.0, run.name))


def whole_number(given: str | None) -> int | None:
    """The value of --limit."""
    if given is None:
        return None
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(f"--limit is {given}; it must be a whole number, at least 1")
    return int(given)


def write_page(runs: Sequence[ListedRun]) -> None:
    """Write `runs/index.html`."""
    from pages.runs_table import page

    if not runs:
        raise UsageError(nothing(all_runs()))
    path = ROOT / "index.html"
    try:
        path.write_text(page(runs), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    print(f"{len(runs)} runs: {path}")


def note(words: Sequence[str]) -> None:
    """`runs note RUN "text"`: replace the note of a run; an empty text removes it."""
    if len(words) != 2:
        raise UsageError(
            f"runs note takes a run and a text in quotes: {train_py('runs', 'note', 'RUN', 'a text')}"
        )
    run = run_of(words[0])
    write_notes(run, Notes(words[1].strip(), read_notes(run).tags))
    print(f"{run}: {words[1].strip() or 'no note'}")


def tag(words: Sequence[str]) -> None:
    """`runs tag RUN TAG...`: add tags to a run."""
    if len(words) < 2:
        raise UsageError(
            f"runs tag takes a run and one tag or several: {train_py('runs', 'tag', 'RUN', 'baseline')}"
        )
    run = run_of(words[0])
    add_tags(run, words[1:])
    print(f"{run}: {' '.join(f'#{each}' for each in read_notes(run).tags)}")


def untag(words: Sequence[str]) -> None:
    """`runs untag RUN TAG...`: remove tags from a run."""
    if len(words) < 2:
        raise UsageError(
            f"runs untag takes a run and its tags: {train_py('runs', 'untag', 'RUN', 'baseline')}"
        )
    run = run_of(words[0])
    notes = read_notes(run)
    if lacking := [each for each in words[1:] if each not in notes.tags]:
        raise UsageError(f"{run} has no tag {lacking[0]!r}; {did_you_mean(lacking[0], notes.tags)}")
    write_notes(run, Notes(notes.note, tuple(each for each in notes.tags if each not in words[1:])))
    print(f"{run}: {' '.join(f'#{each}' for each in read_notes(run).tags) or 'no tags'}")


def rm(words: Sequence[str]) -> None:
    """`runs rm RUN...`: move runs to the trash; none is moved if one of them is not there, or in use."""
    if not words:
        raise UsageError(f"runs rm takes runs: {train_py('runs', 'rm', 'runs/.../version_N')}")
    runs = list(dict.fromkeys(named_itself(word) for word in words))
    for run in runs:
        check_unused(run)
    for run in runs:
        target = remove(run)
        print(f"{run} lies in {target} now; bring it back with: {train_py('runs', 'restore', target)}")


def named_itself(given: str) -> Path:
    """The folder of a run that is to be removed; for this, the name of its experiment does not do."""
    path = next((each for each in (Path(given), ROOT / given) if is_run(each)), None)
    if path is not None:
        return path
    run = run_of(given)
    count = len(newest_first(run.parent))
    every = f"{shlex.quote(str(run.parent))}/version_*"
    raise UsageError(
        f"{given} is an experiment with {count} run{'s' * (count > 1)}; name those to remove, such as {run}, or {every}"
    )


def put_back(words: Sequence[str]) -> None:
    """`runs restore RUN...`: move runs back from the trash."""
    if not words:
        raise UsageError(
            f"runs restore takes runs: {train_py('runs', 'restore', 'runs/.trash/.../version_N')}"
        )
    for word in dict.fromkeys(words):
        path = Path(word)
        print(f"{restore(path if ROOT in path.parents else ROOT / path)} is back")


ACTIONS = {"note": note, "tag": tag, "untag": untag, "rm": rm, "restore": put_back}
