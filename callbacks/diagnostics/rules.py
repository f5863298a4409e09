"""The rules of Diagnosis: what the measurements of one probe step mean, in words.

Each rule is a function of `Measurements` that returns its findings; `RULES`, at the end, lists all of them. No healthy
network we saw crosses a threshold: a silent rule is no promise, but a verdict should be right. `history.py` decides
whether a finding at one step holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from callbacks.diagnostics.paths import main_path
from callbacks.diagnostics.verdict import Severity, Verdict

FLOAT32_TINY = 1.1754944e-38  # torch.finfo(torch.float32).tiny: the smallest number with full precision

Values = dict[str, float]  # by layer tag, in order of depth


@dataclass
class Measurements:
    """What the monitors measured at one probe step. All rules use only ratios between layers, so scales cancel."""

    step: int
    delta_norm: Values = field(default_factory=dict)
    grad_norm: Values = field(default_factory=dict)
    grad_mean_abs: Values = field(default_factory=dict)
    signal_rms: Values = field(default_factory=dict)
    saturated: Values = field(default_factory=dict)
    dead: dict[str, list[int]] = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    feeds: dict[str, set[str]] = field(default_factory=dict)  # by layer; empty: each feeds the next
    calls: dict[str, list[float]] = field(default_factory=dict)
    loss: float | None = None
    # of the run so far
    may_come_back: Callable[[str], bool] = lambda tag: False  # a layer without a gradient, if it was chance
    first_loss: float | None = None
    largest_update: float = 0.0  # of any layer, over its weights
    largest_step: float = 0.0  # of all layers together, over all weights
    no_better: Callable[[], bool] = lambda: False  # than a constant answer; asked only after a finding
    num_steps: int = 1  # probe steps

    @property
    def learning(self) -> bool:
        """Whether the loss has fallen by a fifth since the first probe step: then nothing essential is blocked.

        Not if the network is still no better than a constant answer: to learn that takes only the last layer's biases.
        """
        if self.loss is None or self.first_loss is None:
            return False
        return self.loss < 0.8 * self.first_loss and not self.no_better()

    @property
    def severity(self) -> Severity:
        """Of what does not keep this network from learning."""
        return "info" if self.learning else "warn"


def judge(measured: Measurements) -> list[Verdict]:
    """The findings of all rules at one probe step, in the order of `RULES`."""
    return [verdict for rule in RULES for verdict in rule(measured)]


def _along(measured: Measurements) -> list[str]:
    """The layers whose deltas can be compared, in order; empty if no two deltas differ by as much as any rule asks."""
    found = {tag: value for tag, value in measured.delta_norm.items() if 0 < value < math.inf}
    if len(found) < 3 or min(found.values()) >= 1e-3 * max(found.values()):
        return []
    return main_path(list(found), measured.feeds)


def _ends(values: Values, along: list[str]) -> tuple[str, str, float, float] | None:
    """The first and the last of these layers with a value above 0, and these two values."""
    positive = {tag: value for tag, value in values.items() if 0 < value < math.inf}
    path = [tag for tag in along if tag in positive]
    if len(positive) < 3 or len(path) < 2:
        return None
    return path[0], path[-1], positive[path[0]], positive[path[-1]]


def _shrinks(ratio: float, layers: int) -> bool:
    """Whether it shrinks over the depth by 10,000, or by 1,000 if each layer takes away at least 70 %.

    A relu network with PyTorch's default initialization loses 59 % per layer, and still trains.
    """
    return ratio < 1e-4 or (ratio < 1e-3 and ratio ** (1 / (layers - 1)) < 0.3)


def _is_one_step(deltas: Values, along: list[str]) -> bool:
    """Whether one layer takes away almost all of it: an output layer that begins with 0 does, until it has grown."""
    found = [deltas[tag] for tag in along]
    steps = [low / high for low, high in pairwise(found)]
    return found[0] / found[-1] / min(steps) > 1e-2


def vanishing(measured: Measurements) -> list[Verdict]:
    along = _along(measured)
    ends = _ends(measured.delta_norm, along)
    if ends is None:
        return []
    first, last, low, high = ends
    if not _shrinks(low / high, len(measured.delta_norm)) or _is_one_step(measured.delta_norm, along):
        return []
    signal, weights = _ends(measured.signal_rms, along), _ends(measured.grad_mean_abs, along)
    if signal and weights and signal[3] / signal[2] < 1e-2 and 1e-2 < weights[2] / weights[3] < 1e2:
        return [
            _hidden_by_even_gradients(
                first, last, low / high, signal[3] / signal[2], weights[2] / weights[3], measured.severity
            )
        ]
    rate = (low / high) ** (1 / (len(measured.delta_norm) - 1))
    message = (
        f"delta at {first} is {low / high:.1e} of that at {last}: each layer passes on {rate:.0%} of it, "
        "and the first layers hardly learn."
    )
    if weights and 0.1 < weights[2] / weights[3] < 10:
        message += f" Weight gradients do not show it: first over last is {weights[2] / weights[3]:.2g}."
    advice = (
        "relu with He initialization instead of sigmoid or tanh, normalization layers, residual connections"
    )
    return [Verdict("vanishing gradient", [first, last], message, advice, measured.severity)]


def _hidden_by_even_gradients(
    first: str, last: str, delta: float, signal: float, weights: float, severity: Severity
) -> Verdict:
    """A weight's gradient is delta times signal. If both shrink, in opposite directions, it looks even over the depth."""
    message = (
        f"from {first} to {last} the signal shrinks to {signal:.1e} going forward, and delta to {delta:.1e} "
        f"going backward. The weight gradients look even (first over last: {weights:.2g}) and hide it."
    )
    advice = "larger initial weights (He for relu: gain sqrt(2); Xavier for tanh), or normalization layers"
    return Verdict("vanishing gradient and signal", [first, last], message, advice, severity)


def vanishing_through_time(measured: Measurements) -> list[Verdict]:
    """Vanishing in a hand-written recurrent network: between the first and the last call of one layer."""
    found = []
    for tag, calls in measured.calls.items():
        positive = [value for value in calls if value > 0]
        if len(positive) < 3 or not _shrinks(positive[0] / max(positive), len(positive)):
            continue
        ratio = positive[0] / max(positive)
        message = f"delta at the first of {len(calls)} calls of {tag} is {ratio:.1e} of the largest."
        advice = "LSTM or GRU, an orthogonal recurrent matrix, or shorter sequences"
        found.append(Verdict("vanishing gradient through time", [tag], message, advice, measured.severity))
    return found


def exploding(measured: Measurements) -> list[Verdict]:
    bad = [tag for tag, value in measured.grad_norm.items() if not value < float("inf")]  # NaN included
    advice = (
        "gradient clipping, a lower learning rate, smaller initial weights (He, Xavier), normalization layers"
    )
    if bad:
        message = f"the gradient of {', '.join(bad)} is not finite."
        return [Verdict("exploding gradient", bad, message, advice, "fail")]
    ends = _ends(measured.delta_norm, _along(measured))
    if ends is None:
        return []
    first, last, high, low = ends
    if not _shrinks(low / high, len(measured.delta_norm)):
        return []
    message = (
        f"delta at {first} is {high / low:.1e} times that at {last}: it grows from layer to layer backward."
    )
    return [Verdict("exploding gradient", [first, last], message, advice)]


def dead_units(measured: Measurements) -> list[Verdict]:
    """More dead units than chance explains: 20 % of the first layer, up to 50 % of a deep one, plus three deviations.

    The deeper a relu network, the more alike all samples look to its units. In a He-initialized network of 20 layers,
    up to 48 % of a layer's units are off for all samples, and it still trains. All units of a layer are always too many.
    It is a note unless a layer is as good as dead: healthy networks that learn slowly have many dead units, too.
    """
    bad, worst = {}, 0.0
    for tag, dead in measured.dead.items():
        units, usual = measured.units[tag], min(0.5, 0.2 + 0.06 * int(tag.split("_")[0]))
        if len(dead) >= min(units, usual * units + 3 * math.sqrt(units * usual * (1 - usual))):  # binomial
            bad[tag] = f"{len(dead)} of {units} in {tag}"
            worst = max(worst, len(dead) / units)
    if not bad:
        return []
    message = f"units that were 0 for every sample of the last probe steps: {'; '.join(bad.values())}."
    advice = "a lower learning rate, leaky relu, He initialization with zero biases, inputs with mean 0"
    return [Verdict("dead units", list(bad), message, advice, measured.severity if worst >= 0.9 else "info")]


def saturation(measured: Measurements) -> list[Verdict]:
    """Not reported if the loss fell: units that learned to be on or off are what a sigmoid is for."""
    bad = {tag: value for tag, value in measured.saturated.items() if value >= 0.7}
    if not bad or measured.learning:
        return []
    shares = "; ".join(f"{value:.0%} in {tag}" for tag, value in bad.items())
    message = f"values of sigmoid or tanh so close to their limits that no gradient passes: {shares}."
    advice = "normalize the inputs, smaller initial weights (Xavier), a lower learning rate, or relu"
    return [Verdict("saturation", list(bad), message, advice)]


def rate_too_high(measured: Measurements) -> list[Verdict]:
    """Steps larger than the weights that leave the loss where it started, or large steps that raise it.

    All layers together are compared, because a layer that starts near 0 must grow by many times its size: the layer scale
    of ConvNeXt (1e-6), the gates of ReZero, the second matrix of LoRA.
    """
    if measured.loss is None or measured.first_loss is None or measured.num_steps < 3:
        return []
    stuck = measured.largest_step >= 2 and not measured.loss < measured.first_loss
    diverged = measured.largest_step >= 0.1 and not measured.loss < 10 * abs(measured.first_loss)
    if not stuck and not diverged:
        return []
    message = (
        f"the largest step was {measured.largest_step:.2g} times as long as all weights together, and the loss is "
        f"{measured.loss:.3g} after {measured.first_loss:.3g} at the start."
    )
    advice = "a learning rate 10 to 100 times lower, or a warm-up"
    return [Verdict("learning rate far too high", [], message, advice)]


def rate_too_low(measured: Measurements) -> list[Verdict]:
    """Steps below a hundred-thousandth of the weights in the whole run; with a thousandth, networks learn well."""
    if measured.num_steps < 5 or not 0 < measured.largest_update < 1e-5 or measured.learning:
        return []
    message = f"the largest step so far changed weights by {measured.largest_update:.1e} of their size; 1e-3 is usual."
    return [Verdict("learning rate far too low", [], message, "a learning rate 100 times higher")]


def no_gradient(measured: Measurements) -> list[Verdict]:
    """Layers cut off from the loss; not those below a dead one, left out by chance, or where the gradient vanished."""
    bad = list(measured.missing)
    all_dead = any(len(dead) == measured.units[tag] for tag, dead in measured.dead.items())
    if not all_dead and measured.num_steps > 1 and not _underflowed(measured):
        bad += [tag for tag, value in measured.grad_norm.items() if value == 0]
    bad = [tag for tag in bad if not measured.may_come_back(tag)]
    if not bad or not any(value > 0 for value in measured.grad_norm.values()):
        return []
    message = f"the loss does not depend on {', '.join(sorted(bad))}: the gradient is missing or exactly 0."
    advice = (
        "a check that the layer is used in the forward pass, and not cut off by detach(), no_grad() or argmax"
    )
    return [Verdict("no gradient", sorted(bad), message, advice)]


def _underflowed(measured: Measurements) -> list[str]:
    """The first layers, if their gradient is 0 and the delta of the next layer is already smaller than 1e-20."""
    living = [tag for tag, value in measured.grad_norm.items() if value > 0]
    if not living or measured.delta_norm.get(living[0], 1.0) > 1e-20:
        return []
    return [tag for tag, value in measured.grad_norm.items() if value == 0 and tag < living[0]]


def below_float32(measured: Measurements) -> list[Verdict]:
    tiny = _underflowed(measured) + [
        tag for tag, value in measured.grad_mean_abs.items() if 0 < value < FLOAT32_TINY
    ]
    if not tiny:
        return []
    message = f"gradients of {', '.join(tiny)} are too small for float32 ({FLOAT32_TINY:.0e}) and get lost."
    advice = "what helps against a vanishing gradient; a larger learning rate does not"
    return [Verdict("gradient below float32", tiny, message, advice)]


RULES = (
    vanishing,
    vanishing_through_time,
    exploding,
    dead_units,
    saturation,
    rate_too_high,
    rate_too_low,
    no_gradient,
    below_float32,
)
