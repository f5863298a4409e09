"""Schedules as they are given on the command line or in YAML, step by step, against closed forms and PyTorch's own."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    SequentialLR,
)

from cli import main
from cli.sweep import build_trial

ROOT = Path(__file__).parents[2]
WARMUP = "lit_models.schedules.warmup_cosine"
EPOCHS, STEPS = 6, 4  # of the training, and of each epoch: 240 training points in batches of 60
CIRCLES = [
    *("--config", str(ROOT / "configs" / "circles.yaml"), "--trainer.accelerator=cpu", "--diagnostics=false"),
    *("--data.passes_per_epoch=1", "--data.batch_size=60", f"--trainer.max_epochs={EPOCHS}"),
    *("--pictures=false", "--checkup=false", "--model.optimizer=SGD", "--model.optimizer.lr=0.5"),
]


class Rates(pl.Callback):
    """Notes the learning rate that each step is taken with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        self.rates.append(float(optimizer.param_groups[0]["lr"]))


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def rates_of(*words: str) -> list[float]:
    noted = Rates()
    run = build_trial([*CIRCLES, *words], callbacks=(noted,))
    run.fit()
    assert len(noted.rates) == EPOCHS * STEPS // (2 if "--trainer.accumulate_grad_batches=2" in words else 1)
    return noted.rates


def rates_by_torch(make: Callable[[Any], Any], every: int = 1, steps: int = EPOCHS * STEPS) -> list[float]:
    """The rate of each step, with a schedule that steps after every so many of them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule, rates = make(optimizer), []
    for step in range(1, steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % every == 0:
            schedule.step()
    return rates


def closed_form(warmup: int, total: int, least: float = 0.0) -> list[float]:
    rates = []
    for step in range(total):
        cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        rates.append(0.5 * ((step + 1) / warmup if step < warmup else least + (1 - least) * cosine))
    return rates


@pytest.mark.parametrize("warmup", [0, 5])
def test_warm_up_and_cosine_step_by_step(warmup: int) -> None:
    words = [f"--model.scheduler={WARMUP}", f"--model.scheduler.warmup_steps={warmup}"]
    assert rates_of(*words) == pytest.approx(closed_form(warmup, EPOCHS * STEPS))
    assert rates_of(*words, "--model.scheduler.least=0.1") == pytest.approx(closed_form(warmup, 24, 0.1))
    assert rates_of(*words, "--trainer.accumulate_grad_batches=2") == pytest.approx(closed_form(warmup, 12))


def test_in_yaml_and_again_from_the_runs_config(capsys: pytest.CaptureFixture[str]) -> None:
    Path("warm.yaml").write_text(
        f"model: {{init_args: {{scheduler: {{class_path: {WARMUP}, init_args: {{warmup_steps: 5}}}}}}}}\n"
    )
    assert main(["fit", *CIRCLES, "--config=warm.yaml", "--run_name=warm"]) == 0
    saved = yaml.safe_load(Path("runs/warm/version_0/config.yaml").read_text())["model"]["init_args"]
    assert saved["scheduler"] == {
        "class_path": WARMUP,
        "init_args": {"warmup_steps": 5, "total_steps": None, "least": 0.0},
    }
    assert main(["fit", "--config=runs/warm/version_0/config.yaml", "--run_name=again"]) == 0
    weights = [
        torch.load(f"runs/{name}/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("warm", "again")
    ]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert main(["fit", "--resume=runs/warm/version_0", "--trainer.max_epochs=12"]) == 2
    assert "the learning rate's schedule ends after 6" in capsys.readouterr().err


def test_a_warm_up_as_long_as_the_training_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--model.scheduler={WARMUP}", "--model.scheduler.warmup_steps=25"]
    with pytest.warns(UserWarning, match="the warm-up of 25 steps is as long as the training, 24 steps"):
        assert main(["fit", *CIRCLES, *words]) == 0
    assert main(["fit", *CIRCLES, words[0], "--model.scheduler.warmup_steps=-1"]) == 2
    assert "warmup_steps is -1" in capsys.readouterr().err


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_the_period_of_a_cosine_is_the_length_of_the_training_in_its_unit(interval: str) -> None:
    words = ["--model.scheduler=CosineAnnealingLR", f"--model.scheduler_interval={interval}"]
    every, period = (1, EPOCHS * STEPS) if interval == "step" else (STEPS, EPOCHS)
    expected = rates_by_torch(lambda optimizer: CosineAnnealingLR(optimizer, T_max=period), every)
    assert rates_of(*words) == pytest.approx(expected)
    given = rates_by_torch(lambda optimizer: CosineAnnealingLR(optimizer, T_max=3), every)
    assert rates_of(*words, "--model.scheduler.T_max=3") == pytest.approx(given)


@pytest.mark.parametrize("path", ["SequentialLR", "torch.optim.lr_scheduler.SequentialLR"])
def test_one_schedule_after_the_other(path: str) -> None:
    parts = "[{class_path: LinearLR, init_args: {start_factor: 0.1, total_iters: 2}}, {class_path: CosineAnnealingLR}]"
    words = [f"--model.scheduler={{class_path: {path}, init_args: {{schedulers: {parts}, milestones: [2]}}}}"]

    def by_torch(optimizer: Any) -> Any:
        warmup = LinearLR(optimizer, start_factor=0.1, total_iters=2)
        return SequentialLR(optimizer, [warmup, CosineAnnealingLR(optimizer, T_max=EPOCHS - 2)], [2])

    assert rates_of(*words) == pytest.approx(rates_by_torch(by_torch, every=STEPS))


def test_schedules_that_are_multiplied() -> None:
    halved = "{class_path: ConstantLR, init_args: {factor: 0.5, total_iters: 2}}"
    parts = f"[{halved}, {{class_path: ExponentialLR, init_args: {{gamma: 0.8}}}}]"
    words = [f"--model.scheduler={{class_path: ChainedScheduler, init_args: {{schedulers: {parts}}}}}"]

    def by_torch(optimizer: Any) -> Any:
        return ChainedScheduler([ConstantLR(optimizer, 0.5, 2), ExponentialLR(optimizer, 0.8)])

    assert rates_of(*words) == pytest.approx(rates_by_torch(by_torch, every=STEPS))


OWN = """
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

class Falling(LRScheduler):
    def __init__(self, optimizer: Optimizer, total_steps: int, power: float = 1.0):
        self.total_steps, self.power = total_steps, power
        super().__init__(optimizer)

    def get_lr(self):
        return [rate * (1 - self.last_epoch / self.total_steps) ** self.power for rate in self.base_lrs]

def falling(optimizer, num_training_steps: int, power: float = 1.0):
    return LambdaLR(optimizer, lambda step: (1 - step / num_training_steps) ** power)

def halved(optimizer: Optimizer, every: int = 1) -> LRScheduler:
    return LambdaLR(optimizer, lambda epoch: 0.5 ** (epoch // every))

def number(optimizer: Optimizer) -> int:
    return 3

def sgd(params, lr: float = 0.5) -> Optimizer:
    return SGD(params, lr=2 * lr)
"""


@pytest.mark.parametrize("name", ["Falling", "falling"])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_schedule_of_ones_own_that_asks_for_the_length_gets_it_and_counts_steps(
    name: str, power: float
) -> None:
    """Before, it counted epochs: a warm-up of 20 steps took 20 epochs."""
    Path("my_schedules.py").write_text(OWN)
    words = [f"--model.scheduler=my_schedules.{name}"] + ([f"--model.scheduler.power={power}"] * (power != 1))
    expected = [0.5 * (1 - step / 24) ** power for step in range(24)]
    assert rates_of(*words) == pytest.approx(expected)


def test_a_function_without_a_length_counts_epochs_and_takes_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("my_schedules.py").write_text(OWN)
    words = ["--model.scheduler=my_schedules.halved"]
    assert rates_of(*words) == [0.5 ** (1 + step // STEPS) for step in range(EPOCHS * STEPS)]
    slower = rates_of(*words, "--model.scheduler.every=3")
    assert slower == [0.5 ** (1 + step // (3 * STEPS)) for step in range(EPOCHS * STEPS)]
    assert rates_of("--model.optimizer=my_schedules.sgd", "--model.optimizer.lr=0.1") == [0.2] * 24
    assert main(["fit", *CIRCLES, "--model.scheduler=my_schedules.number"]) == 2
    assert main(["fit", *CIRCLES, *words, "--model.scheduler.evry=3"]) == 2
    assert "'evry'; did you mean 'every'?" in capsys.readouterr().err


def test_a_schedule_without_a_length_in_a_training_without_an_end_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [f"--model.scheduler={WARMUP}", "--trainer.max_epochs=-1"]
    assert main(["fit", *CIRCLES, *words]) == 2
    assert "model.scheduler has no length, and the training has no end" in capsys.readouterr().err
    assert main(["fit", *CIRCLES, *words, "--trainer.max_steps=7"]) == 0


def test_runs_with_these_schedules_train_together_as_they_do_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scheduler = [f"--model.scheduler={WARMUP}", "--model.scheduler.warmup_steps=5"]
    for words in (scheduler, ["--model.scheduler=CosineAnnealingLR"]):
        scores = []
        for bulk in ("true", "false"):
            name = f"{words[0].rpartition('.')[2]}_{bulk}"
            vary = ["--vary", "model.optimizer.lr=0.5,0.1", f"--sweep.bulk={bulk}", f"--run_name={name}"]
            assert main(["sweep", *CIRCLES, *words, *vary]) == 0
            assert ("2 runs trained together" in capsys.readouterr().err) == (bulk == "true")
            table = Path("runs", name, "runs.csv").read_text().splitlines()
            column = table[0].split(",").index("score")
            scores.append([float(row.split(",")[column]) for row in table[1:]])
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)
