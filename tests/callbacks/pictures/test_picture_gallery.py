"""Many kinds of pictures in one callback: drawn as if each were one, and asked nothing at single steps."""

import pytest
import torch
from torch import nn

from callbacks import GradientMonitor
from callbacks.pictures import EVERY_RUN, GradientCurve
from callbacks.pictures.base import Picture, pictures_of
from callbacks.pictures.gallery import Gallery
from callbacks.pictures.style import new_figure
from callbacks.step_hooks import STEP_HOOKS, skip_empty_hooks
from tests.callbacks.plain import Plain, fit, rows


class Dot(Picture):
    def suits(self, pl_module, data):
        return True

    def figures(self, pl_module, data, batch):
        yield f"fit/{type(self).__name__}", new_figure(1, 1)


class Dash(Dot):
    """Another kind."""


def data():
    return rows(torch.ones(8, 2), torch.zeros(8, 1), batch_size=4)


def test_all_are_drawn_before_training_and_at_the_end(tmp_path):
    gallery = Gallery([Dot(tmp_path), Dash(tmp_path)])
    trainer = fit(Plain(nn.Linear(2, 1)), data(), gallery, val=data())
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {f"fit_{kind}_00000{step}.png" for kind in ("Dot", "Dash") for step in (0, 1)}
    assert pictures_of(trainer) == gallery.pictures
    assert all(picture.seconds > 0 for picture in gallery.pictures)


def test_they_share_one_batch(tmp_path):
    batches = []

    class Keeping(Dot):
        def figures(self, pl_module, data, batch):
            batches.append(batch)
            return []

    fit(Plain(nn.Linear(2, 1)), data(), Gallery([Keeping(tmp_path), Keeping(tmp_path)]), val=data())
    assert batches[0] is batches[1]


def test_lightning_passes_it_over_at_every_step(tmp_path):
    gallery = Gallery([kind(tmp_path) for kind in EVERY_RUN])
    skip_empty_hooks(gallery)
    assert [getattr(gallery, name) for name in STEP_HOOKS] == [None] * len(STEP_HOOKS)


def test_a_picture_that_has_step_hooks_is_refused():
    class Counting(Dot):
        def on_train_batch_end(self, *args):
            """Would not be called."""

    with pytest.raises(ValueError, match="Counting has hooks of single steps"):
        Gallery([Dot(), Counting()])


@pytest.mark.parametrize("first", [True, False])
def test_a_curve_of_the_gradients_is_drawn_in_any_order(tmp_path, first):
    callbacks = [Gallery([GradientCurve(tmp_path)]), GradientMonitor(1)]
    fit(Plain(nn.Linear(2, 1)), data(), *(callbacks if first else callbacks[::-1]), val=data(), steps=4)
    assert [path.name for path in tmp_path.iterdir()] == ["depth_gradient_over_steps_000004.png"]
