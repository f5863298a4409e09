"""run.json is read back as it was written, and the state of a run follows from its files."""

import json
import subprocess
from pathlib import Path

import pytest

from runtime import commit
from runtime.end_record import End, write_end
from runtime.run_lock import RunLock
from runtime.run_record import FILE, Launch, Record, now, read_record, state_of, write_record


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "rings" / "version_0"
    folder.mkdir(parents=True)
    record = Record("rings", [Launch(["fit", "--config", "ü.yaml"], now(), seconds={"total": 1.5})])
    record.from_defaults = {"model.init_args.hidden_sizes": [2]}
    write_record(folder, record)
    assert read_record(folder) == record


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"launches": 1}', '{"launches": [1]}', "\xff"])
def test_a_missing_or_damaged_file_is_an_empty_record(tmp_path: Path, text: str | None) -> None:
    folder = tmp_path / "rings" / "version_0"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / FILE).write_text(text, encoding="latin-1")
    assert read_record(folder) == Record("rings")


def test_what_a_newer_version_adds_is_left_out(tmp_path: Path) -> None:
    found = {"experiment": "a", "launches": [{"command": ["fit"], "new": 1}], "newer": 2}
    (tmp_path / FILE).write_text(json.dumps(found), encoding="utf-8")
    record = read_record(tmp_path)
    assert record.experiment == "a"
    assert record.launches[0].command == ["fit"]


def test_state(tmp_path: Path) -> None:
    assert state_of(tmp_path) == "killed"
    write_record(tmp_path, Record("a", [Launch(["fit"], now(), error="ValueError: no")]))
    assert state_of(tmp_path) == "failed"
    lock = RunLock()
    lock.acquire(tmp_path)
    assert state_of(tmp_path) == "running"
    lock.release()
    assert state_of(tmp_path) == "failed"  # the lock's file alone means nothing
    write_record(
        tmp_path, Record("a", [Launch(["fit"], now(), error="ValueError: no"), Launch(["fit"], now())])
    )
    assert state_of(tmp_path) == "killed"  # the newest launch counts
    write_end(tmp_path, End("max_epochs", "max_epochs 1 was reached", 1, 1, {}))
    assert state_of(tmp_path) == "finished"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    words = ("git", "-C", str(folder), *identity, *words)
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def test_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "ROOT", tmp_path)
    assert commit.commit() is None  # no repository
    git(tmp_path, "init", "-q")
    assert commit.commit() is None  # no commit
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    first = git(tmp_path, "rev-parse", "HEAD")
    assert commit.commit() == {"hash": first, "clean": True}
    (tmp_path / "model.py").write_text("", encoding="utf-8")
    assert commit.commit() == {"hash": first, "clean": False}
    (tmp_path / ".gitignore").write_text("*", encoding="utf-8")
    assert commit.commit() == {"hash": first, "clean": True}
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert commit.commit() == {"hash": first, "clean": True}
    monkeypatch.setenv("PATH", "")
    assert commit.commit() is None  # no git
