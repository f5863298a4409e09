"""Files that belong together are replaced together, and what they replace is kept."""

import errno
import os
from pathlib import Path

import pytest

from callbacks.staging import put_in_place, staging

NAMES = ("table", "images", "more")


def put(folder: Path, **contents: str | dict[str, str]) -> Path | None:
    """Write files, and folders of files; returns where earlier ones are."""
    with staging(folder) as staged:
        for name, content in contents.items():
            if isinstance(content, str):
                (staged / name).write_text(content)
                continue
            (staged / name).mkdir()
            for inner, text in content.items():
                (staged / name / inner).write_text(text)
        return put_in_place(staged, folder, NAMES, "earlier")


def found(folder: Path) -> dict[str, str]:
    """All files of a folder, with their contents."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_first_is_only_put_there(tmp_path: Path) -> None:
    assert put(tmp_path, table="a", images={"1": "x"}) is None
    assert found(tmp_path) == {"table": "a", "images/1": "x"}


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path, table="a", images={"1": "x"})
    assert put(tmp_path, table="a", images={"1": "x"}) is None
    assert found(tmp_path) == {"table": "a", "images/1": "x"}


@pytest.mark.parametrize(
    "new",
    [
        {"table": "b", "images": {"1": "x"}},
        {"table": "a", "images": {"1": "y"}},
        {"table": "a", "images": {"1": "x", "2": "y"}},
        {"table": "a"},
        {"more": "c"},
        {"table": "a", "images": "no folder"},
    ],
)
def test_all_earlier_ones_are_kept_if_anything_differs(new: dict, tmp_path: Path) -> None:
    put(tmp_path, table="a", images={"1": "x"})
    kept = put(tmp_path, **new)
    assert kept == tmp_path / "earlier" / "1"
    assert found(kept) == {"table": "a", "images/1": "x"}
    now = {name: text for name, text in found(tmp_path).items() if not name.startswith("earlier")}
    expected = {f"{name}/{inner}" if inner else name for name, inner in names_in(new)}
    assert set(now) == expected


def names_in(contents: dict) -> list[tuple[str, str]]:
    return [
        (name, inner)
        for name, content in contents.items()
        for inner in (content if isinstance(content, dict) else [""])
    ]


def test_numbers_go_on_after_the_largest(tmp_path: Path) -> None:
    for number, text in enumerate("abcd"):
        kept = put(tmp_path, table=text)
        assert kept == (tmp_path / "earlier" / str(number) if number else None)
    (tmp_path / "earlier" / "2" / "table").unlink()
    (tmp_path / "earlier" / "2").rmdir()
    assert put(tmp_path, table="e") == tmp_path / "earlier" / "4"


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("m")
    put(tmp_path, table="a")
    put(tmp_path, table="b")
    assert found(tmp_path) == {"mine": "m", "table": "b", "earlier/1/table": "a"}


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    put(tmp_path, table="a", images={"1": "x"})

    def fail_half_way() -> None:
        with staging(tmp_path) as staged:
            (staged / "table").write_text("b")
            raise OSError(errno.ENOSPC, "No space left on device", str(staged / "table"))

    with pytest.raises(OSError, match="No space left") as caught:
        fail_half_way()
    assert caught.value.filename == str(tmp_path / "table")
    assert found(tmp_path) == {"table": "a", "images/1": "x"}
    assert {path.name for path in tmp_path.iterdir()} == {"table", "images"}


def test_a_disk_that_is_full_while_keeping_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, table="a", images={"1": "x"})

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(OSError, match="No space left"):
        put(tmp_path, table="b")
    assert found(tmp_path) == {"table": "a", "images/1": "x"}


def test_where_a_file_cannot_have_two_names_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    put(tmp_path, table="a")
    put(tmp_path, table="b")
    assert found(tmp_path) == {"table": "b", "earlier/1/table": "a"}


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".staged.12.tmp").mkdir()
    (tmp_path / ".staged.12.tmp" / "table").write_text("half")
    put(tmp_path, table="a")
    assert {path.name for path in tmp_path.iterdir()} == {"table"}
