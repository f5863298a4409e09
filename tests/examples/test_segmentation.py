"""Shapes on noisy images: the masks, and the metric compared with scikit-learn's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import jaccard_score

from cli import main
from examples.segmentation.data import CLASSES, UNLABELED, draw_masks, without_edges
from tests.examples.figures import trained_and_tested


def test_masks_show_each_kind_of_shape() -> None:
    masks = draw_masks(50, 32, torch.Generator().manual_seed(1))
    assert masks.shape == (50, 32, 32)
    shares = torch.bincount(masks.flatten(), minlength=len(CLASSES)) / masks.numel()
    assert shares[0] > 0.5
    assert (shares[1:] > 0.02).all()


def test_only_pixels_along_an_edge_are_unlabeled() -> None:
    masks = torch.zeros(1, 4, 4, dtype=torch.long)
    masks[0, 2:, 2:] = 3
    expected = [[0, 0, 0, 0], [0, 0, UNLABELED, UNLABELED], [0, UNLABELED, 3, 3], [0, UNLABELED, 3, 3]]
    assert without_edges(masks)[0].tolist() == expected


def test_intersection_over_union_is_that_of_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few steps, when no class is right or wrong everywhere; the predicted masks are image files."""
    monkeypatch.chdir(tmp_path)
    flags = ["--data.num_images=180", "--trainer.max_epochs=2", "--checkup=false"]
    run, figures = trained_and_tested("segmentation", *flags)
    x, y = run.datamodule.splits["test"]
    with torch.no_grad():
        prediction = run.model.eval()(x).argmax(1)
    labeled = y != UNLABELED
    expected = jaccard_score(y[labeled], prediction[labeled], average="macro")
    assert 0.05 < expected < 0.95
    assert figures["jaccard_index"] == pytest.approx(expected, abs=1e-6)

    assert main(["predict", f"--ckpt_path={run.folder}", "--trainer.enable_progress_bar=false"]) == 0
    table = pd.read_csv(run.folder / "predictions.csv")
    ids = run.datamodule.splits["predict"][1].tolist()
    assert table["index"].tolist() == ids
    for name, mask in zip(table["prediction"], prediction, strict=True):
        assert np.array_equal(np.asarray(Image.open(run.folder / name)), mask)
