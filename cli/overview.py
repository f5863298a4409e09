"""The overview of commands and experiments, printed in a fraction of a second."""

import shlex
from pathlib import Path

from runtime.commands import path_from_here, train_py

CONFIGS = Path(__file__).parent.parent / "configs"
EXAMPLES = CONFIGS.parent / "examples"


def overview(description: str) -> str:
    """The commands, then every experiment with the first line of its header."""
    lines = [from_here(description.strip()), "", "Experiments (configs/*.yaml):"]
    lines += [f"  {path.stem:24}{headline(path)}" for path in sorted(CONFIGS.glob("*.yaml"))]
    lines += ["", "Examples, to start a project of your own from (examples/*/*.yaml; docs/your-project.md):"]
    lines += [f"  {path.stem:24}{headline(path)}" for path in sorted(EXAMPLES.glob("*/*.yaml"))]
    lines += ["", f"Presets, to be stacked on any of them (configs/presets/*.yaml): {names('presets')}"]
    lines += [f"Studies, for the command sweep (configs/sweeps/*.yaml): {names('sweeps')}"]
    return "\n".join(lines)


def from_here(description: str) -> str:
    """Let the commands work from the current folder."""
    configs = shlex.quote(path_from_here(CONFIGS))
    return description.replace("python train.py", train_py()).replace(
        "--config configs", f"--config {configs}"
    )


def names(folder: str) -> str:
    return ", ".join(path.stem for path in sorted((CONFIGS / folder).glob("*.yaml")))


def headline(path: Path) -> str:
    """First line of the comment that opens a config."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip()
