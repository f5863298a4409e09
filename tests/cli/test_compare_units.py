"""`compare` of networks whose test samples are no independent rows with one class or number each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from cli import main
from datamodules.base import Split, TensorDataModule
from examples.segmentation.data import ShapesDataModule
from examples.segmentation.model import LitUNet
from tests.cli.test_compare import table

ROOT = Path(__file__).parents[2]
QUIET = "--trainer.accelerator cpu --trainer.enable_progress_bar false --diagnostics false --pictures false"
QUIET += " --checkup false --page false --trainer.max_epochs 1 --trainer.limit_train_batches 3"


class Patients(TensorDataModule):
    """Images of ten patients in the test split; what is to be found is the sum of two pixels."""

    task, in_shape, out_features, sample_name = "binary", (2,), 1, "scan"

    def load(self) -> dict[str, Split]:
        x = torch.randn(120, 2, generator=torch.Generator().manual_seed(0))
        self.row_groups = {"test": [f"patient {row // 4}" for row in range(40)]}
        rows = x, (x.sum(1) > 0).long()
        return {"train": rows, "val": rows, "test": (rows[0][:40], rows[1][:40])}


@pytest.fixture
def compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], dict[str, str]]:
    """Trains two networks with other seeds, and returns the table of their comparison, with the sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")

    def compare(words: str) -> dict[str, str]:
        for seed in (1, 2):
            assert main(f"fit --run_name {seed} --seed_everything {seed} {words} {QUIET}".split()) == 0
        capsys.readouterr()
        assert main(["compare", "1", "2"]) == 0
        text = capsys.readouterr().out
        sentence = next(line for line in text.splitlines() if line.startswith(("The diff", "No diff")))
        assert sentence in Path("runs/comparison_1_0_2_0.html").read_text(encoding="utf-8").replace(
            "&#x27;", "'"
        )
        return {**table(text), "sentence": sentence}

    return compare


def example(name: str) -> str:
    return f"--config {ROOT / 'examples' / name / name}.yaml"


def test_overlapping_windows_are_drawn_in_blocks(compared: Callable[[str], dict[str, str]]) -> None:
    found = compared(f"{example('forecasting')} --model.hidden_size 4")
    assert "windows to a block" in found["95 % confidence interval"]
    assert found["compared"].startswith("the squared error of each window; neighbors in time")
    assert "block bootstrap" in found["sentence"]
    length = int(found["95 % confidence interval"].split("about ")[1].split()[0])
    assert length > 10  # a window shares hours with the 23 next ones


def test_series_are_the_unit_of_forecasts(compared: Callable[[str], dict[str, str]]) -> None:
    found = compared("--model LitRNN --data SeriesDataModule --data.num_series 20")
    assert found["test rows"] == "20"
    assert "(Student, paired series)" in found["95 % confidence interval"]


def test_images_with_a_metric_by_name(compared: Callable[[str], dict[str, str]]) -> None:
    found = compared(f"{example('segmentation')} --data.num_images 60 --model.metrics [JaccardIndex]")
    assert "(Student, paired images)" in found["95 % confidence interval"]
    model = LitUNet.load_from_checkpoint("runs/1/version_0/checkpoints/best.ckpt", weights_only=True)
    data = ShapesDataModule(num_images=60)
    data.setup("test")
    x, y = data.splits["test"]
    with torch.no_grad():
        logits = model.eval()(x)
    metric = MulticlassJaccardIndex(num_classes=4, ignore_index=-100)
    assert float(found["jaccard_index of A"]) == pytest.approx(float(metric(logits, y)), abs=2e-6)
    assert found["jaccard_index of B - A"].endswith("(paired bootstrap)")


def test_outputs_in_units_of_their_own(compared: Callable[[str], dict[str, str]]) -> None:
    found = compared(f"{example('several_outputs')} --data.num_rows 300")
    assert "Holm" in found["mse of B - A, price (1000 EUR)"]
    assert found["r2 of B - A"].endswith("(mean of the outputs)")
    assert "Of the 3 outputs by themselves" in found["sentence"]


def test_images_of_one_patient(compared: Callable[[str], dict[str, str]]) -> None:
    found = compared("--model LitLinear --data tests.cli.test_compare_units.Patients")
    assert "Student over 10 groups of scans" in found["95 % confidence interval"]
    assert "t-test over groups" in found
    assert isinstance(Patients().spec.sample_name, str)


def test_a_comparison_says_what_was_compared(compared: Callable[[str], dict[str, Any]]) -> None:
    found = compared(
        "--model LitLinear --data ToyDataModule --data.name circles --model.metrics [F1Score,AUROC]"
    )
    assert found["compared"] == "the class of each row"
    assert {"f1_score of A", "auroc of A", "McNemar's exact test"} <= found.keys()
