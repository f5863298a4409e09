"""What README.md and docs/commands.md say can be copied, and the links lead somewhere."""

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from callbacks import Checkup
from cli import main
from tests.callbacks.plain import fit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COPIED = README + (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = [line for line in COPIED.splitlines() if line.startswith("python train.py fit --")]
FILES = r"(?<![\w/])(?:callbacks|configs|benchmarks|cli|datamodules|lit_models|runtime|tests)/[\w/.]+\.\w+"
MADE_BY_THE_READER = ("configs/wine.yaml", "datamodules/wine.py", "lit_models/residual.py")


def test_a_page_of_reading() -> None:
    assert len(README.split()) <= 1200


def test_first_blocks_install_and_train_and_test() -> None:
    assert re.fullmatch(r"pip install .* && python train\.py fit --config \S+\n", BLOCKS[0])
    assert re.fullmatch(r"pip install .*dev.* && python -m pytest.*\n", BLOCKS[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_fit_command_is_understood(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    words = re.split(r"\s{2,}", command)[0].split()[2:]
    if "--resume" in words:
        pytest.skip("the run is the reader's")
    assert main([word for word in words if word != "--print_config"] + ["--print_config"]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {ROOT / path for path in re.findall(FILES, text) if path not in MADE_BY_THE_READER}
    linked = {page.parent / path for path in re.findall(r"\]\(([\w./-]+)\)", text)}
    assert not {path for path in named | linked if not path.exists()}


def test_own_model_and_data(tmp_path: Path) -> None:
    """The example, typed in as it stands, trains to the accuracy that is promised."""
    for name in ("cli", "pages", "sweeps", "runtime", "callbacks", "datamodules", "lit_models", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", tmp_path)
    named = re.findall(
        r"`((?:lit_models|datamodules|configs)/\w+\.\w+)`:\n\n```\w+\n(.*?)```", README, re.DOTALL
    )
    assert [name for name, _ in named] == [
        "lit_models/residual.py",
        "datamodules/wine.py",
        "configs/wine.yaml",
    ]
    for name, text in named:
        assert len(text.splitlines()) < 40
        (tmp_path / name).write_text(text)
    command = [sys.executable, "train.py", "fit", "--config", "configs/wine.yaml"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    accuracy = re.search(r"val/accuracy +([\d.]+)", ended.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.95


def test_the_check_up_says_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The module with two mistakes, on scikit-learn's digits."""
    module, printed = next(pair for pair in pairwise(BLOCKS) if pair[0].startswith("class Classifier"))
    names: dict[str, Any] = {"pl": pl, "torch": torch, "nn": nn}
    exec(module, names)
    x, y = map(torch.from_numpy, load_digits(return_X_y=True))
    digits = DataLoader(TensorDataset(x.float(), y), batch_size=64, shuffle=True)
    fit(names["Classifier"](), digits, Checkup())
    said = re.sub(r" \(docs/\S+\)", "", " ".join(capsys.readouterr().out.split()))
    assert " ".join(printed.split()) in said
