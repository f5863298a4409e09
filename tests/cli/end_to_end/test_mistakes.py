"""What is said of a wrong flag, config or model, and with which exit code."""

from pathlib import Path

import pytest

from cli import main
from tests.cli.end_to_end.commands import BEST, FIT, OWN_MODEL, run


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model LitMPL", "model: there is no class 'LitMPL'; did you mean 'LitMLP'?"),
        (
            "--data TitanicDatModule",
            "there is no class 'TitanicDatModule'; did you mean 'TitanicDataModule'?",
        ),
        ("--model.hidden_size 3", "model: there is no option 'hidden_size'; did you mean 'hidden_sizes'?"),
        ("--model.hidden_sizes 3", "model.hidden_sizes: expected list of int, not 3; write [3]"),
        ("--trainer.precision fp16", "bf16; did you mean 16-mixed?"),
        ("--monitor accuracy", "--monitor accuracy is not measured; did you mean 'val/accuracy'?"),
        ("--model.hidden_sizes a", "model.hidden_sizes: expected list of int, not a"),
        ("--model.hidden_sizes [0]", "layer sizes are [2, 0, 1]; each must be at least 1"),
        ("--model.depth x", "model.depth: expected int, not x"),
        ("--model.activation rellu", "model.activation: 'rellu' is not one of sigmoid, tanh, relu"),
        ("--monitor val/acuracy", "--monitor val/acuracy is not measured; did you mean 'val/accuracy'?"),
        ("--trainer.devices 99", "--trainer.devices is 99, but this machine has no GPU and"),
        ("--model.optimizer Adamm", "there is no class 'Adamm'; did you mean 'Adam'?"),
        ("--model.optimizer SGD --model.optimizer.lrr 1", "there is no option 'lrr'; did you mean 'lr'?"),
        ("--model.optimizer.lr fast", "expected float, not fast"),
        ("--model.scheduler OneCycl", "there is no class 'OneCycl'; did you mean 'OneCycleLR'?"),
        ("--model LitConvNet", "LitConvNet wants images, in_shape [C, H, W]"),
        ("--model nothing.Tiny", "model: there is no module 'nothing'; it has to be installed"),
        ("--model lit_models.Nope", "model: there is no 'Nope' in lit_models; it can be: LitAutoencoder"),
        ("--trainer.callbacks+=torch.nn.Linear", "trainer.callbacks: torch.nn.Linear is no Callback"),
        ("--data.batch_size 0", "data.batch_size is 0; it must be at least 1"),
        ("--data.features [mael]", "data.features: there is no 'mael'; did you mean [male]?"),
        ("--data.train_csv nowhere.csv", "cannot read the table nowhere.csv"),
        (
            "--trainer.max_epoch 3",
            "there is no flag --trainer.max_epoch; did you mean '--trainer.max_epochs'?",
        ),
        ("--trainer.max_epochs many", "trainer.max_epochs: expected int, not many"),
        ("--trainer.precision 17", "trainer.precision: '17' is not one of"),
        (
            "--trainer.callbacks+=EarlyStoping",
            "there is no class 'EarlyStoping'; did you mean 'EarlyStopping'?",
        ),
        (
            "--trainer.logger [CSVLoger]",
            "trainer.logger: there is no class 'CSVLoger'; did you mean 'CSVLogger'?",
        ),
        (
            "--model.scheduler ReduceLROnPlateau --model.scheduler.monitor val/los",
            "monitor val/los is not measured",
        ),
        (
            "--model.scheduler ReduceLROnPlateau --trainer.limit_val_batches 0",
            "the schedule ReduceLROnPlateau follows val/loss, but this training has no validation; let it follow",
        ),
        ("--trainer.logger abc", "trainer.logger: expected bool or a Logger, as its name or as class_path"),
        (
            "--trainer.logger [WandbLogger]",
            "the logger WandbLogger() does not work: Requirement 'wandb>=0.12.10' not met. HINT: Try running `pip",
        ),
        ("--seed_everything a", "seed_everything: expected bool or int, not a"),
        ("--confg x", "there is no flag --confg; did you mean '--config'?"),
        ("extra", "extra belongs to no flag"),
    ],
)
def test_a_wrong_flag_is_named_in_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(Path("runs").rglob("*")) if "csv" not in words else None
    assert main([*FIT, *words.split()]) == 2
    complaint = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error", " "))]
    assert len(complaint) == 1
    assert message in complaint[0]
    assert before is None or list(Path("runs").rglob("*")) == before


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_flag_that_contradicts_the_checkpoint_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--ckpt_path", BEST, "--model.hidden_sizes", "[5]"]) == 2
    assert "model.hidden_sizes is [5], and [4] in the checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["--trainer.accelerator xpu9", "--trainer.strategy dpp", "--run_name ../up", "--run_name /up"]
)
def test_a_wrong_flag_of_the_trainer_leaves_no_folder(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = list(Path("runs").rglob("version_*"))
    assert main([*FIT, *words.split()]) == 2
    assert list(Path("runs").rglob("version_*")) == before
    assert not Path("up").exists()


def test_no_model_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    Path("modelless.yaml").write_text("trainer: {max_epochs: 1}")
    assert main(["fit", "--config", "modelless.yaml"]) == 2
    assert "error: the config has no model; add --model" in capsys.readouterr().err


def test_nothing_trained_promises_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no checkpoint was saved" in run([*FIT, "--run_name", "none", "--trainer.max_epochs", "0"], capsys)


def test_no_data_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--model", "LitMLP"]) == 2
    assert "error: the config has no data; add --data" in capsys.readouterr().err


BROKEN_MODEL = OWN_MODEL.replace(
    "        return torch.nn.functional", "        return 1 / 0 * torch.nn.functional"
)


def test_a_failure_has_code_1_and_debug_lets_the_traceback_through(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("broken_model.py").write_text(BROKEN_MODEL)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    words = [*FIT, "--run_name", "broken", "--model", "broken_model.Tiny"]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "error: ZeroDivisionError: division by zero" in error
    assert "--debug shows where" in error
    assert "Traceback" not in error
    with pytest.raises(ZeroDivisionError):
        main([*words, "--debug"])
