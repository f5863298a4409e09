"""Textures in a folder of images: what is augmented, the file names in the predictions, and the test accuracy."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from cli import main
from cli.build import build
from cli.new import EXAMPLES
from cli.request import prepare
from examples.image_folder import data as image_folder
from examples.image_folder.data import CLASSES, TexturesDataModule
from tests.cli.end_to_end.commands import assert_same_weights, weights
from tests.examples.figures import QUIET, trained_and_tested
from tests.examples.test_examples import SHORT, Kill

CONFIG = EXAMPLES / "image_folder/image_folder.yaml"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TexturesDataModule:
    monkeypatch.chdir(tmp_path)
    made = TexturesDataModule(num_images=100, num_workers=0)
    made.prepare_data()
    made.setup()
    return made


def test_the_folder_has_a_folder_of_images_for_each_class(small: TexturesDataModule) -> None:
    assert sorted(path.name for path in small.folder.iterdir()) == list(CLASSES)
    images = [Image.open(path) for path in small.folder.rglob("*.png")]
    assert len(images) == 100
    assert {(image.size, image.mode) for image in images} == {((32, 32), "RGB")}
    assert sum(small.class_counts) == 60


def test_a_killed_run_leaves_no_half_written_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = TexturesDataModule(data_dir=str(tmp_path), num_images=20)

    def killed(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "draw_textures", killed)
        with pytest.raises(KeyboardInterrupt):
            data.prepare_data()
    assert not data.folder.exists()
    data.prepare_data()
    assert len(list(data.folder.rglob("*.png"))) == 20


def test_only_training_images_change_and_no_file_is_in_two_splits(small: TexturesDataModule) -> None:
    changes = {
        name: not torch.equal(small.splits[name][0][0], small.splits[name][0][0])
        for name in ("train", "val", "test", "predict")
    }
    assert changes == {"train": True, "val": False, "test": False, "predict": False}
    numbers = [set(small.splits[name].indices) for name in ("train", "val", "test")]  # type: ignore[attr-defined]
    assert set.union(*numbers) == set(range(100))
    assert sum(map(len, numbers)) == 100


@pytest.mark.parametrize("killed_with", ["0", "2"])
def test_a_run_resumes_with_another_number_of_workers(
    killed_with: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crops, flips and colors are drawn again as they would have been."""
    monkeypatch.chdir(tmp_path)
    resumed_with = {"0": "2", "2": "0"}[killed_with]
    fit = ["fit", f"--config={CONFIG}", *SHORT, *QUIET, "--checkup=false", "--trainer.max_epochs=2"]
    fit += ["--data.num_images=400", "--save_every_n_steps=2"]
    assert main([*fit, "--run_name=whole"]) == 0
    first = prepare([*fit, f"--data.num_workers={killed_with}", "--run_name=parts"])
    with pytest.raises(RuntimeError, match="as if killed"):
        build(first, callbacks=[Kill()]).fit()
    parts = Path("runs/parts/version_0")
    assert main(["fit", f"--resume={parts}", f"--data.num_workers={resumed_with}"]) == 0
    assert_same_weights(weights(parts), weights(Path("runs/whole/version_0")))


def test_it_is_far_better_than_a_forest_on_the_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run, figures = trained_and_tested("image_folder")
    x, y = pixels(run.datamodule, "train")
    x_test, y_test = pixels(run.datamodule, "test")
    forest = RandomForestClassifier(random_state=0).fit(x, y)
    assert forest.score(x_test, y_test) < 0.6
    assert figures["accuracy"] > 0.9

    assert main(["predict", f"--ckpt_path={run.folder}", *QUIET]) == 0
    table = pd.read_csv(run.folder / "predictions.csv")
    classes = table["file"].str.partition("/")[0].map(CLASSES.index)
    assert (classes == table["prediction"]).mean() == pytest.approx(figures["accuracy"], abs=1e-6)


def pixels(data: TexturesDataModule, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3072) as they are in the files, and their classes (N,)."""
    subset: Any = data.splits[split]
    samples = [subset.dataset.samples[number] for number in subset.indices]
    return np.stack([np.asarray(Image.open(path)).ravel() for path, _ in samples]), np.array(
        [label for _, label in samples]
    )
