"""What is left out of Lightning's part of a step was empty."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback

from callbacks.step_hooks import STEP_HOOKS, skip_empty_hooks
from tests.callbacks.plain import Plain, fit, mlp, rows

X = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
Y = X.sum(1, keepdim=True)


def record_calls(owner, names):
    """Put into `owner` hooks that note their calls; returns the notes."""
    calls = []
    for name in names:
        setattr(owner, name, lambda *args, name=name, **kwargs: calls.append(name))
    return calls


def test_lightning_passes_over_empty_hooks_and_calls_all_others():
    class Some(pl.Callback):
        seen = 0

        def on_train_batch_end(self, *args):
            self.seen += 1

    some = Some()
    skip_empty_hooks(some)
    assert [name for name in STEP_HOOKS if getattr(some, name) is not None] == ["on_train_batch_end"]
    fit(Plain(mlp(4, 3, 1)), rows(X, Y), some, steps=3)
    assert some.seen == 3


@pytest.mark.parametrize(
    "owner", [LambdaCallback, pl.Callback, lambda: Plain(mlp(4, 3, 1))], ids=["lambdas", "callback", "module"]
)
def test_a_hook_that_was_put_into_the_instance_stays(owner):
    owner = owner()
    calls = record_calls(owner, STEP_HOOKS)
    skip_empty_hooks(owner)
    model = owner if isinstance(owner, Plain) else Plain(mlp(4, 3, 1))
    fit(model, rows(X, Y), *([] if owner is model else [owner]), steps=1)
    assert sorted(calls) == sorted(STEP_HOOKS)


def test_every_step_hook_is_one_that_lightning_knows():
    for name in STEP_HOOKS:
        assert callable(getattr(pl.Callback, name))
        assert callable(getattr(pl.LightningModule, name))


def trained_weights(skip):
    torch.manual_seed(3)
    model, callback = Plain(mlp(4, 3, 1)), pl.Callback()
    for each in (model, callback) if skip else ():
        skip_empty_hooks(each)
    fit(model, rows(X, Y), callback, steps=5)
    return model.state_dict()


def test_the_weights_are_the_same_to_the_bit():
    usual, skipped = trained_weights(False), trained_weights(True)
    assert all(torch.equal(usual[name], skipped[name]) for name in usual)
