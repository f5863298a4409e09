"""Which verdicts hold: the findings of successive probe steps, judged over a window."""

from __future__ import annotations

from collections import deque

from callbacks.diagnostics.verdict import Verdict

# Verdicts whose rules already consider the whole run.
AT_ONCE = {"dead units", "learning rate far too high", "learning rate far too low"}


class History:
    """What was found so far in a training, and which verdicts hold.

    Args:
        window: number of probe steps; see `Diagnosis`.

    `holding` are the verdicts that hold now; `held` are all kinds that hold or once held. By kind, `newest` has the
    latest verdict, and `steps` the first and the last step at which it was found.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.holding: list[Verdict] = []
        self.held: set[str] = set()
        self.newest: dict[str, Verdict] = {}
        self.steps: dict[str, list[int]] = {}
        self._found: deque[list[str]] = deque(maxlen=window)  # the kinds of each probe step

    @property
    def kinds(self) -> list[str]:
        """The kinds of the verdicts that hold now."""
        return [verdict.kind for verdict in self.holding]

    def add(self, step: int, verdicts: list[Verdict]) -> None:
        """Add the findings of a probe step, and decide again which verdicts hold."""
        for verdict in verdicts:
            self.newest[verdict.kind] = verdict
            self.steps.setdefault(verdict.kind, [step, step])[1] = step
        self._found.append([verdict.kind for verdict in verdicts])
        before = self.kinds
        recent = dict.fromkeys(kind for kinds in self._found for kind in kinds)
        self._hold([kind for kind in recent if kind in before or self._begins_to_hold(kind)])

    def close(self) -> None:
        """If the training was shorter than the window, let what was found at every step hold."""
        if self._found and len(self._found) < self.window:
            kinds = set.intersection(*map(set, self._found)).union(self.kinds)
            self._hold([kind for kind in self.newest if kind in kinds])

    def _begins_to_hold(self, kind: str) -> bool:
        """Whether it was found at every step of a whole window, or is a kind that holds at once."""
        always = all(kind in kinds for kinds in self._found)
        return (always and len(self._found) == self.window) or (kind in AT_ONCE and kind in self._found[-1])

    def _hold(self, kinds: list[str]) -> None:
        self.holding = [self.newest[kind] for kind in kinds]
        self.held.update(kinds)
