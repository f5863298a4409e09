"""What TensorBoard shows of a run: learning curves, graph, hyper-parameters, texts, and the same after a kill."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from cli import main
from tests.cli.end_to_end.commands import BEST, FIT, RUN, run


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"scalars": 0, "images": 0}).Reload()


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All scalars, by tag."""
    found = events(folder)
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def texts(folder: Path) -> dict[str, list[str]]:
    """All texts, by tag, in order."""
    found = events(folder)
    return {
        tag.removesuffix("/text_summary"): [
            each.tensor_proto.string_val[0].decode() for each in found.Tensors(tag)
        ]
        for tag in found.Tags()["tensors"]
        if tag.endswith("/text_summary")
    }


@pytest.mark.usefixtures("table")
def test_losses_accuracies_and_learning_rate_are_learning_curves() -> None:
    table, train, val = pd.read_csv(RUN / "metrics.csv"), curves(RUN / "train"), curves(RUN / "val")
    assert set(train) == {"Learning/Loss", "Learning/accuracy", "Learning/lr"}
    assert set(val) == {"Learning/Loss", "Learning/accuracy"}
    for column, found in (
        ("train/loss", train["Learning/Loss"]),
        ("lr", train["Learning/lr"]),
        ("val/loss", val["Learning/Loss"]),
        ("val/accuracy", val["Learning/accuracy"]),
    ):
        rows = table[["step", column]].dropna()
        assert [step for step, _ in found] == rows["step"].tolist()
        assert [value for _, value in found] == pytest.approx(rows[column].tolist())
    assert set(table["lr"].dropna()) == {0.02}
    assert "train/accuracy" not in table
    assert all(0 <= value <= 1 for _, value in train["Learning/accuracy"])


@pytest.mark.usefixtures("table")
def test_the_tags_of_old_are_there_with_their_logarithms() -> None:
    main_run = curves(RUN)
    columns = set(pd.read_csv(RUN / "metrics.csv").columns) - {"step"}
    assert columns <= main_run.keys()
    assert "Log10_delta_norm/00_layers.0" in main_run
    for (step, value), (_, log) in zip(
        main_run["delta_norm/00_layers.0"], main_run["Log10_delta_norm/00_layers.0"], strict=True
    ):
        assert 10**log == pytest.approx(value, rel=1e-4), step


@pytest.mark.usefixtures("table")
def test_the_graph_has_the_layers() -> None:
    assert any("Linear[0]" in node.name for node in events(RUN).Graph().node)


@pytest.mark.usefixtures("table")
def test_hyper_parameters_have_data_and_trainer() -> None:
    content = events(RUN).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    found: Any = HParamsPluginData.FromString(content).session_start_info.hparams
    numbers = {name: found[name].number_value for name in ("Batch size", "Epochs", "Learning rate", "Seed")}
    assert numbers == {"Batch size": 64, "Epochs": 2, "Learning rate": 0.02, "Seed": 42}
    assert found["data"].string_value == "TitanicDataModule"
    assert found["hidden_sizes"].string_value == "[4]"


@pytest.mark.usefixtures("table")
def test_command_commit_versions_and_config_are_texts() -> None:
    found = texts(RUN)
    assert {"Run", "config", "diagnosis"} <= found.keys()
    (launch,) = found["Run"]
    assert "| command | `python train.py fit --config quick.yaml` |" in launch
    for name in ("commit", "torch", "pytorch-lightning", "seed"):
        assert f"| {name} | " in launch
    assert found["config"] == [f"```yaml\n{(RUN / 'config.yaml').read_text()}\n```"]


@pytest.mark.usefixtures("table")
def test_an_evaluation_leaves_the_curves_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    before = curves(RUN), curves(RUN / "val")
    run(["validate", "--ckpt_path", BEST], capsys)
    run(["test", "--ckpt_path", BEST], capsys)
    after = curves(RUN)
    assert {tag: after[tag] for tag in before[0]} == before[0]
    assert curves(RUN / "val") == before[1]
    ((step, loss),) = curves(RUN / "validate")["val/loss"]
    assert (step, loss) in before[0]["val/loss"]  # of the epoch that was the best
    assert after["test/loss"][0][0] == step


KILLED = """
from pytorch_lightning.callbacks import Callback

class Killed(Callback):
    # as kill -9 between two steps: nothing is saved, and the loggers have written what they had
    def __init__(self, at: int = -1):
        self.at = at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.at:
            for logger in trainer.loggers:
                getattr(logger, "flush", logger.save)()
            raise KeyboardInterrupt
"""


def test_a_run_that_was_killed_twice_has_the_curves_of_one_that_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("quick.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("killed_here.py").write_text(KILLED)
    fit = [
        *FIT,
        "--trainer.max_epochs=6",
        "--save_every_n_steps=5",
        "--trainer.callbacks+=killed_here.Killed",
    ]
    assert main([*fit, "--run_name=whole"]) == 0
    assert main([*fit, "--run_name=parts", "--trainer.callbacks.at=14"]) == 130
    parts, whole = Path("runs/parts/version_0"), Path("runs/whole/version_0")
    assert main(["fit", "--resume", str(parts), "--trainer.callbacks.at=31"]) == 130
    assert main(["fit", "--resume", str(parts), "--trainer.callbacks.at=-1"]) == 0
    for folder in ("", "train", "val"):
        assert curves(parts / folder) == curves(whole / folder), folder
    assert len(texts(parts)["Run"]) == 3
    assert len(list(parts.iterdir())) == len(list(whole.iterdir())) + 2  # two more event files


def test_a_launch_that_fails_before_its_first_step_leaves_no_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("quick.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main([*FIT, "--run_name=fails"]) == 0
    folder = Path("runs/fails/version_0")
    before = sorted(folder.rglob("events*"))
    assert before
    words = ["--trainer.max_epochs=4", "--data.batch_size=64"]
    with monkeypatch.context() as patch:
        patch.setattr("lit_models.base.LitModel.training_step", lambda *args: 1 / 0)
        assert main(["fit", "--resume", str(folder), *words]) == 1
    assert sorted(folder.rglob("events*")) == before


OWN = """
trainer:
  logger:
    class_path: TensorBoardLogger
    init_args: {save_dir: elsewhere, name: board, version: one}
"""


def test_a_tensorboard_logger_of_ones_own_gets_what_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("quick.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("logger.yaml").write_text(OWN)
    assert main([*FIT, "--run_name=own", "--config=logger.yaml", "--histograms=true"]) == 0
    own, ours = Path("elsewhere/board/one"), Path("runs/own/version_0")
    logged = {tag: dict(values) for tag, values in curves(ours).items() if not tag.startswith("Log10_")}
    found = {tag: dict(values) for tag, values in curves(own).items()}  # it has each epoch's number twice
    assert {tag: values for tag, values in found.items() if tag != "hp_metric"} == logged
    assert not [path for path in own.iterdir() if path.is_dir() and path.name != "checkpoints"]
    assert not events(own).Tags()["graph"]
    for folder in (own, ours):
        assert {"weights/00_layers.0", "activations/00_layers.0"} <= set(events(folder).Tags()["histograms"])
