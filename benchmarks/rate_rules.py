"""The learning rates that Lightning and fastai suggest after a range test, from their published formulas.

Each rule has the form `rule(rates, losses)` and gets what its library would measure: its own range, number of steps
and smoothing. Checked against pytorch-lightning 2.6.6 (`tuner/lr_finder.py`) and fastai's `callback/schedule.py`,
https://docs.fast.ai/callback.schedule.html.
"""

from collections.abc import Callable

import numpy as np

from cli.range_test import smooth

STOP = 4.0  # both libraries stop once the smoothed loss is above this many times its minimum
KEEP = 0.98  # of the running mean, in both
RANGES = {"lightning": (1e-8, 1.0, 100), "fastai": (1e-7, 10.0, 100)}  # first and last rate, steps
Rule = Callable[[np.ndarray, np.ndarray], float]


def curve(rates: list[float], losses: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Rates and smoothed losses up to where both libraries stop."""
    smoothed = smooth(losses, KEEP)
    above = smoothed > STOP * np.fmin.accumulate(smoothed)
    end = int(np.argmax(above)) + 1 if above.any() else len(smoothed)
    return np.array(rates[:end]), smoothed[:end]


def lightning(rates: np.ndarray, losses: np.ndarray) -> float:
    """Where the loss falls fastest per unit of the rate, without the first ten losses and the last."""
    rates, losses = rates[10:-1], losses[10:-1]
    finite = np.isfinite(losses)
    slope = np.gradient(losses[finite], rates[finite])
    return float(rates[finite][np.argmin(slope)])


def within(rule: Rule) -> Rule:
    """A rule of fastai, which leaves out the first ten losses, the last five, and those from the first NaN on."""

    def inner(rates: np.ndarray, losses: np.ndarray) -> float:
        rates, losses = rates[10:-5], losses[10:-5]
        end = int(np.argmax(np.isnan(losses))) if np.isnan(losses).any() else len(losses)
        return rule(rates[:end], losses[:end])

    return inner


def valley(rates: np.ndarray, losses: np.ndarray) -> float:
    """Halfway along the longest falling subsequence of the losses; fastai's default.

    Its first index is taken as the last one minus the number of losses in it, as fastai does.
    """
    lengths = np.ones(len(losses), int)
    for i in range(1, len(losses)):
        before = lengths[:i][losses[:i] > losses[i]]
        lengths[i] = before.max() + 1 if len(before) else 1
    end = int(np.argmax(lengths))
    start = max(end - int(lengths[end]), 0)
    third = (end - start) / 3
    return float(rates[start + int(third) + int(third / 2)])


def slide(rates: np.ndarray, losses: np.ndarray) -> float:
    """From the end, the first rate whose slope per step is within 0.005 of that 15 steps later."""
    slope = np.gradient(losses)
    right, left = -1, -16
    found = rates[left]
    while left >= -len(losses) and abs(slope[right] - slope[left]) > 0.005:
        found = rates[left]
        right, left = right - 1, left - 1
    return float(found)


def minimum(rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the rate with the least loss."""
    return float(rates[np.argmin(losses)] / 10)


def steep(rates: np.ndarray, losses: np.ndarray) -> float:
    """Where the loss falls fastest per decade."""
    return float(rates[np.argmin(np.diff(losses) / np.diff(np.log(rates)))])


LIBRARIES: dict[str, tuple[str, Rule]] = {  # name, whose range test, rule
    "Lightning": ("lightning", lightning),
    "fastai valley": ("fastai", within(valley)),
    "fastai slide": ("fastai", within(slide)),
    "fastai minimum/10": ("fastai", within(minimum)),
    "fastai steep": ("fastai", within(steep)),
}
