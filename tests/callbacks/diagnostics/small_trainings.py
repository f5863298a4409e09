"""Small trainings with a Diagnosis, and what it finds: two classes of six numbers, or of pure noise."""

import torch
import torch.nn.functional as F
from torch import nn

from callbacks import Diagnosis
from tests.callbacks.plain import Plain, fit, mlp, rows

G = torch.Generator().manual_seed(7)
X, X_VAL = (torch.randn(n, 6, generator=G) for n in (512, 600))
NOISE, NOISE_VAL = (torch.randint(0, 2, (n,), generator=G) for n in (512, 600))


def labels(x, shift=0.0):
    return (x[:, 0] + x[:, 1] > shift).long()


def net(seed=0, *sizes):
    torch.manual_seed(seed)
    return mlp(6, *(sizes or (16, 2)), activation=nn.ReLU)


def run(
    network=None,
    data=None,
    val=None,
    loss=F.cross_entropy,
    steps=240,
    lr=0.1,
    every=10,
    kind=Plain,
    **settings,
):
    """Train, validating after each epoch; returns the findings by kind.

    Args:
        data, val: (x, y) for training and validation.
        settings: `optimizer`, a function from parameters to an optimizer; the rest is for the Trainer.
    """
    data = data or (X, labels(X))
    val = val or (X_VAL, labels(X_VAL))
    optimizer = settings.pop("optimizer", lambda parameters: torch.optim.SGD(parameters, lr=lr))
    batch_size = settings.pop("batch_size", 64)
    diagnosis = Diagnosis(every_n_steps=every)
    model = kind(network or net(), loss, optimizer=optimizer)
    loader = rows(*data, batch_size=batch_size)
    torch.manual_seed(0)
    fit(model, loader, diagnosis, steps=steps, val=rows(*val, batch_size=100), **settings)
    assert "validation_step" not in model.__dict__
    return {verdict.kind: verdict for verdict in diagnosis.verdicts}


def problems(found):
    return {kind for kind, verdict in found.items() if verdict.severity != "info"}
