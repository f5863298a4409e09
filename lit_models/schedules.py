"""What a learning-rate schedule needs from the rest of the training: its length, the optimizer's rate, a metric."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pytorch_lightning.cli import LRSchedulerCallable
from pytorch_lightning.cli import ReduceLROnPlateau as PlateauOfMetric
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

# These count steps and move the learning rate up and down; their peak, `max_lr`, is the optimizer's rate.
CYCLES = (OneCycleLR, CyclicLR)


class WithoutPeak(Protocol):
    """Makes a schedule from an optimizer and a peak.

    The command line requires in a config every argument that PyTorch's class requires, except the ones named here.
    """

    def __call__(self, optimizer: Optimizer, max_lr: Any) -> LRScheduler:
        """The schedule of this optimizer."""


class WithoutMetric(Protocol):
    """Makes a schedule from an optimizer and the name of the metric that it follows; see `WithoutPeak`."""

    def __call__(self, optimizer: Optimizer, monitor: Any) -> LRScheduler:
        """The schedule of this optimizer."""


SchedulerCallable: TypeAlias = LRSchedulerCallable | WithoutPeak | WithoutMetric


def build_scheduler(
    factory: SchedulerCallable, optimizer: Optimizer, total_steps: Callable[[], int]
) -> LRScheduler | ReduceLROnPlateau:
    """The schedule of this optimizer, with missing arguments filled in.

    Args:
        factory: a class, or a `functools.partial` of one, as the command line makes it.
        optimizer: the rate of each parameter group is the `max_lr` of OneCycleLR and CyclicLR.
        total_steps: gives the length of the training, for a schedule whose `total_steps` is None.
    """
    given = getattr(factory, "keywords", {})
    filled_in: dict[str, Any] = {}
    if given.get("total_steps", 0) is None and given.get("epochs") is None:
        filled_in["total_steps"] = total_steps()
    if makes(factory, CYCLES) and given.get("max_lr") is None:
        filled_in["max_lr"] = [float(group["lr"]) for group in optimizer.param_groups]
    if makes(factory, PlateauOfMetric) and given.get("monitor") is None:
        filled_in["monitor"] = "val/loss"
    return factory(optimizer, **filled_in)


def makes(factory: Any, classes: type | tuple[type, ...]) -> bool:
    """Whether it makes one of these classes; the command line wraps the class as an argument of a function."""
    parts = (factory, getattr(factory, "func", None), *getattr(factory, "args", ()))
    return any(isinstance(part, type) and issubclass(part, classes) for part in parts)
