"""Dependencies point one way: train.py -> cli -> sweeps, pages, runtime -> callbacks, datamodules, lit_models."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_USE = {
    "lit_models": set(),
    "datamodules": set(),
    "callbacks": set(),
    "examples": {"callbacks", "datamodules", "lit_models"},
    "runtime": {"callbacks", "datamodules", "lit_models"},
    "sweeps": {"runtime", "callbacks", "datamodules", "lit_models"},
    "pages": {"runtime", "callbacks"},
    "cli": {"pages", "sweeps", "runtime", "callbacks", "datamodules", "lit_models"},
}


def imported(path: Path) -> set[str]:
    """The first part of every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("package", MAY_USE)
def test_a_package_uses_only_those_below_it(package: str) -> None:
    paths = list((ROOT / package).rglob("*.py"))
    assert paths
    used = {name for path in paths for name in imported(path) if name in MAY_USE}
    assert used - {package} <= MAY_USE[package]


def test_every_package_is_installed() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = {name.strip() for name in config["options"]["packages"].split(",")}
    folders = {path.parent for package in MAY_USE for path in (ROOT / package).rglob("__init__.py")}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} <= listed


def test_without_any_package_the_command_says_how_to_install_them() -> None:
    words = [sys.executable, "-S", "-E", str(ROOT / "train.py"), "fit", "--config", "configs/rings.yaml"]
    outcome = subprocess.run(words, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines() == [
        "error: ModuleNotFoundError: No module named 'yaml'",
        "  install what this project needs: pip install -c constraints.txt -e .",
    ]
