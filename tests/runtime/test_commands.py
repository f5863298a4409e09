"""Commands that are printed can be pasted: `train.py` is found, and a shell reads every word as one."""

import shlex
import sys
from pathlib import Path

import pytest

from runtime.commands import path_from_here, tensorboard, train_py


@pytest.mark.parametrize(
    ("started", "shown"),
    [
        ("train.py", "train.py"),
        ("./train.py", "train.py"),
        ("{here}/train.py", "train.py"),
        ("../train.py", "../train.py"),
        ("/an/other folder/train.py", "'/an/other folder/train.py'"),
        ("/bin/pytest", "train.py"),
        ("-c", "train.py"),
    ],
)
def test_the_script_is_shown_as_it_is_found_from_here(
    started: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [started.format(here=tmp_path), "fit"])
    assert train_py("fit") == f"python {shown} fit"


@pytest.mark.parametrize("word", ["my runs/version_0", "it's", "[3,4]", "a;b", "$HOME", "*.ckpt", "ü", ""])
def test_a_shell_reads_each_word_as_it_is(word: str) -> None:
    assert shlex.split(train_py("test", "--ckpt_path", word))[-2:] == ["--ckpt_path", word]
    assert shlex.split(tensorboard(Path(word)))[2:] == [str(Path(word))]


def test_a_path_is_relative_below_the_current_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_from_here(tmp_path / "configs/a.yaml") == "configs/a.yaml"
    assert path_from_here(Path("configs")) == "configs"
    assert path_from_here(Path("../a.yaml")) == str(tmp_path.parent / "a.yaml")


def test_every_printed_command_is_made_by_these_functions() -> None:
    """Texts that are only read, such as the usage of a command, may write `python train.py` out."""
    root = Path(__file__).parents[2]
    written_out = {
        "runtime/errors.py": 1,  # RUN stands for a folder
        "cli/overview.py": 1,
    }
    found = {}
    for package in ("cli", "pages", "runtime", "sweeps"):
        for path in sorted({*(root / package).rglob("*.py")} - {root / "cli" / "usage.py"}):
            count = sum(
                "python train.py" in line and "`" not in line for line in path.read_text().splitlines()
            )
            if count:
                found[str(path.relative_to(root))] = count
    assert found == written_out
