"""`--help` lists what an experiment can be set to, first its own options, without PyTorch and as the parser has them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from cli.build import Run, build
from cli.help import in_words
from cli.options import FROM_DATA, own_options, parts, settings_of, trainer_options
from cli.private import flags_of
from cli.request import COMMANDS, STUDIES, Request
from cli.usage import USAGES
from tests.handmade import make_run

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
OF_LIGHTNING = {"config", "ckpt_path", "model", "data", "print_config", "weights_only", "verbose"}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "110")


def text_of(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(line.split()) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def flags_in(text: str) -> list[str]:
    """The flags that have a line of their own, in order."""
    return re.findall(r"^  --(\S+)", text, re.MULTILINE)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_options_are_those_of_the_parser_with_its_values(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every setting that `--print_config` writes below model and data has a line, with the same value."""
    import yaml

    from runtime.old_runs import flat, is_same

    assert main(["fit", "--config", f"configs/{name}.yaml", "--print_config"]) == 0
    parsed = flat(yaml.safe_load(capsys.readouterr().out))
    given = {name: value for name, value in parsed.items() if name.startswith(("model.", "data."))}
    found = {
        option.name: option.value
        for part in parts(settings_of("fit", ["--config", f"configs/{name}.yaml"]))
        for option in part.options
    }
    lacking = {
        each for each in given if not any(each == known or each.startswith(f"{known}.") for known in found)
    }
    assert lacking == set()
    other = {
        each: (value, found[each])
        for each, value in given.items()
        if each in found and not is_same(value, found[each])
    }
    assert {each for each in other if not isinstance(found[each], dict)} == set()


def test_the_flags_of_the_project_and_of_the_trainer_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def stop(run: Run, parser: object, args: list[str]) -> None:
        made.append(parser)
        raise SystemExit

    monkeypatch.setattr(Run, "parse_arguments", stop)
    with pytest.raises(SystemExit):
        build(Request("fit", ["fit"]))
    flags = {flag[2:] for flag in flags_of(made[0]) if not flag.endswith((".help", "+"))}
    known = {option.name for option in (*own_options({}), *trainer_options({}))}
    assert {flag for flag in flags if "." not in flag} - OF_LIGHTNING - {"trainer"} == {
        each for each in known if "." not in each
    }
    assert {flag for flag in flags if flag.startswith("trainer.") and flag.count(".") == 1} == {
        each for each in known if "." in each
    }


@pytest.mark.parametrize("command", ["fit", "check", "sweep", "tune-lr", "validate"])
def test_the_experiments_own_options_come_first(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(f"{command} --config configs/titanic_mlp.yaml --model.optimizer.lr 0.2 --help", capsys)
    flags = flags_in(text)
    assert flags[0] == "model.hidden_sizes"
    assert (
        flags.index("model.optimizer.lr") < flags.index("data.batch_size") < flags.index("trainer.max_epochs")
    )
    assert "  --model.hidden_sizes [2] " in text
    assert "  --model.optimizer.lr 0.2 " in text
    assert "Units of each hidden layer (list of whole numbers, default [100])" in " ".join(text.split())
    assert not any(flag.rpartition(".")[2] in FROM_DATA for flag in flags)
    assert text.startswith(f"python train.py {command} ")
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) < 160


def test_without_a_config_it_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of("fit --help", capsys)
    assert len(text.splitlines()) < 70
    assert "python train.py fit --config configs/titanic_mlp.yaml --help" in text
    assert text_of("fit -h", capsys) == text
    assert "trainer.max_epochs" in flags_in(text)
    assert not any(flag.startswith(("model.", "data.")) for flag in flags_in(text))


@pytest.mark.parametrize(
    "line", ["fit --help trainer", "fit --help=trainer", "sweep -h trainer", "test --help trainer"]
)
def test_all_options_of_the_trainer(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = flags_in(text_of(line, capsys))
    assert len(flags) > 35
    assert all(flag.startswith("trainer.") for flag in flags)


def test_classes_named_by_flags_and_added_options(capsys: pytest.CaptureFixture[str]) -> None:
    line = "fit --model LitConvNet --data=MNISTDataModule --model.optimizer SGD --model.scheduler OneCycleLR --help"
    flags = flags_in(text_of(line, capsys))
    for flag in ("model.optimizer.momentum", "model.scheduler.max_lr", "data.subset"):
        assert flag in flags
    assert "model.optimizer.betas" not in flags
    assert "sweep.seeds" in flags_in(text_of("sweep --config configs/rings.yaml --help", capsys))


def test_another_class_does_not_keep_the_values_of_the_one_before() -> None:
    words = ["--config", "configs/titanic_mlp.yaml", "--model", "LitLinear"]
    assert "model.hidden_sizes" not in settings_of("fit", words)
    same = ["--config", "configs/titanic_mlp.yaml", "--model", "lit_models.LitMLP"]
    assert settings_of("fit", same)["model.hidden_sizes"] == [2]


def test_the_options_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/mine/version_0"), depth=7)
    for line in (
        "test mine --help",
        "predict runs/mine/version_0 -h",
        "test --ckpt_path=mine --help",
        "fit --resume mine --help",
    ):
        assert "  --model.depth 7 " in text_of(line, capsys)


def test_a_class_from_elsewhere_is_left_to_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of("fit --model nowhere.Mine --data TitanicDataModule --help", capsys)
    assert "its options: python train.py fit --model.help nowhere.Mine" in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fit --help trainre", "there is no help about 'trainre'; --help trainer lists"),
        ("fit --config nowhere.yaml --help", "--config nowhere.yaml does not exist"),
        ("fit --config --help", "--config needs a value"),
    ],
)
def test_what_is_wrong(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", USAGES)
def test_every_command_has_some_and_names_only_itself(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = text_of(f"{command} --help", capsys)
    assert text.startswith(f"python train.py {command}")
    assert set(USAGES) <= {*COMMANDS, *STUDIES}


def test_pytorch_is_not_imported() -> None:
    words = ["fit", "--config", "configs/mnist_best.yaml", "--help"]
    code = f"import sys, cli; cli.main({words!r}); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("int", "whole number"),
        ("int | None", "whole number or null"),
        ("Optional[Union[int, float]]", "whole number, number or null"),
        ("Literal['min', 'max'] | None", "min, max or null"),
        ("list[str] | str | None", "list of texts, text or null"),
        ("Sequence[int]", "list of whole numbers"),
        ("OptimizerCallable", ""),
        ("", ""),
    ],
)
def test_a_type_in_words(kind: str, words: str) -> None:
    assert in_words(kind) == words
