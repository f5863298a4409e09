"""Weights of another run from the command line: by name, resumed without it, refused, in a sweep; rates by layer."""

import shlex
import shutil
from pathlib import Path

import pytest
import torch

from cli import main
from cli.sweep import build_trial

ROOT = Path(__file__).parents[2]
FIT = [
    *(
        "fit",
        "--config",
        str(ROOT / "configs" / "circles.yaml"),
        "--trainer.accelerator=cpu",
        "--trainer.max_epochs=2",
    ),
    *("--diagnostics=false", "--pictures=false", "--checkup=false", "--data.passes_per_epoch=2"),
]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def weights(name: str, kind: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(f"runs/{name}/version_0/checkpoints/{kind}.ckpt", weights_only=True)["state_dict"]


def test_a_run_begins_with_those_of_another_and_is_resumed_without_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*FIT, "--run_name=before"]) == 0
    assert main([*FIT, "--model.pretrained=before", "--model.optimizer.lr=0", "--run_name=still"]) == 0
    output = capsys.readouterr()
    assert "4 of the 4 tensors in runs/before/version_0/checkpoints/best.ckpt are loaded" in output.out
    assert "before: its newest run, runs/before/version_0" in output.err
    assert all(
        torch.equal(value, weights("before", "best")[name]) for name, value in weights("still").items()
    )
    config = Path("runs/still/version_0/config.yaml").read_text()
    assert "pretrained: runs/before/version_0/checkpoints/best.ckpt" in config

    begin = [*FIT, "--model.pretrained=before"]
    assert main([*begin, "--trainer.max_epochs=4", "--run_name=whole"]) == 0
    assert main([*begin, "--run_name=parts"]) == 0
    shutil.rmtree("runs/before")
    assert main(["fit", "--resume=runs/parts/version_0", "--trainer.max_epochs=4"]) == 0
    assert main(["test", "runs/parts/version_0"]) == 0
    assert all(torch.equal(value, weights("whole")[name]) for name, value in weights("parts").items())
    assert main(["fit", "--resume=runs/parts/version_0", "--model.pretrained=still"]) == 2
    assert "it sets initial weights, and the weights are those of the checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.pretrained=nothing"], "--model.pretrained nothing does not exist"),
        (["--model.pretrained=before", "--model.hidden_sizes=[7]"], "has shape [5, 2] in"),
        (
            ["--model.pretrained=before", '--model.pretrained_parts={"body.*": "layers.*"}'],
            "matches no tensor of",
        ),
        (["--model.layer_decay=0"], "model.layer_decay is 0.0; it must be above 0 and at most 1"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_no_run(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, "--run_name=before", "--trainer.max_epochs=1"]) == 0
    assert main([*FIT, *flags, "--run_name=after"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs/after/version_0").exists()


def test_runs_of_a_sweep_begin_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other; trained together they would begin at random."""
    assert main([*FIT, "--run_name=before"]) == 0
    words = [*FIT[1:], "--model.pretrained=before", "--vary", "model.optimizer.lr=0,0.01"]
    assert main(["sweep", *words]) == 0
    expected = weights("before", "best")
    found = [torch.load(path, weights_only=True)["state_dict"] for path in Path("runs").rglob("last.ckpt")]
    same = [all(torch.equal(state[name], value) for name, value in expected.items()) for state in found]
    assert len(found) == 3
    assert any(same)
    assert not all(same)


def test_the_command_of_tune_lr_keeps_the_decay_from_layer_to_layer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [*FIT[1:], "--model.layer_decay=0.5", "--model.optimizer.lr=0.1"]
    assert main(["tune-lr", *words]) == 0
    printed = capsys.readouterr().out.splitlines()
    suggested = float(next(line.split()[1] for line in printed if line.startswith("  suggestion")))
    command = next(line.split("train.py fit ")[1] for line in printed if "train.py fit" in line)
    run = build_trial(shlex.split(command))
    run.fit()
    rates = [group["lr"] for group in run.trainer.optimizers[0].param_groups]
    assert rates == pytest.approx([suggested / 2, suggested], rel=0.05)
    assert "lr 0.05" in fit_and_print(words, capsys)


def fit_and_print(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["fit", *words]) == 0
    return capsys.readouterr().out
