"""Which settings of a run differ from a config file, and which from the defaults of the classes.

Both are found without reading the file by the parser again, which takes as long as a hundred steps of a small network.
"""

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from cli.options import FROM_DATA

# They do not change what is computed, or say nothing about this run alone.
SILENT = {
    *("run_name", "tag", "resume", "debug", "sweep", "ckpt_path", "weights_only"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.default_root_dir"),
    *(f"model.init_args.{name}" for name in FROM_DATA),
}


def settings_beyond(settings: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with another value than in `base`, by their names in config.yaml.

    Args:
        settings: complete, as plain values.
        base: plain values, complete or not; what it lacks has the default of the class.
    """
    return {name: value for name, value in beyond(settings, base) if name not in SILENT}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them, section by section; a class is replaced as a whole."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and not is_class(value):
            value = merged(below, value)
        result[key] = value
    return result


def beyond(
    settings: Mapping[str, Any], base: Mapping[str, Any], place: str = ""
) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{place}.{key}" if place else key
        other = base.get(key)
        if is_class(value):
            other = completed(other, value["class_path"])
            if not is_same_class(value["class_path"], other.get("class_path")):
                other = {"init_args": defaults_of(value["class_path"])}
                yield f"{name}.class_path", value["class_path"]
            yield from beyond(value.get("init_args") or {}, other["init_args"], f"{name}.init_args")
        elif isinstance(value, dict) and isinstance(other, dict):
            yield from beyond(value, other, name)
        elif not is_same(value, other):
            yield name, value


def is_same(value: Any, other: Any) -> bool:
    """Whether two plain values are the same; a class's arguments that one of them lacks have their defaults."""
    if is_class(value) and (is_class(other) or isinstance(other, str | type)):
        return not dict(beyond({"": value}, {"": other}))
    if isinstance(value, list) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(is_same, value, other))
    if isinstance(value, int | float) and isinstance(other, str):  # YAML reads 1e-3 as text
        try:
            return float(other) == value
        except ValueError:
            return False
    return value == other


def is_class(value: Any) -> bool:
    """Whether it is a class with arguments."""
    return isinstance(value, dict) and isinstance(value.get("class_path"), str)


def completed(given: Any, path: str) -> dict[str, Any]:
    """A class that a config or a default names in any way, with its arguments; `path` is what stands in the settings."""
    if isinstance(given, type):
        given = f"{given.__module__}.{given.__qualname__}"
    if isinstance(given, str):
        given = {"class_path": given}
    given = given if isinstance(given, dict) else {}
    # a config may give arguments alone, of a class that the command line names
    arguments = given.get("init_args") or ({} if "class_path" in given else given)
    defaults = defaults_of(path) if is_same_class(path, given.get("class_path")) else {}
    return {"class_path": given.get("class_path"), "init_args": {**defaults, **arguments}}


def is_same_class(path: str, other: Any) -> bool:
    """Whether two paths lead to the same class; one of them may be only its name."""
    if not isinstance(other, str):
        return False
    if path == other or ("." not in other and path.rpartition(".")[2] == other):
        return True
    return imported(path) is not None and imported(path) is imported(other)


@cache
def imported(path: str) -> Any:
    """The class at a path, which the parser has already imported; None if there is none."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None


@cache
def defaults_of(path: str) -> dict[str, Any]:
    """The default of each argument of a class, including those that it passes on to its parents."""
    defaults: dict[str, Any] = {}
    for cls in getattr(imported(path), "__mro__", ()):
        if "__init__" not in vars(cls) or cls is object:
            continue
        try:
            parameters = inspect.signature(cls.__init__).parameters.values()
        except ValueError:  # a class written in C
            break
        own = {each.name: each.default for each in parameters if each.default is not each.empty}
        defaults = {**own, **defaults}
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return defaults
