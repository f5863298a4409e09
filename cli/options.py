"""Every option of an experiment with its value, read from configs and sources: for help and completion."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cli.config_files import check_config
from cli.request import option_values
from cli.run_paths import folders_of, is_run
from runtime.errors import UsageError
from runtime.old_runs import OWN_DEFAULTS, flat, is_same
from runtime.run_list import read_value
from runtime.signatures import REQUIRED, Argument, Signature, plain, read_source, signature, type_text

HOMES = {  # where a class is looked up by its name alone, by the last part of the setting
    "model": "lit_models",
    "data": "datamodules",
    "optimizer": "torch.optim",
    "scheduler": "torch.optim.lr_scheduler",
}
# What a model takes from the data module if it has an argument of this name; see cli/links.py.
FROM_DATA = ("in_shape", "out_features", "task", "target_mean", "target_std")
TRAINER = "pytorch_lightning.Trainer"


@dataclass(frozen=True)
class Option:
    """One flag.

    Args:
        name: without dashes: `model.optimizer.lr`.
        argument: what it sets.
        value: with this config; the default if the config does not name it.
    """

    name: str
    argument: Argument
    value: Any


@dataclass(frozen=True)
class Part:
    """A class that settings name, and its options: the model, its optimizer, the data.

    Args:
        name: of the setting that names the class.
        path: of the class.
        summary: first line of its docstring.
        options: in the order of its constructor.
    """

    name: str
    path: str
    summary: str
    options: tuple[Option, ...]


def settings_of(command: str, words: Sequence[str]) -> dict[str, Any]:
    """The settings that a command's words give, as far as they are known without the parser; see `flat`.

    Raises:
        UsageError: for a config that is missing or damaged.
    """
    settings: dict[str, Any] = {}
    for path in [*configs_of_runs(command, words), *option_values(words, "--config", "-c")]:
        check_config("fit", path)
        lay_over(settings, flat(yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))))
    for place, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if not name.startswith("--"):
            continue
        if not has_value:
            value = words[place + 1] if place + 1 < len(words) else ""
        lay_over(settings, {name[2:].replace("init_args.", ""): read_value(value)})
    return settings


def configs_of_runs(command: str, words: Sequence[str]) -> list[str]:
    """The configs of the runs that a command names instead of a config."""
    given = option_values(words, "--resume") + option_values(words, "--ckpt_path")
    if command != "fit" and words and not words[0].startswith("-"):
        given.append(words[0])
    runs = [next(filter(is_run, folders_of(Path(each))), None) for each in given]
    paths = [run / "config.yaml" for run in runs if run is not None]
    return [str(path) for path in paths if path.is_file()]


def lay_over(settings: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Let later settings override earlier ones; another class does not keep the arguments of the one before."""
    for name, value in new.items():
        known = settings.get(name)
        if isinstance(known, str) and isinstance(value, str) and not is_same(known, value):
            for below in [each for each in settings if each.startswith(f"{name}.")]:
                del settings[below]
        settings[name] = value


def parts(settings: Mapping[str, Any], names: Sequence[str] = ("model", "data")) -> Iterator[Part]:
    """The model with its optimizer and schedule, then the data; what is not found in the sources is left out."""
    for name in names:
        yield from part_of(name, settings.get(name), settings)


def part_of(name: str, path: Any, settings: Mapping[str, Any]) -> Iterator[Part]:
    """A class that a setting names, then the classes that its arguments name."""
    found = class_named(name, path)
    if found is None:
        return
    of_optimizer = "." in name  # its first argument, parameters or an optimizer, is given by the program
    arguments = [each for each in found.arguments if each.name not in FROM_DATA][of_optimizer:]
    options = tuple(
        Option(f"{name}.{each.name}", each, settings.get(f"{name}.{each.name}", each.default))
        for each in arguments
    )
    yield Part(name, found.path, found.summary, options)
    for option in options:
        if option.argument.name in HOMES:
            yield from part_of(option.name, option.value, settings)


def class_named(name: str, path: Any) -> Signature | None:
    """The signature of the class that a setting names; None if its source is not found."""
    return signature(path, HOMES[name.rpartition(".")[2]]) if isinstance(path, str) else None


def trainer_options(settings: Mapping[str, Any]) -> tuple[Option, ...]:
    """The arguments of Lightning's Trainer."""
    found = signature(TRAINER)
    known = [
        replace(each, default=OWN_DEFAULTS.get(f"trainer.{each.name}", each.default))
        for each in (found.arguments if found else ())
    ]
    return tuple(
        Option(f"trainer.{each.name}", each, settings.get(f"trainer.{each.name}", each.default))
        for each in known
    )


def own_options(settings: Mapping[str, Any]) -> Iterator[Option]:
    """The flags that this project adds, as `cli/flags.py` declares them, and the seed."""
    seed = Argument("seed_everything", "int", OWN_DEFAULTS["seed_everything"], "Seed of all random numbers.")
    yield Option(seed.name, seed, settings.get(seed.name, seed.default))
    source = read_source("cli.flags")
    for node in ast.walk(source.tree) if source else ():
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith(".add_argument"):
            continue
        given = {word.arg: word.value for word in node.keywords}
        name = str(plain(node.args[0]))[2:]
        default = plain(given["default"]) if "default" in given else None
        type_ = type_text(source, given.get("type")) if source else ""
        argument = Argument(name, type_, default, str(plain(given["help"])))
        yield Option(name, argument, settings.get(name, default))


def is_set(option: Option) -> bool:
    """Whether an option has another value than its default."""
    return option.argument.default is not REQUIRED and not is_same(option.value, option.argument.default)


def check_topic(words: Sequence[str]) -> str:
    """What help is asked for: "trainer", or "" for the command itself.

    Raises:
        UsageError: for a word after --help that is no topic.
    """
    topic = ""
    for place, word in enumerate(words):
        flag, has_value, value = word.partition("=")
        if flag not in ("-h", "--help"):
            continue
        following = words[place + 1 : place + 2]
        topic = value if has_value else next((each for each in following if not each.startswith("-")), "")
    if topic not in ("", "trainer"):
        raise UsageError(f"there is no help about {topic!r}; --help trainer lists the options of the Trainer")
    return topic
