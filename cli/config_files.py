"""Check config files before anything is imported: each must be YAML with every part in its place."""

import math
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cli.overview import CONFIGS
from runtime.commands import path_from_here, train_py
from runtime.errors import UsageError, closest, did_you_mean

# The first word of every flag, and the keys of a config.
SETTINGS = (
    "model data trainer monitor monitor_mode checkup diagnostics histograms pictures page run_name tag resume "
    "ckpt_path seed_everything save_every_n_steps graph weights_only sweep debug config print_config help"
)
# Settings that people expect at the top level, and where they really are.
ELSEWHERE = (
    "model.optimizer model.optimizer.lr model.scheduler model.hidden_sizes model.activation model.dropout "
    "data.batch_size data.data_dir data.csv trainer.max_epochs trainer.max_steps trainer.devices "
    "trainer.accelerator trainer.strategy trainer.precision trainer.callbacks trainer.logger"
)
CLASS_KEYS = {"class_path", "init_args", "dict_kwargs"}
MAX_VALUES = 100_000  # in a config; a few lines of aliases can stand for billions


def settings(command: str) -> list[str]:
    """What can be set for a command, without what is inside `model`, `data` and `trainer`."""
    own = {"fit": [], "predict": ["return_predictions"]}
    return SETTINGS.split() + own.get(command, ["verbose"])


def check_config(command: str, path: str | Path) -> None:
    """Refuse a file that is not a YAML mapping of settings for `command`.

    Raises:
        UsageError: in one line that names the file, the place and what was found there.
    """
    if not os.path.isfile(path):  # pathlib would accept "mine.yaml/"
        raise UsageError(f"--config {path} does not exist; {existing_config(str(path))}")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if (size := expanded_size(root, {})) > MAX_VALUES:
            raise UsageError(
                f"--config {path} has too many values, {size:.3g} once its aliases are replaced; write it without them"
            )
        if key := repeated_key(root):
            raise UsageError(
                f"--config {path} has {key.value!r} twice, the second time in line "
                f"{key.start_mark.line + 1}; put both parts under one"
            )
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path} is not YAML: {describe(error)}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"--config {path} is not YAML: {error.reason}; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # a date such as 2020-13-45, or thousands of brackets
        raise UsageError(f"--config {path} cannot be read: {error}") from None
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror}") from None
    if not isinstance(content, dict):
        shown = reprlib.repr(content)
        raise UsageError(f"--config {path} holds {shown}, not settings such as `model:` and `data:`")
    check_sections(command, path, content)


def existing_config(path: str) -> str:
    """Which config of this project was probably meant, as a path from the current folder."""
    files = {str(file.relative_to(CONFIGS.parent)): file for file in CONFIGS.rglob("*.yaml")}
    if (name := closest(path, files)) is None:
        return f"{train_py()} lists the experiments"
    return f"did you mean {path_from_here(files[name])!r}?"


def check_sections(command: str, path: str | Path, content: Mapping[Any, Any]) -> None:
    """Refuse settings that do not exist or are in the wrong place; the parser's own error would not explain it."""
    known = settings(command)
    for key in map(str, content):
        if key.partition(".")[0] not in known:
            hint = did_you_mean(key, [*known, *ELSEWHERE.split()])
            raise UsageError(f"--config {path}: there is no setting {key!r}; {hint}")
    trainer = content.get("trainer")
    if not isinstance(trainer, dict | None):
        shown = reprlib.repr(trainer)
        raise UsageError(f"--config {path}: trainer is {shown}, not settings such as `max_epochs: 10`")
    for name in ("model", "data"):
        section = content.get(name)
        if isinstance(section, dict) and "class_path" in section and (odd := section.keys() - CLASS_KEYS):
            first = min(map(str, odd))
            raise UsageError(
                f"--config {path}: {name}.{first} stands next to class_path; it belongs below init_args"
            )


def repeated_key(root: yaml.Node | None) -> yaml.ScalarNode | None:
    """A key that appears twice in a mapping. YAML forbids it, and the library would silently drop the first value."""
    nodes, visited = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            names = set()
            for key, value in node.value:
                nodes += [key, value]
                if isinstance(key, yaml.ScalarNode):
                    if key.value in names:
                        return key
                    names.add(key.value)
    return None


def expanded_size(node: yaml.Node | None, sizes: dict[int, float]) -> float:
    """Number of values of a node if each alias is replaced by what it stands for; infinite if it contains itself.

    Args:
        node: the root of the file.
        sizes: of the nodes visited so far, by their `id`.
    """
    if id(node) not in sizes:
        sizes[id(node)] = math.inf  # until it is known, for an alias inside its own node
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = [each for part in parts for each in (part if isinstance(part, tuple) else (part,))]
        sizes[id(node)] = 1 + sum(expanded_size(each, sizes) for each in inner)
    return sizes[id(node)]


def describe(error: yaml.YAMLError) -> str:
    """What is wrong, and where."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if problem is None or mark is None:
        return " ".join(str(error).split())
    return f"{problem} in line {mark.line + 1}, column {mark.column + 1}"
