"""TAB in real shells: each is started in a terminal of its own, and the keys are pressed."""

import os
import pty
import re
import select
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.executable).parent
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SET_UP = {
    "bash": "PS1='$ '; bind 'set enable-bracketed-paste off'; source <(python {path} --completion bash)",
    "zsh": "PS1='$ '; unsetopt beep; autoload -Uz compinit; compinit -u -D; source <(python {path} --completion zsh)",
    "fish": "function fish_prompt; echo '$ '; end; python {path} --completion fish | source",
}
SECONDS = 30.0  # on a busy machine
CODES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[\[(][0-9;?>=]*[A-Za-z]?|\x1b[=>]|[\x00-\x08\x0e-\x1f]"
)


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, shell: str, folder: Path) -> None:
        environment = {
            "PATH": f"{PYTHON}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "dumb" if shell == "bash" else "xterm",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
        }
        self.process, self.file = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execvpe(shell, START[shell], environment)
        self.text = ""

    def press(self, keys: str) -> None:
        os.write(self.file, keys.encode())

    def wait_for(self, pattern: str) -> str:
        """What was printed since the last call, once it has the pattern."""
        deadline = time.monotonic() + SECONDS
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self.file], [], [], 0.2)
            if ready:
                self.text += CODES.sub("", os.read(self.file, 65536).decode(errors="replace"))
            if time.monotonic() > deadline:
                pytest.fail(f"{pattern!r} did not come up in {self.text[-600:]!r}")
        found, self.text = self.text, ""
        return found

    def close(self) -> None:
        os.close(self.file)
        os.kill(self.process, 9)
        os.waitpid(self.process, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs, one of them with a name that needs quotes, and another program called train.py."""
    folder = tmp_path_factory.mktemp("shells")
    for name in ("rings/version_0", "rings/version_1", "my 'first' try/version_0"):
        (folder / "runs" / name / "checkpoints").mkdir(parents=True)
    (folder / "table.csv").touch()
    (folder / "other").mkdir()
    (folder / "other/train.py").write_text("raise SystemExit(open('was_run', 'w').close())")
    return folder


@pytest.fixture(params=START, scope="module")
def press_tab(request: pytest.FixtureRequest, folder: Path) -> Iterator[Callable[[str, str], str]]:
    """Type words after `train.py`, press TAB, and wait for a pattern in the line that follows from it."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    terminal = Terminal(shell, folder)
    terminal.press(SET_UP[shell].format(path=shlex.quote(str(ROOT / "train.py"))) + "; echo rea''dy\n")
    terminal.wait_for("ready")

    def press(words: str, pattern: str, script: object = ROOT / "train.py") -> str:
        terminal.press(f"\x15python {script} {words}")  # after clearing the line
        terminal.wait_for(f"{re.escape(words[-1])}")
        terminal.press("\t")
        return terminal.wait_for(pattern)

    yield press
    terminal.close()


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("swee", "p"),
        ("test ri", "ngs"),
        ("test runs/ri", "ngs/"),
        ("compare rings runs/m", "first"),
        ("fit --resume=ri", "ngs"),
        (f"fit --config {ROOT}/configs/titanic_mlp.yaml --model.hid", "den_sizes"),
        ("predict rings --data.csv ta", "ble\\.csv"),
    ],
)
def test_what_is_typed_is_completed(press_tab: Callable[[str, str], str], words: str, pattern: str) -> None:
    press_tab(words, pattern)


def test_another_program_of_that_name_is_not_run(press_tab: Callable[..., str], folder: Path) -> None:
    press_tab("ta", "ble\\.csv", "other/train.py")
    assert not (folder / "was_run").exists()
