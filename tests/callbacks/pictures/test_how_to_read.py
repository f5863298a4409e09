"""Every kind of picture says in plain words how to read it, and its sentences are found again by tag and by file."""

import re

import pytest

from callbacks.pictures import EVERY_RUN, DepthPlot, how_to_read
from callbacks.pictures.base import Picture

KINDS: tuple[type[Picture], ...] = (*EVERY_RUN, DepthPlot)


@pytest.mark.parametrize("kind", KINDS)
def test_each_tag_of_a_kind_has_one_or_two_sentences(kind: type[Picture]) -> None:
    text = f"{kind.__doc__} {__import__(kind.__module__, fromlist=['_']).__doc__}"
    tags = set(re.findall(r"`([a-z]+_?[a-z]*/\w+)`", text))
    assert {tag.replace("NN_layer", "*") for tag in tags} == set(kind.how_to_read)
    for sentence in kind.how_to_read.values():
        assert 1 <= len(re.findall(r"\.(?: |$)", sentence)) <= 2
        assert sentence[0].isupper()


def test_no_tag_is_explained_twice() -> None:
    tags = [tag for kind in KINDS for tag in kind.how_to_read]
    assert len(tags) == len(set(tags))


def test_found_by_tag_and_by_file() -> None:
    found = {
        name: how_to_read(name) for name in ("fit/units", "fit_units_000100.png", "fit_units_12345678.png")
    }
    assert set(found.values()) == {dict(EVERY_RUN[1].how_to_read)["fit/units"]}
    assert how_to_read("filters/00_blocks.0.0") == how_to_read("filters_00_blocks.0.0_000860.png") != ""
    assert how_to_read("fit_unit_space_000001.png") != how_to_read("fit_units_000001.png")


@pytest.mark.parametrize("name", ["fit/mine", "fit_mine_000001.png", "fit/planes", "fit_units.png", ""])
def test_a_picture_of_ones_own_has_none(name: str) -> None:
    assert how_to_read(name) == ""
