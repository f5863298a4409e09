"""What Diagnosis says about learning: for every kind a program that has the fault, and a healthy one."""

import json

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from callbacks import Diagnosis
from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.learning import one_class
from callbacks.diagnostics.record import TrainingRecord
from lit_models import LitLinear
from tests.callbacks.diagnostics.small_trainings import (
    NOISE,
    NOISE_VAL,
    X_VAL,
    G,
    X,
    labels,
    net,
    problems,
    run,
)
from tests.callbacks.plain import Plain, fit, rows


@pytest.fixture(scope="module")
def healthy():
    return run()


def test_a_healthy_training_has_no_problem(healthy):
    assert not problems(healthy)
    assert "no better than a constant answer" not in healthy


def test_one_class_predicted(healthy):
    y, y_val = ((x[:, 0] + x[:, 1] > 3.0).long() for x in (X, X_VAL))
    found = run(nn.Linear(6, 2), (X, y), (X_VAL, y_val), lr=0.01)
    assert "all 600 rows" in found["one class predicted"].message
    assert "one class predicted" not in healthy
    found = run(nn.Linear(6, 2), (X * 0, NOISE), (X_VAL * 0, NOISE_VAL), lr=0.01)
    verdict = found["one class predicted"]
    assert (verdict.severity, verdict.because) == ("warn", "no better than a constant answer")


@pytest.mark.parametrize(
    ("loss", "option"),
    [("cross_entropy", "class_weights"), ("binary_cross_entropy_with_logits", "pos_weight")],
)
def test_the_advice_for_one_class_names_the_flag_that_the_model_has(loss, option, tmp_path):
    evidence = Evidence(100, 0.30, 0.32, 0.01, 0.9, 0.9, only=0, classes=2, loss_name=loss)
    given = {option: [1.0, 2.0] if option == "class_weights" else 2.0}
    for settings, named in (({}, True), (given, False)):
        task, outputs = ("multiclass", 2) if option == "class_weights" else ("binary", 1)
        model = LitLinear(in_shape=[6], out_features=outputs, task=task, **settings)
        trainer = pl.Trainer(max_steps=1, logger=False, enable_checkpointing=False, accelerator="cpu")
        trainer.fit(model, rows(X, labels(X), batch_size=64))
        record = TrainingRecord(validated=evidence)
        record.update(trainer)
        (verdict,) = one_class(record)
        assert (f"`--model.{option} balanced`" in verdict.advice) == named
        assert verdict.advice.count("--model") == named


def test_not_converged_and_converged(healthy):
    slow = run(lr=0.003)["not converged"]
    assert "per epoch" in slow.message
    assert "--trainer.max_steps 1200" in slow.advice
    assert slow.severity == "info"
    found = run(
        nn.Linear(6, 2),
        (X[:, :], labels(X)),
        lr=1.0,
        steps=400,
        optimizer=lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01),
    )
    assert "converged" in found
    assert "not converged" not in found
    assert "since epoch" in found["converged"].message or "since step" in found["converged"].message


def test_too_short_for_converged():
    assert "converged" not in run(steps=40, every=1, lr=1.0)


def test_settled():
    """A straight line cannot separate these classes, but most of them."""
    y, y_val = (((x[:, 0] > 0) & (x[:, 1] > 0)).long() ^ (x[:, 2] > 0).long() for x in (X, X_VAL))
    found = run(nn.Linear(6, 2), (X, y), (X_VAL, y_val), steps=400)
    assert "% of a constant answer's loss" in found["settled"].message
    assert not problems(found)


def test_overfits(healthy):
    y = labels(X[:48]) ^ (torch.rand(48, generator=G) < 0.2).long()
    found = run(net(0, 64, 2), (X[:48], y), batch_size=48, optimizer=lambda p: torch.optim.Adam(p, lr=0.02))
    assert found["overfits"].severity == "info"
    assert "lowest at epoch" in found["overfits"].message
    assert "overfits" not in healthy


def test_memorized(healthy):
    adam = {"optimizer": lambda p: torch.optim.Adam(p, lr=0.01), "steps": 400, "batch_size": 128}
    found = run(net(0, 256, 2), (X[:128], NOISE[:128]), (X_VAL, NOISE_VAL), **adam)
    assert found["memorized"].severity == "warn"
    assert found["no better than a constant answer"].because == "memorized"
    assert not {"memorized", "no better than a constant answer"} & set(run(net(0, 256, 2), **adam))


def test_never_better_than_at_the_start(healthy):
    found = run(optimizer=lambda p: torch.optim.SGD(p, lr=0.02, maximize=True))
    assert found["never better than at the start"].severity == "warn"
    assert "never better than at the start" not in healthy


def test_oscillates(healthy):
    y, y_val = X[:, :1] * 1.0, X_VAL[:, :1] * 1.0
    full = {"batch_size": 512, "steps": 60, "every": 1}
    found = run(
        nn.Linear(6, 1),
        (X, y),
        (X_VAL, y_val),
        F.mse_loss,
        lr=0.5,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.93, momentum=0.97),
        **full,
    )
    assert found["oscillates"].severity == "info"
    assert "oscillates" not in healthy
    assert "oscillates" not in run(nn.Linear(6, 1), (X, y), (X_VAL, y_val), F.mse_loss, **full)


def test_always_clipped(healthy):
    found = run(gradient_clip_val=1e-3)
    assert found["always clipped"].severity == "info"
    assert "25 of 25" in found["always clipped"].message
    assert "always clipped" not in run(gradient_clip_val=100.0)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_weight_decay_stronger_than_the_gradient(kind):
    lr, much, little = (0.1, 5.0, 1e-4) if kind is torch.optim.SGD else (1e-3, 100.0, 0.01)
    found = run(optimizer=lambda p: kind(p, lr=lr, weight_decay=much))
    assert found["weight decay stronger than the gradient"].severity == "warn"
    assert found["no better than a constant answer"].because == "weight decay stronger than the gradient"
    assert "weight decay stronger than the gradient" not in run(
        optimizer=lambda p: kind(p, lr=lr, weight_decay=little)
    )


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_weight_decay_where_a_last_layer_of_zeros_holds_back_all_other_gradients(kind):
    network = net()
    nn.init.zeros_(network[-1].weight)
    assert "weight decay stronger than the gradient" not in run(
        network, optimizer=lambda p: kind(p, lr=1e-3, weight_decay=1e-5)
    )


class Scheduled(Plain):
    gamma = 1e-3

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2, self.gamma)]


class Slowly(Scheduled):
    gamma = 0.9


def test_learning_rate_is_gone():
    found = run(data=(X, NOISE), val=(X_VAL, NOISE_VAL), kind=Scheduled)
    assert found["learning rate is gone"].severity == "warn"
    assert (
        run(kind=Scheduled, data=(100 * X, labels(X)), val=(100 * X_VAL, labels(X_VAL)))[
            "learning rate is gone"
        ].severity
        == "info"
    )
    assert "learning rate is gone" not in run(kind=Slowly)


# --- what is said in the end ---


class Hand(Plain):
    """Losses written by hand."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        return -self(x).log_softmax(1)[torch.arange(len(x)), y].mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.training_step(batch, batch_idx))


def test_a_loss_written_by_hand_is_followed_but_not_compared(capsys):
    found = run(data=(X, NOISE), val=(X_VAL, NOISE_VAL), kind=Hand, lr=0.003)
    assert "no better than a constant answer" not in found
    assert "the training step calls no loss function of torch" in capsys.readouterr().out


def test_what_is_right_is_said(capsys):
    run(nn.Linear(6, 2), optimizer=lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01), steps=400)
    out = capsys.readouterr().out
    assert (
        " no fault, 1 note. Gradients, activations and step sizes are in range; converged since epoch" in out
    )
    assert "for always class" in out
    assert "on 600 rows of the validation" in out


def test_it_is_kept_over_a_resume_and_written(tmp_path):
    loader, val = rows(X, NOISE, batch_size=64), rows(X_VAL, NOISE_VAL, batch_size=100)
    first, again = Diagnosis(every_n_steps=10), Diagnosis(every_n_steps=10)
    slow = {"optimizer": lambda p: torch.optim.SGD(p, lr=0.01)}
    model = Plain(net(), F.cross_entropy, **slow)
    fit(model, loader, first, steps=120, val=val).save_checkpoint(tmp_path / "last.ckpt")
    model = Plain(net(), F.cross_entropy, **slow)
    logger = CSVLogger(tmp_path, name="run")
    fit(model, loader, again, steps=240, val=val, ckpt_path=tmp_path / "last.ckpt", logger=logger)
    assert again.record.validation.steps == list(range(8, 241, 8))
    report = json.loads((tmp_path / "run" / "version_0" / "diagnosis.json").read_text())
    assert not report["healthy"]
    (verdict,) = (each for each in report["verdicts"] if each["kind"] == "no better than a constant answer")
    assert (verdict["severity"], verdict["holds"]) == ("warn", True)
    assert verdict["link"] == "docs/diagnosis.md#no-better-than-a-constant-answer"


def test_weights_and_logged_values_are_the_same_without_it():
    def trained(*callbacks):
        torch.manual_seed(0)
        model = Plain(
            nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2)), F.cross_entropy
        )
        trainer = fit(
            model,
            rows(X, labels(X), batch_size=64),
            *callbacks,
            steps=20,
            val=rows(X_VAL, labels(X_VAL), batch_size=100),
        )
        return model.state_dict(), trainer.callback_metrics["val/loss"]

    (weights, loss), (weights_without, loss_without) = trained(Diagnosis(every_n_steps=3)), trained()
    assert all(torch.equal(a, b) for a, b in zip(weights.values(), weights_without.values(), strict=True))
    assert torch.equal(loss, loss_without)


class ByHand(Plain):
    """A step that returns nothing, and logs a loss of a part of it; `validated` has what each validation logs."""

    def __init__(self):
        super().__init__(net())
        self.automatic_optimization = False
        self.validated = iter([1.0] * 4 + [1.0 + 0.1 * k for k in range(12)])

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.optimizers().zero_grad()
        self.manual_backward(loss)
        self.optimizers().step()
        self.log("g_loss", loss + 100)

    def validation_step(self, batch, batch_idx):
        if batch_idx == 0:
            self.log("quality_loss", next(self.validated))


def test_a_rising_validation_loss_of_a_step_that_returns_no_loss():
    diagnosis = Diagnosis(every_n_steps=8)
    fit(
        ByHand(),
        rows(X, labels(X), batch_size=64),
        diagnosis,
        steps=128,
        val=rows(X_VAL, labels(X_VAL), batch_size=100),
        num_sanity_val_steps=0,
    )
    validated = diagnosis.record.validation.losses
    assert validated[:5] == pytest.approx([1.0] * 5)
    assert len(validated) == 16
    overfits = next(each for each in diagnosis.verdicts if each.kind == "overfits")
    assert "training loss" not in overfits.message
