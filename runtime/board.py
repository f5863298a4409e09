"""What TensorBoard gets besides the logged tags, so that a run opens on its learning curves.

    Learning/Loss, Learning/accuracy, Learning/lr   in the folders train/ and val/ of the run, which TensorBoard takes for
                                                    two runs: training and validation are two lines of one chart
    Log10_delta_norm/NN_layer, ...                  decimal logarithms, of what only a logarithmic axis can show

TensorBoard sorts charts by name, capital letters first, and opens the first two groups. So these come before the others.
"""

import functools
import math
import re
from collections.abc import Iterator, Mapping

LEARNING = "Learning"
STAGES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_WORDS = "|".join(STAGES)
_STAGE_FIRST = re.compile(rf"({_WORDS})[/_](?P<name>.+)", re.IGNORECASE)  # val/loss, val_loss
_STAGE_LAST = re.compile(rf"(?P<name>[a-z0-9]+)[/_]({_WORDS})", re.IGNORECASE)  # Loss/val

LOG10 = ("delta_norm", "grad_norm", "grad_mean_abs", "update_ratio")  # quantities: the first part of a tag


@functools.cache
def curve_of(tag: str) -> tuple[str, str] | None:
    """The folder and the tag of a learning curve, such as ("val", "Learning/Loss") for `val/loss`; None for other tags.

    A learning rate and a `loss` without a stage belong to the training. The mean that Lightning calls `train_loss_epoch`
    belongs to `val_loss`.
    """
    if tag == "loss" or tag.partition("/")[0] == "lr":
        return "train", f"{LEARNING}/{_first_if_loss(tag)}"
    found = _STAGE_FIRST.fullmatch(tag) or _STAGE_LAST.fullmatch(tag)
    if found is None:
        return None
    stage = next(group for group in found.groups() if group.lower() in STAGES)
    return STAGES[stage.lower()], f"{LEARNING}/{_first_if_loss(found['name'].removesuffix('_epoch'))}"


def _first_if_loss(name: str) -> str:
    """The name of a metric, which begins with a capital letter if it is a loss: that comes before `accuracy`."""
    return "L" + name[1:] if name.lower().startswith("loss") else name


def learning_curves(values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The values of a step that belong to learning curves, by folder and tag."""
    curves: dict[str, dict[str, float]] = {}
    for tag, value in values.items():
        if (place := curve_of(tag)) is not None:
            curves.setdefault(place[0], {})[place[1]] = value
    return curves


def logarithms(values: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Tag and decimal logarithm of what spans many decades; 0, which has none, is left out."""
    for tag, value in values.items():
        if tag.startswith(LOG10) and tag.partition("/")[0] in LOG10 and 0 < value < math.inf:
            yield f"Log10_{tag}", math.log10(value)


def layout(charts: list[str]) -> dict[str, dict[str, list]]:
    """The page "Custom Scalars": the loss and the learning rate, then one chart per quantity with one line per layer.

    Args:
        charts: quantities of layers, that is, the first parts of tags. The logarithmic ones come first.
    """
    charts = [
        *(chart for chart in LOG10 if chart in charts),
        *(chart for chart in charts if chart not in LOG10),
    ]
    inside = {
        (f"log10 of {chart}" if chart in LOG10 else chart): [
            "Multiline",
            [f"^Log10_{chart}/.*" if chart in LOG10 else f"^{chart}/.*"],
        ]
        for chart in charts
    }
    curves = {"loss": f"^{LEARNING}/Loss$", "learning rate": f"^{LEARNING}/lr"}
    return {
        "learning": {chart: ["Multiline", [pattern]] for chart, pattern in curves.items()},
        "inside the network": inside,
    }
