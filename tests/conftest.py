"""What several tests share: threads, small workplaces, MNIST in miniature and in full."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.summary.writer import event_file_writer

from datamodules.mnist_files import FILE_NAMES, find_files

ROOT = Path(__file__).parents[1]
RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
ON_THE_CARD = "python -m pytest -m gpu"

# TensorBoard reads the files of a run in the order of their names: second, host, process, and a count of the files of
# that process. A run and its continuation within one second sort alike only if their counts have as many digits.
event_file_writer._global_uid = event_file_writer.AtomicCounter(1_000_000)

QUICK = """\
# A network so small that an epoch takes a tenth of a second.
model:
  class_path: lit_models.LitMLP
  init_args:
    hidden_sizes: [4]
    optimizer:
      class_path: torch.optim.Adam
      init_args:
        lr: 0.02
data:
  class_path: datamodules.TitanicDataModule
  init_args:
    features: [male, Age]
trainer:
  accelerator: cpu
  max_epochs: 2
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
pictures: false # they would take longer than all the rest; tests/cli/test_pictures.py has them
"""


def pytest_configure(config: pytest.Config) -> None:
    """Hide the graphics cards, unless `-m gpu` asks for the tests that use one.

    All other tests compare with figures of the CPU, and fork processes, which one that has used a card cannot do.
    """
    config.addinivalue_line(
        "markers", "browser: opens a page in Debian's chromium; skipped where there is none"
    )
    config.addinivalue_line("markers", f"gpu: trains on a graphics card; run by `{ON_THE_CARD}`")
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto` one process more than cores, as there is always a test that waits for what it has started."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that are marked `gpu` where no card is seen."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not torch.cuda.device_count():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"it takes a graphics card, and `{ON_THE_CARD}`"))


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for settings, so that the key that marks configs is not written into the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Leave bytes, which may be compressed, and this repository's place out of the names of tests."""
    if isinstance(val, str) and str(ROOT) in val:
        return val.replace(str(ROOT), "ROOT")
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _no_ranks_left() -> Iterator[None]:
    """A strategy of several processes leaves ranks in the environment; a later command would wait for the others."""
    before = {name: os.environ.get(name) for name in RANKS}
    yield
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with quick.yaml, which the tests of one file share."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "quick.yaml").write_text(QUICK)
    return folder


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Read a plan in an empty folder, as the command would, without its rehearsal."""
    from cli.sweep import read_plan  # not needed by most tests, and heavy

    monkeypatch.chdir(tmp_path)

    def read(*given: str, mode: str = "min") -> Any:
        return read_plan(["--model", "LitMLP", *given]).with_metric("val/loss", mode)

    return read


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small tensors gain nothing from threads, and tests may run in parallel."""
    torch.set_num_threads(1)


def write_idx(path: Path, values: np.ndarray) -> None:
    """Save unsigned bytes in the IDX format."""
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def bar_images(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) that are easy to learn: on dim noise a bright bar, as low as the label is high."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(num_images) % 10)
    images = generator.integers(0, 60, (num_images, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label : 6 + 2 * label, 4:24] = 255
    return images, labels


def write_mnist(folder: Path, num_train: int = 240, num_test: int = 60) -> Path:
    """The four files of a small data set in the manner of MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [*bar_images(num_train, seed=0), *bar_images(num_test, seed=1)]
    for name, values in zip(FILE_NAMES, parts, strict=True):
        write_idx(folder / name, values)
    return folder


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data_dir with 240 + 60 generated images, laid out as torchvision does."""
    root = tmp_path_factory.mktemp("data")
    write_mnist(root / "MNIST" / "raw")
    return str(root)


@pytest.fixture(scope="session")
def full_mnist_dir() -> str:
    """A data_dir with the real MNIST; tests that ask for it are skipped where there is none."""
    places = [os.environ.get("MNIST_DIR", ""), str(Path(__file__).parents[1] / "data")]
    for place in filter(None, places):
        if len(find_files(place, "mnist")) == len(FILE_NAMES):
            return place
    pytest.skip("the real MNIST is neither in data/ nor in $MNIST_DIR")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
