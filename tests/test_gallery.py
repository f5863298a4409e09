"""docs/gallery.md shows every picture that the script makes, and no other, and none is heavy."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gallery import GALLERY, MAX_BYTES, SHOWN, draw_activations
from callbacks.pictures import EVERY_RUN, DepthPlot, how_to_read
from callbacks.pictures.base import Picture

TEXT = (GALLERY.parent / "gallery.md").read_text(encoding="utf-8")
MADE = {f"{name}_{tag.replace('/', '_')}.png" for name, tags in SHOWN.items() for tag in tags} | {
    "activations.png"
}


def test_the_page_the_folder_and_the_script_agree() -> None:
    assert set(re.findall(r"\]\(gallery/([\w.]+\.png)\)", TEXT)) == MADE
    assert {path.name for path in GALLERY.iterdir()} == MADE


def test_pictures_are_small() -> None:
    sizes = [path.stat().st_size for path in GALLERY.iterdir()]
    assert max(sizes) <= MAX_BYTES
    assert sum(sizes) <= 2_000_000


@pytest.mark.parametrize("tag", sorted({tag for tags in SHOWN.values() for tag in tags}))
def test_every_kind_is_explained(tag: str) -> None:
    assert f"`{tag}`" in TEXT
    assert how_to_read(tag)


@pytest.mark.parametrize("kind", [*EVERY_RUN, DepthPlot])
def test_the_page_says_how_to_read_each_kind_in_the_words_of_its_class(kind: type[Picture]) -> None:
    shown = {tag for tags in SHOWN.values() for tag in tags}
    for pattern, sentence in kind.how_to_read.items():
        if any(fnmatchcase(tag, pattern) for tag in shown):
            assert f": {sentence}" in TEXT


def test_activations_and_their_derivatives_are_the_formulas() -> None:
    panels = {
        axes.get_title(): [line.get_xydata().T for line in axes.lines] for axes in draw_activations().axes
    }
    (x, sigmoid), (_, slope) = panels["sigmoid"]
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-x)), rtol=1e-5)
    np.testing.assert_allclose(slope, sigmoid * (1 - sigmoid), rtol=1e-4)
    (x, tanh), (_, slope) = panels["tanh"]
    np.testing.assert_allclose(slope, 1 - tanh**2, atol=1e-6)
    assert (x[0], x[-1]) == (-6, 6)
    for name, (low, high) in {"relu": (0, 1), "leaky_relu": (0.01, 1)}.items():
        (x, y), (_, slope) = panels[name]
        np.testing.assert_allclose(y, np.where(x > 0, x, low * x), atol=1e-6)
        assert set(slope[np.abs(x) > 0.01].round(6)) == {low, high}


def test_the_page_is_linked() -> None:
    assert "docs/gallery.md" in Path(GALLERY.parents[1] / "README.md").read_text(encoding="utf-8")
