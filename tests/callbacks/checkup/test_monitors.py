"""Metrics that are followed and not logged."""

import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch.optim.lr_scheduler import ReduceLROnPlateau

from callbacks.checkup.checks.monitors import monitored_metrics_are_logged
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

LOADER = rows(torch.randn(40, 4), torch.randn(40, 1), batch_size=8)
FAULT = [("monitored metric is not logged", "fail")]


class Plateau(Plain):
    """With a schedule that follows a metric."""

    metric = "val/loss"

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": ReduceLROnPlateau(optimizer), "monitor": self.metric},
        }


class Late(Plain):
    """Logs at the end of a validation what its steps do not."""

    def on_validation_epoch_end(self):
        self.log("val/late", 1.0)


class Averaged(Plain):
    """Its hook does something else."""

    def on_train_batch_end(self, *args):
        self.average = [p.detach().clone() for p in self.parameters()]


def check(model, *callbacks):
    return found(model, LOADER, monitored_metrics_are_logged, val=LOADER, callbacks=callbacks)


def test_a_callback():
    assert check(Plain(mlp(4, 3, 1)), EarlyStopping(monitor="val_loss")) == FAULT
    assert check(Averaged(mlp(4, 3, 1)), EarlyStopping(monitor="val_loss")) == FAULT
    assert check(Plain(mlp(4, 3, 1)), EarlyStopping(monitor="val/loss")) == []


def test_a_schedule():
    model = Plateau(mlp(4, 3, 1))
    assert check(model) == []
    model.metric = "loss of validation"
    assert check(model) == FAULT


def test_nothing_is_said_if_another_hook_may_log_it():
    late = EarlyStopping(monitor="val/late")
    observer = examine(Late(mlp(4, 3, 1)), LOADER, monitored_metrics_are_logged, val=LOADER, callbacks=[late])
    assert observer.why_not == ["other hooks of the module may log it"]
    assert not observer.verdicts
