"""`train.py --version`: this project, its commit, and the libraries that decide what a run computes."""

import configparser
import platform
from importlib import metadata
from pathlib import Path

from runtime.commit import commit

LIBRARIES = (
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "torchvision",
    "numpy",
    "jsonargparse",
    "tensorboard",
)
SETUP = Path(__file__).parents[1] / "setup.cfg"


def version_text() -> str:
    """The project with its commit, then a line for each library; nothing is imported."""
    found = commit()
    state = f" (commit {found['hash'][:12]}{'' if found['clean'] else ', with changes'})" if found else ""
    versions = {"python": platform.python_version()} | {name: version_of(name) for name in LIBRARIES}
    lines = [f"lightning-inside {own_version()}{state}"]
    return "\n".join([*lines, *(f"{name} {version}" for name, version in versions.items())])


def own_version() -> str:
    """Of the checkout, or, where only the packages are installed, of these."""
    parser = configparser.ConfigParser()
    parser.read(SETUP, encoding="utf-8")
    return parser.get("metadata", "version", fallback="") or version_of("lightning-inside")


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"
