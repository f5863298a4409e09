"""Run folders, `runs/<experiment>/version_N`: two launches never share one, all processes of a launch do."""

import os
from pathlib import Path

ROOT = Path("runs")
_VARIABLE = "LIGHTNING_INSIDE_RUN"  # how the first process tells those that it launches


def new_run_folder(experiment: str, rank: int) -> Path:
    """Claim the next free number; `mkdir` either makes the folder or fails, so no two launches get the same.

    Only the first process of a launch writes. Ranks started from outside (torchrun, SLURM) never need the name.
    """
    parent = ROOT / experiment
    if rank != 0:
        return Path(os.environ.get(_VARIABLE, parent / "other_rank"))
    parent.mkdir(parents=True, exist_ok=True)
    number = max(
        (int(path.name[8:]) for path in parent.glob("version_*") if path.name[8:].isdigit()), default=-1
    )
    while True:
        number += 1
        folder = parent / f"version_{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        os.environ[_VARIABLE] = str(folder)
        return folder
