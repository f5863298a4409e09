"""What several tests share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

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
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with quick.yaml, which the tests of one file share."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "quick.yaml").write_text(QUICK)
    return folder


@pytest.fixture(scope="session")
def start_train_py() -> Callable[..., "subprocess.Popen[str]"]:
    """Start `python train.py ...` as a process of its own."""

    def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *words],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
