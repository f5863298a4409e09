"""Tokens: the probability of each true one, in the order of the sequence."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from callbacks.pictures import Tokens
from callbacks.pictures.style import drawing
from callbacks.pictures.tokens import draw_tokens, probability_of
from tests.callbacks.pictures.plain import data_like
from tests.callbacks.plain import Plain, fit, rows

LOGITS = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))  # (N, T, K)
Y = torch.randint(5, (4, 6), generator=torch.Generator().manual_seed(1))


def probabilities(y: Tensor) -> np.ndarray:
    """Row by row."""
    found = np.full(y.shape, np.nan)
    for row, place in np.ndindex(*y.shape):
        if y[row, place] >= 0:
            scores = LOGITS[row, place].double().exp()
            found[row, place] = float(scores[y[row, place]] / scores.sum())
    return found


@pytest.mark.parametrize("num_classes", [5, 1])
def test_probability_of_each_true_token(num_classes: int) -> None:
    y = Y.clone()
    y[1, 3:] = -100
    for logits in (LOGITS, LOGITS.movedim(2, 1)):
        assert np.allclose(probability_of(logits, y, num_classes), probabilities(y), equal_nan=True)


@pytest.mark.parametrize("output", [LOGITS.mean(1), LOGITS[:, :4], LOGITS[..., :2], (LOGITS,), LOGITS[:3]])
def test_another_output_is_not_drawn(output: Any) -> None:
    assert probability_of(output, Y.clamp(min=3), 5) is None


def test_as_many_classes_as_tokens() -> None:
    """Then only the known number of classes says nothing, and the classes are last."""
    logits = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(2))
    y = torch.arange(10).reshape(2, 5) % 5
    found = probability_of(logits, y, 7)
    assert found[0, 1] == pytest.approx(float(logits[0, 1].double().softmax(0)[1]))


def test_cells_show_words_and_probabilities() -> None:
    words = [[f"w{place}" for place in row] for row in Y.tolist()]
    with drawing():
        axes = draw_tokens(probabilities(Y), words).axes[0]
    assert np.allclose(axes.images[0].get_array(), probabilities(Y))
    assert [text.get_text() for text in axes.texts] == [word for row in words for word in row]


def test_long_sequences_are_cut_and_say_so() -> None:
    with drawing():
        axes = draw_tokens(np.full((2, 300), 0.5), [["word"] * 300] * 2).axes[0]
    assert axes.images[0].get_array().shape == (2, 20)
    assert axes.get_title() == "the first 20 of 300 tokens"


class Language(Plain):
    def __init__(self) -> None:
        super().__init__(nn.Embedding(5, 5), loss=lambda logits, y: nn.functional.cross_entropy(logits.mT, y))


def test_drawn_in_a_training_of_data_that_do_not_name_their_task(tmp_path: Path) -> None:
    tokens = rows(Y[:, :-1], Y[:, 1:])
    fit(Language(), tokens, Tokens(tmp_path), val=tokens)
    assert {path.name for path in tmp_path.iterdir()} == {"fit_tokens_000000.png", "fit_tokens_000001.png"}


@pytest.mark.parametrize("y", [torch.rand(4, 5), Y[:, 0], Y[:, :1]])
def test_other_targets_are_no_tokens_and_need_no_words(y: Tensor, tmp_path: Path) -> None:
    assert not Tokens().suits_batch(data_like("", ()), (Y, y))
    assert not Tokens().suits(Language(), data_like("regression", (5,)))
    with warnings.catch_warnings(record=True) as caught:
        fit(Plain(nn.Linear(2, 1)), rows(torch.rand(4, 2), torch.rand(4, 1)), Tokens(tmp_path))
    assert not [each for each in caught if "drawn" in str(each.message)]
