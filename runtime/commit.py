"""The commit of this code, found without PyTorch."""

import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]  # where train.py is
PATIENCE = 5.0  # seconds to wait for git, on a slow disk


def commit() -> dict[str, Any] | None:
    """`hash` of the commit of this code, and whether it is `clean`; None without git or outside a repository.

    A file that git does not know makes it unclean, too: a model of one's own may be in it.
    """
    words = ["git", "--no-optional-locks", "-C", str(ROOT), "status", "--porcelain=v2", "--branch"]
    # inside a git hook these would name another repository
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        found = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = found.stdout.splitlines()
    hashes = [line.split()[-1] for line in lines if line.startswith("# branch.oid")]
    if not hashes or hashes[0] == "(initial)":  # no commit yet
        return None
    return {"hash": hashes[0], "clean": all(line.startswith("#") for line in lines)}
