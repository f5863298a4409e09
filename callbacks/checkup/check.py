"""What a check is, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict

# What gives checks more time: before a training, and in `train.py check`.
MORE_TIME = {
    False: "`python train.py check` takes more time",
    True: "with a smaller batch they take less time",
}


@dataclass(frozen=True)
class Check:
    """One question about a training.

    Args:
        claim: what holds if nothing is found, such as "the optimizer has every parameter that the loss reaches".
        run: returns what was found; raises `CannotCheckError` with the reason if it cannot tell.
        slow: only made by `train.py check`.
    """

    claim: str
    run: Callable[[Subject], list[Verdict]]
    slow: bool = False


@dataclass
class Outcome:
    """What came of a check: verdicts, or nothing (then its claim holds), or the reason why it was not made."""

    check: Check
    verdicts: list[Verdict] = field(default_factory=list)
    why_not: str = ""
    applies: bool = True  # False: there is nothing to check
    is_late: bool = False  # True: no time was left for it


def run_checks(
    checks: Sequence[Check], subject: Subject, seconds: float, with_slow: bool
) -> Iterator[Outcome]:
    """Make the checks in their order until the time is up; never raises.

    Args:
        checks: in the order of their worth.
        subject: the training.
        seconds: no check starts after this time.
        with_slow: whether to make the slow ones.
    """
    until = time.perf_counter() + seconds
    why_late = f"the {seconds:.2g} s of the check-up were over; {MORE_TIME[with_slow]}"
    for check in checks:
        if check.slow and not with_slow:
            continue
        if time.perf_counter() > until:
            yield Outcome(check, why_not=why_late, is_late=True)
            continue
        try:
            yield Outcome(check, check.run(subject))
        except CannotCheckError as reason:
            yield Outcome(check, why_not=str(reason), applies=not isinstance(reason, DoesNotApplyError))
        except Exception as error:  # an observer never breaks a training
            yield Outcome(check, why_not=f"it failed: {type(error).__name__}: {error}")
