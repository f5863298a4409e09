"""What the name of a metric says: whether its smallest or its largest value is the best, and which one was meant.

A direction that is only probable is not used, because a wrong one keeps the worst epoch as the best.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Any, Literal

from torch import nn
from torchmetrics import Metric, MetricCollection

from runtime.errors import UsageError, did_you_mean

Mode = Literal["min", "max"]

# Anywhere in a name. They also decide where a word of the other kind stands next to them, as in `dice_loss`.
LIKELIHOODS = ("negative_log_likelihood", "neg_log_likelihood")
SMALL_PARTS = ("loss", "error", "perplexity", "cross_entropy", "crossentropy", *LIKELIHOODS)
# As a whole word of a name, such as `mse` in `val/mse_epoch`.
SMALL = {
    *("err", "mse", "rmse", "nrmse", "msle", "rmsle", "mae", "mape", "smape", "wape", "mase", "medae"),
    *(
        "nll",
        "nlpd",
        "ce",
        "bce",
        "xent",
        "ppl",
        "bpc",
        "bpb",
        "bpd",
        "kl",
        "deviance",
        "crps",
        "brier",
        "ece",
    ),
    *("wer", "cer", "mer", "eer", "fid", "lpips", "epe", "mpjpe", "ade", "fde"),
}
LARGE = {
    *(
        "accuracy",
        "acc",
        "bacc",
        "f1",
        "f1score",
        "fbeta",
        "precision",
        "recall",
        "specificity",
        "sensitivity",
    ),
    *("auc", "auroc", "rocauc", "roc", "auprc", "prauc", "ap", "map", "mcc", "kappa", "iou", "miou", "giou"),
    *("jaccard", "dice", "r2", "r2score", "psnr", "ssim", "bleu", "rouge", "meteor", "ndcg", "mrr", "reward"),
    *("top1", "top5"),
}
# Words that turn a name around, such as sklearn's `neg_mean_squared_error`.
TURNED = {"neg", "negative", "minus", "inverse", "inv", "reduction", "improvement", "gain", "decrease"}
SPLIT = re.compile(
    r"^(?:val|valid|validation|train|test|eval|dev|binary|multiclass|multilabel)(?=[a-z])"
)  # `valacc`


def mode_of(settings: Any, model: nn.Module) -> Mode:
    """Whether the best value of the monitored metric is the smallest or the largest.

    Args:
        settings: `monitor_mode`, if it is set, decides; else `monitor` must say it.
        model: may hold the metric object.

    Raises:
        UsageError: if the direction is not certain.
    """
    mode = settings.monitor_mode or direction(settings.monitor, model)
    if mode is None:
        raise UsageError(
            f"--monitor {settings.monitor}: is its best value the smallest or the largest? "
            "add --monitor_mode min or --monitor_mode max"
        )
    return mode


def direction(name: str, model: nn.Module | None = None) -> Mode | None:
    """The direction of a metric; None if it is not certain."""
    for metric in metrics_called(name, model):
        if metric.higher_is_better is not None:
            return "max" if metric.higher_is_better else "min"
    found = {part_direction(part) for part in name.lower().split("/")} - {None}
    return found.pop() if len(found) == 1 else None


def metrics_called(name: str, model: nn.Module | None) -> Iterator[Metric]:
    """The torchmetrics objects that a module logs under this name: its `val_metrics`, and those of its collections."""
    if model is None:
        return
    own = getattr(model, "val_metrics", None)
    if isinstance(own, nn.ModuleDict) and name.startswith("val/") and name.removeprefix("val/") in own:
        found: Any = own[name.removeprefix("val/")]
        if isinstance(found, Metric):
            yield found
    for module in model.modules():
        if isinstance(module, MetricCollection):
            yield from (metric for key, metric in module.items() if key == name)


def part_direction(part: str) -> Mode | None:
    """The direction that one part of a name between slashes says."""
    words = re.findall(r"[a-z]+[0-9]*", part)
    if TURNED & set(words) and not any(each in part for each in LIKELIHOODS):
        return None
    if any(each in part for each in SMALL_PARTS):
        return "min"
    bare = {SPLIT.sub("", word) for word in words}
    bare |= {word.rstrip("0123456789") for word in bare}
    if (small := bool(bare & SMALL)) == bool(bare & LARGE):
        return None
    return "min" if small else "max"


def nearest(metric: str, measured: list[str], logged: list[str]) -> str:
    """What was probably meant: rather a metric of the validation than one of the training.

    With several validation loaders, Lightning adds the loader's number to each name.
    """
    numbered = [name for name in measured if name.startswith(f"{metric}/dataloader_idx_")]
    if numbered:
        return f"there are several validation loaders: take one of {', '.join(sorted(numbered))}"
    return did_you_mean(
        metric, measured if difflib.get_close_matches(metric, measured, cutoff=0.5) else logged
    )
