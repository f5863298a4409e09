"""The direction of a metric is said by its name or its object, and asked for otherwise."""

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
from torchmetrics import MeanSquaredError, MetricCollection, R2Score, SpearmanCorrCoef

from lit_models import LitLinear
from runtime.direction import direction, mode_of
from runtime.errors import UsageError

SMALL = """val/loss val_loss valloss val_loss/dataloader_idx_0 val/rmse val/nll val/mse_epoch val/mae train/loss_epoch
    word_error_rate val/perplexity val_ppl dice_loss val/f1_loss accuracy_error valid_mae val/cross_entropy
    negative_log_likelihood Val/Loss loss/val losses/val_rmse test/fid val_wer val/loss_reduced"""
LARGE = """val/accuracy val_acc valacc accuracy val/f1 f1_score val_f1score MulticlassF1Score BinaryAUROC val/auroc
    val/iou val_miou val/dice/dataloader_idx_1 val/r2 val_acc5 val/top1 val/psnr recall@5 val/precision bleu4"""
UNSAID = """val/score elbo val/x metric val/distance kl_weight_neg neg_mean_squared_error neg_loss negative_loss
    losses/val_accuracy loss/dice val/loss_improvement 1minus_iou var2 val/log_likelihood glory layer2 val"""


@pytest.mark.parametrize("name", SMALL.split())
def test_the_smallest_is_the_best(name: str) -> None:
    assert direction(name) == "min"


@pytest.mark.parametrize("name", LARGE.split())
def test_the_largest_is_the_best(name: str) -> None:
    assert direction(name) == "max"


@pytest.mark.parametrize("name", UNSAID.split())
def test_a_name_that_does_not_say_it_is_asked_for(name: str) -> None:
    assert direction(name) is None
    settings = SimpleNamespace(monitor=name, monitor_mode=None)
    with pytest.raises(UsageError, match=f"--monitor {name}: is its best value the smallest or the largest"):
        mode_of(settings, pl.LightningModule())
    settings.monitor_mode = "max"
    assert mode_of(settings, pl.LightningModule()) == "max"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "reconstruction"])
def test_every_metric_of_every_task_has_a_direction(task: Any) -> None:
    model = LitLinear(in_shape=[2], out_features=1 if task == "binary" else 3, task=task)
    for name in model.val_metrics:
        small = name in ("loss", "mse", "mae", "mae_by_output")
        assert direction(f"val/{name}", model) == ("min" if small else "max")


class Own(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        metrics = {"fit": MeanSquaredError(), "rank": SpearmanCorrCoef(), "r2": R2Score()}
        self.scores = MetricCollection(metrics, prefix="val_")


@pytest.mark.parametrize(("name", "expected"), [("val_fit", "min"), ("val_rank", "max"), ("val_other", None)])
def test_a_metric_object_says_what_its_name_does_not(name: str, expected: str | None) -> None:
    assert direction(name, Own()) == expected
