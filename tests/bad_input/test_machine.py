"""Folders that cannot be written, and devices, launchers and ports that are not there."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.bad_input.conftest import Refused
from tests.processes import run

FIT = "fit --config quick.yaml"
NEW = f"{FIT} --run_name new"
no_gpu = pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            f"{FIT} --trainer.devices 0",
            "--trainer.devices is 0; on the processor it is a number of processes",
        ),
        (f"{FIT} --trainer.devices two", "--trainer.devices is two; on the processor it is a number"),
        (f"{FIT} --trainer.devices 9999", "--trainer.devices is 9999, but this machine has no GPU"),
        (f"{FIT} --trainer.accelerator tpu", "--trainer.accelerator is tpu, but this machine has none"),
        (f"{FIT} --trainer.accelerator quantum", "invalid accelerator name: `accelerator='quantum'`"),
        (f"{FIT} --trainer.strategy ddq", "--trainer.strategy is ddq; write --trainer.strategy ddp"),
        (f"{FIT} --trainer.strategy quantum", "invalid strategy name: `strategy='quantum'`"),
        (f"{FIT} --trainer.strategy deepspeed", "you must have DeepSpeed installed"),
        (f"{FIT} --trainer.strategy fsdp", "The strategy `fsdp` requires a GPU accelerator"),
        (f"{FIT} --trainer.precision 17", "trainer.precision: '17' is not one of"),
        (f"{FIT} --trainer.num_nodes 0", "--trainer.num_nodes is 0; it must be at least 1"),
        (
            f"{FIT} --trainer.num_nodes 3",
            "--trainer.num_nodes is 3, but no launcher such as srun or torchrun",
        ),
    ],
)
def test_devices_and_strategies(line: str, message: str, refused: Refused) -> None:
    refused(line, message)


@no_gpu
@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_no_gpu(name: str, refused: Refused) -> None:
    refused(
        f"{FIT} --trainer.accelerator {name}", f"accelerator is {name}, but PyTorch finds no GPU; use auto"
    )


def test_a_port_that_is_none(refused: Refused) -> None:
    line = f"{FIT} --trainer.strategy ddp --trainer.devices 1"
    refused(line, "MASTER_PORT is 'http'; it must be a number from 1 to 65535", MASTER_PORT="http")


def test_a_port_in_use(refused: Refused) -> None:
    with socket.create_server(("", 0)) as server:
        port = str(server.getsockname()[1])
        line = f"{FIT} --trainer.strategy ddp --trainer.devices 1"
        refused(line, port, "set MASTER_PORT to a free one", code=1, MASTER_PORT=port)


@pytest.mark.parametrize(("name", "experiment"), [("runs", "quick"), ("runs/new", "new")])
def test_a_file_in_the_way(name: str, experiment: str, refused: Refused, place: Path) -> None:
    (place / "runs").rename(place / "old")
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("not a folder")
    line = f"{FIT} --run_name {experiment}"
    refused(line, f"cannot make the run folder runs/{experiment}/version_0: ", "remove what is in the way")


@pytest.fixture
def mounted(place: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own on runs/new, with the options that the test asks for."""
    folder = place / "runs/new"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting needs root: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("mounted", ["ro"], indirect=True)
def test_a_read_only_folder(mounted: Path, refused: Refused) -> None:
    message = "cannot make the run folder runs/new/version_0: Read-only file system"
    refused(NEW, message, "work where you may write")


@pytest.mark.parametrize("mounted", ["size=64k", "size=8k"], indirect=True)
def test_a_full_disk(mounted: Path, refused: Refused) -> None:
    """It is full during the training or before; what was written until then may stay."""
    refused(NEW, "No space left on device", code=1, leaves="runs/new")


def test_a_folder_without_permission(place: Path, tmp_path: Path) -> None:
    """Root may write everywhere: then it is no bad input."""
    (place / "runs").chmod(0o555)
    outcome = run(NEW.split(), place)
    (place / "runs").chmod(0o755)
    if outcome.code == 0:
        pytest.skip("this user may write everywhere")
    assert outcome.code == 2
    assert "cannot make the run folder runs/new/version_0: Permission denied" in outcome.err
