"""What the name of a metric says: whether its smallest or its largest value is the best. It imports no PyTorch.

A direction that is only probable is not used, because a wrong one keeps the worst epoch as the best.
"""

import re
from typing import Literal

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


def direction_of_name(name: str) -> Mode | None:
    """The direction that a metric's name says; None if it is not certain."""
    found = {part_direction(part) for part in name.lower().split("/")} - {None}
    return found.pop() if len(found) == 1 else None


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
