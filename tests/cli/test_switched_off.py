"""Every command takes a config with callbacks of the user's own, also one that switches off what they need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import main
from cli.watch_run import follow
from tests.cli.test_watch import EnoughError, Pages
from tests.pages.watch.page import STEP, Page, watch

CALLBACKS = """
trainer:
  callbacks:
  - class_path: ModelCheckpoint
    init_args: {monitor: val/loss, filename: "mine-{epoch}"}
  - class_path: EarlyStopping
    init_args: {monitor: val/loss, patience: 5}
  - class_path: LearningRateMonitor
  - class_path: DeviceStatsMonitor
    init_args: {cpu_stats: false}
  - class_path: RichProgressBar
"""
CONFIG = ["--config", "quick.yaml", "--config", "callbacks.yaml", "--trainer.enable_progress_bar=true"]
RUN = Path("runs/mine/version_0")


@pytest.fixture(scope="module", autouse=True)
def _trained(workplace: Path) -> Iterator[None]:
    """A run whose config has these callbacks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards
        Path("callbacks.yaml").write_text(CALLBACKS)
        assert main(["fit", *CONFIG, "--run_name=mine"]) == 0
        yield


def test_fit_uses_them_all() -> None:
    assert list(RUN.rglob("mine-*.ckpt"))
    assert "lr-" in (RUN / "metrics.csv").read_text().partition("\n")[0]


@pytest.mark.parametrize(
    "words",
    [
        ["check", *CONFIG],
        ["tune-lr", *CONFIG, "--low=1e-3", "--steps=20"],
        ["sweep", *CONFIG, "--vary", "model.optimizer.lr=0.1", "--run_name=swept"],
        ["validate", str(RUN)],
        ["test", str(RUN)],
        ["predict", str(RUN)],
        ["predict", str(RUN), "--trainer.enable_progress_bar=false"],
    ],
    ids=lambda words: " ".join(words[:1] + words[2:][-1:]),
)
def test_every_command_takes_them(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0, capsys.readouterr().err


def test_a_watched_training_and_a_watched_run_take_them() -> None:
    page = Page([STEP])
    watch(page, *CONFIG)
    assert page.frames
    pages = Pages()
    with pytest.raises(EnoughError):
        follow(RUN, [], pages.controls, pages)


def test_a_flag_leaves_them_out_with_a_word(recwarn: pytest.WarningsRecorder) -> None:
    off = [f"--trainer.{name}=false" for name in ("enable_checkpointing", "enable_progress_bar", "logger")]
    assert main(["fit", *CONFIG, "--checkup=false", "--run_name=off", *off]) == 0
    said = "\n".join(str(each.message) for each in recwarn)
    assert "--trainer.enable_checkpointing false leaves out ModelCheckpoint of the config" in said
    assert "--trainer.enable_progress_bar false leaves out RichProgressBar of the config" in said
    assert "--trainer.logger false leaves out LearningRateMonitor, DeviceStatsMonitor of the config" in said
    assert not list(Path("runs/off").rglob("*.ckpt"))
