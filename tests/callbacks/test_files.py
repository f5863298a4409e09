"""A file is the old one or the new one, whatever happens while it is written."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from callbacks.files import BLOCK, appending, cut_unfinished_line, replacing, write_whole

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("data", "expected"), [("häuser\n", "häuser\n".encode()), (b"\x00\xff", b"\x00\xff")]
)
def test_the_new_file_is_whole_and_alone(tmp_path, data, expected):
    path = tmp_path / "a.json"
    for _ in range(2):
        write_whole(path, data)
        assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path]


def test_for_functions_that_take_an_open_file(tmp_path):
    path = tmp_path / "a.ckpt"
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save({"a": torch.ones(3)}, file)
        assert not path.exists()
    assert torch.equal(torch.load(path)["a"], torch.ones(3))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=type
)
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.csv"
    write_whole(path, "old")

    def write():
        with replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_disk_that_is_full_at_the_last_moment(tmp_path, monkeypatch, function):
    path = tmp_path / "a.csv"
    write_whole(path, "old")

    def fail(*args):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="Disk quota exceeded"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_folder_after(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def note(first, *args, name=name, original=original):
            is_folder = name == "fsync" and os.path.isdir(f"/proc/self/fd/{first}")
            done.append(f"{name} {'folder' if is_folder else 'file'}")
            return original(first, *args)

        monkeypatch.setattr(os, name, note)
    write_whole(tmp_path / "a.csv", "new")
    assert done == ["fsync file", "replace file", "fsync folder"]


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse_folders(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_whole(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "new"


def test_a_writer_that_is_killed_leaves_the_old_file_and_the_next_cleans_up(tmp_path):
    path = tmp_path / "a[1].csv"
    write_whole(path, "old")
    code = "import os, sys; from pathlib import Path; from callbacks.files import replacing\n"
    code += "with replacing(Path(sys.argv[1])) as temporary:\n"
    code += "    temporary.write_text('half of the ne'); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    write_whole(path, "new")
    assert list(tmp_path.iterdir()) == [path]


def test_without_its_folder_it_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "a.csv", "new")


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("", ""),
        ("a\nb\n", "a\nb\n"),
        ("a\nb", "a\n"),
        ("a", ""),
        ("a\n" + "b" * 3 * BLOCK, "a\n"),
        ("b" * 3 * BLOCK, ""),
        ("a" * (BLOCK - 1) + "\n" + "b" * BLOCK, "a" * (BLOCK - 1) + "\n"),
    ],
)
def test_an_unfinished_line_is_cut_off(tmp_path, content, kept):
    path = tmp_path / "a.csv"
    path.write_text(content)
    assert cut_unfinished_line(path) == len(kept)
    assert path.read_text() == kept
    with appending(path) as file:
        file.write("new\n")
    assert path.read_text() == kept + "new\n"


def test_a_file_that_does_not_exist_is_made_by_appending(tmp_path):
    assert cut_unfinished_line(tmp_path / "a.csv") == 0
    with appending(tmp_path / "a.csv") as file:
        file.write("new\n")
    assert (tmp_path / "a.csv").read_text() == "new\n"


def test_a_full_disk_leaves_the_lines_before(small_disk):
    path = small_disk / "a.csv"
    path.write_text("old\n")
    with pytest.raises(OSError, match=r"No space left on device: .*a\.csv"), appending(path) as file:
        file.writelines(f"{number:1000}\n" for number in range(4000))
    assert path.read_text() == "old\n"
