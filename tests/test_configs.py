"""Every experiment and every preset trains; those that take seconds must reach their figures."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from pytorch_lightning.accelerators import CPUAccelerator, CUDAAccelerator
from pytorch_lightning.strategies import FSDPStrategy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.reproduce import EXPERIMENTS, Experiment, holds, run
from cli import main
from cli.build import build
from cli.request import prepare

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
PRESETS = sorted((ROOT / "configs" / "presets").glob("*.yaml"))
SECONDS = {
    "titanic_logistic",
    "titanic_mlp",
    "linear_regression",
    "nonlinear_regression",
    "damped_sine",
    "circles",
    "blobs",
    "rings",
}
# Ten sigmoid layers, which show what a vanishing gradient does.
EXPECTED = {"titanic_deep": ["one batch cannot be fitted", "inputs make no difference"]}
PLANE = {"fit/plane", "fit/lines", "fit/units"}
CURVE = {"fit/curve", "fit/terms", "fit/steps"}
PASSENGERS = {"fit/importance", "fit/roc", "fit/precision_recall", "fit/calibration", "fit/confusion"}
DIGITS = {"fit/confusion", "errors/hardest", "robustness/accuracy"}
BLOCKS = {"filters/00_blocks.0.0", "feature_maps/blocks"}
CODE = {"reconstruction/images", "code/plane", "code/neighbors"}
PICTURES = {  # that the kind of experiment calls for; every one has depth/gradient_over_steps besides
    "titanic_logistic": PASSENGERS,
    "titanic_mlp": PLANE,
    "titanic_full": PASSENGERS,
    "titanic_deep": PLANE | {"depth/gradients"},
    "linear_regression": {"fit/curve"},
    "nonlinear_regression": CURVE,
    "damped_sine": CURVE,
    "damped_sine_large": CURVE,
    "circles": PLANE | {"fit/unit_space"},
    "blobs": PLANE | {"fit/unit_space"},
    "rings": PLANE | {"fit/unit_space"},
    "mnist_4v9_logistic": DIGITS | {"filters/00_linear"},
    "mnist_4v9_mlp": DIGITS | {"filters/00_layers.0"},
    "mnist_mlp": DIGITS | {"filters/00_layers.0"},
    "mnist_convnet": DIGITS | BLOCKS,
    "mnist_best": DIGITS | BLOCKS,
    "mnist_fast": DIGITS | BLOCKS,
    "mnist_autoencoder": CODE | {"filters/00_encoder.1"},
    "mnist_conv_autoencoder": CODE | {"filters/00_encoder.0", "feature_maps/blocks"},
    "trend_rnn": {"fit/forecast", "depth/delta_over_time"},
}
QUICK = [experiment for experiment in EXPERIMENTS if experiment.config in SECONDS]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def data_flags(config: Path, mnist_dir: str) -> list[str]:
    """Small generated images in the place of MNIST."""
    settings = yaml.safe_load(config.read_text())
    if not settings["data"]["class_path"].endswith("MNISTDataModule"):
        return []
    flags = [f"--data.data_dir={mnist_dir}", "--data.batch_size=16"]
    if settings["data"]["init_args"].get("num_val"):
        flags.append("--data.num_val=8")
    return flags


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_check_up_finds_no_fault(
    config: Path, mnist_dir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", f"--config={config}", *data_flags(config, mnist_dir)]) == 0
    printed = capsys.readouterr().out
    assert "In order:" in printed
    found = re.findall(r"(?:FAIL|WARN)  ([^:]+):", printed)
    assert found == EXPECTED.get(config.stem, [])
    assert "it failed" not in printed  # a mistake of a check


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_trains_for_two_batches_and_evaluates(config: Path, mnist_dir: str) -> None:
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.log_every_n_steps=1"]
    assert main(["fit", f"--config={config}", *data_flags(config, mnist_dir), *short, *QUIET]) == 0
    folder = Path("runs") / config.stem / "version_0"
    for name in (
        "config.yaml",
        "metrics.csv",
        "diagnosis.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    ):
        assert (folder / name).is_file(), name
    drawn = EventAccumulator(str(folder), {"images": 0}).Reload()
    assert drawn.Tags()["images"]
    assert set(drawn.Tags()["images"]) >= PICTURES[config.stem]
    files = {path.name for path in (folder / "pictures").iterdir()}
    num_steps = min(2, len(pd.read_csv(folder / "metrics.csv")["train/loss"].dropna()))
    for tag in drawn.Tags()["images"]:
        steps = [image.step for image in drawn.Images(tag)]
        assert steps[-1] == num_steps or tag == "depth/gradients"
        assert {f"{tag.replace('/', '_')}_{step:06d}.png" for step in steps} <= files
    checkpoint = f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}"
    assert main(["test", checkpoint, *QUIET]) == 0
    assert main(["predict", checkpoint, *QUIET]) == 0
    assert (folder / "predictions.csv").is_file()


@pytest.mark.parametrize("experiment", QUICK, ids=lambda each: f"{each.config}-{each.title}".strip("-"))
def test_reaches_its_figures(experiment: Experiment) -> None:
    (flags,) = experiment.runs
    figures, _, trained = run(experiment, flags, [])
    for name, goal in experiment.goals.items():
        assert holds(figures[name], goal), f"{name} is {figures[name]}, not {goal}"
    assert json.loads((trained.folder / "diagnosis.json").read_text())["healthy"]


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [([], {"vanishing gradient"}), (["--model.activation=relu", "--model.init=he"], set())],
    ids=["sigmoid", "relu-he"],
)
def test_titanic_deep_shows_and_names_the_vanishing_gradient(flags: list[str], kinds: set[str]) -> None:
    assert main(["fit", f"--config={ROOT / 'configs' / 'titanic_deep.yaml'}", *flags, *QUIET]) == 0
    folder = Path("runs") / "titanic_deep" / "version_0"
    verdicts = json.loads((folder / "diagnosis.json").read_text())["verdicts"]
    problems = [verdict for verdict in verdicts if verdict["severity"] != "info"]
    assert {verdict["because"] or verdict["kind"] for verdict in problems} == kinds
    assert list((folder / "pictures").glob("depth_gradients_*.png"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_header_says_command_result_and_time(config: Path) -> None:
    header = [line for line in config.read_text().splitlines() if line.startswith("#")]
    assert f"python train.py fit --config configs/{config.name}" in "\n".join(header)
    assert any(line.startswith("# Reaches ") for line in header)
    assert any(line.startswith("# Takes ") for line in header)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_is_understood(preset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ROOT / "configs" / "circles.yaml"
    assert main(["fit", f"--config={config}", f"--config={preset}", "--print_config"]) == 0
    merged = yaml.safe_load(capsys.readouterr().out)
    settings = yaml.safe_load(preset.read_text())
    for key, value in settings["trainer" if "trainer" in settings else "model"].items():
        if not isinstance(value, dict):
            assert merged["trainer"][key] == value
    assert merged["data"]["init_args"]["name"] == "circles"


@pytest.fixture
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Lightning and the command believe that there are two; nothing is moved to them before a training."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)


@pytest.mark.usefixtures("_two_gpus")
@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_builds_its_trainer(preset: Path) -> None:
    config = ROOT / "configs" / "circles.yaml"
    trainer = build(prepare(["fit", f"--config={config}", f"--config={preset}"])).trainer
    wanted = yaml.safe_load(preset.read_text()).get("trainer", {})
    on_cpu, devices = wanted.get("accelerator") == "cpu", wanted.get("devices", "auto")
    assert isinstance(trainer.accelerator, CPUAccelerator if on_cpu else CUDAAccelerator)
    assert trainer.num_devices == (2 if devices == "auto" else devices)
    assert trainer.precision == wanted.get("precision", "32-true")
    assert isinstance(trainer.strategy, FSDPStrategy) == (preset.stem == "fsdp")
    for name in ("max_epochs", "limit_train_batches", "overfit_batches", "log_every_n_steps"):
        assert getattr(trainer, name) == wanted.get(name, getattr(trainer, name))


@pytest.mark.parametrize("name", ["debug", "overfit", "cpu", "bf16", "profile"])
def test_preset_trains(name: str) -> None:
    config, preset = ROOT / "configs" / "circles.yaml", ROOT / "configs" / "presets" / f"{name}.yaml"
    assert main(["fit", f"--config={config}", f"--config={preset}", "--trainer.max_epochs=2", *QUIET]) == 0


def test_debug_preset_writes_nothing(tmp_path: Path) -> None:
    config, preset = ROOT / "configs" / "circles.yaml", ROOT / "configs" / "presets" / "debug.yaml"
    assert main(["fit", f"--config={config}", f"--config={preset}", *QUIET]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("preset", ["gpu", "fsdp", "fp16"])
def test_preset_for_gpus_says_what_is_missing(preset: str, capfd: pytest.CaptureFixture[str]) -> None:
    if torch.accelerator.is_available():
        pytest.skip("this machine has a GPU")
    config, path = ROOT / "configs" / "circles.yaml", ROOT / "configs" / "presets" / f"{preset}.yaml"
    code = main(["fit", f"--config={config}", f"--config={path}", "--trainer.max_epochs=1", *QUIET])
    message = capfd.readouterr().err
    assert (code, "Traceback" in message) in ((2, False), (0, False))
