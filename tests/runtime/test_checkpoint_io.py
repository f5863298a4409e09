"""A checkpoint is written whole or not at all, and loads as plain data."""

import datetime
import functools
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime.checkpoint_io import AtomicIO, loadable
from runtime.errors import RunError, UsageError, exit_code, explain
from tests.runtime.odd_values import Color, Level, Name, Thing

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Path("a/b"), "a/b"),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Name("n"), "n"),
        (np.float64(0.5), 0.5),
        (np.int32(3), 3),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
        (np.array(["a", None], dtype=object), ["a", None]),
        ((1, (Path("x"), 2.5)), (1, ("x", 2.5))),
        ({Path("key"): {Color.RED}}, {"key": {"red"}}),
        ([{1, 2}], [{1, 2}]),
        (frozenset({1}), {1}),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter([2, 2]), Counter({2: 2})),
        (Namespace(lr=np.float32(0.5)), {"lr": 0.5}),
        (torch.float16, torch.float16),
        (torch.device("cpu"), torch.device("cpu")),
        (torch.Size([2]), torch.Size([2])),
        (None, None),
        (1j, 1j),
        (torch.nn.ReLU, "torch.nn.modules.activation.ReLU"),
        (torch.nn.ReLU(), "torch.nn.modules.activation.ReLU"),
        (torch.nn.functional.relu, "torch.nn.functional.relu"),
        (functools.partial(print), "functools.partial"),
        (Thing(), "tests.runtime.odd_values.Thing"),
    ],
    ids=lambda value: repr(value).partition(" at ")[0][:40],  # no addresses, which differ between processes
)
@pytest.mark.filterwarnings("ignore:of checkpoint.* keeps only the name")
def test_any_hyper_parameter_loads_as_a_plain_value(value: Any, expected: Any, tmp_path: Path) -> None:
    AtomicIO().save_checkpoint({"state_dict": {}, "hyper_parameters": {"x": value}}, tmp_path / "x.ckpt")
    loaded = torch.load(tmp_path / "x.ckpt", weights_only=True)["hyper_parameters"]["x"]
    assert loaded == expected
    assert type(loaded) is type(expected)


@pytest.mark.parametrize("value", [datetime.date(2026, 1, 2), {frozenset({1})}])
def test_a_hyper_parameter_without_a_plain_type_comes_back_as_it_was(value: Any, tmp_path: Path) -> None:
    AtomicIO().save_checkpoint({"hyper_parameters": {"x": value}}, tmp_path / "x.ckpt")
    assert AtomicIO().load_checkpoint(tmp_path / "x.ckpt")["hyper_parameters"]["x"] == value


def test_a_hyper_parameter_of_which_only_the_name_is_kept_is_named(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"\['hyper_parameters'\]\['net'\].* keeps only the name, .*Linear;"):
        AtomicIO().save_checkpoint({"hyper_parameters": {"net": torch.nn.Linear(1, 1)}}, tmp_path / "x.ckpt")


def test_arrays_among_hyper_parameters_become_tensors(tmp_path: Path) -> None:
    AtomicIO().save_checkpoint({"hyper_parameters": {"x": np.arange(6.0).reshape(2, 3)}}, tmp_path / "x.ckpt")
    loaded = torch.load(tmp_path / "x.ckpt", weights_only=True)["hyper_parameters"]["x"]
    assert torch.equal(loaded, torch.arange(6.0, dtype=torch.float64).reshape(2, 3))


def test_weights_keep_their_order_and_versions() -> None:
    state = torch.nn.BatchNorm1d(2).state_dict()
    converted = loadable({"state_dict": state})["state_dict"]
    assert isinstance(converted, OrderedDict)
    assert list(converted) == list(state)
    assert converted._metadata == state._metadata
    assert all(converted[name] is state[name] for name in state)


class Photo(torch.Tensor):
    """A tensor of another class, as torchvision's `tv_tensors.Image`."""


class Collection(torch.nn.Module):
    """Its state has a tensor of another class and plain values of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("photo", torch.ones(2).as_subclass(Photo))
        self.seen = deque([1], 3)

    def get_extra_state(self) -> Any:
        return self.seen

    def set_extra_state(self, state: Any) -> None:
        self.seen = state


def test_buffers_of_another_class_and_extra_state_are_restored(tmp_path: Path) -> None:
    saved, fresh = Collection(), Collection()
    saved.photo.mul_(3)
    saved.seen.append(2)
    AtomicIO().save_checkpoint({"state_dict": saved.state_dict()}, tmp_path / "x.ckpt")
    fresh.load_state_dict(AtomicIO().load_checkpoint(tmp_path / "x.ckpt")["state_dict"])
    assert type(fresh.photo) is Photo
    assert torch.equal(fresh.photo, saved.photo)
    assert fresh.seen == deque([1, 2], 3)


def test_a_tensor_of_another_class_that_no_module_would_copy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"checkpoint\['x'\] is of type .*Photo"):
        AtomicIO().save_checkpoint({"x": Collection().photo}, tmp_path / "x.ckpt")


def test_the_first_checkpoint_is_read_back_before_it_takes_its_place(tmp_path: Path) -> None:
    weight, writer = torch.ones(2), AtomicIO()
    writer.save_checkpoint({"x": 1}, tmp_path / "x.ckpt")
    weight.note = Thing()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"could not be read again: a tensor in it needs .*Thing$"):
        AtomicIO().save_checkpoint({"state_dict": {"w": weight}}, tmp_path / "x.ckpt")
    assert AtomicIO().load_checkpoint(tmp_path / "x.ckpt") == {"x": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.ckpt"]


def test_a_checkpoint_never_runs_code_whatever_is_asked_for(tmp_path: Path) -> None:
    torch.save({"x": Thing()}, tmp_path / "x.ckpt")
    with pytest.raises(Exception, match="Weights only load failed"):
        AtomicIO().load_checkpoint(tmp_path / "x.ckpt", weights_only=False)


def test_leftovers_of_killed_writers_are_swept_up(tmp_path: Path) -> None:
    (tmp_path / ".last.ckpt.123.tmp").write_bytes(b"half")
    (tmp_path / "notes.tmp").write_text("mine")
    AtomicIO().save_checkpoint({"x": 1}, tmp_path / "last.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "notes.tmp"]


def assert_refused(folder: Path, reason: str) -> None:
    """The larger checkpoint is refused in one line, and the one before it still loads."""
    with pytest.raises(RunError) as raised:
        AtomicIO().save_checkpoint({"x": torch.zeros(1_000_000)}, folder / "last.ckpt")
    message = explain(raised.value)
    assert message == (
        f"error: cannot write the checkpoint {folder / 'last.ckpt'}: {reason}; the one before it is untouched"
    )
    assert exit_code(raised.value) == 1
    assert torch.load(folder / "last.ckpt", weights_only=True) == {"x": 1}
    assert [path.name for path in folder.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_checkpoint_before(small_disk: Path) -> None:
    AtomicIO().save_checkpoint({"x": 1}, small_disk / "last.ckpt")
    assert_refused(small_disk, "No space left on device")


def test_a_read_only_folder_leaves_the_checkpoint_before(small_disk: Path) -> None:
    AtomicIO().save_checkpoint({"x": 1}, small_disk / "last.ckpt")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert_refused(small_disk, "Read-only file system")


WRITER = """
import sys, torch
from runtime.checkpoint_io import AtomicIO
AtomicIO().save_checkpoint({"x": 1}, sys.argv[1])
print("ready", flush=True)
AtomicIO().save_checkpoint({"x": torch.zeros(50_000_000)}, sys.argv[1])  # 200 MB
"""


def test_a_kill_while_200_mb_are_written_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    target = tmp_path / "last.ckpt"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    while not any(path.stat().st_size > 1_000_000 for path in tmp_path.glob(".last.ckpt.*.tmp")):
        assert writer.poll() is None
        time.sleep(0.001)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    (leftover,) = tmp_path.glob(".*.tmp")
    assert leftover.stat().st_size < 200_000_000
    assert torch.load(target, weights_only=True) == {"x": 1}
    AtomicIO().save_checkpoint({"x": 2}, target)
    assert list(tmp_path.iterdir()) == [target]
