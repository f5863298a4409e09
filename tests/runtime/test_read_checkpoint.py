"""Files that are no checkpoint of this model are refused in words, and never run."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lit_models import LitMLP
from runtime.checkpoint_io import AtomicIO
from runtime.errors import UsageError
from runtime.read_checkpoint import newest_valid, read_checkpoint
from runtime.resume import FIGURES, KEY, NOTHING, PART_OF_A_STEP


class Malice:
    """Pickled, it writes a file when it is loaded."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


@pytest.fixture
def checkpoint() -> dict[str, Any]:
    model = LitMLP(in_shape=[2], hidden_sizes=[4])
    return {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}


def test_a_good_one(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    torch.save(checkpoint, tmp_path / "good.ckpt")
    read = read_checkpoint(tmp_path / "good.ckpt")
    assert read.keys() == checkpoint.keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or no checkpoint"),
        (b"model: LitMLP\n", "damaged or no checkpoint"),
        (bytes(range(256)) * 10, "damaged or no checkpoint"),
        (b"PK\x03\x04 cut off", "damaged or no checkpoint"),
    ],
    ids=["empty", "yaml", "garbage", "zip"],
)
def test_no_checkpoint_at_all(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as raised:
        read_checkpoint(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_one(share: float, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "cut.ckpt"
    torch.save(checkpoint, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UsageError, match="damaged or no checkpoint"):
        read_checkpoint(path)


def test_each_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """Every third byte of the file, one bit after the other; whatever is changed, no other error escapes."""
    content = {"state_dict": {"w": torch.arange(5.0)}, "epoch": 3}
    torch.save(content, tmp_path / "good.ckpt")
    good, num_refused = (tmp_path / "good.ckpt").read_bytes(), 0
    for place in range(0, len(good), 3):
        path = tmp_path / f"flipped_{place}.ckpt"
        path.write_bytes(good[:place] + bytes([good[place] ^ (1 << place % 8)]) + good[place + 1 :])
        try:
            read = read_checkpoint(path)
        except UsageError as error:
            num_refused += str(error).startswith(f"{path} is damaged")
        else:  # a byte that fills a gap
            assert read["epoch"] == 3
            assert torch.equal(read["state_dict"]["w"], content["state_dict"]["w"])
        path.unlink()
    assert num_refused > len(good) / 6


def test_a_file_written_without_checksums_loads(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(checkpoint, tmp_path / "good.ckpt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(tmp_path / "good.ckpt").keys() == checkpoint.keys()


def test_a_file_that_was_replaced_is_checked_again(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": {"w": torch.full((100,), 9)}}, path)
    read_checkpoint(path)
    flip_a_bit(path)
    with pytest.raises(UsageError, match="is damaged: the checksum of x/data/0 is wrong"):
        read_checkpoint(path)
    with pytest.raises(UsageError, match="is damaged: the checksum of x/data/0 is wrong"):
        AtomicIO().load_checkpoint(path)


@pytest.mark.parametrize("content", [{"weights": torch.ones(2)}, {"state_dict": [1]}, [1, 2], torch.ones(3)])
def test_a_file_of_another_program(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(UsageError, match="not a Lightning checkpoint"):
        read_checkpoint(tmp_path / "foreign.ckpt")


@pytest.mark.parametrize("as_zip", [True, False])
def test_code_in_a_checkpoint_is_not_run(as_zip: bool, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    proof, path = tmp_path / "it ran", tmp_path / "evil.ckpt"
    torch.save({**checkpoint, "extra": Malice(proof)}, path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(UsageError, match="it may carry code" if as_zip else "no checkpoint"):
        read_checkpoint(path)
    assert not proof.exists()


def write_run(folder: Path, **steps: int) -> Path:
    """A run folder with checkpoints from these steps."""
    (folder / "checkpoints").mkdir()
    for name, step in steps.items():
        state = {"state_dict": {"w": torch.full((100,), step)}, "optimizer_states": [], "loops": {}}
        torch.save({**state, "epoch": 1, "global_step": step}, folder / f"checkpoints/{name}.ckpt")
    return folder


def test_one_that_resumes_exactly_is_preferred(tmp_path: Path) -> None:
    """`best.ckpt` is newer, but was written before the figures of its step were logged, or within a step."""
    run = write_run(tmp_path, last=5, best=9, other=11)
    for name, lost in {"last": NOTHING, "best": FIGURES, "other": PART_OF_A_STEP}.items():
        path = run / f"checkpoints/{name}.ckpt"
        checkpoint = torch.load(path, weights_only=True)
        state = {"lost": lost, "logged_steps": checkpoint["global_step"]}
        torch.save({**checkpoint, KEY: [state]}, path)
    assert newest_valid(run).name == "last.ckpt"
    for removed, left, warning in (
        ("last", "best", "figures of the step"),
        ("best", "other", "within a step"),
    ):
        (run / f"checkpoints/{removed}.ckpt").unlink()
        with pytest.warns(
            UserWarning, match=f"{left}.ckpt is the best checkpoint to resume from: .*{warning}"
        ):
            assert newest_valid(run).name == f"{left}.ckpt"


@pytest.mark.parametrize(
    ("steps", "newest"),
    [
        ({"last": 9, "best": 5}, "last"),
        ({"last": 5, "best": 9}, "best"),
        ({"best": 9, "last": 9, "other": 9}, "last"),
        ({"best": 3}, "best"),
    ],
)
def test_the_newest_checkpoint_is_that_of_the_latest_step(
    steps: dict[str, int], newest: str, tmp_path: Path
) -> None:
    assert newest_valid(write_run(tmp_path, **steps)) == tmp_path / f"checkpoints/{newest}.ckpt"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    """In a weight: the file loads, with another value."""
    content = bytearray(path.read_bytes())
    place = content.index(torch.full((100,), 9).numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)


def remove_the_optimizer(path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 1, "global_step": 9}, path)


def carry_code(path: Path) -> None:
    torch.save({"state_dict": {}, "x": Malice(path.with_name("it ran"))}, path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "is damaged or no checkpoint"),
        (flip_a_bit, "is damaged: the checksum"),
        (remove_the_optimizer, "holds weights only"),
        (carry_code, "holds more than numbers and plain values"),
    ],
)
def test_a_damaged_one_is_passed_over_with_a_warning(damage: Any, reason: str, tmp_path: Path) -> None:
    last, best = (tmp_path / f"checkpoints/{name}.ckpt" for name in ("last", "best"))
    write_run(tmp_path, last=9, best=5)
    damage(last)
    with pytest.warns(UserWarning, match=f"passed over: {last} {reason}.*Resuming from {best}"):
        assert newest_valid(tmp_path) == best
    best.unlink()
    with pytest.raises(UsageError, match=f"there is no checkpoint to resume from(.|\n)*{last} {reason}"):
        newest_valid(tmp_path)
    assert not last.with_name("it ran").exists()


def test_a_sharded_checkpoint_is_a_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path, best=5) / "checkpoints/last.ckpt"
    folder.mkdir()
    torch.save({"epoch": 1, "global_step": 9, "loops": {}}, folder / "meta.pt")
    assert newest_valid(tmp_path) == folder
    truncate(folder / "meta.pt")
    with pytest.warns(UserWarning, match="passed over"):
        assert newest_valid(tmp_path).name == "best.ckpt"
