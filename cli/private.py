"""Every private name of jsonargparse used here, as `runtime/private.py` has those of Lightning.

All would be replaced by errors that carry the setting, the value and the type.
"""

import contextlib
import functools
import inspect
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace, _typehints, set_parsing_settings
from jsonargparse._common import ImportDenied, parsing_settings
from jsonargparse._namespace import NSKeyError
from jsonargparse._typehints import ActionTypeHint

__all__ = ["ImportDenied", "NSKeyError"]


def flags_of(parser: ArgumentParser) -> list[str]:
    """All flags of a parser, without --help."""
    return [flag for flag in parser._option_string_actions if flag.startswith("--") and flag != "--help"]


def type_of(parser: ArgumentParser, key: str) -> Any:
    """The type of a setting of this parser; None if it has none."""
    action = parser._option_string_actions.get(f"--{key}")
    return getattr(action, "_typehint", None) or getattr(action, "type", None)


def union_errors(error: BaseException) -> list[Exception]:
    """Why each type of a union refused a value; empty if the error is another one.

    jsonargparse names only the first as the cause of its error, and that is another type's if a constructor in a list
    failed.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    is_union = bool(frames) and frames[-1].f_code.co_name == "raise_union_unexpected_value"
    return list(frames[-1].f_locals["exceptions"]) if is_union else []


def let_name_mean(cls: type, also: str = "") -> None:
    """Let the name of a class stand for it although another class has the same name, which jsonargparse refuses.

    It would be replaced by a way to give classes short names.

    Args:
        also: another class path that stands for this class.
    """
    original = _typehints.resolve_class_path_by_name
    known, path = (cls.__name__, also), f"{cls.__module__}.{cls.__qualname__}"

    def resolve(cls: type | tuple[type], name: str) -> str:
        return path if name in known else original(cls, name)

    _typehints.resolve_class_path_by_name = resolve


def read_no_file_for(is_name: Callable[[Any], bool]) -> None:
    """Let a value that is the name of a class stand for the class, also if a file has this name.

    Where a class is expected, jsonargparse reads any file of that name as the config of one. It would be replaced by a
    way to say which values are paths.
    """
    check, adapt = ActionTypeHint._check_type, _typehints.adapt_subconfig_path

    @functools.wraps(check)  # which of its arguments to give is read from its signature
    def check_type(self: ActionTypeHint, value: Any, *args: Any, **kwargs: Any) -> Any:
        kept = self._enable_path
        self._enable_path = kept and not is_name(value)
        try:
            return check(self, value, *args, **kwargs)
        finally:
            self._enable_path = kept

    def adapt_item(val: Any, *args: Any) -> Any:
        return _typehints.not_a_subconfig_path if is_name(val) else adapt(val, *args)

    replaced = {"_check_type": (ActionTypeHint, check_type), "adapt_subconfig_path": (_typehints, adapt_item)}
    for name, (owner, function) in replaced.items():
        setattr(owner, name, function)


def let_functions_make(kinds: tuple[type, ...]) -> None:
    """Let a function be given with arguments wherever a function of some of them is expected that makes one of `kinds`.

    jsonargparse does so for classes: of `Callable[[Optimizer], LRScheduler]` it leaves out the first argument, and reads
    the others from the config. It would be replaced by the same for functions.
    """
    adapt_class, adapt_path = _typehints.adapt_partial_callable_class, _typehints.adapt_subconfig_path
    parser_of = ActionTypeHint.get_class_parser

    def made_by(expected: Any) -> type | None:
        """The first of the classes that a callable type returns, if it is one of `kinds`."""
        made = _typehints.get_subclass_types(_typehints.get_callable_return_type(expected)) or ()
        return next((cls for cls in made if issubclass(cls, kinds)), None)

    def is_such_a_function(path: Any, made: type | None) -> bool:
        if made is None or not isinstance(path, str) or "." not in path:
            return False
        try:
            function = _typehints.import_object(path)
            returned = typing.get_type_hints(function).get("return", made)
        except Exception:  # reported where the path is read as one of a class
            return False
        return inspect.isfunction(function) and inspect.isclass(returned) and issubclass(returned, kinds)

    def adapt_function(expected: Any, given: Namespace) -> tuple[Namespace, Any]:
        found, left_out = adapt_class(expected, given)
        made = made_by(expected)
        if made is not None and left_out is None and is_such_a_function(given.class_path, made):
            like = Namespace(class_path=f"{made.__module__}.{made.__qualname__}")
            left_out = adapt_class(expected, like)[1]
        return found, left_out

    def adapt_name(val: Any, *args: Any) -> Any:
        adapted = adapt_path(val, *args)
        if len(args) < 2 or adapted is not _typehints.not_a_subconfig_path:
            return adapted
        expected, options = args[:2]
        if is_such_a_function(val, made_by(expected)):
            return _typehints.adapt_typehints({"class_path": val}, expected, **options)
        return adapted

    def get_parser(val_class: Any, sub_add_kwargs: Any = None, skip_args: Any = None) -> ArgumentParser:
        if inspect.isfunction(
            _typehints.import_object(val_class) if isinstance(val_class, str) else val_class
        ):
            # These are the links of the model around it, which a function's parser does not take.
            sub_add_kwargs = {
                key: value for key, value in (sub_add_kwargs or {}).items() if key != "linked_targets"
            }
        return parser_of(val_class, sub_add_kwargs, skip_args)

    _typehints.adapt_partial_callable_class = adapt_function
    replaced: dict[str, tuple[Any, Any]] = {
        "adapt_subconfig_path": (_typehints, adapt_name),
        "get_class_parser": (ActionTypeHint, staticmethod(get_parser)),
    }
    for name, (owner, function) in replaced.items():
        setattr(owner, name, function)


@contextlib.contextmanager
def only_imports(names: Sequence[str] | None) -> Iterator[None]:
    """Let parsers import nothing but these modules and classes, and what is inside; None changes nothing.

    jsonargparse has a public function for this, but none that gives back what was set before.
    """
    kept = {name: parsing_settings[name] for name in ("import_path_verdicts", "import_paths_enforced")}
    try:
        if names is not None:
            set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=list(names))
        yield
    finally:
        parsing_settings.update(kept)
