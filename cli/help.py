"""`--help` of a command: how it is called, the options of the experiment's own model and data, then the common flags.

It is printed in a fraction of a second, because everything is read from the configs and the sources.
"""

import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cli.options import Option, check_topic, is_set, own_options, parts, settings_of, trainer_options
from cli.overview import from_here
from cli.usage import USAGES
from runtime.commands import train_py
from runtime.signatures import REQUIRED, signature

COMMON = (  # of the Trainer's forty options
    *("max_epochs", "max_steps", "max_time", "accelerator", "devices", "precision"),
    *("limit_train_batches", "val_check_interval", "log_every_n_steps", "accumulate_grad_batches"),
    *("gradient_clip_val", "callbacks", "logger"),
)
WITHOUT_OPTIONS = ("compare", "new", "report", "runs")  # commands that take no config
LEFT = 34  # characters for a flag and its value


def help_text(command: str, words: Sequence[str]) -> str:
    """What `train.py COMMAND WORDS --help` prints.

    Raises:
        UsageError: for an unknown topic after --help, or a config that cannot be read.
    """
    topic = check_topic(words)
    words = without_help(words)
    if topic == "trainer":
        return "\n".join(trainer_help(settings_of(command, words)))
    lines = [from_here(USAGES[command].rstrip()), ""]
    if command not in WITHOUT_OPTIONS:
        lines += options_help(command, settings_of(command, words))
    return "\n".join(lines).rstrip()


def wants_help(words: Sequence[str]) -> bool:
    """Whether help is asked for."""
    return any(word.partition("=")[0] in ("-h", "--help") for word in words)


def without_help(words: Sequence[str]) -> list[str]:
    """The words without the flag and its topic."""
    kept = [word for word in words if word.partition("=")[0] not in ("-h", "--help")]
    return kept[:-1] if kept and kept[-1] == "trainer" else kept


def options_help(command: str, settings: dict[str, Any]) -> Iterator[str]:
    """The options of model and data if they are known, then the common flags."""
    found = list(parts(settings))
    for part in found:
        summary = f": {part.summary}" if part.summary else ""
        yield from heading(f"{part.name}  {part.path}{summary}")
        yield from listed(part.options, brief=part.path.startswith("torch"))
    for name in ("model", "data"):
        path = settings.get(name)
        if isinstance(path, str) and not any(part.name == name for part in found):
            yield from heading(f"{name}  {path}")
            yield f"  its options: {train_py(command, f'--{name}.help', path)}"
            yield ""
    if command == "sweep" and (options := signature("sweeps.plan.SweepOptions")):
        yield from heading("The sweep itself")
        yield from listed(
            Option(f"sweep.{each.name}", each, settings.get(f"sweep.{each.name}", each.default))
            for each in options.arguments
        )
    yield from heading("Common flags")
    of_trainer = {each.argument.name: each for each in trainer_options(settings)}
    yield from listed([of_trainer[name] for name in COMMON if name in of_trainer], brief=True)
    yield from listed(each for each in own_options(settings) if each.name not in ("sweep", "resume"))
    if not found:
        config = "--config configs/titanic_mlp.yaml"
        yield f"The options of a model and its data: {train_py(command, *config.split(), '--help')}"
    yield f"All options of the Trainer: {train_py(command, '--help', 'trainer')}"


def trainer_help(settings: dict[str, Any]) -> Iterator[str]:
    """All options of the Trainer."""
    yield from heading("trainer  pytorch_lightning.Trainer")
    yield from listed(trainer_options(settings))


def heading(text: str) -> Iterator[str]:
    """A line above options, wrapped."""
    yield from textwrap.wrap(text, width(), subsequent_indent="  ")


def listed(options: Iterable[Option], *, brief: bool = False) -> Iterator[str]:
    """A line or more for each option: flag, value and what it means, if brief in one sentence; then an empty line."""
    for option in options:
        left = f"  --{option.name}"
        if option.value is not REQUIRED:
            left += f" {written(option.value)}"
        right = textwrap.wrap(described(option, brief), max(30, width() - LEFT))
        if len(left) < LEFT - 1 and right:
            left, right = f"{left:{LEFT}}{right[0]}", right[1:]
        yield left
        yield from (" " * LEFT + line for line in right)
    yield ""


def described(option: Option, brief: bool) -> str:
    """What the option means, the values it takes, and its default if it has another value now."""
    about = " ".join(option.argument.help.split())
    about = re.sub(r":\w+:`~?([^`]*)`", r"\1", about).replace("``", "")
    about = re.sub(r"\s*\(default: (?:[^()]|\([^()]*\))*\)|\s*Default: \S+?\.?$", "", about)
    if brief:
        about = re.split(r"(?<=[a-z)])\. (?=[A-Z])", about)[0]
    about = about.rstrip(".")
    kind = in_words(option.argument.type)
    default = f"default {written(option.argument.default)}" if is_set(option) else ""
    facts = ", ".join(filter(None, [kind, default]))
    return f"{about[:1].upper()}{about[1:]}{f' ({facts})' if facts else ''}".strip()


def in_words(kind: str) -> str:
    """A type as people say it; one that is more than a plain one is left out."""
    names = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "None": "null"}
    if match := re.fullmatch(r"Optional\[(.*)\]", kind):
        kind = f"{match[1]} | None"
    if match := re.fullmatch(r"Union\[([\w, ]*)\]", kind.partition(" | None")[0]):
        kind = kind.replace(match[0], match[1].replace(", ", " | "))
    members: list[str] = []
    for member in re.split(r" \| (?![^\[]*\])", kind):
        if choices := re.fullmatch(r"Literal\[(.*)\]", member):
            members += [each.strip("'\"") for each in choices[1].split(", ")]
        elif of := re.fullmatch(r"(?:Sequence|list|tuple)\[(int|float|str)(?:, \.\.\.)?\]", member):
            members.append(f"list of {names[of[1]]}s")
        else:
            members.append(names.get(member, ""))
    known = [each for each in members if each]
    if known == ["null"]:
        return ""
    return " or ".join(filter(None, [", ".join(known[:-1]), *known[-1:]]))


def written(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.]*\.[A-Z]\w*", value):
        return value.rpartition(".")[2]
    if isinstance(value, dict):
        return str(value.get("class_path", "{...}")).rpartition(".")[2]
    return str(value)


def width() -> int:
    """Of the terminal, in characters; at most what is pleasant to read."""
    return min(shutil.get_terminal_size((110, 24)).columns, 120)
