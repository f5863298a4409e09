"""Which learning rates agree, which callbacks can stand next to each other, and which names were probably meant."""

from typing import Any

import pytest
from jsonargparse import Namespace
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, ModelSummary, Timer

from cli.checks import check_callbacks, check_learning_rate, check_name
from runtime.errors import UsageError


def settings(lr: float, max_lr: Any = None, schedule: str = "OneCycleLR") -> Namespace:
    """Of a model: an optimizer with this rate, and a schedule with this peak (None: left open)."""
    optimizer = Namespace(class_path="torch.optim.Adam", init_args=Namespace(lr=lr))
    arguments = Namespace() if max_lr is None else Namespace(max_lr=max_lr)
    scheduler = Namespace(class_path=f"torch.optim.lr_scheduler.{schedule}", init_args=arguments)
    return Namespace(class_path="LitMLP", init_args=Namespace(optimizer=optimizer, scheduler=scheduler))


KNOWN = {
    "accelerator": ["auto", "cpu", "gpu", "cuda", "mps", "tpu"],
    "strategy": ["auto", "ddp", "ddp_spawn", "fsdp", "deepspeed_stage_2", "deepspeed_stage_3"],
}
FLAGS = ["--model.optimizer.lr", "--model.init_args.optimizer.init_args.lr"]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("schedule", ["OneCycleLR", "CyclicLR"])
@pytest.mark.parametrize("others", [[], ["--model.scheduler.max_lr", "0.003"]])
def test_a_rate_that_has_no_effect_is_refused(flag: str, schedule: str, others: list[str]) -> None:
    """0.001 is what Adam takes by default: that it was given is read off the words."""
    for words in ([flag, "0.001"], [f"{flag}=0.001"]):
        with pytest.raises(UsageError) as refused:
            check_learning_rate(settings(0.001, 0.003, schedule), ["fit", *words, *others])
        assert str(refused.value) == (
            f"model.optimizer.lr 0.001 has no effect: model.scheduler.max_lr is 0.003, and {schedule} follows that; "
            "leave max_lr out, or give the rate as model.scheduler.max_lr"
        )


def test_configs_that_say_two_rates_are_refused() -> None:
    with pytest.raises(UsageError, match=r"model\.optimizer\.lr 0\.01 has no effect"):
        check_learning_rate(settings(0.01, 0.003), ["fit", "--config", "mine.yaml"])


@pytest.mark.parametrize(
    ("model", "words", "trained_with"),
    [
        (settings(0.001), ["--model.optimizer.lr=0.001"], 0.001),
        (settings(0.003, 0.003), ["--model.optimizer.lr=0.003"], 0.003),
        (settings(0.003, [0.003]), [], 0.003),
        (settings(0.001, 0.003), [], 0.003),  # the default: nobody gave it
        (settings(0.01, 0.003), ["--model.scheduler.max_lr=0.003"], 0.003),
        (
            settings(0.01, 0.003),
            ["--model.scheduler={class_path: OneCycleLR, init_args: {max_lr: 0.003}}"],
            0.003,
        ),
    ],
)
def test_rates_that_agree_are_one_afterwards(model: Namespace, words: list[str], trained_with: float) -> None:
    check_learning_rate(model, ["fit", *words])
    assert model.init_args.optimizer.init_args.lr == trained_with


@pytest.mark.parametrize(
    "arguments", [None, Namespace(optimizer="adam", scheduler="cosine"), Namespace(scheduler=None, lr=0.1)]
)
def test_a_model_without_optimizer_or_schedule_has_no_rates_to_compare(
    arguments: Namespace | None,
) -> None:
    model = Namespace(class_path="Foreign", init_args=arguments)
    before = model.clone()
    check_learning_rate(model, ["fit", "--model.optimizer.lr=0.1"])
    assert model == before


class Counter(Callback):
    """With a state, and no key that depends on its settings."""

    def state_dict(self) -> dict[str, Any]:
        return {"count": 1}


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (
            [EarlyStopping("val/loss"), EarlyStopping("val/loss", patience=7)],
            "trainer.callbacks has two EarlyStopping with {'monitor': 'val/loss', 'mode': 'min'}; a checkpoint could not",
        ),
        ([ModelCheckpoint(), Timer(), ModelCheckpoint()], "has two ModelCheckpoint with {'monitor': None, "),
        ([Timer(), Timer()], "trainer.callbacks has two Timer; a checkpoint could not"),
        ([EarlyStopping("a"), EarlyStopping("a")], "leave one out, or let them differ in these"),
        ([Counter(), Counter()], "leave one out, or give their class a `state_key` that differs"),
    ],
)
def test_callbacks_that_a_checkpoint_cannot_tell_apart(callbacks: list[Callback], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_callbacks(callbacks)
    assert message in str(refused.value)


def test_callbacks_without_a_state_or_with_other_settings_may_be_several() -> None:
    check_callbacks(
        [ModelSummary(), ModelSummary(), EarlyStopping("val/loss"), EarlyStopping("val/accuracy")]
    )


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("accelerator", "CUDA", "cuda"),
        ("accelerator", "cuda:1", "cuda and --trainer.devices [1]"),
        ("accelerator", "gpu:0", "gpu and --trainer.devices [0]"),
        ("strategy", "dp", "ddp"),
        ("strategy", "DDP", "ddp"),
        ("strategy", "deepspeed_stage2", "deepspeed_stage_2"),
    ],
)
def test_another_name_gets_the_one_that_lightning_knows(option: str, value: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_name(option, value, KNOWN[option])
    assert str(refused.value) == f"--trainer.{option} is {value}; write --trainer.{option} {meant}"


@pytest.mark.parametrize("option", ["accelerator", "strategy"])
def test_names_that_lightning_knows_and_objects_are_left_alone(option: str) -> None:
    for value in (*KNOWN[option], "quantum", object(), None):
        check_name(option, value, KNOWN[option])
