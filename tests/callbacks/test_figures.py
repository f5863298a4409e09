"""Intervals against scipy's; a metric that is not what its name says has none."""

import math
from dataclasses import replace

import pytest
from scipy.stats import binomtest, t

from callbacks.diagnostics.evidence import Evidence
from callbacks.figures import figures, wilson


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (0, 20), (1, 3), (565, 714), (9_900, 10_000), (20, 20)])
def test_wilson(hits: int, rows: int) -> None:
    expected = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert wilson(hits, rows) == (
        pytest.approx(expected.low, abs=1e-6),
        pytest.approx(expected.high, abs=1e-6),
    )


CLASSES = Evidence(
    rows=714,
    loss=0.5,
    constant=0.675,
    gain_error=0.01,
    accuracy=565 / 714,
    majority=424 / 714,
    classes=2,
    loss_error=0.02,
    loss_name="binary_cross_entropy_with_logits",
    whole=True,
)
NUMBERS = Evidence(50, 0.25, 1.02, 0.1, loss_error=0.05, loss_name="mse_loss", whole=True)
UNKNOWN = {"low": None, "high": None, "constant": None, "constant_words": ""}


def test_classes() -> None:
    logged = {"epoch": 3, "step": 9, "val/loss": 0.5000001, "val_accuracy": 565 / 714, "val/f1": 0.7}
    found = figures(logged, CLASSES, 714, "'died'")
    assert list(found) == ["loss", "accuracy", "f1"]
    low, high = wilson(565, 714)
    assert found["accuracy"] == {
        "value": 565 / 714,
        "low": low,
        "high": high,
        "constant": 424 / 714,
        "constant_words": "always 'died'",
    }
    assert found["loss"]["low"] == pytest.approx(0.5 - 1.959964 * 0.02, abs=1e-6)
    assert found["loss"]["high"] == pytest.approx(0.5 + 1.959964 * 0.02, abs=1e-6)
    assert (found["loss"]["constant"], found["loss"]["constant_words"]) == (
        0.675,
        "the shares of the classes",
    )
    assert found["f1"] == {"value": 0.7, **UNKNOWN}


def test_numbers_in_the_units_of_the_table() -> None:
    logged = {"test/loss": 0.25, "test/mse": 0.25 * 9, "test/mae": 0.4, "test/r2": 0.7}
    found = figures(logged, NUMBERS, 50, target_std=3.0)
    assert found["mse"]["constant"] == pytest.approx(1.02 * 9)
    assert found["mse"]["high"] - found["mse"]["value"] == pytest.approx(1.959964 * 0.05 * 9)
    assert found["loss"]["constant"] == 1.02
    assert found["mae"] == {"value": 0.4, **UNKNOWN}
    assert (found["r2"]["low"], found["r2"]["constant"]) == (None, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [
        ("val/accuracy", 0.79123, 714),  # balanced over classes, say: no whole number of rows
        ("val/loss", 0.51, 714),  # with a penalty, say
        ("val/mse", 0.5, 714),  # no mean squared error was counted
        ("val/accuracy", 565 / 714, None),  # several loaders or processes
        ("val/loss", 0.5, None),
        ("val/accuracy", 1.5, 714),
        ("val/accuracy", math.nan, 714),
    ],
)
def test_nothing_is_said_of_what_was_not_counted(name: str, value: float, rows: int | None) -> None:
    [found] = figures({name: value}, CLASSES, rows).values()
    assert {each: found[each] for each in UNKNOWN} == UNKNOWN


def test_without_evidence_an_accuracy_still_has_its_interval() -> None:
    for evidence in (None, "calls no loss function of torch", Evidence(100, 0.5, 0.6, 0.1, 0.5)):
        found = figures({"val/acc": 0.5, "val/loss": 0.5}, evidence, 714)
        assert found["acc"]["low"] == pytest.approx(wilson(357, 714)[0])
        assert found["acc"]["constant"] is None
        assert {each: found["loss"][each] for each in UNKNOWN} == UNKNOWN


def test_what_has_no_simple_interval_or_constant() -> None:
    pixels = Evidence(160, 0.5, 0.6, 0.1, targets_per_row=20, loss_error=0.1, classes=2, whole=True)
    assert (
        figures({"val/loss": 0.5}, pixels, 8)["loss"]["low"] is None
    )  # pixels of an image are not independent
    absolute = Evidence(50, 0.5, 0.6, 0.1, loss_error=0.1, loss_name="l1_loss", whole=True)
    found = figures({"val/loss": 0.5}, absolute, 50)["loss"]
    assert (found["constant"], found["constant_words"]) == (None, "")
    assert found["low"] is not None


def test_positions_have_an_interval_over_rows() -> None:
    pixels = replace(
        CLASSES,
        rows=9000,
        accuracy=0.9,
        targets_per_row=100.0,
        loss_error=0.03,
        accuracy_error=0.01,
        clusters=90,
    )
    found = figures(
        {"val/accuracy": 0.9, "val/loss": 0.5}, replace(pixels, loss_name="cross_entropy"), 90, "'road'"
    )
    assert found["accuracy"]["low"] == pytest.approx(0.9 - t.ppf(0.975, 89) * 0.01)
    assert found["accuracy"]["high"] == pytest.approx(0.9 + t.ppf(0.975, 89) * 0.01)
    assert found["accuracy"]["constant_words"] == "always 'road'"
    assert found["loss"]["high"] == pytest.approx(0.5 + t.ppf(0.975, 89) * 0.03)
    labels = figures({"val/accuracy": 0.9}, pixels, 90, "'sick'")  # of several labels, "sick" is one
    assert labels["accuracy"]["constant_words"] == "always 0"


def test_tokens_that_a_module_flattened_are_no_rows() -> None:
    flat = replace(CLASSES, rows=9000)
    assert figures({"val/loss": 0.5}, flat, 90)["loss"]["low"] is None
    assert figures({"val/loss": 0.5}, flat, 9000)["loss"]["low"] is not None
