"""A watched training is the training that `fit` makes, and obeys its pages step by step."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cli.build import build
from cli.request import Request
from tests.conftest import ROOT
from tests.pages.watch.page import PLAY, STEP, Page, watch

CIRCLES = (f"--config={ROOT}/configs/circles.yaml", "--trainer.max_epochs=2", "--data.passes_per_epoch=2")
AS_FIT = ("--trainer.logger=false", "--trainer.enable_checkpointing=false", "--pictures=false")
QUIET = ("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")
FAST = {"do": "speed", "value": 0}


def fitted(folder: Path, *words: str) -> dict[str, Any]:
    """The weights after the same `fit`."""
    (folder / "run").mkdir()
    run = build(Request("fit", ["fit", *QUIET, *words, *AS_FIT]), folder=folder / "run")
    run.fit()
    return run.model.state_dict()


def assert_equal(run: Any, expected: dict[str, Any]) -> None:
    """Compare all weights and buffers to the bit."""
    found = run.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_weights_are_those_of_fit_to_the_bit(tmp_path: Path) -> None:
    page = Page([STEP, STEP, [{"do": "speed", "value": 10}, PLAY]])
    run = watch(page, *CIRCLES)
    assert_equal(run, fitted(tmp_path, *CIRCLES))
    assert page.frames[-1]["finished"]
    assert page.frames[-1]["step"] == run.trainer.global_step == 32


def test_weights_of_a_convolutional_network_with_batch_norm_and_dropout_are_those_of_fit(
    tmp_path: Path, mnist_dir: str
) -> None:
    words = (
        f"--config={ROOT}/configs/mnist_fast.yaml",
        f"--data.data_dir={mnist_dir}",
        "--trainer.max_epochs=2",
        "--model.dropout=0.3",
        "--trainer.precision=32-true",
    )
    drawing = {"do": "draw", "value": [0.5] * 784}
    page = Page([STEP, drawing, {"do": "image", "value": 1}, [FAST, PLAY]])
    assert_equal(watch(page, *words), fitted(tmp_path, *words))


def test_a_step_is_one_step() -> None:
    page = Page([STEP] * 4)
    watch(page, *CIRCLES)
    assert [frame["step"] for frame in page.frames] == [0, 1, 2, 3, 4]
    assert not any(frame["playing"] for frame in page.frames)


@pytest.mark.parametrize("speed", [1, 10])
def test_so_many_steps_per_frame_are_made(speed: int) -> None:
    page = Page([[{"do": "speed", "value": speed}, PLAY]])
    watch(page, *CIRCLES)
    steps = [frame["step"] for frame in page.frames if frame["step"] and not frame["finished"]]
    assert steps == list(range(1, 32, speed))  # the first one shows that the button was pressed


def test_gradients_are_those_of_the_step_before_the_frame() -> None:
    page = Page([STEP, STEP])
    watch(page, *CIRCLES)
    assert [frame["layers_step"] for frame in page.frames] == [None, 0, 1]
    first, second = (page.frames[k]["layers"] for k in (1, 2))
    assert [layer["tag"] for layer in first] == ["00_layers.0", "01_layers.2"]
    assert first != second
    assert all(layer[name] > 0 for layer in first for name in ("grad_norm", "delta_norm", "update_ratio"))


def test_a_factor_changes_the_training_and_leaves_the_schedule_alone(tmp_path: Path) -> None:
    words = (*CIRCLES, "--model.scheduler=ExponentialLR", "--model.scheduler.gamma=0.5")
    page = Page([[{"do": "rate", "value": 10.0}, FAST, PLAY]])
    run = watch(page, *words)
    expected = fitted(tmp_path, *words)
    assert not torch.equal(run.model.state_dict()["layers.0.weight"], expected["layers.0.weight"])
    assert page.frames[-1]["rate"] == pytest.approx(0.02 * 0.5**2)
    assert page.frames[-1]["factor"] == 10


def test_without_a_page_nothing_is_trained() -> None:
    page = Page([PLAY])
    watched = page.controls.may_step
    page.controls.closed()
    assert page.controls.receive(PLAY)
    assert not watched()
    page.controls.opened()
    assert watched()


def test_another_seed_has_other_weights() -> None:
    units = []
    for seed in (1, 2):
        page = Page()
        watch(page, *CIRCLES, f"--seed_everything={seed}")
        assert page.frames[0]["seed"] == seed
        units.append(page.frames[0]["network"]["edges"])
    assert units[0] != units[1]
