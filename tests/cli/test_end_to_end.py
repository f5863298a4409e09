"""Whole runs: what they print, what they leave behind, and that all of it can be repeated."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cli import main
from lit_models import LitMLP

Start = Callable[..., "subprocess.Popen[str]"]

FIT = ["fit", "--config", "quick.yaml"]
RUN = Path("runs/quick/version_0")
BEST = str(RUN / "checkpoints/best.ckpt")


@pytest.fixture(scope="module", autouse=True)
def inside(workplace: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards
        yield


@pytest.fixture(scope="module")
def table(inside: None, request: pytest.FixtureRequest) -> str:
    """Train once for all tests of this file; what was printed."""
    manager = request.config.pluginmanager.getplugin("capturemanager")
    with manager.global_and_fixture_disabled(), pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **kwargs: lines.append(" ".join(map(str, words))))
        assert main(FIT) == 0
    return "\n".join(lines)


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that should succeed; what it printed."""
    code = main(words)
    output = capsys.readouterr()
    assert code == 0, output.err
    return output.out


def row(text: str, name: str) -> str:
    """The value that a closing table gives to a name."""
    found = [
        line.split(None, len(name.split()))[-1] for line in text.splitlines() if line.startswith(f"  {name} ")
    ]
    assert len(found) == 1, f"{name} in\n{text}"
    return found[0]


def newest(experiment: str) -> Path:
    return max(Path("runs", experiment).iterdir(), key=lambda path: int(path.name.removeprefix("version_")))


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


# fit


@pytest.mark.usefixtures("table")
def test_fit_leaves_what_it_promises() -> None:
    names = {str(path.relative_to(RUN)) for path in RUN.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)


@pytest.mark.usefixtures("table")
def test_tensorboard_has_the_tags() -> None:
    events = EventAccumulator(str(RUN))
    events.Reload()
    assert {"train/loss", "val/loss", "val/accuracy"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("train/loss")) == 24  # 2 epochs of 12 steps
    assert len(events.Scalars("val/loss")) == 2


@pytest.mark.usefixtures("table")
def test_metrics_csv_has_the_same_figures() -> None:
    metrics = pd.read_csv(RUN / "metrics.csv")
    assert metrics["train/loss"].notna().sum() == 24
    assert metrics["val/loss"].notna().sum() == 2


def test_the_closing_table_has_the_commands_that_go_on(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    best = pd.read_csv(RUN / "metrics.csv")["val/loss"].min()
    assert float(row(table, "val/loss")) == pytest.approx(best, abs=1e-6)
    assert row(table, "run folder") == str(RUN)
    assert row(table, "look inside") == "tensorboard --logdir runs"
    command = row(table, "test it")
    assert command == f"python train.py test --ckpt_path {BEST}"
    tested = run(command.split()[2:], capsys)  # the held-out fold is both validation and test split
    assert row(tested, "test/loss") == row(table, "val/loss")
    assert row(tested, "test/accuracy") == row(table, "val/accuracy")


@pytest.mark.usefixtures("table")
def test_the_saved_config_repeats_the_run() -> None:
    assert main(["fit", "--config", str(RUN / "config.yaml")]) == 0
    assert newest("quick") != RUN
    assert_same_weights(weights(newest("quick")), weights(RUN))


@pytest.mark.usefixtures("table")
def test_another_seed_gives_other_weights() -> None:
    assert main([*FIT, "--seed_everything", "1", "--run_name", "seed_1"]) == 0
    first = next(name for name in weights(RUN) if name.endswith("weight"))
    assert not torch.equal(weights(Path("runs/seed_1/version_0"))[first], weights(RUN)[first])


def test_short_names_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    words = "fit --model LitMLP --model.hidden_sizes [3] --data TitanicDataModule --data.features [male]"
    words += (
        " --model.optimizer SGD --model.optimizer.lr 0.5 --trainer.max_epochs 1 --trainer.accelerator cpu"
    )
    run(words.split(), capsys)
    config = yaml.safe_load(Path("runs/LitMLP/version_0/config.yaml").read_text())
    assert config["model"]["init_args"]["hidden_sizes"] == [3]
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.5
    assert weights(Path("runs/LitMLP/version_0"))["layers.0.weight"].shape == (3, 1)


def test_one_cycle_by_flag(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        *FIT,
        "--run_name",
        "cycle",
        "--model.scheduler",
        "OneCycleLR",
        "--model.scheduler.max_lr",
        "0.1",
    ]
    run(words, capsys)
    states = torch.load("runs/cycle/version_0/checkpoints/last.ckpt", weights_only=True)["lr_schedulers"]
    assert (states[0]["total_steps"], states[0]["last_epoch"]) == (24, 24)


def test_print_config_trains_nothing_and_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load(run([*FIT, "--run_name", "none", "--print_config"], capsys))
    assert config["model"]["class_path"] == "lit_models.LitMLP"
    assert config["seed_everything"] == 42
    assert not Path("runs/none").exists()


OWN_MODEL = """
import pytorch_lightning as pl
import torch

class Tiny(pl.LightningModule):
    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.lr = lr
        self.net = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.binary_cross_entropy_with_logits(self.net(batch[0])[:, 0], batch[1].float())

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.training_step(batch, batch_idx))

    def predict_step(self, batch, batch_idx):
        return self.net(batch[0])[:, 0].sigmoid()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
"""


def test_a_model_of_ones_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what Lightning asks of a module: no hyper-parameters, no argument that the data dictate."""
    Path("own_model.py").write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    table = run([*FIT, "--run_name", "own", "--model", "own_model.Tiny", "--model.lr", "0.3"], capsys)
    checkpoint = "runs/own/version_0/checkpoints/best.ckpt"
    evaluated = run(["validate", "--ckpt_path", checkpoint], capsys)
    assert row(evaluated, "val/loss") == row(table, "val/loss")
    run(["predict", "--ckpt_path", checkpoint], capsys)
    predictions = pd.read_csv("runs/own/version_0/predictions.csv")
    assert len(predictions) == 418
    assert predictions["prediction"].between(0, 1).all()


# validate, test, predict


@pytest.mark.usefixtures("table")
def test_predict_writes_one_row_per_passenger(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(["predict", "--ckpt_path", BEST], capsys)
    assert row(printed, "predictions") == str(RUN / "predictions.csv")
    predictions = pd.read_csv(RUN / "predictions.csv")
    assert list(predictions.columns) == ["PassengerId", "prediction", "probability"]
    assert predictions["PassengerId"].tolist() == list(range(892, 1310))
    assert ((predictions["probability"] > 0.5) == (predictions["prediction"] == 1)).all()


@pytest.mark.usefixtures("table")
def test_an_older_submission_is_not_named_again(capsys: pytest.CaptureFixture[str]) -> None:
    run(["predict", "--ckpt_path", BEST], capsys)
    Path("nameless.csv").write_text("Sex,Age\nmale,22\n")
    assert "submission" not in run(["predict", "--ckpt_path", BEST, "--data.csv", "nameless.csv"], capsys)


@pytest.mark.usefixtures("table")
def test_ctrl_c_in_a_test(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def press_ctrl_c(model: LitMLP) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(LitMLP, "on_test_epoch_start", press_ctrl_c)
    try:
        assert main(["test", "--ckpt_path", BEST]) == 130
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning ignores it from then on


@pytest.mark.usefixtures("table")
def test_sigterm_in_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(model: LitMLP) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(LitMLP, "on_test_epoch_start", terminate)
    assert main(["test", "--ckpt_path", BEST, "--data.eval_batch_size", "10"]) == 143


@pytest.mark.usefixtures("table")
def test_labels_that_are_missing_are_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("unlabeled.csv").write_text("Sex,Age\nmale,22\n")
    assert main(["test", "--ckpt_path", BEST, "--data.csv", "unlabeled.csv"]) == 2
    assert "data.csv cannot be evaluated, only predicted: unlabeled.csv" in capsys.readouterr().err


@pytest.mark.usefixtures("table")
def test_evaluation_starts_no_new_run(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path("runs/quick").iterdir())
    run(["validate", "--ckpt_path", BEST], capsys)
    assert sorted(Path("runs/quick").iterdir()) == before


# go on


@pytest.mark.usefixtures("table")
def test_resume_ends_where_an_uninterrupted_run_ends(capsys: pytest.CaptureFixture[str]) -> None:
    run([*FIT, "--run_name", "whole", "--trainer.max_epochs", "4"], capsys)
    run([*FIT, "--run_name", "parts"], capsys)
    parts, whole = Path("runs/parts/version_0"), Path("runs/whole/version_0")
    first_half = pd.read_csv(parts / "metrics.csv")
    table = run(["fit", "--resume", str(parts), "--trainer.max_epochs", "4"], capsys)

    assert row(table, "run folder") == str(parts)
    assert [path.name for path in Path("runs/parts").iterdir()] == ["version_0"]
    assert_same_weights(weights(parts), weights(whole))
    metrics = pd.read_csv(parts / "metrics.csv")
    pd.testing.assert_frame_equal(metrics[: len(first_half)], first_half, check_dtype=False)
    pd.testing.assert_frame_equal(metrics, pd.read_csv(whole / "metrics.csv"), check_dtype=False)
    assert yaml.safe_load((parts / "config.yaml").read_text())["ckpt_path"] is None


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "words", ["--model.optimizer SGD", "--model.optimizer.lr 0.5", "--trainer.max_epoch 9"]
)
def test_a_wrong_flag_leaves_a_run_as_it_was(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    assert main(["fit", "--resume", str(RUN), *words.split(), "--trainer.max_epochs", "4"]) == 2
    assert {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("table")
def test_a_damaged_last_checkpoint_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """The run goes on from the best one and ends as it would have."""
    shutil.copytree(RUN, "runs/torn/version_0")
    last = Path("runs/torn/version_0/checkpoints/last.ckpt")
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match=f"passed over: {last} is damaged"):
        assert main(["fit", "--resume", "runs/torn/version_0", "--trainer.max_epochs", "4"]) == 0
    assert main([*FIT, "--run_name", "untorn", "--trainer.max_epochs", "4"]) == 0
    assert_same_weights(weights(Path("runs/torn/version_0")), weights(Path("runs/untorn/version_0")))


@pytest.mark.parametrize("flags", [[], ["--trainer.max_epochs", "1"], ["--trainer.max_steps", "3"]])
def test_a_finished_run_is_left_as_it_is(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("runs/finished").exists():
        run([*FIT, "--run_name", "finished"], capsys)
    before = {path: path.stat().st_mtime_ns for path in Path("runs/finished").rglob("*")}
    printed = run(["fit", "--resume", "runs/finished/version_0", *flags], capsys)
    assert "runs/finished/version_0 is finished: 2 epochs, 24 steps" in printed
    assert {path: path.stat().st_mtime_ns for path in Path("runs/finished").rglob("*")} == before


def assert_it_goes_on(folder: Path, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the command, and one more epoch follows where the last checkpoint ends."""
    assert f"python train.py fit --resume {folder}" in complaint
    assert "Traceback" not in complaint
    last = folder / "checkpoints/last.ckpt"
    before = torch.load(last, weights_only=True)
    run(["fit", "--resume", str(folder), "--trainer.max_epochs", str(before["epoch"] + 2)], capsys)
    assert torch.load(last, weights_only=True)["global_step"] > before["global_step"]
    assert pd.read_csv(folder / "metrics.csv")["step"].is_monotonic_increasing


def test_sigterm_saves_and_says_how_to_go_on(
    workplace: Path, start_train_py: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("runs/terminated/version_0")
    words = ["--run_name", "terminated", "--trainer.max_epochs", "100000"]
    process = start_train_py(workplace, *FIT, *words)
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints/last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 143
    assert_it_goes_on(folder, error, capsys)


def test_ctrl_c_saves_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(model: LitMLP) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(LitMLP, "on_train_epoch_start", press_ctrl_c)
        assert main([*FIT, "--run_name", "pressed"]) == 130
    folder = Path("runs/pressed/version_0")
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 1
    assert_it_goes_on(folder, capsys.readouterr().err, capsys)


@pytest.mark.parametrize("epoch", [1, 2])
def test_ctrl_c_in_validation_loses_nothing(
    epoch: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validation is finished; the checkpoint is that of the epoch's end, be it the last one."""

    def press_ctrl_c(model: LitMLP) -> None:
        if model.global_step == 12 * epoch:
            os.kill(os.getpid(), signal.SIGINT)

    folder = Path(f"runs/validating_{epoch}/version_0")
    with monkeypatch.context() as patch:
        patch.setattr(LitMLP, "on_validation_epoch_start", press_ctrl_c)
        assert main([*FIT, "--run_name", folder.parent.name]) == 130
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 12 * epoch
    assert_it_goes_on(folder, capsys.readouterr().err, capsys)
    metrics = pd.read_csv(folder / "metrics.csv")
    steps = 12 * (epoch + 2)
    assert metrics["train/loss"].notna().sum() == steps
    assert metrics["val/loss"].notna().sum() == epoch + 2
    events = EventAccumulator(str(folder), purge_orphaned_data=True)
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(steps))
    assert len(events.Scalars("val/loss")) == epoch + 2


def test_ctrl_c_before_anything_is_saved(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the check of the validation loop that precedes the training."""

    def press_ctrl_c(model: LitMLP) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(LitMLP, "on_validation_epoch_start", press_ctrl_c)
    assert main([*FIT, "--run_name", "early"]) == 130
    assert "before the first checkpoint; start the run anew" in capsys.readouterr().err


# what goes wrong


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
        ("--model.hidden_sizes a", "model.hidden_sizes: expected Sequence, not a"),
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
        ("--data.features [mael]", "data.features is 'mael'; did you mean 'male'?"),
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
        ("--seed_everything a", "seed_everything: expected bool or int, not a"),
        ("--confg x", "there is no flag --confg; did you mean '--config'?"),
        ("extra", "there is no flag extra"),
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
