"""A parser with error messages of one or two lines that name what was probably meant.

jsonargparse reports an error as one exception with the others as its causes, down to the import that failed, or to
this parser's error for a nested class. Our message is built from these; from the library's text only the value is used.
"""

import ast
import contextlib
import inspect
import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from types import UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningArgumentParser

import callbacks
import datamodules
import lit_models
from cli.config_files import ELSEWHERE
from runtime.errors import UsageError, did_you_mean
from runtime.private import ImportDenied, NSKeyError, flags_of, only_imports, type_of

PLAIN = (bool, int, float, str)
LISTS = (list, tuple, Sequence, Iterable)
NOT_TRUSTED = "{name} is code from elsewhere, in a config that you did not write here; to run it, add --trust"
OTHER_NAMES = {
    "fp16": "16-mixed",
    "float16": "16-mixed",
    "half": "16-mixed",
    "bfloat16": "bf16-mixed",
    "fp32": "32-true",
}


class WrongSettingError(UsageError):
    """What is wrong with one setting.

    Args:
        key: of the setting, as far as the parser that found it knows; empty if unknown.
        reason: what is wrong.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.key, self.reason = key, reason


class Parser(LightningArgumentParser):
    """Raises a `WrongSettingError` instead of printing the usage and ending the process.

    Args:
        imports: modules and classes that settings may import; None for any. See `cli/trust.py`.
    """

    def __init__(self, *args: Any, imports: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        self.imports = imports

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """Read the settings."""
        with only_imports(self.imports):
            return super().parse_args(*args, **kwargs)

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """Make the objects; a note in jsonargparse's log would ask the data module for its loaders before `setup`."""
        with shown_plainly(pl.LightningDataModule), only_imports(self.imports):
            return super().instantiate(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise explained(self, message, ex) from ex


@contextlib.contextmanager
def shown_plainly(cls: Any) -> Iterator[None]:
    """Let `str` of an object say no more than its class."""
    original = cls.__str__
    cls.__str__ = object.__repr__
    try:
        yield
    finally:
        cls.__str__ = original


def explained(parser: ArgumentParser, message: str, error: BaseException | None) -> WrongSettingError:
    """The one reason that matters, and what was probably meant."""
    key = match[1] if (match := re.search(r'[Pp]arser key "([^"]+)"', message)) else ""
    chain = list(causes(error))
    if denied := next((each for each in chain if isinstance(each, ImportDenied)), None):
        return WrongSettingError(key, NOT_TRUSTED.format(name=str(denied).split("'")[1]))
    if inner := next((each for each in chain if isinstance(each, WrongSettingError)), None):
        return WrongSettingError(f"{key}.{place_within(message, inner)}".strip("."), inner.reason)
    if unknown := unknown_name(message, chain):
        kind, name = unknown
        shown = name if kind == "flag" else repr(name)
        return WrongSettingError(
            key, f"there is no {kind} {shown}; {did_you_mean(name, known_names(parser))}"
        )
    for cause in chain:
        if isinstance(cause, ModuleNotFoundError):
            return WrongSettingError(
                key, f"there is no module {cause.name!r}; it has to be installed, or lie next to train.py"
            )
        if isinstance(cause, AttributeError) and inspect.ismodule(cause.obj):
            return WrongSettingError(
                key, f"there is no {cause.name!r} in {cause.obj.__name__}; {names_in(cause)}"
            )
    if re.search(r"arguments are required: \w*\.?model$", message):
        return WrongSettingError("", "the config has no model; add --model LitMLP, or a `model:` to it")
    if (value := value_in([message, *map(str, chain)])) is not None:
        return WrongSettingError(key, wrong_value(key, value, type_of(parser, key)))
    return WrongSettingError("", " ".join(re.sub(r"^argument (\S+):", r"\1:", message).split()))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, the exception that caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def constructor_error(error: BaseException) -> BaseException:
    """The error that the constructor of a model, data module or callback raised, unwrapped from jsonargparse's."""
    for cause in causes(error):
        modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(cause.__traceback__)]
        if modules and not modules[-1].startswith("jsonargparse"):
            return cause
    return error


def value_in(messages: list[str]) -> str | None:
    """The value named by the innermost message that shows one; None if none does."""
    for message in reversed(messages):
        if found := re.search(r"^(?:- )?Import path (\S+) does not", message, re.MULTILINE):
            return found[1]
        if found := re.search(
            r"(?:Got value|Given value|dot import path string): ?(.*)$", message, re.DOTALL
        ):
            return found[1].strip("\"' ")
    return None


def unknown_name(message: str, chain: list[BaseException]) -> tuple[str, str] | None:
    """The kind ("flag", or "option" of a class) and name of what does not exist; None if the error is another one."""
    if flag := re.search(r"unrecognized arguments: ([^\s=]+)", message):
        return "flag", flag[1]
    is_key_error = any(isinstance(cause, NSKeyError) for cause in chain)
    if is_key_error and (option := re.search(r"(?:option|key) '([\w.]+)'", message, re.IGNORECASE)):
        return "option", option[1]
    return None


def known_names(parser: ArgumentParser) -> list[str]:
    """The names that a flag or an option may have meant: those of the parser, and of nested settings."""
    deeper = [name for name in ELSEWHERE.split() if name.count(".") > 1]
    flags = flags_of(parser)
    return [*flags, *(flag[2:] for flag in flags), *deeper]


def names_in(error: AttributeError) -> str:
    """What was probably meant by a name that a module does not have."""
    names = [name for name in getattr(error.obj, "__all__", dir(error.obj)) if not name.startswith("_")]
    return did_you_mean(error.name or "", names)


def place_within(message: str, inner: WrongSettingError) -> str:
    """The place of a nested class's wrong setting inside the given value: `optimizer.lr` for `lr`."""
    name = inner.key or (match[1] if (match := re.search(r"no option '(\w+)'", inner.reason)) else "")
    found = name
    if nested := re.search(r"NestedArg\(key='([\w.]+)'", message):
        found = nested[1] if nested[1].rpartition(".")[2] == name.rpartition(".")[2] else name
    else:
        with contextlib.suppress(ValueError, SyntaxError):  # if the value is not plain
            value = ast.literal_eval(message.rpartition("Given value: ")[2])
            found = path_to(value, name.rpartition(".")[2]) or name
    return found if inner.key else found.rpartition(".")[0]


def path_to(value: object, name: str) -> str:
    """Path of the first setting of that name in nested settings, without `init_args`; "" if there is none."""
    if not isinstance(value, dict):
        return ""
    for key, part in value.items():
        if key == name:
            return str(key)
        if inside := path_to(part, name):
            return inside if key == "init_args" else f"{key}.{inside}"
    return ""


def wrong_value(key: str, value: str, expected: Any) -> str:
    """Says what is wrong with a value that does not have the expected type."""
    kinds = list(members(expected))
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        hint = f"; did you mean {OTHER_NAMES[value]}?" if OTHER_NAMES.get(value) in choices else ""
        return f"{value!r} is not one of {', '.join(map(str, choices))}{hint}"
    plain = [kind for kind in kinds if kind in PLAIN]
    if plain or not any(map(is_class, kinds)):
        names = dict.fromkeys(describe(kind) for kind in plain or kinds)
        if any(get_origin(kind) in LISTS for kind in kinds) and re.fullmatch(r"[0-9.e+-]+", value):
            return f"expected {' or '.join(names)}, not {value}; write [{value}]"
        return f"expected {' or '.join(names)}, not {value or repr(value)}"
    base = next(filter(is_class, kinds))
    if re.fullmatch(r"[A-Za-z_]\w*", value):
        return f"there is no class {value!r}; {did_you_mean(value, class_names(key))}"
    if re.fullmatch(r"[A-Za-z_][\w.]*", value):
        return f"{value} is no {class_name(base)}"
    wanted = f"{'an' if class_name(base)[0] in 'AEIOU' else 'a'} {class_name(base)}"
    return f"expected {wanted}, as its name or as class_path and init_args, not {value or repr(value)}"


def members(kind: Any) -> Iterator[Any]:
    """The types of a union, including nested unions, without None."""
    if get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from members(each)
    elif kind is not type(None):
        yield kind


def is_class(kind: Any) -> bool:
    """Whether the type is an object made from settings: a class (not a builtin), or a function that returns one."""
    if isinstance(kind, type):
        return kind not in PLAIN and kind.__module__ not in (
            "builtins",
            "collections.abc",
            "jsonargparse.typing",
        )
    return inspect.isabstract(get_origin(kind)) and "Callable" in str(kind)


def describe(kind: Any) -> str:
    """A type in words: `int`, `list of int`."""
    inside = [each for each in get_args(kind) if isinstance(each, type)]
    name = getattr(get_origin(kind) or kind, "__name__", str(kind))
    name = "list" if name in ("Sequence", "Iterable") else name
    return f"{name} of {inside[0].__name__}" if inside and name in ("list", "tuple", "set") else name


def class_name(kind: Any) -> str:
    """Name of a class, or of what a function returns."""
    return kind.__name__ if isinstance(kind, type) else str(next(members(get_args(kind)[-1])).__name__)


def class_names(key: str) -> list[str]:
    """Names that may stand for the class that the option `key` expects."""
    homes = {
        "model": lit_models,
        "data": datamodules,
        "optimizer": torch.optim,
        "scheduler": torch.optim.lr_scheduler,
    }
    home = homes.get(key.rpartition(".")[2])
    if home is None:
        return [*callbacks.__all__, *pl.callbacks.__all__]
    return [name for name in getattr(home, "__all__", dir(home)) if name[0].isupper()]
