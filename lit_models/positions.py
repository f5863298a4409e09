"""Logits with a class for each position of a sample, such as a pixel or a token: which dimension holds the classes."""

from torch import Tensor


def the_only_dim(logits: Tensor, num_classes: int) -> int | None:
    """Which dimension of logits (N, K, ...) or (N, ..., K) holds the classes, 1 or -1; None if neither has K entries.

    Raises:
        ValueError: if both have; to guess could mix up classes and positions unnoticed.
    """
    fitting = [dim for dim in (1, -1) if logits.shape[dim] == num_classes]
    if len(fitting) == 2:
        raise ValueError(
            f"the network returns {list(logits.shape)} for {num_classes} classes: they may be in dimension 1 or in the "
            "last; say which with `classes_dim = 1` or `classes_dim = -1` in the class of the model"
        )
    return fitting[0] if fitting else None


def check_positions(logits: Tensor, target: Tensor, num_classes: int) -> None:
    """Refuse logits other than (N, K, ...) with one target for each sample or position.

    Raises:
        ValueError: with both shapes.
    """
    if target.is_floating_point():  # probabilities of the classes
        return
    if logits.shape[1:2] != (num_classes,) or target.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            f"the network returns {list(logits.shape)} for targets {list(target.shape)}; a class for each sample or "
            f"position needs logits (N, K, ...) for targets (N, ...), with K = {num_classes}"
        )
