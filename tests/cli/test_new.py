"""`train.py new`: a copy of an example that trains at once, in files that did not exist."""

import shutil
from pathlib import Path

import pytest

from cli import main, new
from cli.new import example_names, renamed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples and their tests, in the place of this repository."""
    for name in ("examples", "tests/examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(new, "EXAMPLES", tmp_path / "examples")
    monkeypatch.setattr(new, "TESTS", tmp_path / "tests" / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("example", example_names())
def test_a_copy_mentions_its_own_name_only(example: str, clone: Path) -> None:
    assert main(["new", "mine", "--like", f"examples/{example}"]) == 0
    made = [*(clone / "examples/mine").rglob("*"), clone / "tests/examples/test_mine.py"]
    assert clone / "examples/mine/mine.yaml" in made
    assert {path.name for path in made} >= {"model.py", "test_mine.py"}
    for path in made:
        text = path.read_text()
        for part in ("examples.", "examples/", "/"):
            assert f"{part}{example}." not in text, path
            assert f"{part}{example}/" not in text, path
        if path.suffix == ".py":
            compile(text, str(path), "exec")


def test_a_copy_trains(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["new", "new_labels", "--like", "examples/multi_label"]) == 0
    import examples

    monkeypatch.setattr(examples, "__path__", [str(clone / "examples")])
    words = ["--trainer.max_epochs=1", "--pictures=false", "--checkup=false"]
    assert main(["fit", "--config=examples/new_labels/new_labels.yaml", *words]) == 0
    assert (clone / "runs/new_labels/version_0/checkpoints/best.ckpt").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gan", "--like", "examples/vae"], "examples/gan exists; choose another name"),
        (["mine", "--like", "examples/gann"], "there is no such example; did you mean 'gan'?"),
        (["mine"], "new takes one name and an example"),
        (["--like", "examples/gan"], "new takes one name and an example"),
        (["my-net", "--like", "gan"], "my-net cannot be the name of a module"),
        (["class", "--like", "gan"], "class cannot be the name of a module"),
        (["../up", "--like", "gan"], "../up cannot be the name of a module"),
    ],
)
def test_what_cannot_be_copied_is_refused(
    words: list[str], message: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(clone.rglob("*"))
    assert main(["new", *words]) == 2
    assert message in capsys.readouterr().err
    assert sorted(clone.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from examples.gan.data import x", "from examples.mine.data import x"),
        ("fit --config examples/gan/gan.yaml", "fit --config examples/mine/mine.yaml"),
        ('trained_and_tested("gan")', 'trained_and_tested("mine")'),
        ("class LitGAN: an elegant organ", "class LitGAN: an elegant organ"),
    ],
)
def test_only_paths_and_names_change(text: str, expected: str) -> None:
    assert renamed(text, "gan", "mine") == expected
