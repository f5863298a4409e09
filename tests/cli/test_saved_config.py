"""The config in a run's folder, from which the run is resumed."""

from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from cli.build import build
from cli.request import prepare
from runtime.errors import UsageError

WORDS = [
    "fit",
    "--model=LitLinear",
    "--data=TitanicDataModule",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
]


def test_a_kill_while_it_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = build(prepare([*WORDS, "--pictures=false"]))
    run.fit()
    config = run.folder / "config.yaml"
    before = config.read_text()
    assert "LitLinear" in before

    def killed(self: ArgumentParser, cfg: object, path: Path, **options: object) -> None:
        Path(path).write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(ArgumentParser, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run.save_config()
    assert config.read_text() == before


CALLBACKS = {
    "StochasticWeightAveraging": ["--trainer.callbacks.swa_lrs=0.01"],  # its default device is a torch.device
    "ModelPruning": ["--trainer.callbacks.pruning_fn=l1_unstructured", "--trainer.callbacks.amount=0.1"],
    "Timer": ["--trainer.callbacks.duration=00:00:10:00", "--trainer.callbacks.interval=step"],
    "ModelCheckpoint": ["--trainer.callbacks.train_time_interval=0:10:00"],
    "EarlyStopping": ["--trainer.callbacks.monitor=val/loss"],
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_of_lightning_can_be_read_back(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = build(prepare([*WORDS, f"--trainer.callbacks+={name}", *CALLBACKS[name]]))
    run.save_config()
    text = (run.folder / "config.yaml").read_text()
    assert name in text
    assert "Unable to serialize" not in text + capfd.readouterr().err
    again = run.parser.parse_args([f"--config={run.folder / 'config.yaml'}"])
    assert repr(again.trainer.callbacks) == repr(run.settings.trainer.callbacks)


OBJECTS = """
import torch
import pytorch_lightning as pl

class Fine(pl.Callback):
    def __init__(self, device: torch.device | str = torch.device("cpu"), sizes: list[torch.device] | None = None):
        super().__init__()

def chosen() -> torch.device:
    return torch.device("meta")
"""


def test_an_object_that_a_config_cannot_hold_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("objects_of_mine.py").write_text(OBJECTS)
    run = build(prepare([*WORDS, "--trainer.callbacks+=objects_of_mine.Fine"]))
    run.save_config()
    assert "device" not in (run.folder / "config.yaml").read_text().partition("objects_of_mine.Fine")[2][:60]
    run.settings.trainer.callbacks[0].init_args.device = torch.device("meta")
    with pytest.raises(
        UsageError, match=r"trainer.callbacks.0.device is device\(type='meta'\), which a config cannot"
    ):
        run.fit()
    assert not Path("runs").exists()


def test_configs_that_differ_in_numbers_only_are_read_back_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cli.saved_config._read_back", set())
    run, read = build(prepare(WORDS)), []
    monkeypatch.setattr("cli.saved_config.check_read_back", lambda *given: read.append(given))
    for seed in (1, 2, 3):
        run.settings.seed_everything = seed
        run.save_config()
    assert len(read) == 1
    run.settings.monitor = "val/accuracy"
    run.save_config()
    assert len(read) == 2


def test_the_current_folder_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run saves its config after its first step, when TensorBoard's thread is writing to a relative path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cli.saved_config._read_back", set())
    run, visited = build(prepare(WORDS)), []
    monkeypatch.setattr("os.chdir", visited.append)
    run.save_config()
    assert visited == []
