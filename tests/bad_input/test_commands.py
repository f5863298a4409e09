"""Commands and flags, as they are mistyped."""

from pathlib import Path

import pytest

from cli.config_files import ELSEWHERE
from tests.bad_input.conftest import Refused
from tests.processes import ROOT, run, start_alone

FIT = "fit --config quick.yaml"
TRAIN_PY = f"python {ROOT / 'train.py'}"  # as these processes are started
BEST = "runs/quick/version_0/checkpoints/best.ckpt"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fitt --config quick.yaml", "there is no command 'fitt'; did you mean 'fit'?"),
        ("FIT --config quick.yaml", "did you mean 'fit'?"),
        (
            "--config quick.yaml fit",
            f"--config stands before the command; write: {TRAIN_PY} fit --config",
        ),
        ("--trainer.max_epochs 3 fit", "--trainer.max_epochs stands before the command"),
        ("fit quick.yaml", f"quick.yaml follows no flag; write: {TRAIN_PY} fit --config quick.yaml"),
        ("fit", f"fit needs --config configs/....yaml; {TRAIN_PY} lists the experiments"),
        ("test", f"test needs a run, {TRAIN_PY} test runs/.../version_N, or the name of its experiment"),
        ("predict --config quick.yaml", "predict needs a run"),
        ("predict qiuck", "qiuck does not exist; did you mean 'quick'?"),
        ("validate quick quick", "validate takes one run, and quick is a second one"),
        ("fit --config", "--config needs a value"),
        ("fit --config titanic_mlp", f"did you mean '{ROOT / 'configs/titanic_mlp.yaml'}'?"),
        ("fit --config configs/titanic_mlp.yml", f"did you mean '{ROOT / 'configs/titanic_mlp.yaml'}'?"),
        ("fit --config nowhere/none.toml", f"does not exist; {TRAIN_PY} lists the experiments"),
        ("fit --config quick.yaml/", "--config quick.yaml/ does not exist"),
        ("fit --resume runs", "--resume runs is a folder without a run; give the folder of a run"),
        (f"test --resume {BEST}", "--resume goes with fit, not with test"),
        ("compare runs/quick/version_0", "compare needs two runs"),
        (f"{FIT} --max_epochs 3", "there is no flag --max_epochs; did you mean '--trainer.max_epochs'?"),
        (f"{FIT} --lr 3", "there is no flag --lr; did you mean '--model.optimizer.lr'?"),
        (f"{FIT} --batch_size 3", "did you mean '--data.batch_size'?"),
        (f"{FIT} --trainer.max_epoch 3", "did you mean '--trainer.max_epochs'?"),
        (f"{FIT} --trainer.max-epochs 3", "did you mean '--trainer.max_epochs'?"),
        (f"{FIT} --trainer.max_epochs", "--trainer.max_epochs: expected one argument"),
        (f"{FIT} --trainer.max_epochs=", "trainer.max_epochs: expected int, not ''"),
        (f"{FIT} --model LitMPL", "there is no class 'LitMPL'; did you mean 'LitMLP'?"),
        (
            f"{FIT} --model ''",
            "model: expected a LightningModule, as its name or as class_path and init_args, not ''",
        ),
        (
            f"{FIT} --model lit_models.mlp.LitMPL",
            "there is no 'LitMPL' in lit_models.mlp; did you mean 'LitMLP'?",
        ),
        (f"{FIT} --model nowhere.Tiny", "there is no module 'nowhere'; it has to be installed"),
        (f"{FIT} --model torch.nn.Linear", "torch.nn.Linear is no LightningModule"),
        (f"{FIT} --model os.system", "os.system is no LightningModule"),
        (f"{FIT} --model own.Stepless", "No `training_step()` method defined"),
        (f"{FIT} --data TitanicDatModule", "did you mean 'TitanicDataModule'?"),
        (f"{FIT} --model.hidden_size 3", "there is no option 'hidden_size'; did you mean 'hidden_sizes'?"),
        (f"{FIT} --model.lr 3", "there is no option 'lr'; did you mean 'model.optimizer.lr'?"),
        (f"{FIT} --model.optimizer Adamm", "there is no class 'Adamm'; did you mean 'Adam'?"),
        (f"{FIT} --model.optimizer.lrr 3", "model.optimizer: there is no option 'lrr'; did you mean 'lr'?"),
        (f"{FIT} --model.scheduler CosinAnnealingLR", "did you mean 'CosineAnnealingLR'?"),
        (f"{FIT} --model.activation rellu", "'rellu' is not one of sigmoid, tanh, relu"),
        (f"{FIT} --data.features [mael]", "data.features: there is no 'mael'; did you mean [male]?"),
        (
            f"{FIT} --data.features [sex,age]",
            "data.features: there is no 'sex', 'age'; did you mean [male,Age]?",
        ),
        (
            f"{FIT} --monitor val/acuracy",
            "--monitor val/acuracy is not measured; did you mean 'val/accuracy'?",
        ),
        (f"{FIT} --monitor_mode larger", "'larger' is not one of min, max"),
        (f"{FIT} --trainer.callbacks+=EarlyStoping", "did you mean 'EarlyStopping'?"),
        (f"{FIT} --run_name ../elsewhere", "--run_name is ../elsewhere; it is a folder below runs/"),
        (
            f"{FIT} --run_name {'x' * 300}",
            "--run_name has 300 characters; a folder's name can have at most 255",
        ),
    ],
)
def test_a_mistyped_command(line: str, message: str, refused: Refused) -> None:
    refused(line, message)


def test_what_is_suggested_exists(place: Path, tmp_path: Path) -> None:
    values = {
        "model.optimizer": "SGD",
        "model.optimizer.lr": "0.1",
        "model.scheduler": "ConstantLR",
        "model.hidden_sizes": "[3]",
        "model.activation": "tanh",
        "model.dropout": "0.1",
        "data.batch_size": "8",
        "data.csv": "table.csv",
        "trainer.max_epochs": "1",
        "trainer.max_steps": "1",
        "trainer.devices": "1",
        "trainer.accelerator": "cpu",
        "trainer.strategy": "auto",
        "trainer.precision": "32",
        "trainer.callbacks": "EarlyStopping",
        "trainer.logger": "false",
    }
    assert {*values, "data.data_dir"} == set(ELSEWHERE.split())
    flags = [f"--{name}={value}" for name, value in values.items()]
    assert run([*FIT.split(), *flags, "--print_config"], place).code == 0
    images = ["--model=LitMLP", "--data=MNISTDataModule", "--data.data_dir=data"]
    assert run(["fit", *images, "--print_config"], place).code == 0


def test_a_metric_that_a_foreign_model_does_not_log(refused: Refused, place: Path, tmp_path: Path) -> None:
    """Only the first validation shows it; that epoch is kept, and the command that is named goes on from it."""
    line = f"{FIT} --model own.Tiny --run_name own --pictures false --monitor val/lss --monitor_mode min"
    message = "--monitor val/lss is not logged; did you mean 'val/loss'?"
    resume = "fit --resume runs/own/version_0 --monitor"
    refused(line, message, resume, leaves="runs/own")
    assert run([*resume.split(), "val/loss"], place).code == 0
    assert (place / "runs/own/version_0/checkpoints/best.ckpt").exists()


@pytest.mark.parametrize("line", ["fitt", "fit --config none.yaml", f"{FIT} --model LitMPL"])
def test_a_process_of_its_own_says_the_same(line: str, refused: Refused, place: Path) -> None:
    """What the forked processes of this folder show is what people see."""
    forked = refused(line)
    process = start_alone(place, *line.split())
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (forked.code, forked.out, forked.err)
