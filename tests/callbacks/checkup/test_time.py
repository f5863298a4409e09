"""How long a check-up may take, and what is said of the checks for which no time was left."""

import time

from torch.utils.data import DataLoader

from callbacks import Checkup
from callbacks.checkup.check import Check
from callbacks.checkup.report import full
from tests.callbacks.checkup.test_callback import Noisy, classifier
from tests.callbacks.plain import fit


def test_it_starts_no_check_after_its_time(monkeypatch, capsys):
    def slow(subject):
        return time.sleep(0.2) or []

    monkeypatch.setattr(
        "callbacks.checkup.callback.CHECKS", tuple(Check(f"claim {k}", slow) for k in range(9))
    )
    monkeypatch.setattr("callbacks.checkup.callback._seconds_for_ten_steps", lambda subject: 0.0)
    checkup = Checkup(0.3)
    fit(classifier(), DataLoader(Noisy(), 8), checkup)
    assert [bool(each.why_not) for each in checkup.outcomes] == [False] * 2 + [True] * 7
    late = "7 could not be made, 7 of them for lack of time; `python train.py check` takes more time"
    assert late in capsys.readouterr().out
    checkup = Checkup(0.3, thorough=True)
    fit(classifier(), DataLoader(Noisy(), 8), checkup)
    assert checkup.outcomes[-1].why_not == (
        "the 0.3 s of the check-up were over; with a smaller batch they take less time"
    )
    assert "train.py check" not in full(checkup)


def test_the_time_grows_with_that_of_a_step(monkeypatch):
    given = []

    def note(checks, subject, seconds, thorough):
        given.append(seconds)
        return []

    monkeypatch.setattr("callbacks.checkup.callback._seconds_for_ten_steps", lambda subject: 5.0)
    monkeypatch.setattr("callbacks.checkup.callback.run_checks", note)
    for checkup in (Checkup(), Checkup(6, thorough=True), Checkup(40, thorough=True)):
        fit(classifier(), DataLoader(Noisy(), 8), checkup)
    assert given == [5, 30, 40]
