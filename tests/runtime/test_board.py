"""Which curve a tag belongs to, and what gets a logarithm."""

import math

import pytest

from runtime.board import curve_of, layout, learning_curves, logarithms

CURVES = {
    "train/loss": ("train", "Learning/Loss"),
    "val/loss": ("val", "Learning/Loss"),
    "val/accuracy": ("val", "Learning/accuracy"),
    "train_loss": ("train", "Learning/Loss"),
    "train_loss_epoch": ("train", "Learning/Loss"),
    "train_loss_step": ("train", "Learning/Loss_step"),
    "valid_loss": ("val", "Learning/Loss"),
    "validation/f1": ("val", "Learning/f1"),
    "Loss/val": ("val", "Learning/Loss"),
    "Accuracy/train": ("train", "Learning/Accuracy"),
    "loss": ("train", "Learning/Loss"),
    "lr": ("train", "Learning/lr"),
    "lr/1": ("train", "Learning/lr/1"),
    "val_loss/dataloader_idx_0": ("val", "Learning/Loss/dataloader_idx_0"),
}
OTHERS = [
    "epoch",
    "test/loss",
    "grad_norm/00_train",
    "weight_norm/01_encoder_val",
    "trainable",
    "lr-Adam",
    "values",
]


@pytest.mark.parametrize("tag", CURVES)
def test_a_learning_curve_has_a_folder_and_a_name(tag: str) -> None:
    assert curve_of(tag) == CURVES[tag]


@pytest.mark.parametrize("tag", OTHERS)
def test_other_tags_are_no_learning_curves(tag: str) -> None:
    assert curve_of(tag) is None


def test_the_loss_comes_first_and_learning_before_all_that_callbacks_write() -> None:
    """In the order of the characters, as TensorBoard sorts."""
    curves = learning_curves({"val/accuracy": 0.5, "val/loss": 1.0, "train/loss": 1.0, "lr": 0.1})
    tags = sorted(
        {tag for values in curves.values() for tag in values}
        | {"activation_mean/00_net", "Log10_grad_norm/00_net"}
    )
    assert tags[:3] == ["Learning/Loss", "Learning/accuracy", "Learning/lr"]
    assert curves["train"] == {"Learning/Loss": 1.0, "Learning/lr": 0.1}


def test_logarithms_of_positive_values_of_four_quantities() -> None:
    values = {
        "delta_norm/00_a": 1e-30,
        "grad_norm/00_a": 100.0,
        "update_ratio/00_a": 0.0,
        "grad_mean_abs/00_a": math.inf,
    }
    others = {"weight_norm/00_a": 10.0, "grad_norm_total": 10.0, "val/loss": 10.0, "grad_norm/01_b": math.nan}
    assert dict(logarithms(values | others)) == {
        "Log10_delta_norm/00_a": pytest.approx(-30),
        "Log10_grad_norm/00_a": pytest.approx(2),
    }


def test_the_page_of_custom_scalars_begins_with_the_loss() -> None:
    page = layout(["nonfinite", "grad_norm", "delta_norm"])
    assert list(page) == ["learning", "inside the network"]
    assert page["learning"]["loss"] == ["Multiline", ["^Learning/Loss$"]]
    inside = page["inside the network"]
    assert list(inside) == ["log10 of delta_norm", "log10 of grad_norm", "nonfinite"]
    assert inside["log10 of delta_norm"] == ["Multiline", ["^Log10_delta_norm/.*"]]
