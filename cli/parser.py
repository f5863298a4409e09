"""A parser with error messages of one or two lines that name what was probably meant.

Our message is built from the exceptions below the library's own (`cli/parser_errors.py`); from its text only the value
is used.
"""

import ast
import contextlib
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningArgumentParser, ReduceLROnPlateau

import callbacks
import datamodules
import lit_models
from cli.config_files import ELSEWHERE
from cli.own_modules import import_named, warn_of_broken, why_missing
from cli.parser_errors import (
    came_up_in_import,
    causes,
    class_in,
    constructor_error,
    is_of_nested_import,
    several_classes,
    unknown_name,
    value_in,
)
from cli.private import (
    ImportDenied,
    flags_of,
    let_functions_make,
    let_name_mean,
    only_imports,
    read_no_file_for,
    type_of,
)
from cli.wrong_values import PLAIN, class_name, is_class, items_of, members, wrong_value
from lit_models.schedules import ChainedScheduler, SequentialLR
from runtime.averaging import EMAWeightAveraging
from runtime.errors import UsageError, did_you_mean, how_to_install, place_of_import

# Of a class, with its module or without; what ends like a config file is the path of one.
NAME = re.compile(r"(?!.*\.(?:yaml|yml|json|toml|jsonnet)$)[A-Za-z_][\w.]*")
NOT_TRUSTED = "{name} is code from elsewhere, in a config that you did not write here; to run it, add --trust"

read_no_file_for(lambda value: isinstance(value, str) and NAME.fullmatch(value) is not None)
let_functions_make((torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler))
let_name_mean(ReduceLROnPlateau)  # Lightning's extends PyTorch's of the same name: it can be given a metric
for schedule in (SequentialLR, ChainedScheduler):  # ours make their parts, which need the optimizer
    let_name_mean(schedule, also=f"torch.optim.lr_scheduler.{schedule.__name__}")
let_name_mean(EMAWeightAveraging, also=f"pytorch_lightning.callbacks.{EMAWeightAveraging.__name__}")


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

    def parse_args(self, args: Any = None, *more: Any, **kwargs: Any) -> Any:
        """Read the settings, with the classes at hand that they name."""
        import_named(args or ())
        with only_imports(self.imports):
            settings = super().parse_args(args, *more, **kwargs)
        warn_of_broken()
        return settings

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """Make the objects; report a constructor's error in the constructor's words."""
        try:
            # A note in jsonargparse's log would ask the data module for its loaders before `setup`.
            with shown_plainly(pl.LightningDataModule), only_imports(self.imports):
                return super().instantiate(*args, **kwargs)
        except ValueError as error:
            raise constructor_error(error) from None

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
            return WrongSettingError(key, missing_module(cause))
        if isinstance(cause, AttributeError) and inspect.ismodule(cause.obj):
            return WrongSettingError(
                key, f"there is no {cause.name!r} in {cause.obj.__name__}; {names_in(cause)}"
            )
        if came_up_in_import(cause):
            reason = f"{type(cause).__name__}: {cause}{place_of_import(cause)}"
            return WrongSettingError(key, f"its module cannot be imported: {reason}")
    messages = [message, *map(str, chain)]
    if re.search(r"arguments are required: \w*\.?model$", message):
        return WrongSettingError("", "the config has no model; add --model LitMLP, or a `model:` to it")
    if found := several_classes(messages):
        name, paths = found
        return WrongSettingError(key, f"several classes are called {name}: {paths}; give one of these paths")
    expected = type_of(parser, key)
    may_be_plain = any(kind in PLAIN for kind in members(expected))
    if (given := class_in(messages)) and (not may_be_plain or re.search(r"^[A-Z]|\.", given)):
        return WrongSettingError(key, wrong_class(key, given, expected))
    if (value := value_in(messages)) is not None:
        return WrongSettingError(key, wrong_value(value, expected))
    return WrongSettingError("", " ".join(re.sub(r"^argument (\S+):", r"\1:", message).split()))


def known_names(parser: ArgumentParser) -> list[str]:
    """The names that a flag or an option may have meant: those of the parser, and of nested settings."""
    deeper = [name for name in ELSEWHERE.split() if name.count(".") > 1]
    flags = flags_of(parser)
    return [*flags, *(flag[2:] for flag in flags), *deeper]


def missing_module(error: ModuleNotFoundError) -> str:
    """Says that a module has to be installed: one that was asked for, or one that this imports."""
    if is_of_nested_import(error):
        place, remedy = place_of_import(error), how_to_install(error) or "install it"
        return f"its module cannot be imported: {error}; {remedy}{place}"
    return f"there is no module {error.name!r}; it has to be installed, or lie next to train.py"


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


def wrong_class(key: str, name: str, expected: Any) -> str:
    """Says that there is no class of this name, or that it is one of another kind."""
    if "." not in name:
        if missing := why_missing(name):
            return missing
        return f"there is no class {name!r}; {did_you_mean(name, class_names(key))}"
    kinds = [inner for kind in members(expected) for inner in (kind, *members(items_of(kind)))]
    base = next(filter(is_class, kinds), None)
    return f"{name} is no {class_name(base)}" if base else f"{name} is no such class"


def class_names(key: str) -> list[str]:
    """Names that may stand for the class that the option `key` expects."""
    homes = {
        "model": lit_models,
        "data": datamodules,
        "optimizer": torch.optim,
        "scheduler": torch.optim.lr_scheduler,
        "logger": pl.loggers,
        "plugins": pl.plugins,
    }
    home = homes.get(key.rpartition(".")[2])
    if home is None:
        return [*callbacks.__all__, *pl.callbacks.__all__]
    return [name for name in getattr(home, "__all__", dir(home)) if name[0].isupper()]
