"""The overview of commands and experiments, printed in a fraction of a second."""

from pathlib import Path

CONFIGS = Path(__file__).parent.parent / "configs"


def overview(description: str) -> str:
    """The commands, then every experiment with the first line of its header."""
    lines = [description.strip(), "", "Experiments (configs/*.yaml):"]
    lines += [f"  {path.stem:24}{headline(path)}" for path in sorted(CONFIGS.glob("*.yaml"))]
    lines += ["", f"Presets, to be stacked on any of them (configs/presets/*.yaml): {names('presets')}"]
    lines += [f"Studies, for the command sweep (configs/sweeps/*.yaml): {names('sweeps')}"]
    return "\n".join(lines)


def names(folder: str) -> str:
    return ", ".join(path.stem for path in sorted((CONFIGS / folder).glob("*.yaml")))


def headline(path: Path) -> str:
    """First line of the comment that opens a config."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip()
