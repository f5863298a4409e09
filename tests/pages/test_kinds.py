"""The page of each kind of experiment says what that run did: compared with its own files, read another way."""

import csv
import json
import math
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch

from callbacks.pictures import how_to_read
from cli import main
from tests.pages.reading import Reader, section_of, text_of

CONFIGS = Path(__file__).parents[2] / "configs"
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--checkup=false"]
EVERY = "--trainer.log_every_n_steps=5"
KINDS = {  # flags of `fit`
    "titanic_mlp": ["--config", f"{CONFIGS}/titanic_mlp.yaml", "--data.passes_per_epoch=20", EVERY],
    "blobs": ["--config", f"{CONFIGS}/blobs.yaml", EVERY],
    "linear_regression": ["--config", f"{CONFIGS}/linear_regression.yaml", EVERY],
    "mnist_autoencoder": [
        "--config",
        f"{CONFIGS}/mnist_autoencoder.yaml",
        "--data.batch_size=16",
        "--data.num_val=40",
    ],
    "trend_rnn": ["--config", f"{CONFIGS}/trend_rnn.yaml", "--data.passes_per_epoch=20"],
    "titanic_deep": ["--config", f"{CONFIGS}/titanic_deep.yaml", "--data.passes_per_epoch=20", EVERY],
    "foreign": [
        "--model=tests.pages.foreign.Gan",
        "--data=tests.pages.foreign.Points",
        "--run_name=foreign",
        EVERY,
    ],
}
LABELS = {  # of the layers, in order
    "titanic_mlp": ["hidden 1", "output"],
    "blobs": ["hidden 1", "output"],
    "linear_regression": ["output"],
    "mnist_autoencoder": ["code", "output"],
    "trend_rnn": ["recurrent 1", "output"],
    "titanic_deep": [*(f"hidden {depth}" for depth in range(1, 11)), "output"],
    "foreign": ["hidden 1", "hidden 2", "hidden 3", "output"],
}
PARAMETERS = {
    "titanic_mlp": 2 * 2 + 2 + 2 + 1,
    "blobs": 2 * 5 + 5 + 5 * 4 + 4,
    "linear_regression": 2,
    "mnist_autoencoder": 784 * 50 + 50 + 50 * 784 + 784,
    "trend_rnn": 3 * (32 * 1 + 32 * 32 + 32 + 32) + 33,
    "titanic_deep": 30 + 9 * 110 + 11,
    "foreign": (16 + 8 + 16 + 2) + (16 + 8 + 8 + 1),
}


@pytest.fixture(scope="session")
def run_of_kind(tmp_path_factory: pytest.TempPathFactory, mnist_dir: str) -> Callable[[str], Path]:
    """Train a kind of experiment for two epochs, once; returns the run's folder."""
    place, known = tmp_path_factory.mktemp("kinds"), {}

    def train(kind: str) -> Path:
        if kind not in known:
            words = [*KINDS[kind], *QUIET, "--trainer.max_epochs=2"]
            words += [f"--data.data_dir={mnist_dir}"] if kind.startswith("mnist") else []
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(place)
                patch.setenv("LIGHTNING_INSIDE_RUN", "")
                assert main(["fit", *words]) == 0
            known[kind] = place / "runs" / kind / "version_0"
        return known[kind]

    return train


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, run_of_kind: Callable[[str], Path]) -> Path:
    return run_of_kind(kind)


@pytest.fixture
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def column(folder: Path, name: str) -> tuple[list[float], list[float]]:
    """Steps and values of a column of metrics.csv, read line by line."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [(float(row["step"]), row.get(name)) for row in csv.DictReader(file)]
    rows = [(step, float(value)) for step, value in rows if value]
    return [step for step, _ in rows], [value for _, value in rows]


def chart_called(html: str, title: str) -> dict:
    """The numbers of the first chart with this title."""
    body = html.partition(f"<figcaption><strong>{title}</strong>")[2]
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', body, re.DOTALL)[1])


def test_head_and_command(kind: str, html: str) -> None:
    head = text_of(html.partition("<header>")[2].partition("</header>")[0])
    assert head.startswith(kind)
    assert "finished" in head
    assert f"python train.py fit {' '.join(KINDS[kind])}" in section_of(html, "asked")


def test_losses_are_those_of_the_table(kind: str, folder: Path, html: str) -> None:
    curves = chart_called(html, "loss")["curves"]
    names = ["train_loss"] if kind == "foreign" else ["train/loss", "val/loss"]
    assert len(curves) == len(names)
    for curve, name in zip(curves, names, strict=True):
        steps, values = column(folder, name)
        assert curve["steps"] == steps
        np.testing.assert_allclose(curve["values"], values, rtol=1e-5)


def test_every_layer_with_its_parameters(kind: str, folder: Path, html: str) -> None:
    text = section_of(html, "layers")
    rows = [f"{place} {label} " for place, label in enumerate(LABELS[kind], start=1)]
    places = [text.find(row) for row in rows]
    assert -1 not in places
    assert places == sorted(places)
    assert f"{PARAMETERS[kind]:,} parameters in all." in text
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert sum(value.numel() for name, value in saved.items() if "metric" not in name) >= PARAMETERS[kind]


def test_gradients_over_depth_are_those_of_the_table(kind: str, folder: Path, html: str) -> None:
    labels = LABELS[kind]
    if len(labels) == 1:
        return
    layers = json.loads((folder / "inside" / "layers.json").read_text())
    profile = chart_called(html, "over depth")
    assert profile["names"] == labels
    step = int(profile["lines"][0]["name"].removeprefix("step ").replace(",", ""))
    for place, layer in enumerate(layers):
        steps, values = column(folder, f"grad_norm/{layer['tag']}")
        shown = profile["lines"][0]["values"][place]
        assert shown == pytest.approx(values[steps.index(step)], rel=1e-5)


def test_findings_are_those_of_the_diagnosis(folder: Path, html: str) -> None:
    text = section_of(html, "findings")
    found = json.loads((folder / "diagnosis.json").read_text())
    assert ("not healthy" in text) != found["healthy"]
    for verdict in found["verdicts"]:
        assert (
            " ".join(verdict["message"].replace("`", "").split()) in text.replace(" .", ".")
            or "`" in verdict["message"]
        )
        assert verdict["severity"].upper() in text


def test_every_picture_with_its_sentence(folder: Path, html: str) -> None:
    files = sorted((folder / "pictures").glob("*.png"))
    if not files:
        assert "No picture suited" in section_of(html, "pictures")
        return
    alts = [image["alt"] for image in Reader(html).of("img")]
    expected = {f"{path.stem[:-7]} at step {int(path.stem[-6:]):,}" for path in files}
    assert set(alts) == expected
    text = section_of(html, "pictures")
    for path in files:
        assert " ".join(how_to_read(path.name).split()) in text


def test_weights_as_numbers_only_for_small_networks(kind: str, folder: Path, html: str) -> None:
    text = section_of(html, "weights")
    if PARAMETERS[kind] > 50:
        assert not text
        return
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    weights = {name: value for name, value in saved.items() if name.rpartition(".")[2] in ("weight", "bias")}
    assert sum(value.numel() for value in weights.values()) == PARAMETERS[kind]
    for name, tensor in weights.items():
        for index in np.ndindex(*tensor.shape):
            column_name = f"{name}[{','.join(map(str, index))}]"
            after = text.partition(f"{column_name} ")[2].split()
            assert float(after[1].replace(",", "")) == pytest.approx(float(tensor[index]), rel=1e-3, abs=1e-7)


def test_linear_regression_is_shown_in_the_units_of_the_table(run_of_kind: Callable[[str], Path]) -> None:
    """The slope of the least-squares line, computed from the data."""
    from datamodules import ToyDataModule

    data = ToyDataModule(
        name="linear", num_features=1, val_fraction=0, batch_size=None, normalize_target=True
    )
    data.setup("fit")
    x, y = (tensor.double().numpy().ravel() for tensor in data.splits["train"])
    slope, intercept = np.polyfit(x, y, 1)
    text = section_of(
        (run_of_kind("linear_regression") / "report.html").read_text(encoding="utf-8"), "weights"
    )
    shown = [
        float(text.partition(f"{name} ")[2].split()[2]) for name in ("linear.weight[0,0]", "linear.bias[0]")
    ]
    assert shown == pytest.approx([slope, intercept], rel=2e-3)


def test_a_run_without_validation_has_no_result_and_says_so(run_of_kind: Callable[[str], Path]) -> None:
    html = (run_of_kind("foreign") / "report.html").read_text(encoding="utf-8")
    assert "Nothing was validated or tested" in section_of(html, "result")
    steps, values = column(run_of_kind("foreign"), "loss_g")
    curve = chart_called(html, "loss_g")["curves"][0]
    assert curve["steps"] == steps
    np.testing.assert_allclose(curve["values"], values, rtol=1e-5)


def test_the_result_is_that_of_the_best_checkpoint(kind: str, folder: Path, html: str) -> None:
    if not (folder / "result.json").exists():
        pytest.skip("this run has no result")
    text = unescape(section_of(html, "result"))
    found = json.loads((folder / "result.json").read_text())["validation"]
    if found.get("rows"):
        assert f"{found['rows']:,}" in text
    for name, metric in found["metrics"].items():
        assert name in text
        numbers = [float(each.replace(",", "")) for each in re.findall(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?", text)]
        assert any(math.isclose(each, metric["value"], rel_tol=0.01, abs_tol=1e-6) for each in numbers)
