"""Many kinds of pictures in one callback: drawn as if each were one, and asked nothing at single steps."""

import torch
from torch import nn

from callbacks.pictures.base import Picture, pictures_of
from callbacks.pictures.gallery import Gallery, hung
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


class Counting(Dot):
    """A kind that looks at every step."""

    steps = 0

    def on_train_batch_end(self, *args):
        self.steps += 1


def data():
    return rows(torch.ones(8, 2), torch.zeros(8, 1), batch_size=4)


def test_all_are_drawn_before_training_and_at_the_end(tmp_path):
    trainer = fit(Plain(nn.Linear(2, 1)), data(), *hung([Dot, Counting, Dash], tmp_path), val=data())
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {f"fit_{kind}_00000{step}.png" for kind in ("Dot", "Dash", "Counting") for step in (0, 1)}
    assert {type(picture) for picture in pictures_of(trainer)} == {Dot, Dash, Counting}
    assert all(picture.seconds > 0 for picture in pictures_of(trainer))


def test_they_look_at_one_batch_together(tmp_path):
    batches = []

    class Looking(Dot):
        def figures(self, pl_module, data, batch):
            batches.append(batch)
            return []

    class LookingToo(Looking):
        """Another kind."""

    fit(Plain(nn.Linear(2, 1)), data(), *hung([Looking, LookingToo], tmp_path), val=data())
    assert batches[0] is batches[1]


def test_lightning_passes_it_over_at_every_step(tmp_path):
    gallery, counting = hung([Dot, Counting, Dash], tmp_path)
    assert isinstance(gallery, Gallery)
    skip_empty_hooks(gallery)
    assert [getattr(gallery, name) for name in STEP_HOOKS] == [None] * len(STEP_HOOKS)
    fit(Plain(nn.Linear(2, 1)), data(), gallery, counting, val=data(), steps=2)
    assert counting.steps == 2
