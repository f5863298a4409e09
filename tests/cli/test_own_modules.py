"""A file of one's own that cannot be imported stops only the commands that need it, and is named there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import datamodules
import lit_models
from cli import main, own_modules
from cli.own_modules import defines, names_in

ROOT = Path(__file__).parents[2]
CIRCLES = [
    "--config",
    str(ROOT / "configs" / "circles.yaml"),
    "--trainer.max_epochs=1",
    "--diagnostics=false",
]
CIRCLES += ["--pictures=false", "--checkup=false", "--data.passes_per_epoch=2"]
NET = "from lit_models.mlp import LitMLP\n\nclass OwnNet(LitMLP):\n    pass\n"
NEEDS_PACKAGE = "import no_such_package\n" + NET
HALF_EDITED = NET + "    def forward(self, x\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, whose `lit_models` and `datamodules` count as parts of the packages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_modules, "broken", {})
    for package in (lit_models, datamodules):
        name = package.__name__
        (tmp_path / name).mkdir()
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / name)])
    yield tmp_path
    for name in [each for each in sys.modules if each.startswith(("lit_models.mine", "datamodules.mine"))]:
        del sys.modules[name]


@pytest.mark.parametrize("source", [NEEDS_PACKAGE, HALF_EDITED, "raise SystemExit\n" + NET])
def test_a_file_that_is_not_named_is_not_imported(
    source: str, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("lit_models", "datamodules"):
        (own_folder / folder / "mine_broken.py").write_text(source)
    assert main(["fit", *CIRCLES]) == 0
    assert "mine_broken" not in capsys.readouterr().err
    last = "runs/circles/version_0"
    assert main(["fit", "--resume", last, "--trainer.max_epochs=2"]) == 0
    assert main(["test", "--ckpt_path", last]) == 0
    assert not own_modules.broken


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (NEEDS_PACKAGE, "ModuleNotFoundError: No module named 'no_such_package'"),
        (HALF_EDITED, "SyntaxError: '(' was never closed"),
        ("1 / 0\n" + NET, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_is_needed_is_named(
    source: str, why: str, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "lit_models" / "mine_broken.py").write_text(source)
    Path("own.yaml").write_text("model: {class_path: OwnNet}\n")
    for words in (["--model=OwnNet"], ["--config", "own.yaml"]):
        assert main(["fit", *CIRCLES, *words]) == 2
        assert f"model: lit_models/mine_broken.py cannot be imported: {why}" in capsys.readouterr().err
    assert main(["fit", *CIRCLES, "--model=lit_models.mine_broken.OwnNet"]) in (1, 2)
    assert "mine_broken.py" in capsys.readouterr().err


def test_a_class_that_is_found_elsewhere_is_used_and_the_broken_file_is_named(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "lit_models" / "mine_broken.py").write_text(NEEDS_PACKAGE)
    (own_folder / "lit_models" / "mine_good.py").write_text(NET)
    with pytest.warns(UserWarning, match="left out: lit_models/mine_broken.py cannot be imported: Module"):
        assert main(["fit", *CIRCLES, "--model", "OwnNet"]) == 0
    saved = yaml.safe_load(Path("runs/circles/version_0/config.yaml").read_text())
    assert saved["model"]["class_path"] == "lit_models.mine_good.OwnNet"


def test_a_sweep_finds_each_of_its_models(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_folder / "lit_models" / "mine_good.py").write_text(NET)
    (own_folder / "lit_models" / "mine_broken.py").write_text(NEEDS_PACKAGE.replace("OwnNet", "Other"))
    assert main(["sweep", *CIRCLES, "--vary", "model=LitMLP,OwnNet"]) == 0
    assert "2 complete" in capsys.readouterr().out


def test_help_imports_no_file(own_folder: Path) -> None:
    (own_folder / "lit_models" / "mine_broken.py").write_text(NEEDS_PACKAGE)
    assert main(["fit", "--help"]) == 0
    assert own_modules.broken == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("class Net(Base):", True),
        ("    class Net:", True),
        ("Net = make()", True),
        ("from elsewhere import Net", True),
        ("from elsewhere import (\n    Other,\n    Net,\n)", True),
        ("import elsewhere as Net", True),
        ("class Network(Base):", False),
        ("# a class like Net", False),
        ("x = Net", False),
    ],
)
def test_which_files_define_a_class(source: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(source)
    assert defines(tmp_path / "file.py", ["Net"]) == found
    assert not defines(tmp_path / "file.py", [])


def test_names_come_from_words_and_from_configs_and_their_parts(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("class_path: InPart\ninit_args: {teacher: {class_path: Nested}}\n")
    (tmp_path / "all.yaml").write_text("# Comment\nmodel: part.yaml\ntrainer: {callbacks: [InList]}\n")
    words = [f"--config={tmp_path / 'all.yaml'}", "--model", "{class_path: Inline}", "--data=Given", "--x"]
    assert {name for word in words for name in names_in(word, set())} == {
        *("InPart", "Nested", "InList", "Inline", "Given")
    }
