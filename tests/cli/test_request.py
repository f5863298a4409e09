"""What is refused before PyTorch is imported, and how the words are completed."""

from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from cli import main
from cli.request import COMMANDS, STUDIES, Request, option_values, prepare, settings, take_option
from runtime.errors import UsageError


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config, and a run with a checkpoint, in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("model: LitMLP\n")
    Path("presets").mkdir()
    Path("presets/ddp.yaml").write_text("trainer:\n  devices: 2\n")
    Path("list.yaml").write_text("- 1\n- 2\n")
    Path("broken.yaml").write_text("model: [1, 2\n")
    Path("empty.yaml").write_text("")
    Path("misspelt.yaml").write_text("modle: LitMLP\n")
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
    folder = Path("runs/mine/version_3")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("model: LitMLP\n")
    (folder / "checkpoints/last.ckpt").touch()
    Path("lone.ckpt").touch()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fitt", "there is no command 'fitt'; did you mean 'fit'?"),
        ("predictt", "did you mean 'predict'?"),
        ("train", f"it can be: {', '.join(sorted([*COMMANDS, *STUDIES]))}"),
        ("--config x.yaml", "--config stands before the command; write: python train.py fit --config"),
        ("fit", "fit needs --config"),
        ("test", "test needs a run, python train.py test runs/.../version_N, or the name"),
        ("test --ckpt_path https://x.org/a.ckpt", "https://x.org/a.ckpt is an address; download the file"),
        (
            "fit --config mine.yaml --ckpt_path=s3://x/a.ckpt",
            "s3://x/a.ckpt is an address; download the file",
        ),
        ("test --config mine.yaml", "test needs a run"),
        ("fit mine", "mine follows no flag; write: python train.py fit --config mine"),
        ("fit titanic_mlp", "titanic_mlp follows no flag; write: python train.py fit --config "),
        ("test mine runs/mine/version_3", "test takes one run, and runs/mine/version_3 is a second one"),
        ("test mine --ckpt_path lone.ckpt", "mine and --ckpt_path both say which checkpoint to test"),
        (
            "test titanic_mlp",
            "this experiment has no run below runs yet; train one with: python train.py fit",
        ),
        ("predict mime", "mime does not exist; did you mean 'mine'?"),
        ("validate runs/mine/version_30", "the newest run of mine is runs/mine/version_3"),
        (f"test {'x' * 300}", f"{'x' * 100} cannot be read: File name too long"),
        ("fit --data TitanicDataModule", "fit needs --config"),
        ("fit --config", "--config needs a value"),
        ("fit --config --model LitMLP", "--config needs a value"),
        ("fit --config=", "--config needs a value"),
        ("fit --config configs/titanic_mpl.yaml", "configs/titanic_mlp.yaml'?"),
        ("fit --config list.yaml", "list.yaml holds [1, 2], not settings"),
        ("fit --config empty.yaml", "empty.yaml holds None, not settings"),
        ("fit --config broken.yaml", "broken.yaml is not YAML"),
        ("fit --config binary.yaml", "binary.yaml is not YAML"),
        ("fit --config misspelt.yaml", "misspelt.yaml: there is no setting 'modle'; did you mean 'model'?"),
        ("fit --config mine.yaml --modle.lr 3", "there is no flag --modle; did you mean '--model'?"),
        ("fit --config mine.yaml --verbose true", "there is no flag --verbose"),
        ("fit --config presets", "presets does not exist"),
        ("fit --resume", "--resume needs a value"),
        ("fit --resume=", "--resume needs a value"),
        ("fit --resume presets", "--resume presets is a folder without a run; give the folder of a run"),
        ("fit --resume lone.ckpt", "--resume lone.ckpt is a file; give the folder of its run"),
        ("fit --resume runs/nowhere", "runs/nowhere does not exist"),
        ("test --resume runs/mine/version_3", "--resume goes with fit, not with test"),
        (
            "fit --resume runs/mine/version_3 --ckpt_path x.ckpt",
            "--ckpt_path and --resume exclude each other",
        ),
        ("test --ckpt_path nowhere.ckpt", "--ckpt_path nowhere.ckpt does not exist"),
        ("test --ckpt_path runs", "--ckpt_path runs is a folder without a checkpoint"),
        (
            "test --ckpt_path lone.ckpt",
            "config.yaml does not exist, so the model is unknown; give its --config",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert message in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("form", ["--config mine.yaml", "--config=mine.yaml", "-c mine.yaml"])
def test_experiment_is_named_after_the_first_config_that_is_no_preset(form: str) -> None:
    request = prepare(["fit", "--config", "presets/ddp.yaml", *form.split()])
    assert request.experiment == "mine"
    assert request.run_folder is None


def test_resume_reads_the_runs_config_then_the_flags() -> None:
    request = prepare(["fit", "--resume", "runs/mine/version_3", "--trainer.max_epochs", "4"])
    folder = Path("runs/mine/version_3")
    assert request.run_folder == folder
    assert request.experiment == "mine"
    assert request.args == ["fit", f"--config={folder / 'config.yaml'}", "--trainer.max_epochs", "4"]


@pytest.mark.parametrize("form", ["--ckpt_path {}", "--ckpt_path={}"])
def test_evaluation_finds_the_config_beside_the_checkpoint(form: str) -> None:
    words = form.format("runs/mine/version_3/checkpoints/last.ckpt").split()
    request = prepare(["test", *words, "--data.batch_size", "3"])
    assert request.run_folder == Path("runs/mine/version_3")
    assert request.args[0] == "test"
    assert request.args[1] == f"--config={request.run_folder / 'config.yaml'}"
    assert request.args[-2:] == ["--data.batch_size", "3"]


def test_a_config_given_with_a_checkpoint_is_taken_instead() -> None:
    words = ["test", "--config", "mine.yaml", "--ckpt_path", "lone.ckpt"]
    assert prepare(words).args == words


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_settings_known_early_are_those_of_the_parser(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cli.build import Run, build

    made: list[ArgumentParser] = []

    def stop(run: Run, parser: ArgumentParser, args: list[str]) -> None:
        made.append(parser)
        raise SystemExit

    monkeypatch.setattr(Run, "parse_arguments", stop)
    with pytest.raises(SystemExit):
        build(Request(command, [command]))
    flags = made[0]._option_string_actions
    heads = {flag[2:].partition(".")[0].rstrip("+") for flag in flags if flag.startswith("--")}
    assert heads == set(settings(command))


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("", []),
        ("--a 1 --b 2", ["1"]),
        ("--a=1 --a=2", ["1", "2"]),
        ("--ab 1", []),
        ("--a.b 1", []),
        ("--b --a=x=y", ["x=y"]),
    ],
)
def test_option_values(line: str, values: list[str]) -> None:
    assert option_values(line.split(), "--a") == values


def test_take_option() -> None:
    assert take_option(["--x", "1", "--a", "2", "--y"], "--a") == ("2", ["--x", "1", "--y"])
    assert take_option(["--x", "1", "--a=2", "--y"], "--a") == ("2", ["--x", "1", "--y"])
    assert take_option(["--x", "1"], "--a") == (None, ["--x", "1"])
    with pytest.raises(UsageError, match="--a needs a value"):
        take_option(["--x", "--a"], "--a")


@pytest.mark.parametrize(("best", "name"), [(True, "best.ckpt"), (False, "last.ckpt")])
@pytest.mark.parametrize("words", ["--ckpt_path runs/mine/version_3", "--ckpt_path=runs/mine/version_3/"])
def test_a_runs_folder_stands_for_its_best_checkpoint(words: str, best: bool, name: str) -> None:
    folder = Path("runs/mine/version_3")
    if best:
        (folder / "checkpoints/best.ckpt").touch()
    request = prepare(["test", *words.split(), "--debug"])
    assert request.run_folder == folder
    assert option_values(request.args, "--ckpt_path") == [str(folder / "checkpoints" / name)]
    assert "--debug" in request.args


def test_a_folder_without_a_checkpoint_is_called_one() -> None:
    with pytest.raises(UsageError, match="--ckpt_path presets is a folder without a checkpoint"):
        prepare(["test", "--ckpt_path", "presets"])
