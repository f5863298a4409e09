"""Which verdicts hold: findings of successive probe steps, judged over a window, and findings on the whole training."""

from __future__ import annotations

from collections import deque

from callbacks.diagnostics.causes import explain
from callbacks.diagnostics.verdict import Verdict

# Verdicts whose rules already consider the whole run.
AT_ONCE = {"dead units", "learning rate far too high", "learning rate far too low"}


class History:
    """What was found so far in a training, and which verdicts hold.

    Args:
        window: number of probe steps; see `Diagnosis`.

    `holding` are the verdicts that hold now, causes first; `held` are all kinds that hold or once held. By kind, `newest`
    has the latest verdict, and `steps` the first and the last step at which it was found.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.holding: list[Verdict] = []
        self.held: set[str] = set()
        self.newest: dict[str, Verdict] = {}
        self.steps: dict[str, list[int]] = {}
        self._found: deque[dict[str, set[str]]] = deque(maxlen=window)  # of each probe step: layers by kind
        self._lasting: list[str] = []  # the kinds that hold by the window
        self._noted: dict[
            str, list[str]
        ] = {}  # by who noted them: the kinds that hold as long as they are noted

    @property
    def kinds(self) -> list[str]:
        """The kinds of the verdicts that hold now."""
        return [verdict.kind for verdict in self.holding]

    @property
    def problems(self) -> list[Verdict]:
        """The verdicts that hold now and are more than a note."""
        return [verdict for verdict in self.holding if verdict.severity != "info"]

    def add(self, step: int, verdicts: list[Verdict]) -> None:
        """Add the findings of a probe step, and decide again which verdicts hold."""
        self._remember(step, verdicts)
        self._found.append({verdict.kind: set(verdict.layers) for verdict in verdicts})
        recent = dict.fromkeys(kind for kinds in self._found for kind in kinds)
        self._lasting = [kind for kind in recent if kind in self._lasting or self._begins_to_hold(kind)]
        self._hold()

    def note(self, source: str, step: int, verdicts: list[Verdict]) -> None:
        """Let these verdicts hold from now on, and no others of the same source."""
        self._remember(step, verdicts)
        self._noted[source] = [verdict.kind for verdict in verdicts]
        self._hold()

    def has_noted(self, source: str) -> bool:
        return source in self._noted

    def close(self) -> None:
        """If the training was shorter than the window, let what was found at every step hold."""
        if self._found and len(self._found) < self.window:
            kinds = {kind for kind in self._found[-1] if self._is_lasting(kind)}.union(self._lasting)
            self._lasting = [kind for kind in self.newest if kind in kinds]
            self._hold()

    def _remember(self, step: int, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            self.newest[verdict.kind] = verdict
            self.steps.setdefault(verdict.kind, [step, step])[1] = step

    def _begins_to_hold(self, kind: str) -> bool:
        """Whether it was found at every step of a whole window, or is a kind that holds at once."""
        if kind in AT_ONCE:
            return kind in self._found[-1]
        return len(self._found) == self.window and self._is_lasting(kind)

    def _is_lasting(self, kind: str) -> bool:
        """Whether it was found at all of these steps, in a layer that they have in common if it is about layers."""
        layers = [kinds[kind] for kinds in self._found if kind in kinds]
        if len(layers) < len(self._found):
            return False
        return bool(set.intersection(*layers)) or not all(layers)

    def _hold(self) -> None:
        kinds = dict.fromkeys([*(kind for noted in self._noted.values() for kind in noted), *self._lasting])
        self.holding = explain([self.newest[kind] for kind in kinds])
        self.held.update(kinds)
