"""What the tests of schedulers share: a folder to submit jobs from, and a run that nothing has disturbed."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.clusters.slurm import running
from tests.conftest import QUICK, ROOT
from tests.processes import run_two, train_py

FIT = f"fit --config quick.yaml --config {ROOT / 'configs/presets/ddp.yaml'} --data.batch_size 32"
FIT += " --trainer.max_epochs 48 --data.passes_per_epoch 4 --trainer.log_every_n_steps 50"
LAST = "version_0/checkpoints/last.ckpt"


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """For processes that find each other on this machine."""
    of_test = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    of_test["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = ("LIGHTNING_INSIDE_RUN", "JOB_ID", "NNODES")
    return {name: value for name, value in os.environ.items() if name not in ours} | of_test


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment to talk to a SLURM of two nodes on this machine."""
    with running(tmp_path_factory.mktemp("slurm"), environment) as environment_of_slurm:
        yield environment_of_slurm


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that jobs are started from, as it would be the repository's."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "quick.yaml").write_text(QUICK)
    (folder / "train.py").symlink_to(ROOT / "train.py")
    return folder


@pytest.fixture(scope="session")
def undisturbed(office: Path) -> dict[str, torch.Tensor]:
    """The weights after two processes have trained without a break."""
    run_two(train_py, *FIT.split(), "--run_name", "undisturbed", folder=office)
    return weights(office / "runs/undisturbed")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / LAST, weights_only=True)["state_dict"]


def check_result(run: Path, undisturbed: dict[str, torch.Tensor]) -> None:
    """One folder, the same weights to the bit, and nothing left behind."""
    found = weights(run)
    assert found.keys() == undisturbed.keys()
    assert [name for name in found if not torch.equal(found[name], undisturbed[name])] == []
    assert [path.name for path in run.iterdir()] == ["version_0"]
    assert not list((run.parent / ".jobs").iterdir())
    assert not list(run.parents[1].rglob("hpc_ckpt*"))
