"""Where results go: a table between two marks in a page of docs/, and the line that describes the machine."""

import os
import re
import subprocess
from pathlib import Path

import pytorch_lightning as pl
import torch

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def write_between(mark: str, lines: list[str], docs: Path = DOCS) -> None:
    """Replace the lines between `<!-- mark -->` and `<!-- /mark -->` in `docs/<mark>.md`.

    Raises:
        ValueError: if the two marks are missing.
    """
    path = docs / f"{mark}.md"
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    if begin not in text or end not in text:
        raise ValueError(f"{path} has no {begin} ... {end} to put the table in")
    block = "\n".join([begin, *lines, end])
    pattern = f"{re.escape(begin)}.*{re.escape(end)}"
    path.write_text(re.sub(pattern, lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


def write_time(config: Path, time: str) -> None:
    """Replace the line `# Takes ...` in the header of a config, and nothing else.

    Raises:
        ValueError: if the config has no such line, or more than one.
    """
    text = config.read_text(encoding="utf-8")
    text, found = re.subn(r"^# Takes .*$", lambda _: f"# Takes {time}.", text, flags=re.MULTILINE)
    if found != 1:
        raise ValueError(f"{config} has {found} lines `# Takes ...`; one is needed")
    config.write_text(text, encoding="utf-8")


def duration(seconds: float) -> str:
    """Whole seconds, at least one; whole minutes from two minutes on."""
    return f"{max(seconds, 1):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def processor() -> str:
    """The processor's name, as Linux reports it."""
    name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return name[1] if name else "processor"


def cores(threads: int) -> str:
    """The share of the processor that this many threads use: "one core of a 2-core AMD EPYC"."""
    used = "one core" if threads == 1 else f"{threads} cores"
    return f"{used} of a {os.cpu_count()}-core {processor()}"


def machine(threads: int) -> str:
    """Versions, processor and graphics card, in one line."""
    parts = [
        f"PyTorch {torch.__version__}, Lightning {pl.__version__}",
        f"{threads} thread{'s' if threads > 1 else ''} of {processor()}",
    ]
    try:
        # not through PyTorch: a process that has used the card cannot be forked
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        parts += subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pass
    return ", ".join(parts)


def clock_options(parser) -> None:
    """Add the flags that all time measurements have."""
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: of the process alone")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
