"""docs/course.md: every command works, and shows what its question is answered by.

The runs are as short as possible, one for each config; digits are small generated images. The page's figures come from
complete runs; tests/test_configs.py checks some of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import main
from cli.request import prepare
from cli.sweep import read_plan
from tests.test_configs import QUIET, data_flags

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "course.md").read_text(encoding="utf-8")
SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.log_every_n_steps=1", *QUIET]
COMMAND = r"python train\.py [^`\n]+"
SECTIONS = ("Every weight", "Layers", "Curves", "Findings", "Result")  # of a run's page


@dataclass(frozen=True)
class Question:
    """One question of the page: its commands, where to look, and what to change."""

    title: str
    commands: list[str]
    see: str
    change: str

    @property
    def config(self) -> Path:
        """Of the run that answers it."""
        return ROOT / re.findall(r"configs/\w+\.yaml", self.commands[0])[0]


def questions() -> list[Question]:
    """All of the page, in its order."""
    found = []
    for title, body in re.findall(r"^### (.+?)\n(.+?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL):
        (block,), (see,), (change,) = (
            re.findall(pattern, body, re.DOTALL)
            for pattern in (r"```\n(.*?)```", r"\*\*See\*\*(.*?)- \*\*Conclude", r"\*\*Change\*\*(.*)")
        )
        found.append(Question(title, block.splitlines(), see, change))
    return found


QUESTIONS = questions()
FITS = [each for each in QUESTIONS if each.commands[0].split()[2] == "fit"]
CONFIGS = sorted({each.config for each in FITS})
CHANGES = [(each.config.stem, flags) for each in FITS for flags in re.findall(r"`(--[^`]+)`", each.change)]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run leaves its folder in the environment, for the other processes of its training."""
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")
    monkeypatch.delenv("LIGHTNING_INSIDE_RUN")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mnist_dir: str) -> Iterator[Path]:
    """A folder with a short run of every config of the course."""
    folder = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for config in CONFIGS:
            patch.delenv("LIGHTNING_INSIDE_RUN", raising=False)
            assert main(["fit", f"--config={config}", *data_flags(config, mnist_dir), *SHORT]) == 0
        yield folder


def words_of(command: str) -> list[str]:
    """The words of a command after `train.py`."""
    return command.split()[2:]


def test_every_lesson_is_there() -> None:
    assert [int(number) for number in re.findall(r"^## (\d)\. ", TEXT, re.MULTILINE)] == [1, 2, 3, 4, 5]
    assert len(QUESTIONS) == TEXT.count("\n### ") >= 20


@pytest.mark.parametrize("question", FITS, ids=lambda each: each.title)
def test_a_question_is_answered_by_what_its_command_shows(question: Question, trained: Path) -> None:
    run = trained / "runs" / question.config.stem / "version_0"
    drawn = {re.sub(r"_\d{6,}\.png$", "", path.name) for path in (run / "pictures").iterdir()}
    named = set(re.findall(r"`([a-z_]+/[\w.]+)`", question.see))
    assert {tag.replace("/", "_") for tag in named} <= drawn
    page = (run / "report.html").read_text(encoding="utf-8")
    parts = [name for name in SECTIONS if f"*{name}*" in question.see]
    assert named or parts
    for name in parts:
        body = page.partition(f"<h2>{name}</h2>")[2].partition("</section>")[0]
        assert re.search("<table|data-chart|<svg|<figure|class=", body), name


@pytest.mark.parametrize(("config", "flags"), CHANGES)
def test_a_change_is_understood(config: str, flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", f"--config={ROOT / 'configs' / config}.yaml", *flags.split()]
    assert main([*words, "--print_config"]) == 0


@pytest.mark.parametrize("command", sorted(set(re.findall(COMMAND, TEXT))))
def test_every_command_is_understood(command: str, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that train are read only; the others work on the runs of this test."""
    words = words_of(command)
    if words[0] in ("fit", "sweep", "watch"):
        monkeypatch.chdir(ROOT)
    if words[0] == "fit":
        assert main([*words, "--print_config"]) == 0
    elif words[0] == "sweep":
        assert len(list(read_plan(words[1:]).axes)) > 1
    elif words[0] == "watch":
        if words[-1] != "...":
            assert prepare(["fit", *words[1:]]).experiment
    elif words != ["report", "RUN", "RUN"]:
        monkeypatch.chdir(trained)
        assert main([*words, *QUIET] if words[0] == "test" else words) == 0
