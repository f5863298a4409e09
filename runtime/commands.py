"""Commands as they are printed: they work if they are pasted into the shell that started this one."""

import os
import shlex
import sys
from pathlib import Path

SCRIPT = "train.py"


def train_py(*words: object) -> str:
    """`python train.py WORDS`, with `train.py` as it was called, and every word quoted for the shell."""
    return shlex.join(["python", script(), *map(str, words)])


def tensorboard(folder: Path) -> str:
    """The command that opens TensorBoard on a folder."""
    return shlex.join(["tensorboard", "--logdir", str(folder)])


def script() -> str:
    """`train.py`, or the path by which it was started from another folder."""
    started = sys.argv[0]
    if os.path.basename(started) != SCRIPT or os.path.abspath(started) == os.path.abspath(SCRIPT):
        return SCRIPT
    return started


def path_from_here(path: Path) -> str:
    """A path below the current folder as a relative one, and any other as an absolute one."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
