"""State comes back from a checkpoint exactly as it was, or is refused with its path."""

import datetime
import functools
import random
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch

from runtime.checkpoint_io import AtomicIO
from runtime.errors import UsageError, exit_code
from runtime.kept_values import MARK, decode, encode
from tests.runtime.odd_values import Color, Level, Name, Thing

UTC = datetime.UTC


def through_a_file(value: Any, folder: Path) -> Any:
    """The value after it was saved and loaded; the file loads with `weights_only=True` everywhere."""
    AtomicIO().save_checkpoint({"own": {"x": [value]}}, folder / "x.ckpt")
    torch.load(folder / "x.ckpt", weights_only=True)
    return AtomicIO().load_checkpoint(folder / "x.ckpt")["own"]["x"][0]


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6, fold=1),
        datetime.datetime(2026, 1, 2, tzinfo=UTC),
        datetime.datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime.time(1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "here")),
        datetime.date(2026, 1, 2),
        datetime.timedelta(-1, 2, 3),
        Decimal("0.10"),
        Fraction(1, 3),
        slice(1, None, 2),
        range(0, 9, 2),
        Path("a/b"),
        2**3000,
        frozenset({1, 2}),
        {frozenset({frozenset({1})}), frozenset({2})},
        {(1, datetime.date(2026, 1, 2)): {Decimal(1)}},
        deque([1, [2]], 5),
        defaultdict(list, a=[1]),
        defaultdict(None, a=1),
        Counter("aab"),
        OrderedDict(b=1, a=2),
        {"a": (1, [2, {3}], None, 1j, b"\xff", bytearray(b"x"))},
        (MARK, "Decimal", "1"),  # a text of one's own that happens to be ours
        np.float32(0.1),
        np.float64(0.1),
        np.int8(-3),
        np.bool_(True),
        np.str_(""),
        np.datetime64("2026-01-02"),
        np.longdouble(1) / 3,
        torch.float16,
        torch.Size([2]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_value_keeps_its_type(value: Any, tmp_path: Path) -> None:
    loaded = through_a_file(value, tmp_path)
    assert type(loaded) is type(value)
    assert loaded == value
    assert repr(loaded) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.zeros((0, 3), np.uint16),
        np.array(3),
        np.array(["a", "bc"]),
        np.array([1, 2], ">i4"),
        np.array(["2026"], "M8[D]"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_an_array_stays_an_array(array: np.ndarray, tmp_path: Path) -> None:
    loaded = through_a_file(array, tmp_path)
    assert type(loaded) is np.ndarray
    assert loaded.dtype == array.dtype
    assert np.array_equal(loaded, array)
    assert loaded.shape == array.shape
    assert loaded.flags.writeable


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_a_numpy_generator_goes_on(kind: str, tmp_path: Path) -> None:
    generator = np.random.Generator(getattr(np.random, kind)(7))
    generator.standard_normal(3, dtype=np.float32)  # leaves half of a number over
    generator.spawn(2)
    loaded = through_a_file(generator, tmp_path)
    assert np.array_equal(
        loaded.standard_normal(5, dtype=np.float32), generator.standard_normal(5, dtype=np.float32)
    )
    assert loaded.spawn(1)[0].random() == generator.spawn(1)[0].random()


def test_other_generators_go_on(tmp_path: Path) -> None:
    python, old, torchs = random.Random(7), np.random.RandomState(7), torch.Generator().manual_seed(7)
    python.gauss(0, 1)  # leaves a number over
    old.randn(3)
    torch.rand(3, generator=torchs)
    loaded = through_a_file([python, old, torchs], tmp_path)
    assert loaded[0].gauss(0, 1) == python.gauss(0, 1)
    assert np.array_equal(loaded[1].randn(5), old.randn(5))
    assert torch.equal(torch.rand(5, generator=loaded[2]), torch.rand(5, generator=torchs))


@dataclass
class Best:
    score: float


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "value",
    [
        Color.RED,
        Level.HIGH,
        Name("n"),
        Thing(),
        Thing,
        Best(0.5),
        Pair(1, 2),
        MappingProxyType({}),
        torch.nn.Linear(1, 1),
        torch.nn.functional.relu,
        functools.partial(print),
        lambda: 1,
        defaultdict(lambda: 1),
        np.array([None]),
        np.zeros(2, [("a", "f4")]),
        random.SystemRandom(),
        torch.max(torch.ones(1, 1), 0),
        object(),
    ],
    ids=lambda value: repr(value).partition(" at ")[0][:40],
)
def test_what_cannot_be_given_back_is_refused_with_its_path(value: Any, tmp_path: Path) -> None:
    AtomicIO().save_checkpoint({"x": 1}, tmp_path / "x.ckpt")
    with pytest.raises(UsageError) as raised:
        through_a_file(value, tmp_path)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    assert str(raised.value).startswith(f"checkpoint['own']['x'][0] is of type {kind}, which")
    assert exit_code(raised.value) == 2
    assert AtomicIO().load_checkpoint(tmp_path / "x.ckpt") == {"x": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.ckpt"]


def test_a_list_that_contains_itself_is_refused(tmp_path: Path) -> None:
    items: list[Any] = []
    items.append(items)
    with pytest.raises(UsageError, match="contains itself"):
        AtomicIO().save_checkpoint({"x": items}, tmp_path / "x.ckpt")


@pytest.mark.parametrize("parts", [("os.system", "ls"), ("ndarray",), ("deque", 3, 4), ("range", "a"), ()])
def test_malformed_parts_are_refused(parts: tuple[Any, ...], tmp_path: Path) -> None:
    torch.save({"x": (MARK, *parts)}, tmp_path / "x.ckpt")
    with pytest.raises(UsageError, match="cannot be made from its parts"):
        AtomicIO().load_checkpoint(tmp_path / "x.ckpt")


def test_tensors_are_neither_copied_nor_compared() -> None:
    state = {"w": (torch.ones(2), [torch.nn.Parameter(torch.ones(2))])}
    kept = decode(encode(state))
    assert kept["w"][0] is state["w"][0]
    assert kept["w"][1][0] is state["w"][1][0]
