"""Where results go: a table between two marks in README.md, and the line that says on what they were measured."""

import re
import subprocess
from pathlib import Path

import pytorch_lightning as pl
import torch

ROOT = Path(__file__).parent.parent


def write_between(mark: str, lines: list[str], path: Path = ROOT / "README.md") -> None:
    """Replace what stands between `<!-- mark -->` and `<!-- /mark -->`.

    Raises:
        ValueError: where the two marks are missing.
    """
    text = path.read_text()
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    if begin not in text or end not in text:
        raise ValueError(f"{path} has no {begin} ... {end} to put the table in")
    block = "\n".join([begin, *lines, end])
    pattern = f"{re.escape(begin)}.*{re.escape(end)}"
    path.write_text(re.sub(pattern, lambda _: block, text, flags=re.DOTALL))


def machine(threads: int) -> str:
    """Versions, processor and graphics card, in a line."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    parts = [
        f"PyTorch {torch.__version__}, Lightning {pl.__version__}",
        f"{threads} thread{'s' if threads > 1 else ''} of {processor[1] if processor else 'a processor'}",
    ]
    try:
        # not through PyTorch: a process that has touched the card cannot be forked
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        parts += subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pass
    return ", ".join(parts)


def clock_options(parser) -> None:
    """Flags that all time measurements have."""
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: of the process alone")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
