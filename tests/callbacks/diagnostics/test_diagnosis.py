"""Diagnosis: what it prints and writes, whose measurements it reads, and what it keeps over a resume."""

import json
from itertools import permutations

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor
from tests.callbacks.diagnostics.deep import HE, X, Y, deep
from tests.callbacks.plain import MemoryLogger, Plain, fit, rows


def bad(steps=12):
    model = Plain(deep(nn.Sigmoid, depth=10, gain=1.0), optimizer=lambda p: torch.optim.SGD(p, lr=1e-3))
    return model, rows(X, Y, batch_size=64), steps


def test_prints_once_when_the_state_changes_and_a_closing_table(capsys, tmp_path):
    model, loader, steps = bad()
    fit(model, loader, Diagnosis(every_n_steps=1), steps=steps, default_root_dir=tmp_path)
    out = capsys.readouterr().out
    assert out.count("Diagnosis at step") == 1
    assert "Diagnosis at step 4: vanishing gradient: delta at 00_net.0 is" in out
    assert out.rstrip().splitlines()[-3] == "Diagnosis, 12 probe steps:"
    assert "steps 0 to 11" in out
    assert not list(tmp_path.rglob("*"))  # no logger, no folder: it only prints


def test_a_healthy_run_says_so(capsys):
    model = Plain(deep(nn.ReLU, depth=3, gain=HE), optimizer=lambda p: torch.optim.SGD(p, lr=1e-3))
    fit(model, rows(X, Y), Diagnosis(every_n_steps=1), steps=8)
    assert "nothing found" in capsys.readouterr().out


def test_a_short_run_at_the_default_cadence_is_judged_by_its_only_measurement(capsys):
    model, loader, _ = bad()
    fit(model, loader, Diagnosis(), steps=10)
    assert "Diagnosis, 1 probe step:\n  WARN vanishing gradient" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger])
def test_json_and_text(kind, tmp_path):
    model, loader, steps = bad()
    logger = kind(tmp_path, name="run")
    fit(model, loader, Diagnosis(every_n_steps=1), steps=steps, logger=logger)
    report = json.loads((tmp_path / "run" / "version_0" / "diagnosis.json").read_text())
    assert report["healthy"] is False
    assert (report["step"], report["looks"]) == (11, 12)
    assert [v["kind"] for v in report["verdicts"]] == ["vanishing gradient"]
    assert {"layers", "message", "advice", "first_step", "last_step", "holds"} < report["verdicts"][0].keys()
    if kind is TensorBoardLogger:
        events = EventAccumulator(logger.log_dir).Reload()
        text = events.Tensors("diagnosis/text_summary")[-1].tensor_proto.string_val[0].decode()
        heading, empty, finding = text.split("\n")
        assert (heading, empty) == ("Diagnosis, 12 probe steps:", "")
        assert finding.startswith("- **vanishing gradient** (warn), steps 0 to 11: delta at 00_")
        assert finding.endswith("residual connections.*")


@pytest.mark.parametrize("first", [True, False])
def test_uses_the_monitors_of_the_trainer_in_any_order(first):
    model, loader, steps = bad()
    monitors = [GradientMonitor(every_n_steps=1), ActivationMonitor(every_n_steps=1)]
    diagnosis = Diagnosis()
    fit(model, loader, *([diagnosis, *monitors] if first else [*monitors, diagnosis]), steps=steps)
    assert [diagnosis._gradients, diagnosis._activations] == monitors
    assert diagnosis._run["looks"] == steps
    assert [v.kind for v in diagnosis.verdicts] == ["vanishing gradient"]


def test_an_interrupted_run_is_still_diagnosed(capsys, tmp_path):
    class Fails(Plain):
        def training_step(self, batch, batch_idx):
            if self.global_step == 7:
                raise RuntimeError("out of memory")
            return super().training_step(batch, batch_idx)

    with pytest.raises(RuntimeError, match="out of memory"):
        fit(
            Fails(bad()[0].net),
            bad()[1],
            Diagnosis(every_n_steps=1),
            steps=9,
            logger=CSVLogger(tmp_path, name="run"),
        )
    assert "Diagnosis, 7 probe steps:\n  WARN vanishing gradient" in capsys.readouterr().out
    assert (tmp_path / "run" / "version_0" / "diagnosis.json").exists()


def test_memory_of_the_run_outlives_a_resume(tmp_path):
    model, loader, _ = bad()
    first = Diagnosis(every_n_steps=1)
    fit(model, loader, first, steps=6).save_checkpoint(tmp_path / "last.ckpt")
    again = Diagnosis(every_n_steps=1)
    fit(bad()[0], loader, again, steps=9, ckpt_path=tmp_path / "last.ckpt")
    assert again._run["looks"] == 9
    assert again._run["first_loss"] == first._run["first_loss"]


@pytest.mark.parametrize("every", [1, 7])
def test_the_order_of_the_callbacks_makes_no_difference(every):
    found = []
    for order in permutations([GradientMonitor, ActivationMonitor, Diagnosis]):
        torch.manual_seed(0)
        callbacks = {kind: kind(every) for kind in order}
        logger = MemoryLogger()
        fit(
            Plain(deep(nn.Sigmoid, depth=10, gain=1.0)),
            rows(X, Y, batch_size=64),
            *callbacks.values(),
            steps=50,
            logger=logger,
        )
        diagnosis = callbacks[Diagnosis]
        found.append(
            (diagnosis.verdicts, diagnosis._history.steps, diagnosis.state_dict(), list(diagnosis._losses))
        )
    assert "vanishing gradient" in [verdict.kind for verdict in found[0][0]]
    assert all(each == found[0] for each in found)


def test_it_has_monitors_of_its_own_where_the_next_trainer_has_none():
    diagnosis = Diagnosis(every_n_steps=2)
    for monitors in ([GradientMonitor(2), ActivationMonitor(2)], []):
        fit(Plain(deep(nn.Sigmoid, depth=10, gain=1.0)), rows(X, Y), *monitors, diagnosis, steps=40)
        assert "vanishing gradient" in [verdict.kind for verdict in diagnosis.verdicts]
