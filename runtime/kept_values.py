"""What a checkpoint keeps: values that come back exactly as they were, and load without running code.

`torch.load(weights_only=True)` takes numbers, texts, tensors and plain containers. `encode` writes the other kinds of
the table below as a tuple of those, and `decode` makes them anew; whatever is in neither list is refused.
"""

import datetime
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import torch

from runtime.errors import UsageError

# What `torch.load(weights_only=True)` takes as it is. Subclasses, such as an enum that is an int, are not taken.
PLAIN = {type(None), bool, int, float, complex, str, bytes, bytearray, torch.dtype, torch.device, torch.Size}
MARK = "lightning_inside.kept"  # the first entry of an encoded value; the second is its kind
FACTORIES = {each.__name__: each for each in (bool, int, float, str, list, tuple, dict, set)}
BIT_GENERATORS = {
    each: getattr(np.random, each) for each in ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"]
}


@dataclass(frozen=True)
class Kind:
    """A type of value, how to take it apart, and how to make it from its parts.

    Args:
        type: exactly this class, because a subclass may hold more.
        parts: of a value: plain, or of a kind in the table.
        make: the value from its parts; it must not run code that the parts name.
    """

    type: type
    parts: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]


def encode(value: Any, path: str = "checkpoint") -> Any:
    """The value in types that load without running code; `decode` gives it back.

    Args:
        path: of the value, for the message.

    Raises:
        UsageError: for a value that could not be given back as it is.
    """
    kind = type(value)
    if (kind in PLAIN and not is_long(value)) or is_loadable_tensor(value):
        return value
    if kind in (dict, OrderedDict, Counter):
        return _encode_mapping(value, path)
    if kind is list:
        return [encode(each, f"{path}[{index}]") for index, each in enumerate(value)]
    if kind is set:
        return {encode(each, f"{path}, an element") for each in value}
    if kind is tuple and not is_marked(value):
        return tuple(encode(each, f"{path}[{index}]") for index, each in enumerate(value))
    name = NAMES.get(kind)
    if name is None:
        raise refusal(value, path)
    try:
        parts = KINDS[name].parts(value)
    except (KeyError, TypeError, ValueError):
        raise refusal(value, path) from None
    return (MARK, name, *(encode(part, path) for part in parts))


def decode(value: Any) -> Any:
    """The value that `encode` was given.

    Raises:
        Exception: of any class, for parts that `encode` did not write.
    """
    kind = type(value)
    if kind is tuple:
        if is_marked(value):
            return KINDS[value[1]].make(*map(decode, value[2:]))
        return tuple(map(decode, value))
    if kind is list:
        return list(map(decode, value))
    if kind is set:
        return set(map(decode, value))
    if kind in (dict, OrderedDict, Counter):
        return like(value, {decode(key): decode(each) for key, each in value.items()})
    return value


def is_loadable_tensor(value: Any) -> bool:
    """Whether a value is a tensor of a class that loads: one of PyTorch's two, or one declared safe by its library."""
    return isinstance(value, torch.Tensor) and (
        type(value) in (torch.Tensor, torch.nn.Parameter)
        or type(value) in torch.serialization.get_safe_globals()
    )


def is_long(value: Any) -> bool:
    """Whether a value is an integer of more bytes than `weights_only=True` takes, 255."""
    return type(value) is int and value.bit_length() > 8 * 250


def is_marked(value: tuple[Any, ...]) -> bool:
    """Whether a tuple looks like an encoded value."""
    return bool(value) and type(value[0]) is str and value[0] == MARK


def refusal(value: Any, path: str) -> UsageError:
    """The error for a value that cannot be kept."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return UsageError(
        f"{path} is of type {kind}, which a checkpoint cannot keep: loading it would have to run code\n"
        "save numbers, texts, lists, dicts or tensors in its place, and make it from them when the checkpoint is loaded"
    )


def like(mapping: Any, items: dict[Any, Any]) -> Any:
    """The items in a mapping of the same class; a state_dict keeps the versions of its modules."""
    if type(mapping) is Counter:  # a schedule's milestones
        return Counter(items)
    if type(mapping) is not OrderedDict:
        return items
    ordered = OrderedDict(items)
    vars(ordered).update(vars(mapping))
    return ordered


def _encode_mapping(value: Any, path: str) -> Any:
    items = {
        encode(key, f"{path}, a key"): encode(each, f"{path}[{key!r:.80}]") for key, each in value.items()
    }
    return like(value, items)


def _array_parts(array: np.ndarray) -> tuple[Any, ...]:
    if array.dtype.kind in "OV":  # objects, and records whose fields the name of the type does not tell
        raise TypeError
    whole = np.ascontiguousarray(array).reshape(-1)
    return array.dtype.str, array.shape, torch.from_numpy(whole.view(np.uint8).copy())


def _make_array(dtype: str, shape: tuple[int, ...], data: torch.Tensor) -> np.ndarray:
    return np.frombuffer(data.numpy().tobytes(), dtype).reshape(shape).copy()


def _scalar_parts(scalar: np.generic) -> tuple[Any, ...]:
    if scalar.dtype.kind in "OV":
        raise TypeError
    array = np.array([scalar])  # its type has a width even for an empty text
    return array.dtype.str, array.tobytes()


def _make_scalar(dtype: str, data: bytes) -> np.generic:
    return np.frombuffer(data, dtype)[0]


def _bit_generator_parts(source: Any) -> tuple[Any, ...]:
    state, seeds = source.state, getattr(source, "seed_seq", None)
    if BIT_GENERATORS[state["bit_generator"]] is not type(source):
        raise TypeError
    return state, seeds.state if isinstance(seeds, np.random.SeedSequence) else None


def _make_bit_generator(state: dict[str, Any], seeds: dict[str, Any] | None) -> Any:
    """The seeds matter only for `spawn`, which asks them for children."""
    source = BIT_GENERATORS[state["bit_generator"]](np.random.SeedSequence(**(seeds or {})))
    source.state = state
    return source


def _make_random_state(state: dict[str, Any]) -> np.random.RandomState:
    source = np.random.RandomState(BIT_GENERATORS[state["bit_generator"]]())
    source.set_state(state)
    return source


def _make_random(state: tuple[Any, ...]) -> random.Random:
    source = random.Random()
    source.setstate(state)
    return source


def _make_generator(device: torch.device, state: torch.Tensor) -> torch.Generator:
    return torch.Generator(device).set_state(state)


def _factory_name(factory: Any) -> str | None:
    if factory is not None and FACTORIES[factory.__name__] is not factory:
        raise TypeError
    return None if factory is None else str(factory.__name__)


def _date_parts(date: datetime.date) -> tuple[int, ...]:
    return date.year, date.month, date.day


def _time_parts(time: datetime.time | datetime.datetime) -> tuple[Any, ...]:
    return time.hour, time.minute, time.second, time.microsecond, time.tzinfo, time.fold


KINDS = {
    "int": Kind(int, lambda number: (hex(number),), lambda text: int(text, 16)),  # a very long one
    "path": Kind(type(Path()), lambda path: (str(path),), Path),
    "tuple": Kind(tuple, lambda items: (list(items),), tuple),  # one that looks like an encoded value
    "frozenset": Kind(frozenset, tuple, lambda *items: frozenset(items)),
    "deque": Kind(deque, lambda items: (list(items), items.maxlen), deque),
    "defaultdict": Kind(
        defaultdict,
        lambda items: (_factory_name(items.default_factory), dict(items)),
        lambda name, items: defaultdict(name and FACTORIES[name], items),
    ),
    "slice": Kind(slice, lambda part: (part.start, part.stop, part.step), slice),
    "range": Kind(range, lambda part: (part.start, part.stop, part.step), range),
    "Decimal": Kind(Decimal, lambda number: (str(number),), Decimal),
    "Fraction": Kind(Fraction, lambda number: (number.numerator, number.denominator), Fraction),
    "date": Kind(datetime.date, _date_parts, datetime.date),
    "time": Kind(datetime.time, _time_parts, lambda *parts: datetime.time(*parts[:-1], fold=parts[-1])),
    "datetime": Kind(
        datetime.datetime,
        lambda time: (*_date_parts(time), *_time_parts(time)),
        lambda *parts: datetime.datetime(*parts[:-1], fold=parts[-1]),
    ),
    "timedelta": Kind(
        datetime.timedelta, lambda time: (time.days, time.seconds, time.microseconds), datetime.timedelta
    ),
    "timezone": Kind(datetime.timezone, lambda zone: zone.__getinitargs__(), datetime.timezone),
    "ZoneInfo": Kind(ZoneInfo, lambda zone: (zone.key,), ZoneInfo),
    "ndarray": Kind(np.ndarray, _array_parts, _make_array),
    "numpy.Generator": Kind(
        np.random.Generator,
        lambda source: _bit_generator_parts(source.bit_generator),
        lambda *parts: np.random.Generator(_make_bit_generator(*parts)),
    ),
    "RandomState": Kind(
        np.random.RandomState, lambda source: (source.get_state(legacy=False),), _make_random_state
    ),
    "Random": Kind(random.Random, lambda source: (source.getstate(),), _make_random),
    "torch.Generator": Kind(
        torch.Generator, lambda source: (source.device, source.get_state()), _make_generator
    ),
    "numpy scalar": Kind(np.generic, _scalar_parts, _make_scalar),
}
NAMES: dict[type, str] = {kind.type: name for name, kind in KINDS.items()}
NAMES.update(dict.fromkeys(np.sctypeDict.values(), "numpy scalar"))
