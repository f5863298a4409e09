"""The page of a running training is rewritten rarely enough, and never ends the training."""

import itertools
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from pages import live
from pages.live import FIRST_COST, PAUSE, SHARE, LivePage


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live, "time", clock)
    return clock


def trainer(rank: int = 0, step: int = 5) -> SimpleNamespace:
    module = SimpleNamespace(automatic_optimization=True)
    return SimpleNamespace(
        is_global_zero=rank == 0, fast_dev_run=False, global_step=step, lightning_module=module
    )


@pytest.mark.parametrize("cost", [0.001, 0.2, 3.0])
def test_at_most_every_ten_seconds_and_never_more_than_a_hundredth(
    cost: float, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[float, str, int]] = []

    def write(folder: Path, state: str, step: int) -> None:
        written.append((clock.now, state, step))
        clock.now += cost

    monkeypatch.setattr(live, "write_report", write)
    page = LivePage(tmp_path)
    page.on_train_start(trainer(), None)
    spent = 0.0
    for _ in range(20_000):
        clock.now += 0.1
        before = len(written)
        page.between_steps(trainer(), 1)
        if len(written) > before:
            spent += cost
            assert spent <= SHARE * clock.now * 1.001 or len(written) == 1
    times = [when for when, _, _ in written]
    assert len(times) >= 3
    assert min(b - a for a, b in itertools.pairwise(times)) >= PAUSE
    assert times[0] >= FIRST_COST / SHARE  # what the first costs is only known afterwards
    assert {(state, step) for _, state, step in written} == {("running", 5)}


def test_a_page_that_cannot_be_written_is_one_warning(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live, "write_report", fail)
    page = LivePage(tmp_path)
    page.on_train_start(trainer(), None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(100):
            clock.now += 1000
            page.between_steps(trainer(), 1)
    assert ["report.html could not be written" in str(each.message) for each in caught] == [True]


def test_only_the_first_process_writes(clock: Clock, tmp_path: Path) -> None:
    page = LivePage(tmp_path)
    page.on_train_start(trainer(rank=1), None)
    clock.now = 1e6
    page.between_steps(trainer(rank=1), 1)
    assert not list(tmp_path.iterdir())
