"""`train.py compare`: the table against counts made by hand, and what is refused."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cli import main
from cli.row_scores import is_same
from datamodules import TitanicDataModule, ToyDataModule
from lit_models import LitLinear, LitMLP

TITANIC = "--data TitanicDataModule --data.features [male,Age] --data.batch_size 128"
RUNS = {
    "good": f"--model LitMLP --model.optimizer Adam --model.optimizer.lr 0.02 {TITANIC} --trainer.max_epochs 3",
    "poor": f"--model LitLinear --model.optimizer SGD --model.optimizer.lr 0.0 {TITANIC}",
    "fold": f"--model LitLinear {TITANIC} --data.fold 1",
    "drop": f"--model LitLinear {TITANIC} --data.missing drop",
    "sex": "--model LitLinear --data TitanicDataModule --data.features [male]",
    "line": "--model LitLinear --data ToyDataModule --data.name linear --data.normalize_target true",
    "curve": "--model LitMLP --data ToyDataModule --data.name linear --data.val_fraction 0.2",
}
QUIET = (
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.max_epochs 1 --diagnostics false"
)


@pytest.fixture(scope="module", autouse=True)
def inside(workplace: Path) -> Iterator[None]:
    """Seven small runs, which all tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("LIGHTNING_INSIDE_RUN", "")
        for name, words in RUNS.items():
            assert main(["fit", "--run_name", name, *QUIET.split(), *words.split()]) == 0
        yield


def run(name: str) -> str:
    return f"runs/{name}/version_0"


def best(name: str) -> str:
    return f"{run(name)}/checkpoints/best.ckpt"


def table(text: str) -> dict[str, str]:
    """Names and values of the printed table."""
    return dict(re.findall(r"^  (\S.*?)  +(\S.*)$", text, re.MULTILINE))


def refused(first: str, second: str, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """The message of a comparison that must be refused."""
    capsys.readouterr()
    assert main(["compare", first, second, *flags]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message[message.index("error:") :]


def test_counts_are_those_of_plain_pytorch(capsys: pytest.CaptureFixture[str]) -> None:
    data = TitanicDataModule(features=["male", "Age"])
    data.setup("test")
    x, y = data.splits["test"]
    right = []
    for kind, name in ((LitLinear, "poor"), (LitMLP, "good")):
        model = kind.load_from_checkpoint(best(name), weights_only=True)
        with torch.no_grad():
            right.append((model.eval()(data.prepare_inputs(x)).squeeze(-1) > 0) == y)
    poor, good = right
    capsys.readouterr()
    assert main(["compare", run("poor"), best("good")]) == 0
    text = capsys.readouterr().out
    rows = table(text)
    assert rows["test rows"] == str(len(y)) == "179"
    assert float(rows["accuracy of A"]) == pytest.approx(poor.double().mean().item(), abs=1e-6)
    assert float(rows["accuracy of B"]) == pytest.approx(good.double().mean().item(), abs=1e-6)
    assert rows["only A is right"] == str(int((poor & ~good).sum()))
    assert rows["only B is right"] == str(int((good & ~poor).sum()))
    assert rows["both are right"] == str(int((good & poor).sum()))
    gain = 100 * (good.double().mean() - poor.double().mean()).item()
    assert f"The difference is real: B is {gain:.2f} percentage points more accurate than A" in text
    assert rows["accuracy of B - A"] == f"{gain:+.2f} percentage points"
    assert "note" not in rows
    assert not (Path(run("good")) / "predictions.csv").exists()


def test_a_run_beside_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run("good"), run("good")]) == 0
    text = capsys.readouterr().out
    assert "No difference: A and B do equally well" in text
    assert table(text)["McNemar's exact test"] == "p = 1"


def test_networks_that_see_other_columns_of_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run("sex"), run("good")]) == 0
    assert table(capsys.readouterr().out)["test rows"] == "179"


def test_rows_that_were_trained_on_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run("poor"), run("good"), "--data.num_folds", "null"]) == 0
    rows = table(capsys.readouterr().out)
    assert rows["test rows"] == "891"
    assert "trained on these rows" in rows["note"]


def test_numbers_are_compared_by_their_squared_error(capsys: pytest.CaptureFixture[str]) -> None:
    """In the units of the table, also where only one of the two was trained on a normalized target."""
    data = ToyDataModule(name="linear")
    data.setup("test")
    x, y = data.splits["test"]
    model = LitLinear.load_from_checkpoint(best("line"), weights_only=True)
    with torch.no_grad():
        normalized = model(data.prepare_inputs(x)).squeeze(-1).double()
    mse = (model.task.target_mean + model.task.target_std * normalized - y).square().mean().item()
    assert main(["compare", run("line"), run("curve")]) == 0
    text = capsys.readouterr().out
    assert float(table(text)["mse of A"]) == pytest.approx(mse, rel=1e-5)
    assert "more exact by a mean squared error of" in text


@pytest.mark.parametrize(
    ("first", "second", "flags", "message"),
    [
        ("good", "drop", [], "other test rows, 179 and"),
        ("good", "fold", [], "179 test rows each|other test rows, 179 and 178"),
        ("good", "line", [], "one predicts classes, the other numbers"),
        ("good", "nowhere", [], "runs/nowhere/version_0 does not exist; "),
        ("good", "poor", ["--config", "a.yaml"], "takes each run's own config"),
        ("good", "poor", ["--data.fold", "7"], "data.fold is 7"),
    ],
)
def test_what_is_refused(
    first: str, second: str, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(message, refused(run(first), run(second), capsys, *flags))


@pytest.mark.parametrize(("name", "column"), [("poor", "probability"), ("line", "prediction")])
def test_a_network_that_returns_nan_is_refused(
    name: str, column: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run(name), tmp_path / "nan")
    path = tmp_path / "nan/checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for weight in checkpoint["state_dict"].values():
        weight.fill_(torch.nan)
    torch.save(checkpoint, path)
    message = refused(run(name), str(tmp_path / "nan"), capsys)
    assert re.search(rf"best.ckpt: `{column}` is NaN or infinite in (\d+) of \1 test rows", message), message


def test_rows_are_the_same_up_to_rounding() -> None:
    """A target near 0 comes back from a normalization with the rounding of the largest."""
    table = torch.tensor([0.0, 250.0, float("nan")])
    assert is_same(table, torch.tensor([2e-5, 250.0, float("nan")]))
    assert not is_same(table, torch.tensor([0.0, 250.0, 1.0]))
    assert not is_same(table, torch.tensor([250.0, 0.0, float("nan")]))
    assert not is_same(table, table[:2])


def test_one_run_is_not_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert "compare needs two runs" in refused(run("good"), "--data.fold=1", capsys)
    assert main(["compare", "--help"]) == 0
    assert "RUN_A RUN_B" in capsys.readouterr().out
