"""Every bundled experiment shows something sensible, and a module from elsewhere shows what is known of it."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.pages.watch.page import STEP, Page, watch

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"), key=lambda path: path.stem)
KINDS = {
    "blobs": "plane", "circles": "plane", "rings": "plane", "titanic_mlp": "plane", "titanic_deep": "plane",
    "damped_sine": "curve", "damped_sine_large": "curve", "nonlinear_regression": "curve", "linear_regression": "curve",
    "titanic_full": "table", "titanic_logistic": "table", "trend_rnn": "series",
}  # fmt: skip
OUTPUT = {"plane": "map", "curve": "fit", "table": "counts", "series": "forecast", "images": "filtered"}


def shown(*words: str) -> Page:
    """A page after one step."""
    page = Page([STEP])
    watch(page, *words)
    return page


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_experiment_shows_its_network_and_what_it_says(config: Path, mnist_dir: str) -> None:
    is_mnist = "mnist" in config.stem
    more = [f"--data.data_dir={mnist_dir}", "--data.batch_size=32"] if is_mnist else []
    if "4v9" in config.stem:
        more += ["--data.num_val=10", "--data.subset=40"]
    page = shown(f"--config={config}", *more)
    kind, frame = page.hellos[-1]["kind"], page.frames[-1]
    assert kind == ("images" if is_mnist else KINDS.get(config.stem, kind)) != "none"
    assert OUTPUT[kind] in frame["output"]
    assert [point[0] for point in frame["curves"]["train"]] == [1]
    columns = frame["network"]["columns"]
    assert columns[-1]["label"] == "output"
    assert all(1 <= len(column["units"]) <= 10 for column in columns)
    assert all(layer["grad_norm"] is not None for layer in frame["layers"])
    for edges, left, right in zip(frame["network"]["edges"], columns[:-1], columns[1:], strict=True):
        if edges is not None:
            shape = len(edges["values"]), len(edges["values"][0])
            assert shape == (len(right["units"]), len(left["units"]))


def test_edges_are_the_weights(tmp_path: Path) -> None:
    page = Page()
    run = watch(page, f"--config={ROOT}/configs/circles.yaml")
    first, last = page.frames[0]["network"]["edges"]
    for found, layer in ((first, 0), (last, 2)):
        weight = run.model.state_dict()[f"layers.{layer}.weight"]
        assert found["values"] == [pytest.approx(row, rel=1e-4) for row in weight.tolist()]
        assert found["largest"] == pytest.approx(float(weight.abs().max()), rel=1e-4)


FOREIGN = """
import pytorch_lightning as pl, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Net(pl.LightningModule):
    def __init__(self, odd: bool = False):
        super().__init__()
        self.body, self.tail, self.odd = nn.Linear(4, 6), nn.Linear(6, 2), odd
    def forward(self, x):
        logits = self.tail(torch.relu(self.body(x)))
        return {"logits": logits} if self.odd else logits
    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        return nn.functional.cross_entropy(out["logits"] if self.odd else out, y)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class Points(pl.LightningDataModule):
    def __init__(self, words: bool = False):
        super().__init__()
        self.words = words
    def train_dataloader(self):
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        y = (x.sum(1) > 0).long()
        if self.words:
            return DataLoader([({"x": x[k], "name": str(k)}, int(y[k])) for k in range(64)], batch_size=8)
        return DataLoader(TensorDataset(x, y), batch_size=8)

class Wordy(Net):
    def training_step(self, batch, batch_idx):
        return super().training_step((batch[0]["x"], batch[1]), batch_idx)
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module from elsewhere, with loaders and without a validation; its name."""
    name = f"foreign_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def losses_and_layers(frame: dict[str, Any]) -> None:
    assert frame["curves"]["train"]
    assert [layer["tag"] for layer in frame["layers"]] == ["00_body", "01_tail"]


def test_a_module_from_elsewhere_shows_its_units(foreign: str) -> None:
    page = shown("--model", f"{foreign}.Net", "--data", f"{foreign}.Points")
    losses_and_layers(page.frames[-1])
    assert page.hellos[-1]["kind"] == "table"
    labels = [(each["label"], each["total"]) for each in page.frames[-1]["network"]["columns"]]
    assert labels == [("input", 4), ("hidden 1", 6), ("output", 2)]


def test_outputs_that_are_no_tensor_still_show_the_units(foreign: str) -> None:
    page = shown("--model", f"{foreign}.Net", "--model.odd=true", "--data", f"{foreign}.Points")
    losses_and_layers(page.frames[-1])


def test_batches_that_are_no_pair_of_tensors_show_losses_and_layers(foreign: str) -> None:
    page = shown("--model", f"{foreign}.Wordy", "--data", f"{foreign}.Points", "--data.words=true")
    losses_and_layers(page.frames[-1])
    assert page.hellos[-1]["kind"] == "none"
    assert (
        page.hellos[-1]["scene"]["why"]
        == "a batch is no pair of tensors, inputs that are real numbers and targets"
    )
