"""The overview comes from a light process: no PyTorch, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from cli.overview import CONFIGS, EXAMPLES, overview

ROOT = Path(__file__).parents[2]


def test_every_experiment_is_listed() -> None:
    text = overview("commands")
    assert text.startswith("commands")
    for path in [*CONFIGS.glob("*.yaml"), *EXAMPLES.glob("*/*.yaml")]:
        assert f"  {path.stem}" in text


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_command_the_overview_is_printed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words, "how to") == 0
    output = capsys.readouterr()
    assert output.out.startswith("how to")
    assert "Experiments" in output.out
    assert output.err == ""


@pytest.mark.parametrize("words", [[], ["fitt"], ["fit", "--config", "nowhere.yaml"]])
def test_pytorch_is_not_imported_for_it(words: list[str]) -> None:
    code = f"import sys, cli; cli.main({words!r}); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30).returncode
        == 0
    )


def test_a_first_sign_of_life_comes_before_pytorch(tmp_path: Path) -> None:
    """The imports take seconds; a torch that fails at once shows what came before it."""
    (tmp_path / "torch.py").write_text("raise SystemExit(7)")
    command = [sys.executable, str(ROOT / "train.py"), "fit", "--config", str(CONFIGS / "circles.yaml")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (7, "loading PyTorch and Lightning ...\n")
