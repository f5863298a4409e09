"""A sweep that the tasks of a job array share on a real SLURM, one of which is interrupted and started again."""

import re
from pathlib import Path

import pandas as pd

from tests.clusters.conftest import ROOT
from tests.clusters.slurm import ask, until

SBATCH = ROOT / "configs/cluster/sweep.sbatch"
SWEEP = "--config quick.yaml --vary model.optimizer.lr=0.01,0.1 --sweep.seeds 2 --sweep.bulk false --run_name shared"
SWEEP += " --trainer.max_epochs 60 --data.passes_per_epoch 8 --trainer.log_every_n_steps 50"


def test_the_tasks_of_an_array_share_a_sweep(slurm: dict[str, str], office: Path) -> None:
    of_job = f"--chdir={office} --array=0-1 --gpus=0 --cpus-per-task=1 --mem-per-cpu=100 --time=10"
    job = ask(slurm, "sbatch", "--parsable", *of_job.split(), str(SBATCH), *SWEEP.split())
    folder = office / "runs/shared"

    def logs() -> list[Path]:
        return sorted(office.glob(f"sweep-{job}_*.out"), key=lambda log: log.stat().st_mtime)

    def show() -> str:
        return "\n".join([ask(slurm, "squeue"), *(log.read_text() for log in logs())])

    until(lambda: len(list(folder.glob("version_*/checkpoints/last.ckpt"))) == 2, 60, show)
    ask(slurm, "scancel", "--signal=USR1", f"{job}_0")  # what `--signal` does some time before the limit
    until(lambda: "Restarts=1" in ask(slurm, "scontrol", "show", "job", f"{job}_0"), 60, show)
    until(lambda: not ask(slurm, "squeue", "-h"), 120, show)

    runs = pd.read_csv(folder / "runs.csv")
    assert sorted(zip(runs["model.optimizer.lr"], runs["seed"], strict=True)) == [
        (lr, seed) for lr in (0.01, 0.1) for seed in (42, 43)
    ]
    assert set(runs["state"]) == {"complete"}
    assert sorted(path.name for path in folder.glob("version_*")) == [f"version_{run}" for run in range(4)]
    assert sorted(Path(run).name for run in runs["folder"]) == [f"version_{run}" for run in range(4)]
    steps = {tuple(pd.read_csv(office / run / "metrics.csv")["step"]) for run in runs["folder"]}
    assert len(steps) == 1  # also where a run was interrupted
    assert "the sweep is saved" in (office / f"sweep-{job}_0.out").read_text()
    tables = [re.findall("runs: (.*)", log.read_text()) for log in logs()]
    assert tables[-1][-1] == "4 complete", show()
    assert len(pd.read_csv(folder / "settings.csv")) == 2
