"""What is offered for a word that is being typed; `test_completion_in_shells.py` presses TAB."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from cli.completion import complete
from cli.request import COMMANDS, STUDIES
from runtime.run_notes import add_tags
from runtime.trash import remove
from tests.handmade import make_run

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs/titanic_mlp.yaml")


@pytest.fixture(autouse=True)
def _some_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rings/version_0", "rings/version_1", "my 'first' try/version_0"):
        make_run(Path("runs") / name)
    add_tags(Path("runs/rings/version_0"), ["baseline"])
    make_run(Path("runs/gone/version_0"))
    remove(Path("runs/gone/version_0"))


def offered(*words: str) -> list[str]:
    return complete("zsh", words).splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["swe"], ["sweep"]),
        (["--comp"], ["--completion"]),
        (["--completion", ""], ["bash", "fish", "zsh"]),
        (["test", ""], ["my 'first' try", "rings", "runs/"]),
        (["test", "runs/"], ["runs/my 'first' try/", "runs/rings/"]),
        (["test", "runs/rings/"], ["runs/rings/version_0", "runs/rings/version_1"]),
        (["test", "rings", ""], []),
        (["compare", "rings", "r"], ["rings", "runs/"]),
        (["fit", "--resume", "ri"], ["rings"]),
        (["fit", "--resume=ri"], ["--resume=rings"]),
        (["predict", "--ckpt_path=runs/r"], ["--ckpt_path=runs/rings/"]),
        (["runs", "r"], ["restore", "rings", "rm"]),
        (["runs", "rm", "runs/rings/"], ["runs/rings/version_0", "runs/rings/version_1"]),
        (["runs", "restore", "runs/.trash/"], ["runs/.trash/gone/"]),
        (["runs", "--so"], ["--sort"]),
        (["runs", "--sort", "val/"], ["val/accuracy", "val/loss"]),
        (["runs", "--where", "val/l"], ["val/loss="]),
        (["runs", "--tag", ""], ["baseline"]),
        (["fit", "--config", CONFIG, "--model.hid"], ["--model.hidden_sizes"]),
        (["fit", "--config", CONFIG, "--data.b"], ["--data.batch_size"]),
        (["fit", "--config", CONFIG, "--model.optimizer.lr"], ["--model.optimizer.lr"]),
        (["fit", "--config", CONFIG, "--model.init", "x"], ["xavier"]),
        (["fit", "--config", CONFIG, "--model.init=x"], ["--model.init=xavier"]),
        (["fit", "--config", CONFIG, "--model.bias", ""], ["false", "true"]),
        (["fit", "--config", CONFIG, "--model.depth", ""], []),
        (["fit", "--trainer.max_ep"], ["--trainer.max_epochs"]),
        (["fit", "--monitor_mode", ""], ["max", "min"]),
        (["fit", "--model", "LitML"], ["LitMLP"]),
        (["fit", "--data", "Tit"], ["TitanicDataModule"]),
        (
            ["fit", "--model.optimizer", "Ada"],
            ["Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax"],
        ),
        (["fit", "--help", ""], ["trainer"]),
        (["fit", "--data.csv", "ta"], []),
        (["fit", "--config", "half.ya"], []),
        (["fit", "--config", "half.yaml", "--model.h"], []),
        (["sweep", "--config", CONFIG, "--vary", "model.dep"], ["model.depth="]),
        (["sweep", "--sweep.see"], ["--sweep.seeds"]),
        (["tune-lr", "--lo"], ["--low"]),
        (["nonsense", "x"], []),
        ([], []),
    ],
)
def test_what_is_offered(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_all_commands_and_configs() -> None:
    assert {*COMMANDS, *STUDIES} <= {*offered("")}
    assert str(ROOT / "configs/presets/gpu.yaml") in offered("fit", "--config", "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python train.py swe", ["sweep "]),
        ("python train.py test r", ["rings ", "runs/"]),
        ("python train.py test ", [r"my\ \'first\'\ try ", "rings ", "runs/"]),
        ("python train.py test runs/my\\ ", [r"runs/my\ \'first\'\ try/"]),
        ('python train.py test "runs/my ', [r"runs/my\ \'first\'\ try/"]),
        ("python train.py fit --resume=ri", ["rings "]),
        ("python train.py runs --where val/lo", ["val/loss="]),
        ("python train.py", []),
        ("", []),
    ],
)
def test_bash_gets_what_it_replaces(line: str, expected: list[str]) -> None:
    assert [each for each in complete("bash", [line]).split("\n") if each] == expected


@pytest.mark.parametrize("line", ["--completion", "--completion nu"])
def test_another_shell_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert "bash, fish, zsh" in capsys.readouterr().err


def test_pytorch_is_not_imported() -> None:
    words = ["--complete", "zsh", "fit", "--config", "configs/mnist_best.yaml", "--"]
    code = f"import sys, cli; cli.main({words!r}); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60).returncode
        == 0
    )
