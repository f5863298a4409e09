"""What is wrong with the value of a setting, and how it would be written."""

import inspect
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch

from runtime.errors import closest

PLAIN = (bool, int, float, str)
LISTS = (list, tuple, Sequence, Iterable)
OTHER_NAMES = {  # of a choice, in lower case: elsewhere it is called so
    **dict.fromkeys(("fp16", "float16", "half", "16bit", "16-amp", "mixed", "amp"), "16-mixed"),
    **dict.fromkeys(("bfloat16", "bf16-amp", "bfloat16-mixed", "bf16mixed"), "bf16-mixed"),
    **dict.fromkeys(("fp32", "float32", "float", "single", "full", "tf32"), "32-true"),
    **dict.fromkeys(("fp64", "float64", "double"), "64-true"),
    "lrelu": "leaky_relu",
    "swish": "silu",
    "logistic": "sigmoid",
    **dict.fromkeys(("mean", "median", "fill"), "impute"),
    **dict.fromkeys(("remove", "omit", "dropna"), "drop"),
    **dict.fromkeys(("minimum", "smallest", "lower"), "min"),
    **dict.fromkeys(("maximum", "largest", "larger", "higher"), "max"),
}
TRUTH = {"0": "false", "1": "true", "n": "false", "y": "true", "f": "false", "t": "true"}


def wrong_value(value: str, expected: Any) -> str:
    """Says what is wrong with a value that does not have the expected type."""
    kinds = list(members(expected))
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        return wrong_choice(value, list(dict.fromkeys(choices)))
    plain = [kind for kind in kinds if kind in PLAIN]
    lists = [kind for kind in kinds if set(members(items_of(kind))) & set(PLAIN)]
    classes = [with_article(class_name(kind)) for kind in kinds if is_class(kind)]
    named = [*plain, *lists] or ([] if classes else kinds)
    wanted = " or ".join(dict.fromkeys([*map(describe, named), *classes[:1]]))
    if better := next(filter(None, (as_list(value, kind) for kind in lists)), "") or as_plain(value, plain):
        return f"expected {wanted}, not {value}; write {better}"
    given = f", as its name or as class_path and init_args, not {value or repr(value)}"
    return f"expected {wanted}{given}" if classes else f"expected {wanted}, not {value or repr(value)}"


def wrong_choice(value: str, choices: list[str]) -> str:
    """Says what a value can be, and which of these was probably meant."""
    meant = OTHER_NAMES.get(value.lower().removeprefix("torch."))
    if meant not in choices:
        meant = closest(value, choices)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{value!r} is not one of {', '.join(choices)}{hint}"


def as_list(value: str, kind: Any) -> str:
    """A value such as `3`, `3,4` or `(3 4)` as a list of this type; "" if it cannot be one."""
    parts = [part for part in re.split(r"[\s,;]+", value.strip("()[]{} ")) if part]
    length = length_of(kind)
    wanted = [each for each in members(items_of(kind)) if each in PLAIN]
    fits = all(any(is_readable(part, each) for each in wanted) for part in parts)
    return f"[{','.join(parts)}]" if parts and fits and length in (None, len(parts)) else ""


def as_plain(value: str, kinds: list[Any]) -> str:
    """A value such as `1e3`, `0,1` or `y` as one of these types; "" if it cannot be one."""
    if int in kinds and is_readable(value, float) and float(value).is_integer() and abs(float(value)) < 2**53:
        return str(int(float(value)))
    if float in kinds and re.fullmatch(r"[+-]?\d*,\d+", value):
        return value.replace(",", ".")
    return TRUTH.get(value.lower(), "") if bool in kinds else ""


def is_readable(text: str, kind: Any) -> bool:
    """Whether text stands for a number of this type, or for a word."""
    if kind is str:
        return text != "null" and re.fullmatch(r"[\w.-]+", text) is not None
    if kind is bool:
        return text in ("true", "false")
    try:
        return math.isfinite(kind(text))
    except (ValueError, OverflowError):
        return False


def members(kind: Any) -> Iterator[Any]:
    """The types of a union, including nested unions, without None."""
    if get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from members(each)
    elif kind not in (type(None), None):
        yield kind


def allows_null(kind: Any) -> bool:
    """Whether a type takes None; what is not known is taken to do so."""
    if get_origin(kind) in (Union, UnionType):
        return any(map(allows_null, get_args(kind)))
    return kind in (Any, object, type(None))


def argument_type(cls: type, name: str) -> Any:
    """The type of an argument of a constructor or that of a base; Any if null stands for something.

    It does if it is the default, and if there is no default: the data module may give the value.
    """
    for init in (vars(each)["__init__"] for each in cls.__mro__ if "__init__" in vars(each)):
        parameter = inspect.signature(init).parameters.get(name)
        if parameter is not None:
            is_empty = parameter.default is None or parameter.default is inspect.Parameter.empty
            return Any if is_empty else get_type_hints(init).get(name, Any)
    return Any


def is_class(kind: Any) -> bool:
    """Whether the type is an object made from settings: a class (no builtin, no tensor), or a function of one."""
    if isinstance(kind, type):
        return kind not in (*PLAIN, torch.Tensor) and kind.__module__ not in (
            "builtins",
            "collections.abc",
            "jsonargparse.typing",
        )
    return inspect.isabstract(get_origin(kind)) and "Callable" in str(kind)


def describe(kind: Any) -> str:
    """A type in words: `int`, `list of int`, `list of 2 float`."""
    if get_origin(kind) not in (*LISTS, set):
        return str(getattr(get_origin(kind) or kind, "__name__", kind))
    inside = [each.__name__ for each in members(items_of(kind)) if isinstance(each, type)]
    number = [str(length)] if (length := length_of(kind)) else []
    return " ".join(["list of", *number, inside[0]]) if inside else "list"


def items_of(kind: Any) -> Any:
    """The type of a list's items; None if it says none or the type is no list."""
    return get_args(kind)[0] if get_origin(kind) in (*LISTS, set) and get_args(kind) else None


def length_of(kind: Any) -> int | None:
    """How many items a list must have; None if any number."""
    items = get_args(kind)
    return len(items) if get_origin(kind) is tuple and Ellipsis not in items else None


def with_article(name: str) -> str:
    """`a Logger`, `an Optimizer`."""
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def class_name(kind: Any) -> str:
    """Name of a class, or of what a function returns."""
    return kind.__name__ if isinstance(kind, type) else str(next(members(get_args(kind)[-1])).__name__)
