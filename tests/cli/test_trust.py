"""Whose configs may import code: a run from elsewhere is asked for, one's own is not."""

from pathlib import Path

import pytest
import yaml

from cli import main
from cli.request import comparison_requests, prepare
from cli.trust import ALLOWED, foreign_names, has_mark, user_key, with_mark
from runtime.errors import UsageError

CONFIGS = Path(__file__).parents[2] / "configs"
CODE = """
from pathlib import Path
from lit_models import LitLinear

Path("imported").touch()

class Mine(LitLinear):
    pass
"""
WORDS = [
    "--data=TitanicDataModule",
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=1",
    "--pictures=false",
]
FOREIGN = "model:\n  class_path: code_of_theirs.Mine\n"
RUN = Path("runs/theirs/version_0")
COMMANDS = [
    ["test", f"--ckpt_path={RUN}"],
    ["predict", f"--ckpt_path={RUN / 'checkpoints/best.ckpt'}"],
    ["validate", f"--ckpt_path={RUN}"],
    ["fit", "--resume", str(RUN)],
]


@pytest.fixture(autouse=True)
def _their_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder that was downloaded, and its code, which can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    Path("code_of_theirs.py").write_text(CODE)
    (RUN / "checkpoints").mkdir(parents=True)
    (RUN / "checkpoints/best.ckpt").touch()
    (RUN / "config.yaml").write_text(FOREIGN)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_asks_before_it_imports(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"{RUN / 'config.yaml'} was not written by you here" in said
    assert "code_of_theirs.Mine" in said
    assert "--trust" in said
    assert not Path("imported").exists()
    assert prepare([*command, "--trust"]).imports is None  # accepted ...
    assert prepare(command).imports is None  # ... once
    text = (RUN / "config.yaml").read_text()
    (RUN / "config.yaml").write_text(text.replace("Mine", "Other"))
    with pytest.raises(UsageError, match=r"code_of_theirs\.Other"):
        prepare(command)


def test_compare_asks_for_either_run() -> None:
    with pytest.raises(UsageError, match="add --trust"):
        comparison_requests([str(RUN), str(RUN)])
    assert comparison_requests([str(RUN), str(RUN), "--trust"])[1].imports is None


def test_a_run_of_ones_own_is_never_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert main(["fit", "--model=code_of_theirs.Mine", *WORDS, "--run_name=mine"]) == 0
    folder = Path("runs/mine/version_0")
    assert main(["test", f"--ckpt_path={folder}"]) == 0
    assert main(["fit", "--resume", str(folder), "--trainer.max_epochs=2"]) == 0
    assert (
        main(["test", f"--ckpt_path={folder.rename('elsewhere')}"]) == 0
    )  # the mark is of the text, not the place
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "of another user"))
    assert main(["test", "--ckpt_path=elsewhere"]) == 2
    assert main(["test", "--ckpt_path=elsewhere", "--trust"]) == 0
    assert main(["test", "--ckpt_path=elsewhere"]) == 0


def test_a_restarted_job_is_never_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    command = ["fit", "--model=code_of_theirs.Mine", "--data=TitanicDataModule"]
    note = prepare(command).job_file
    assert note is not None
    note.parent.mkdir(parents=True)
    note.write_text(str(RUN))
    assert prepare(command).run_folder == RUN
    assert prepare(command).imports is None


def test_a_run_with_classes_of_this_repository_has_no_mark_and_imports_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "--model=LitLinear", *WORDS, "--run_name=plain"]) == 0
    folder = Path("runs/plain/version_0")
    assert "# written by" not in (folder / "config.yaml").read_text()
    assert main(["test", f"--ckpt_path={folder}"]) == 0
    typed = ["--trainer.callbacks+=Timer", "--model=code_of_theirs.Mine"]
    imports = prepare(["test", f"--ckpt_path={folder}", *typed]).imports
    assert imports is not None
    assert {*ALLOWED, "code_of_theirs.Mine"} <= {*imports}
    nested = {
        "model": "{class_path: code_of_theirs.Mine}",
        "trainer": {"max_epochs": 1},
    }  # the parser reads it as YAML
    (folder / "config.yaml").write_text(yaml.safe_dump(nested))
    capsys.readouterr()
    assert main(["test", f"--ckpt_path={folder}"]) == 2
    assert "code_of_theirs.Mine is code from elsewhere" in capsys.readouterr().err
    assert not Path("imported").exists()
    assert prepare(["test", f"--ckpt_path={folder}", "--trust"]).imports is None
    assert prepare(["test", f"--ckpt_path={folder}"]).imports is None


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_experiments_need_no_mark(path: Path) -> None:
    assert with_mark(path.read_text(encoding="utf-8")) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("lit_models.LitMLP", []),
        ("pytorch_lightning.callbacks.Timer", []),
        ("torch.optim.Adam", []),
        ("torch.hub.load", ["torch.hub.load"]),
        ("os.system", ["os.system"]),
        ({"a": [{"class_path": "subprocess.Popen"}]}, ["subprocess.Popen"]),
        ("__main__.Net", ["__main__.Net"]),
        ("no_such_module.Net", []),  # nothing can be run
        ("test.csv", []),
        ("val/loss", []),
        ("layers.0.weight", []),
        (3.5, []),
        ({"metrics": {"os.Mine": {}, "torchmetrics.text.Perplexity": {}, "head.weight": {}}}, ["os.Mine"]),
    ],
)
def test_what_counts_as_code_from_elsewhere(value: object, names: list[str]) -> None:
    assert list(foreign_names(value)) == names


def test_the_key_is_readable_by_nobody_else_and_stays() -> None:
    key = user_key(create=True)
    assert key is not None
    assert len(key) == 32
    assert user_key(create=True) == key
    (file,) = Path("settings/lightning-inside").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_where_no_settings_can_be_kept_the_key_lies_in_the_clone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cli.trust.CLONE", tmp_path)
    Path("settings").write_text("a file, so no folder can be made")
    assert user_key(create=True) == (tmp_path / ".key").read_bytes()
    (tmp_path / ".key").unlink()
    monkeypatch.setattr("cli.trust.CLONE", tmp_path / "settings")
    assert user_key(create=True) is None
    assert with_mark(FOREIGN) == FOREIGN


def test_a_mark_of_another_key_or_text_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = with_mark(FOREIGN)
    assert has_mark(marked)
    assert not has_mark(FOREIGN)
    assert not has_mark("trainer: null\n" + marked)
    assert not has_mark(marked.replace("Mine", "Fine"))
    assert not has_mark(FOREIGN + "# written by this user: ä")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path("elsewhere").absolute()))
    assert not has_mark(marked)
