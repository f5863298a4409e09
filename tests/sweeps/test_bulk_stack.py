"""Networks side by side give what each gives alone, and one optimizer steps them as each one's own would."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, OneCycleLR

from lit_models import LitLinear, LitMLP
from lit_models.base import LitModel
from sweeps.bulk import PROPORTIONAL
from sweeps.bulk_stack import Stack, Stepper

CPU = torch.device("cpu")
STEPS = 30
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in PROPORTIONAL),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"weight_decay": 0.3, "maximize": True}),
    ("NAdam", {"weight_decay": 0.3, "decoupled_weight_decay": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Adagrad", {"lr_decay": 0.1}),
]
SCHEDULES: dict[str, Any] = {
    "one cycle, with the momentum": lambda optimizer: OneCycleLR(optimizer, 0.1, total_steps=STEPS + 1),
    "from 0 on": partial(LambdaLR, lr_lambda=lambda step: step / STEPS),
    "exponential": partial(ExponentialLR, gamma=0.9),
}


def networks(count: int, **options: Any) -> list[LitModel]:
    torch.manual_seed(0)
    return [LitMLP(in_shape=[3], hidden_sizes=[4], **options) for _ in range(count)]


@pytest.mark.parametrize(
    "build",
    [
        partial(LitLinear, in_shape=[2, 3], out_features=4, task="multiclass"),
        partial(LitMLP, in_shape=[6], hidden_sizes=[5, 7], activation="tanh"),
        partial(LitMLP, in_shape=[1, 6], hidden_sizes=[5], depth=3, out_features=2, task="regression", bias=False),
        partial(LitMLP, in_shape=[6], depth=0),
    ],
)  # fmt: skip
def test_logits_and_gradients_are_those_of_each_network(build: partial[LitModel]) -> None:
    models = [build() for _ in range(3)]
    x = torch.randn(8, *models[0].in_shape)
    stack = Stack(models, CPU)
    logits = stack.logits(x)
    gradients = torch.autograd.grad(logits.square().sum(), list(stack.weights.values()))
    for row, model in enumerate(models):
        alone = model(x)
        torch.testing.assert_close(logits[row], alone)
        own = torch.autograd.grad(alone.square().sum(), list(model.parameters()))
        for mine, theirs in zip(gradients, own, strict=True):
            torch.testing.assert_close(mine[row], theirs)


@pytest.mark.parametrize(
    ("task", "num_outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1), ("regression", 2)]
)
def test_gradients_are_those_of_each_network_s_own_loss(task: Any, num_outputs: int) -> None:
    models = networks(3, task=task, out_features=num_outputs)
    x, y = torch.randn(7, 3), torch.randint(2, (7,))
    if task == "regression":
        y = torch.randn(7, num_outputs).squeeze(1)
    stack = Stack(models, CPU)
    gradients = stack.gradients(models[0].task.loss, stack.logits(x), y)
    for row, model in enumerate(models):
        own = torch.autograd.grad(model.task.loss(model(x), y), list(model.parameters()))
        for mine, theirs in zip(gradients, own, strict=True):
            torch.testing.assert_close(mine[row], theirs)


def train_alone(model: LitModel, gradients: list[list[Tensor]], row: int) -> list[Tensor]:
    """The weights after steps against these gradients with the model's own optimizer and schedule."""
    chosen: Any = model.make_optimizer(model.parameters(), lambda: STEPS, lambda: STEPS)
    for found in gradients:
        for parameter, gradient in zip(model.parameters(), found, strict=True):
            parameter.grad = gradient[row].clone()
        chosen["optimizer"].step()
        if "lr_scheduler" in chosen:
            chosen["lr_scheduler"]["scheduler"].step()
    return list(model.parameters())


def check(models: list[LitModel], **tolerance: float) -> None:
    """Two networks of each setting, stepped together from the second row on, against each stepped alone."""
    stack = Stack([networks(1)[0], *models], CPU)
    untouched = stack.copy()
    stepper = Stepper(stack, 1, models[::2], [2] * (len(models) // 2), STEPS, STEPS)
    shapes = [weight.shape for weight in stack.weights.values()]
    # Laid out in memory as those of `vmap`, with the last two dimensions swapped.
    gradients = [[torch.randn(shape).mT.contiguous().mT for shape in shapes] for _ in range(STEPS)]
    for found in gradients:
        stepper.step(found)
        for schedule in [*stepper.schedules["step"], *stepper.schedules["epoch"]]:
            schedule.step()
    for row, model in enumerate(models, start=1):
        for mine, theirs in zip(stack.weights.values(), train_alone(model, gradients, row), strict=True):
            torch.testing.assert_close(mine[row], theirs, **tolerance)
    for name, weight in stack.weights.items():
        assert torch.equal(weight[0], untouched[name][0])


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_one_optimizer_for_several_learning_rates(name: str, options: dict[str, Any]) -> None:
    models = networks(6)
    for place, model in enumerate(models):
        rate = (0.1, 0.003, 2.0)[place // 2]
        model.optimizer_factory = partial(getattr(torch.optim, name), lr=rate, **options)
    check(models, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings(
    "ignore:Detected call of `lr_scheduler.step"
)  # of an optimizer that only tells the rate
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_each_learning_rate_has_its_schedule(name: str, optimizer: str) -> None:
    momentum = {"momentum": 0.9} if optimizer == "SGD" else {}
    models = networks(4)
    for place, model in enumerate(models):
        model.optimizer_factory = partial(
            getattr(torch.optim, optimizer), lr=(0.1, 0.01)[place // 2], **momentum
        )
        model.scheduler_factory = SCHEDULES[name]
    check(models, rtol=1e-4, atol=1e-5)


def test_a_network_that_diverges_does_not_touch_its_neighbors() -> None:
    models = networks(2)
    for model, rate in zip(models, (1e38, 0.1), strict=True):
        model.optimizer_factory = partial(torch.optim.SGD, lr=rate)
    stack = Stack(models, CPU)
    stepper = Stepper(stack, 0, models, [1, 1], STEPS, STEPS)
    gradient = [torch.full_like(weight, 100.0) for weight in stack.weights.values()]
    stepper.step(gradient)
    for mine, model in zip(stack.weights.values(), models[1].parameters(), strict=True):
        assert not mine[0].isfinite().any()
        torch.testing.assert_close(mine[1], model - 10)
