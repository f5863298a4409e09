"""Parameter groups and frozen parameters on the command line: trained, saved, resumed, and scaled by tune-lr."""

import shlex
from pathlib import Path

import pytest
import torch

from cli import main
from cli.sweep import build_trial

ROOT = Path(__file__).parents[2]
CIRCLES = ["--config", str(ROOT / "configs" / "circles.yaml"), "--trainer.accelerator=cpu"]
QUIET = ["--diagnostics=false", "--pictures=false", "--checkup=false", "--data.passes_per_epoch=2"]
GROUPS = '--model.optimizer_groups={"layers.0.*": {"lr": 0.003}, "*.bias": {"lr_factor": 0.5}}'
WORDS = [*CIRCLES, *QUIET, "--model.optimizer.lr=0.1", GROUPS, "--model.decay_biases_and_norms=false"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def weights(name: str) -> dict[str, torch.Tensor]:
    return torch.load(f"runs/{name}/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]


def test_a_run_is_saved_and_resumed_with_its_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *WORDS, "--trainer.max_epochs=4", "--run_name=whole"]) == 0
    assert main(["fit", *WORDS, "--trainer.max_epochs=2", "--run_name=parts"]) == 0
    assert main(["fit", "--resume=runs/parts/version_0", "--trainer.max_epochs=4"]) == 0
    whole, parts = weights("whole"), weights("parts")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    assert main(["test", "--ckpt_path=runs/parts/version_0"]) == 0


def test_frozen_parameters_stay_and_a_wrong_pattern_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*CIRCLES, *QUIET, "--trainer.max_epochs=1"]
    assert main(["fit", *words, "--model.frozen=[layers.0.*]", "--run_name=frozen"]) == 0
    assert main(["fit", *words, "--model.optimizer.lr=0", "--run_name=still"]) == 0
    frozen, still = weights("frozen"), weights("still")
    assert all(torch.equal(frozen[name], still[name]) == name.startswith("layers.0.") for name in still)
    assert main(["fit", *words, "--model.frozen=[encoder.*]"]) == 2
    assert "model.frozen has 'encoder.*', which matches no parameter" in capsys.readouterr().err


@pytest.mark.parametrize("groups", [GROUPS, GROUPS.replace('"lr": 0.003', '"lr_factor": 0.1')])
def test_the_command_of_tune_lr_scales_all_groups(groups: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*CIRCLES, *QUIET, "--model.optimizer.lr=0.1", groups]

    def rates(*given: str) -> list[float]:
        run = build_trial([*given, "--trainer.max_epochs=1"])
        run.fit()
        return [group["lr"] for group in run.trainer.optimizers[0].param_groups]

    before = rates(*words)
    assert main(["tune-lr", *words]) == 0
    printed = capsys.readouterr().out.splitlines()
    suggested = float(next(line.split()[1] for line in printed if line.startswith("  suggestion")))
    command = next(line.split("train.py fit ")[1] for line in printed if "train.py fit" in line)
    after = rates(*shlex.split(command))
    assert max(after) == pytest.approx(suggested, rel=0.05)
    assert [rate / max(after) for rate in after] == pytest.approx(
        [rate / max(before) for rate in before], rel=0.05
    )
