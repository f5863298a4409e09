"""Causes come before symptoms, and every kind has its paragraph."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.loggers import CSVLogger

from callbacks import Diagnosis
from callbacks.diagnostics.causes import CAUSES, depth, explain
from callbacks.diagnostics.verdict import Verdict, anchor
from tests.callbacks.plain import Plain, fit, mlp, rows

ROOT = Path(__file__).parents[3]
SOURCES = ("rules", "learning", "upkeep")


def verdict(kind, severity="warn"):
    return Verdict(kind, [], "Found.", "something", severity)


def kinds_of(source: str) -> set[str]:
    """The kinds in the calls that make verdicts."""
    text = (ROOT / "callbacks" / "diagnostics" / f"{source}.py").read_text()
    return set(re.findall(r'(?:Verdict|_note)\(\s*"([^"]+)"', text)) | set(
        re.findall(r'NO_BETTER = "([^"]+)"', text)
    )


def headings() -> set[str]:
    return set(re.findall(r"^## (.+)$", (ROOT / "docs" / "diagnosis.md").read_text(), re.MULTILINE))


def test_every_kind_has_its_paragraph():
    kinds = set.union(*map(kinds_of, SOURCES))
    assert len(kinds) >= 24
    assert kinds <= headings()
    assert len({anchor(heading) for heading in headings()}) == len(headings())


def test_no_kind_explains_itself():
    TopologicalSorter(CAUSES).prepare()  # raises an error for a cycle


def test_causes_come_first_and_the_worst_first_of_all():
    found = explain(
        [
            verdict("converged", "info"),
            verdict("no better than a constant answer"),
            verdict("dead units"),
            verdict("learning rate far too high"),
            verdict("layers not registered", "fail"),
        ]
    )
    assert [(each.kind, each.because) for each in found] == [
        ("layers not registered", ""),
        ("no better than a constant answer", "layers not registered"),
        ("learning rate far too high", ""),
        ("dead units", "learning rate far too high"),
        ("converged", ""),
    ]
    assert [depth(each, found) for each in found] == [0, 1, 0, 1, 0]


def test_a_note_explains_no_problem():
    found = explain([verdict("saturation"), verdict("inputs not normalized", "info")])
    assert [each.because for each in found] == ["", ""]


class Before(pl.Callback):
    """In the place of a check-up."""

    def __init__(self, *verdicts):
        self.step_zero_verdicts = list(verdicts)


def test_findings_from_before_the_training_take_part_and_outlive_a_resume(tmp_path, capsys):
    x = 1e3 * torch.randn(128, 6, generator=torch.Generator().manual_seed(0))
    loader, steps = rows(x, x[:, :1]), {"lr": 10.0}

    def model():
        torch.manual_seed(0)
        return Plain(
            mlp(6, 8, 1, activation=torch.nn.ReLU), F.mse_loss, lambda p: torch.optim.SGD(p, **steps)
        )

    first, again = Diagnosis(every_n_steps=1), Diagnosis(every_n_steps=1)
    before = Before(verdict("inputs not normalized"))
    trainer = fit(model(), loader, before, first, steps=8, logger=CSVLogger(tmp_path, name="run"))
    symptoms = [each.kind for each in first.verdicts if each.because == "inputs not normalized"]
    assert "learning rate far too high" in symptoms or "exploding gradient" in symptoms
    assert first._history.steps["inputs not normalized"] == [0, 0]
    out = capsys.readouterr().out
    assert "\n  WARN inputs not normalized, step 0: Found." in out
    assert "\n    WARN " in out or "\n    FAIL " in out
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    fit(model(), loader, again, steps=9, ckpt_path=tmp_path / "last.ckpt")
    assert "inputs not normalized" in [each.kind for each in again.verdicts]
