"""Folders of runs written by hand, as a training would leave them: for tests of what only reads them."""

import json
from pathlib import Path
from typing import Any

CONFIG = """\
# pytorch_lightning==2.6.6
seed_everything: 42
trainer:
  max_epochs: {max_epochs}
model:
  class_path: lit_models.LitMLP
  init_args:
    hidden_sizes:
    - 2
    depth: {depth}
    optimizer:
      class_path: torch.optim.Adam
      init_args:
        lr: 0.05
        betas:
        - 0.9
        - 0.999
data:
  class_path: datamodules.TitanicDataModule
  init_args:
    csv: null
monitor: val/loss
monitor_mode: null
"""


def make_run(
    folder: Path,
    *,
    started: str = "2026-11-27T07:39:00+00:00",
    loss: float | None = 0.5,
    depth: int = 1,
    changes: dict[str, Any] | None = None,
    state: str = "finished",
    verdicts: tuple[str, ...] = (),
) -> Path:
    """A run's folder with all its files.

    Args:
        folder: `runs/<experiment>/version_N`.
        started: when its only launch began.
        loss: best validation loss; accuracy is 1 minus it. None: nothing was validated.
        depth: of its model.
        changes: what its record says to differ from the config; by default the depth if it is not 1.
        state: "finished", "killed" or "failed".
        verdicts: severities of what the diagnosis found.
    """
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/best.ckpt").touch()
    (folder / ".lock").write_text("process 1 on vm")
    (folder / "config.yaml").write_text(CONFIG.format(depth=depth, max_epochs=20))
    if changes is None:
        changes = {"model.init_args.depth": depth} if depth != 1 else {}
    launch = {"command": ["fit"], "started": started, "seconds": {"total": 66.0}}
    launch["error"] = "ValueError: no" if state == "failed" else None
    write(folder / "run.json", {"launches": [launch], "from_config": changes, "seed": 42})
    found = [{"kind": f"kind {n}", "severity": each, "holds": True} for n, each in enumerate(verdicts)]
    write(folder / "diagnosis.json", {"healthy": not verdicts, "verdicts": found})
    if loss is not None:
        metrics = {"loss": {"value": loss}, "accuracy": {"value": 1 - loss}}
        write(folder / "result.json", {"validation": {"metrics": metrics}})
    if state == "finished":
        end = {"reason": "max_epochs", "words": "max_epochs 20 was reached", "epochs": 20, "steps": 20}
        write(folder / "end.json", {**end, "limits": {}})
    return folder


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))
