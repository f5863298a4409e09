"""What every example must do; what each of them learns is in a test of its own."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pytorch_lightning import Callback

from cli import main
from cli.build import build
from cli.new import EXAMPLES, example_names
from cli.request import prepare
from tests.cli.end_to_end.commands import assert_same_weights, weights
from tests.processes import run_two

NAMES = example_names()
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--pictures=false"]
SHORT = [
    "--trainer.limit_train_batches=4",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.log_every_n_steps=1",
]
every_example = pytest.mark.parametrize("name", NAMES)


class Kill(Callback):
    """Ends the training in the middle of the second epoch of four batches."""

    def __init__(self) -> None:
        self.batches = 0

    def on_train_batch_start(self, *args: Any) -> None:
        self.batches += 1
        if self.batches == 8:
            raise RuntimeError("as if killed")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config_of(name: str) -> Path:
    return EXAMPLES / name / f"{name}.yaml"


def words_for(name: str, mnist_dir: str) -> list[str]:
    """The example's config, with small generated images in the place of MNIST."""
    settings = yaml.safe_load(config_of(name).read_text())
    words = [f"--config={config_of(name)}"]
    if settings["data"]["class_path"].endswith("MNISTDataModule"):
        words += [f"--data.data_dir={mnist_dir}", "--data.batch_size=16", "--data.num_val=40"]
    return words


def steps_by_itself(name: str) -> bool:
    """Whether the model has several optimizers, which its training step calls."""
    return "automatic_optimization = False" in (EXAMPLES / name / "model.py").read_text()


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that should succeed; what it printed."""
    code = main(words)
    output = capsys.readouterr()
    assert code == 0, output.err
    return output.out


@every_example
def test_header_says_command_result_and_time(name: str) -> None:
    header = [line for line in config_of(name).read_text().splitlines() if line.startswith("#")]
    assert f"python train.py fit --config examples/{name}/{name}.yaml" in "\n".join(header)
    assert any(line.startswith("# Reaches ") for line in header)
    assert any(line.startswith("# Takes ") for line in header)


@every_example
def test_the_check_up_finds_no_fault(name: str, mnist_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(["check", *words_for(name, mnist_dir)], capsys)
    assert "In order:" in printed
    assert re.findall(r"(?:FAIL|WARN)  ([^:]+):", printed) == []
    assert "it failed" not in printed  # a mistake of a check


@every_example
def test_resumes_to_the_same_weights_and_is_evaluated(
    name: str, mnist_dir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    short = [*SHORT, *QUIET, "--checkup=false", "--trainer.max_epochs=2", "--save_every_n_steps=2"]
    fit = ["fit", *words_for(name, mnist_dir), *short]
    run([*fit, "--run_name=whole"], capsys)
    with pytest.raises(RuntimeError, match="as if killed"):
        build(prepare([*fit, "--run_name=parts"]), callbacks=[Kill()]).fit()
    whole, parts = Path("runs/whole/version_0"), Path("runs/parts/version_0")
    run(["fit", f"--resume={parts}"], capsys)
    assert_same_weights(weights(parts), weights(whole))
    pd.testing.assert_frame_equal(
        pd.read_csv(parts / "metrics.csv"), pd.read_csv(whole / "metrics.csv"), check_dtype=False
    )

    tested = run(["test", f"--ckpt_path={whole}", *QUIET], capsys)
    assert re.search(r"^  test/\w+ ", tested, re.MULTILINE)
    run(["predict", f"--ckpt_path={whole}", *QUIET], capsys)
    assert len(pd.read_csv(whole / "predictions.csv")) > 1


@every_example
def test_sweeps_over_a_rate(name: str, mnist_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(config_of(name).read_text())["model"]["init_args"]
    flag = "model.lr" if "lr" in settings else "model.optimizer.lr"
    words = [*words_for(name, mnist_dir), *SHORT, "--trainer.max_epochs=1"]
    printed = run(["sweep", *words, "--vary", f"{flag}=0.001,0.002,0.003"], capsys)
    assert all(rate in printed for rate in ("0.001", "0.002", "0.003"))


@every_example
def test_suggests_a_learning_rate(name: str, mnist_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["tune-lr", *words_for(name, mnist_dir)])
    output = capsys.readouterr()
    if steps_by_itself(name):
        assert code == 2
        assert "needs a model with one optimizer" in output.err
    else:
        assert code == 0, output.err
        assert "suggestion" in output.out


def run_commands(lines: list[list[str]]) -> int:
    """The commands one after the other; the code of the first that fails."""
    return next((code for words in lines if (code := main(words))), 0)


def test_two_processes_train_each_example(tmp_path: Path, mnist_dir: str) -> None:
    """Both processes run all of them, one after the other."""
    short = [*SHORT, *QUIET, "--trainer.max_epochs=1", "--checkup=false", "--trainer.limit_val_batches=2"]
    by_two = ["--trainer.accelerator=cpu", "--trainer.devices=2"]
    lines = []
    for name in NAMES:
        strategy = "ddp_find_unused_parameters_true" if steps_by_itself(name) else "ddp"
        lines.append(["fit", *words_for(name, mnist_dir), *by_two, f"--trainer.strategy={strategy}", *short])
    run_two(run_commands, lines, folder=tmp_path)
    assert all(Path("runs", name, "version_0/checkpoints/last.ckpt").is_file() for name in NAMES)
