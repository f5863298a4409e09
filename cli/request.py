"""The command line before PyTorch is imported: find the config and the checkpoint, refuse what is clearly wrong."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from cli.cluster import interrupted_run, job_file
from cli.config_files import ELSEWHERE, check_config, settings
from cli.overview import CONFIGS
from cli.run_paths import existing_checkpoint, run_of
from cli.stray_words import check_stray_words
from cli.trust import allowed_imports
from runtime.commands import path_from_here, train_py
from runtime.errors import UsageError, did_you_mean

COMMANDS = ("fit", "validate", "test", "predict", "compare")
# commands with words of their own, and the module of their `main`
STUDIES = {
    "check": "cli.check",
    "new": "cli.new",
    "report": "cli.report",
    "runs": "cli.runs",
    "sweep": "cli.sweep",
    "tune-lr": "cli.tune_lr",
    "watch": "cli.watch",
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked for.

    Args:
        command: one of `COMMANDS`.
        args: the words for the parser, the command first.
        experiment: name of the folder below `runs`; empty if no config names one.
        run_folder: the run to resume or evaluate; None for a new one.
        job_file: notes a new run, in case a scheduler restarts this job; None without a scheduler.
        imports: names of the modules and classes that the config may import; None for any. See `cli/trust.py`.
        typed: the words as they were typed; empty for a request that a program makes.
    """

    command: str
    args: list[str]
    experiment: str = ""
    run_folder: Path | None = None
    job_file: Path | None = None
    imports: tuple[str, ...] | None = None
    typed: tuple[str, ...] = ()


def prepare(args: Sequence[str]) -> Request:
    """Check the words and complete them; a run's config is found next to its checkpoint.

    Raises:
        UsageError: for an unknown command, a flag before the command, or a file that is missing or unreadable; for a
            run's config that is not trusted.
    """
    command, words = args[0], list(args[1:])
    trust, words = take_flag(words, "--trust")
    if command.startswith("-"):
        raise UsageError(f"{command} stands before the command; write: {train_py('fit', command, '...')}")
    if command not in COMMANDS:
        raise UsageError(f"there is no command {command!r}; {did_you_mean(command, [*COMMANDS, *STUDIES])}")
    label = ""
    if words and not words[0].startswith("-"):
        label, words = words[0], words_of_first(command, words)
    check_flags(command, words)
    check_stray_words(command, words)
    resume, words = take_option(words, "--resume")
    if resume is not None:
        return resume_request(command, resume, words, trust)
    job = job_file(args) if command == "fit" else None
    if job is not None and (folder := interrupted_run(job)) is not None:
        request = resume_request(command, str(folder), [], trust=True)  # this very job began it
        return dataclasses.replace(request, job_file=job)
    paths = option_values(words, "--config", "-c")
    for path in paths:
        check_config(command, path)
    configs = [Path(path) for path in paths]
    ckpt_path = next(iter(option_values(words, "--ckpt_path")), None)
    if ckpt_path is not None and "://" in ckpt_path:
        raise UsageError(f"--ckpt_path {ckpt_path} is an address; download the file and give its path")
    if ckpt_path is not None and ckpt_path != "null":
        found = existing_checkpoint(ckpt_path, label or f"--ckpt_path {ckpt_path}")
        if found != Path(ckpt_path):
            _, words = take_option(words, "--ckpt_path")
            words = [*words, f"--ckpt_path={found}"]
        if command != "fit":
            return evaluation_request(command, found, words, bool(configs), trust)
    if command != "fit" and ckpt_path is None and not wants_config(words):
        raise UsageError(
            f"{command} needs a run, {train_py(command, 'runs/.../version_N')}, or the name of its experiment; "
            "--ckpt_path null stands for an untrained network"
        )
    if not configs and not option_values(words, "--model") and not wants_config(words):
        raise UsageError(f"{command} needs --config configs/....yaml; {train_py()} lists the experiments")
    experiments = [path.stem for path in configs if path.parent.name not in ("presets", "sweeps")]
    return Request(command, [command, *words], experiment=experiments[0] if experiments else "", job_file=job)


def words_of_first(command: str, words: list[str]) -> list[str]:
    """The words of a command with a flag before the first one, which has none: the run that is evaluated.

    Raises:
        UsageError: for `fit`, which begins with a config; or if the run is given twice.
    """
    first = words[0]
    if command == "fit":
        own = CONFIGS / f"{first}.yaml"
        config = path_from_here(own) if own.is_file() else first
        raise UsageError(f"{first} follows no flag; write: {train_py(command, '--config', config)}")
    if option_values(words, "--ckpt_path"):
        raise UsageError(f"{first} and --ckpt_path both say which checkpoint to {command}; leave one out")
    if len(words) > 1 and not words[1].startswith("-"):
        raise UsageError(f"{command} takes one run, and {words[1]} is a second one")
    return [f"--ckpt_path={first}", *words[1:]]


def resume_request(command: str, given: str, words: list[str], trust: bool) -> Request:
    """`fit --resume RUN`: the run's own config, then the flags given now; its checkpoint is chosen later."""
    if command != "fit":
        raise UsageError(f"--resume goes with fit, not with {command}; write: {train_py(command, given)}")
    if option_values(words, "--ckpt_path"):
        raise UsageError(
            f"--ckpt_path and --resume exclude each other: --resume {given} chooses the run's newest checkpoint itself; "
            "to begin a new run from a checkpoint, leave out --resume"
        )
    folder = run_of(given, f"--resume {given}", saved=True)
    config = folder / "config.yaml"
    for path in (config, folder / "checkpoints"):
        if not path.exists():
            raise UsageError(
                f"--resume {given}: {path} does not exist; give the folder of a run, runs/<name>/version_N"
            )
    check_config(command, config)
    imports = allowed_imports(config, trust, words)
    return Request(
        command, [command, f"--config={config}", *words], folder.parent.name, folder, imports=imports
    )


def evaluation_request(
    command: str, checkpoint: Path, words: list[str], has_config: bool, trust: bool
) -> Request:
    """`test --ckpt_path RUN/checkpoints/best.ckpt`: the run's own config, then the flags given now."""
    folder = Path(os.path.relpath(checkpoint.absolute().parent.parent))
    if has_config:
        return Request(command, [command, *words])
    config = folder / "config.yaml"
    if not config.is_file():
        raise UsageError(f"{config} does not exist, so the model is unknown; give its --config too")
    check_config(command, config)
    imports = allowed_imports(config, trust, words)
    return Request(
        command, [command, f"--config={config}", *words], folder.parent.name, folder, imports=imports
    )


def comparison_requests(words: Sequence[str]) -> tuple[Request, Request]:
    """`compare RUN_A RUN_B`: for each, a prediction by its best checkpoint, on one device so that rows stay in order.

    Raises:
        UsageError: unless two runs or checkpoints come first, before any flags.
    """
    trust, words = take_flag(words, "--trust")
    names, flags = words[:2], list(words[2:])
    if len(names) < 2 or any(name.startswith("-") for name in names):
        raise UsageError(
            f"compare needs two runs, each a folder runs/<name>/version_N or a checkpoint: {compare_usage()}"
        )
    if option_values(flags, "--config", "-c") or option_values(flags, "--ckpt_path"):
        raise UsageError(f"compare takes each run's own config and checkpoint; write: {compare_usage()}")
    one_device = ["--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto"]

    def request(name: str) -> Request:
        path = existing_checkpoint(name)
        return evaluation_request(
            "predict", path, [f"--ckpt_path={path}", *one_device, *flags], has_config=False, trust=trust
        )

    return request(names[0]), request(names[1])


def compare_usage() -> str:
    """How `compare` is called."""
    return f"{train_py('compare', 'RUN_A', 'RUN_B')} [flags for both, like --data.data_dir DIR]"


def wants_config(words: Sequence[str]) -> bool:
    """Whether the user asks only for the complete config."""
    return any(word.partition("=")[0] == "--print_config" for word in words)


def check_flags(command: str, words: Sequence[str]) -> None:
    """Refuse a flag that cannot exist, seconds before the classes are imported that know all flags."""
    known = [f"--{name}" for name in settings(command)]
    for word in words:
        flag = word.partition("=")[0].partition(".")[0].rstrip("+")
        if flag.startswith("--") and flag not in known:
            hint = did_you_mean(flag, [*known, *(f"--{name}" for name in ELSEWHERE.split())])
            raise UsageError(f"there is no flag {flag}; {hint}")


def option_values(words: Sequence[str], *names: str) -> list[str]:
    """Values given to an option, as `--name value` or `--name=value`."""
    values = [word.partition("=")[2] for word in words if word.partition("=")[0] in names and "=" in word]
    if "" in values:
        raise UsageError(f"{names[0]} needs a value")
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in names:
            if not following or following.startswith("--"):
                raise UsageError(f"{word} needs a value")
            values.append(following)
    return values


def take_option(words: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of an option and the words without it."""
    values = option_values(words, name)
    if not values:
        return None, words
    kept, skip = [], False
    for word in words:
        if skip or word.partition("=")[0] == name:
            skip = word == name
            continue
        kept.append(word)
    return values[-1], kept


def take_flag(args: Sequence[str], name: str) -> tuple[bool, list[str]]:
    """Whether a flag is set, alone or as `name true` or `name=true`, and the words without it."""
    words, value = list(args), False
    while found := [place for place, word in enumerate(words) if word.partition("=")[0] == name]:
        given = words.pop(found[0]).partition("=")[2]
        if not given and words[found[0] : found[0] + 1] in (["true"], ["false"]):
            given = words.pop(found[0])
        value = given != "false"
    return value, words
