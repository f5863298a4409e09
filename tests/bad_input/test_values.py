"""Numbers that are negative, zero, not a number, or beyond what there is."""

import pytest

from tests.bad_input.conftest import Refused

FIT = "fit --config quick.yaml"
STOP = "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor"
TOY = "fit --model LitMLP --data ToyDataModule"
SERIES = "fit --model LitRNN --data SeriesDataModule"
IMAGES = "fit --model LitMLP --data MNISTDataModule --data.data_dir data"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{FIT} --model.optimizer.lr abc", "model.optimizer.lr: expected float, not abc"),
        (f"{FIT} --model.optimizer.lr -1", "model.optimizer: Invalid learning rate: -1.0"),
        (f"{FIT} --model.optimizer.lr .nan", "model.optimizer: Invalid learning rate: nan"),
        (f"{FIT} --model.optimizer.lr .inf", "model.optimizer.lr is inf; it must be from 0 to 3.4e+38"),
        (f"{FIT} --model.optimizer.lr 1e300", "model.optimizer.lr is 1e+300; it must be from 0 to 3.4e+38"),
        (f"{FIT} --model.hidden_sizes [0]", "layer sizes are [2, 0, 1]; each must be at least 1"),
        (f"{FIT} --model.hidden_sizes a", "model.hidden_sizes: expected list of int, not a"),
        (f"{FIT} --model.hidden_sizes null", "model.hidden_sizes: expected list of int, not null"),
        (f"{FIT} --model.depth null", "model.depth: expected int, not null"),
        (f"{FIT} --model.activation null", "model.activation: 'null' is not one of sigmoid, tanh, relu"),
        (
            f"{FIT} --model.optimizer null",
            "model.optimizer: expected an Optimizer, as its name or as class_path",
        ),
        (f"{FIT} --data.features null", "data.features: expected str or list of str, not null"),
        (f"{FIT} --model.dropout -0.5", "dropout is -0.5; it is a share, from 0 to below 1"),
        (f"{FIT} --model.dropout .nan", "dropout is nan; it is a share"),
        (f"{FIT} --model.init_gain .nan", "init_gain is nan; it must be a finite number"),
        (
            f"{FIT} --model.label_smoothing 3",
            "label_smoothing is 3.0, but a binary task does not have it; leave it out",
        ),
        (f"{FIT} --data.batch_size 0", "data.batch_size is 0; it must be at least 1"),
        (f"{FIT} --data.batch_size 1.5", "data.batch_size: expected int, not 1.5"),
        (f"{FIT} --data.order_seed -1", "data.order_seed is -1; a seed must be from 0 to 4294967295"),
        (f"{FIT} --data.split_seed -1", "data.split_seed is -1; a seed must be"),
        (f"{FIT} --data.fold 5", "data.fold is 5; with data.num_folds 5 it must be 0 to 4"),
        (
            f"{FIT} --data.num_folds 5000",
            "data.num_folds is 5000, but the rarer class has 342 rows; take fewer",
        ),
        (f"{FIT} --seed_everything -1", "--seed_everything is -1; a seed must be from 0 to 4294967295"),
        (f"{FIT} --seed_everything 9999999999", "--seed_everything is 9999999999; a seed must be"),
        (f"{FIT} --trainer.max_epochs -3", "must be a non-negative integer or -1. You passed in -3."),
        (f"{FIT} --trainer.max_epochs .nan", "trainer.max_epochs: expected int, not nan"),
        (f"{FIT} --trainer.limit_train_batches 2.5", "invalid value 2.5 for limit_train_batches"),
        (f"{FIT} --trainer.val_check_interval 0", "--trainer.val_check_interval is 0; it must be above 0"),
        (
            f"{FIT} --trainer.accumulate_grad_batches 0",
            "--trainer.accumulate_grad_batches is 0; it must be at",
        ),
        (f"{FIT} --trainer.gradient_clip_val -1", "--trainer.gradient_clip_val is -1; it must be at least 0"),
        (f"{FIT} {STOP} val/los", "EarlyStopping: monitor val/los is not measured; did you mean 'val/loss'?"),
        (
            f"{FIT} --model.optimizer.fused true --model.optimizer.foreach true",
            "the optimizer Adam(lr=0.02, foreach=True, fused=True) does not work: `fused` and `foreach` cannot",
        ),
        (f"{TOY} --data.noise .nan", "data.noise is nan; it is a deviation and must be at least 0"),
        (f"{TOY} --data.val_fraction 0.9999", "300 rows leave none for training after 300 for validation"),
        (f"{TOY} --data.data_seed -1", "data.data_seed is -1; a seed must be"),
        (
            f"{SERIES} --data.known_fraction .nan",
            "data.known_fraction is nan; it must be above 0 and below 1",
        ),
        (
            f"{SERIES} --model LitMLP",
            "the network returns [200, 1] for targets [200, 30, 1]; take another model",
        ),
        (f"{IMAGES} --data.subset 0", "data.subset is 0; it must be at least 1"),
        (f"{IMAGES} --data.subset 61", "data.subset is 61, but there are only 60 images"),
        (f"{IMAGES} --data.num_val 60", "data.num_val is 60, which leaves none of 60 images for training"),
        (f"{IMAGES} --data.classes [4,10]", "data.classes has 10; classes are numbered 0 to 9"),
        (f"{IMAGES} --model LitRNN", "LitRNN wants series, in_shape [T, F]"),
        (f"{FIT} {STOP} train/los", "EarlyStopping: monitor train/los is not measured; did you mean"),
    ],
)
def test_a_value_that_cannot_be(line: str, message: str, refused: Refused) -> None:
    refused(line, message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            f"{FIT} --model.scheduler StepLR --model.scheduler.step_size 0",
            "scheduler StepLR(step_size=0) does not",
        ),
    ],
)
def test_a_value_that_shows_at_the_end_of_an_epoch(line: str, message: str, refused: Refused) -> None:
    refused(line, message, leaves="runs/quick/version_1")


@pytest.mark.parametrize(
    "line", [f"{FIT} --model.hidden_sizes [100000000000000]", f"{TOY} --data.num_samples 99999999999999"]
)
def test_more_memory_than_there_is(line: str, refused: Refused) -> None:
    """Whether it fits is known when it is tried: a failure, no wrong input."""
    refused(line, "allocate", code=1)
