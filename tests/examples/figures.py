"""Train an example as its config says, and evaluate its best checkpoint."""

import json
from pathlib import Path

from cli.build import Run, build
from cli.new import EXAMPLES
from cli.request import prepare

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--pictures=false"]


def trained_and_tested(name: str, *flags: str) -> tuple[Run, dict[str, float]]:
    """The run of `test`, and its figures by their names without `test/`; the diagnosis must find no fault."""
    trained = build(prepare(["fit", f"--config={EXAMPLES / name / name}.yaml", *QUIET, *flags]))
    trained.fit()
    assert json.loads(Path(trained.folder, "diagnosis.json").read_text())["healthy"]
    tested = build(prepare(["test", f"--ckpt_path={trained.folder}", *QUIET]))
    tested.test()
    metrics = tested.trainer.callback_metrics
    return tested, {metric.removeprefix("test/"): float(value) for metric, value in metrics.items()}
