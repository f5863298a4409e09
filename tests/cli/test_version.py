"""`--version` says what runs, and imports nothing for it."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from cli import main, version

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_project_commit_and_libraries(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(version, "commit", lambda: {"hash": "0123456789abcdef" * 2, "clean": False})
    assert main([word]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0]
        == f"lightning-inside {metadata.version('lightning-inside')} (commit 0123456789ab, with changes)"
    )
    assert f"torch {metadata.version('torch')}" in lines
    assert torch.__version__.startswith(metadata.version("torch").partition("+")[0])


def test_without_git_and_without_a_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(version, "commit", lambda: None)
    monkeypatch.setattr(version, "LIBRARIES", ("no-such-package",))
    assert main(["--version"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert "commit" not in first
    assert last == "no-such-package is not installed"


def test_pytorch_is_not_imported() -> None:
    code = (
        "import sys, cli; cli.main(['--version']); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0


@pytest.mark.parametrize("words", [[], ["fit", "--help", "trainer"], ["--version"], ["--completion", "bash"]])
def test_a_reader_that_has_enough_gets_no_error(words: list[str]) -> None:
    """As `train.py | head -1` does; the pipe is closed before anything is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words], stdout=writing, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
