"""Hardest shows the images whose class gets the least probability."""

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.pictures.hardest import NUM_IMAGES, Hardest, draw_hardest, hardest, percent
from callbacks.pictures.style import BLUE, VERMILION
from tests.callbacks.pictures.small import Autoencoder, X, Y, classifier, data, figures


def test_mistakes_come_first_the_worst_of_them_before_all():
    probability = np.array(
        [[0.9, 0.1, 0.0], [0.4, 0.35, 0.25], [0.34, 0.33, 0.33], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]]
    )
    assert hardest(probability, np.array([0, 0, 0, 0, 1])).tolist() == [3, 4, 2, 1, 0]


def test_captions_say_what_was_predicted_and_how_surely():
    probability = np.array([[0.2, 0.8], [0.55, 0.45]])
    figure = draw_hardest(np.zeros((2, 8, 8)), probability, np.array([0, 0]), ["4", "9"])
    wrong, right = figure.axes[0].texts
    assert (wrong.get_text(), wrong.get_color()) == ("9, not 4\n80 % sure", VERMILION)
    assert (right.get_text(), right.get_color()) == ("4\n55 % sure", BLUE)


@pytest.mark.parametrize(("probability", "text"), [(0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %")])
def test_almost_sure_is_not_sure(probability, text):
    assert percent(probability) == text


@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3)])
def test_the_images_of_a_network(task, outputs):
    """The number of mistakes, and the first image, against plain PyTorch."""
    model = classifier(nn.Flatten(), nn.Linear(64, outputs))
    y = Y % 2 if task == "binary" else Y
    with torch.no_grad():
        logits = model(X)
    logits = torch.cat([torch.zeros(40, 1), logits], 1) if outputs == 1 else logits
    wrong = logits.argmax(1) != y
    losses = nn.functional.cross_entropy(logits, y, reduction="none")
    worst = int(losses.where(wrong, -1).argmax())
    figure = figures(Hardest(), model, data(task=task), (X, y))["errors/hardest"]
    assert figure.get_suptitle() == f"Hardest images; {int(wrong.sum())} of 40 are wrong"
    assert len(figure.axes[0].texts) == NUM_IMAGES
    drawn = figure.axes[0].images[0].get_array().filled(np.nan)
    image = X[worst, 0].double().numpy()
    expected = (image - image.min()) / (image.max() - image.min())
    top = np.argmax(~np.isnan(drawn).all(1))
    assert np.allclose(drawn[top : top + 8, :8], expected)


def test_only_classes_of_images():
    model = classifier(nn.Flatten(), nn.Linear(64, 3))
    assert Hardest().suits(model, data())
    assert not Hardest().suits(model, data(in_shape=[64]))
    assert not Hardest().suits(model, data(task="regression"))
    assert not Hardest().suits(Autoencoder(), data())
