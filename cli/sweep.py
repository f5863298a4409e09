"""`train.py sweep`: turn the words and the `sweep:` sections of configs into a plan, which `sweeps/` carries out."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jsonargparse import Namespace
from pytorch_lightning import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.observing import in_words
from cli.build import Run, build
from cli.checks import check_run_name
from cli.config_files import check_config
from cli.out_of_fold import write_out_of_fold
from cli.parser import Parser
from cli.request import Request, option_values, prepare, take_option
from cli.stray_words import check_stray_words
from pages.sweep import write_sweep
from runtime.errors import RunError, UsageError, did_you_mean
from runtime.signals import Interrupted
from sweeps.bulk import why_not
from sweeps.plan import Plan, SweepOptions
from sweeps.run_all import report, train_all
from sweeps.space import Choice, Range, Setting, Value, grid, is_fold, number_in, parse_axis
from sweeps.study import Queue
from sweeps.trials import rehearse

SAME_FOR_ALL = ("run_name", "resume", "ckpt_path", "monitor", "monitor_mode", "debug")  # flags of fit
QUIET = [  # placed before the user's words, which may override them
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.devices=1",
    "--checkup=false",
    "--pictures=false",
    "--page=false",
]


def main(given: list[str]) -> int:
    """Start or resume a sweep; returns the exit code, which is 1 if every run failed.

    Args:
        given: the words after `train.py sweep`.

    Raises:
        UsageError: before the first run, for anything wrong with the command.
    """
    plan = read_plan(given)
    prepare(["fit", *plan.fit_words(plan.first_setting(), plan.seeds[0])])
    first, plan = rehearse(plan, build_trial)
    queue = Queue(plan)
    try:
        train_all(plan, queue, build_trial, why_not(first.model, first.datamodule, first.settings))
    except (Interrupted, KeyboardInterrupt) as stop:
        print(
            f"{str(stop) or 'stopped'}; the sweep is saved. Resume it with the same command", file=sys.stderr
        )
        return getattr(stop, "exit_code", 130)
    except OSError as error:  # a run's own error is in the table of runs; this one is of the sweep's files
        raise RunError(
            f"cannot write {error.filename or plan.folder}: {error.strerror}; make room, and resume the sweep with the "
            "same command"
        ) from None
    runs = report(plan, queue, ["sweep", *given])
    predict_out_of_fold(plan, runs)
    write_page(plan.folder)
    return int((runs["state"] == "failed").all())


def predict_out_of_fold(plan: Plan, runs: pd.DataFrame) -> None:
    """See `write_out_of_fold`; a failure is a warning, as the sweep itself is complete."""
    try:
        write_out_of_fold(plan, runs)
    except Exception as error:
        rank_zero_warn(f"no predictions out of fold ({in_words(error)})")


def write_page(folder: Path) -> None:
    """Write the page of a sweep; a failure is a warning, as the tables and pictures are there."""
    try:
        print(f"  page  {write_sweep(folder)}")
    except Exception as error:
        rank_zero_warn(f"the page of this sweep could not be written ({in_words(error)})")


def build_trial(
    words: Sequence[str],
    *,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
    with_trainer: bool = True,
    like: Run | None = None,
    changes: Setting | None = None,
) -> Run:
    """An ordinary `fit` in an ordinary run folder, without output.

    Args:
        words: after `fit`.
        resume: folder of an interrupted run; its own config is used then, and the words are ignored.
        callbacks, with_trainer: see `build`.
        like: a run on the same data, whose parser and data are reused; then there is no Trainer.
        changes: the settings that differ from those of `like`.
    """
    if like is not None:
        config = like.settings.clone()
        if not all(replace_number(config, flag, value) for flag, value in (changes or {}).items()):
            config = like.parser.parse_args([*QUIET, *words])
        other = like.variant(config)
        other.request = dataclasses.replace(like.request, args=["fit", *QUIET, *words])
        return other
    if resume is not None:
        words = prepare(["fit", "--resume", str(resume)]).args[1:]
    request = Request("fit", ["fit", *QUIET, *words], run_folder=resume)
    return build(request, callbacks=callbacks, with_trainer=with_trainer)


def replace_number(settings: Namespace, flag: str, value: Value) -> bool:
    """Replace a real number in a config, instead of reading the config again; returns whether the flag is a number."""
    node = settings
    *path, name = flag.replace("init_args.", "").split(".")
    for part in path:
        node = node[part].get("init_args", node[part])
    number = number_in(value)
    if number is None or not isinstance(node.get(name), float):
        return False
    node[name] = number
    return True


def read_plan(given: list[str]) -> Plan:
    """Read the words after `train.py sweep`.

    Raises:
        UsageError: for a wrong option or file, or if nothing varies.
    """
    check_stray_words("sweep", given)
    left, section = split_words(given)
    for forbidden in ("--resume", "--ckpt_path"):
        if option_values(left, forbidden):
            raise UsageError(
                f"{forbidden} goes with one run, not with sweep; a sweep is resumed with its own command"
            )
    name, left = take_option(left, "--run_name")
    check_run_name(name or "")
    configs = [Path(path) for path in option_values(left, "--config", "-c")]
    from_files: dict[str, Any] = {}
    for path in configs:
        check_config("fit", path)
        merge(from_files, yaml.safe_load(path.read_text(encoding="utf-8")).get("sweep") or {}, path)
    merge(from_files, section, "--sweep")
    options = read_options(from_files)
    if folds := [flag for flag in options.vary if is_fold(flag)]:
        print(f"{', '.join(folds)}: averaged over, as with --replicate, and not chosen", file=sys.stderr)
        options.replicate |= {flag: options.vary.pop(flag) for flag in folds}
    if not options.vary and not options.replicate and num_seeds(options) == 1:
        raise UsageError(
            "nothing varies; add --vary model.optimizer.lr=1e-3,1e-2 or a config of configs/sweeps"
        )
    axes = [parse_axis(flag, values) for flag, values in options.vary.items()]
    replicated = [as_choice(parse_axis(flag, values)) for flag, values in options.replicate.items()]
    for axis in [*axes, *replicated]:
        if axis.flag == "seed_everything":
            raise UsageError("seed_everything varies with --sweep.seeds: how many, or a list such as [1,2,3]")
        if axis.flag in SAME_FOR_ALL:
            raise UsageError(f"{axis.flag} cannot vary; it is the same for all runs of a sweep")
    if twice := {axis.flag for axis in axes} & {axis.flag for axis in replicated}:
        raise UsageError(f"{min(twice)} is in both --vary and --replicate; leave one out")
    has_range = any(isinstance(axis, Range) and axis.kind != "int" for axis in axes)
    sampler = options.sampler or ("random" if has_range else "grid")
    if sampler == "tpe" and replicated:
        raise UsageError(
            "sweep.sampler tpe chooses by single runs, not by means over replicates; take random or grid"
        )
    seeds = options.seeds
    if isinstance(seeds, int):
        first = first_seed(configs, left)
        seeds = list(range(first, first + seeds))
    name = name or default_name(configs, left)
    plan = Plan(name, left, axes, sampler, seeds, options, tuple(replicated))
    plan.settings()  # raises if a grid has ranges
    return plan


def num_seeds(options: SweepOptions) -> int:
    return options.seeds if isinstance(options.seeds, int) else len(options.seeds)


def as_choice(axis: Choice | Range) -> Choice:
    """A list of values; a range of whole numbers as the list of them.

    Raises:
        UsageError: for any other range.
    """
    if isinstance(axis, Choice):
        return axis
    if axis.kind != "int":
        raise UsageError(f"sweep.replicate.{axis.flag} has a range; list its values, or give int:0:4")
    return Choice(axis.flag, tuple(str(setting[axis.flag]) for setting in grid([axis])))


def default_name(configs: list[Path], left: list[str]) -> str:
    """The experiment's name followed by that of the sweep's config: mnist_4v9_logistic_lr."""
    experiments = [path.stem for path in configs if path.parent.name not in ("presets", "sweeps")]
    sweeps = [path.stem for path in configs if path.parent.name == "sweeps"]
    model = [value.split(".")[-1] for value in option_values(left, "--model")]
    return "_".join([*(experiments or model)[:1], *(sweeps or ["sweep"])[-1:]])


def first_seed(configs: list[Path], left: list[str]) -> int:
    """`seed_everything` of the command or its configs; 42 by default, as for any run."""
    given = option_values(left, "--seed_everything")
    for path in configs:
        given.insert(0, str(yaml.safe_load(path.read_text(encoding="utf-8")).get("seed_everything", "")))
    return next((int(seed) for seed in reversed(given) if seed.isdigit()), 42)


def split_words(given: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The words for `fit`, and what --vary, --replicate and --sweep.NAME set, in the form of a `sweep:` section."""
    left: list[str] = []
    section: dict[str, Any] = {}
    words_left = iter(given)
    for word in words_left:
        name, has_value, value = word.partition("=")
        if name not in ("--vary", "--replicate") and not name.startswith("--sweep."):
            left.append(word)
            continue
        if not has_value:
            value = next(words_left, "")
        if not value:
            raise UsageError(f"{name} needs a value")
        if name in ("--vary", "--replicate"):
            flag, has_values, values = value.partition("=")
            if not has_values:
                raise UsageError(f"{name} {value} has no values; give some, as {name} {flag}=1,2,3")
            section.setdefault(name.removeprefix("--"), {})[flag.removeprefix("--")] = values
        else:
            section[name.removeprefix("--sweep.")] = yaml.safe_load(value)
    return left, section


def merge(into: dict[str, Any], section: Any, source: Path | str) -> None:
    """Let a later section override an earlier one, flag by flag."""
    both = ("vary", "replicate")
    if not isinstance(section, dict) or not all(isinstance(section.get(name) or {}, dict) for name in both):
        raise UsageError(
            f"{source}: `sweep:` holds {section!r:.60}, not settings such as `vary:` and `seeds:`"
        )
    flags = {name: {**into.get(name, {}), **(section.get(name) or {})} for name in both}
    into.update({**section, **flags})


def read_options(section: dict[str, Any]) -> SweepOptions:
    """Check names and types."""
    known = [option.name for option in dataclasses.fields(SweepOptions)]
    for name in section:
        if name not in known:
            raise UsageError(f"sweep.{name} is no option of a sweep; {did_you_mean(str(name), known)}")
    parser = Parser()
    parser.add_class_arguments(SweepOptions, "sweep")
    rest = {name: value for name, value in section.items() if name not in ("vary", "replicate")}
    options = SweepOptions(**vars(parser.parse_object({"sweep": rest}).sweep))
    options.vary, options.replicate = (
        section["vary"],
        section["replicate"],
    )  # as typed, because the parser would read "[3]" as a list of values
    for name, value in {"trials": options.trials, "minutes": options.minutes}.items():
        if value is not None and value <= 0:
            raise UsageError(f"sweep.{name} is {value}; it must be above 0")
    seeds = options.seeds
    if (
        not seeds
        or (isinstance(seeds, int) and seeds < 1)
        or (isinstance(seeds, list) and len(set(seeds)) < len(seeds))
    ):
        raise UsageError(f"sweep.seeds is {seeds}; give how many, at least 1, or a list of different ones")
    return options
