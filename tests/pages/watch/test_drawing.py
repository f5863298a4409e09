"""A drawing becomes what MNIST's digits are: 20 pixels of 28 tall, around the center of mass."""

import pytest
import torch

from pages.watch.drawing import as_written


@pytest.mark.parametrize("place", [(2, 3), (20, 22), (10, 0)])
def test_a_small_stroke_is_made_as_large_as_a_digit(place: tuple[int, int]) -> None:
    page = torch.zeros(28, 28)
    row, column = place
    page[row : row + 6, column : column + 3] = 1
    written = as_written(page)
    inked = (written > 0.1).nonzero()
    low, high = inked.min(0).values, inked.max(0).values
    assert (high - low + 1).tolist() == [20, 10]
    coordinates = torch.arange(28.0)
    for axis in range(2):
        center = (written.sum(1 - axis) * coordinates).sum() / written.sum()
        assert center == pytest.approx(13.5, abs=0.51)
    assert 0 <= written.min() <= written.max() <= 1


def test_an_empty_page_stays_empty() -> None:
    assert not as_written(torch.zeros(28, 28)).any()


def test_ink_at_the_edge_stays_on_the_page() -> None:
    page = torch.zeros(28, 28)
    page[0, :], page[:, 0] = 1, 1
    assert as_written(page).shape == (28, 28)
