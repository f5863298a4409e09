"""`train.py compare RUN_A RUN_B`: is the difference between two runs real, or could it be chance?

Both networks predict the same test rows. So the comparison is paired, and finds smaller differences than two separate
figures can. It is about these two trained networks only: the variation between seeds is not included (Dietterich 1998,
https://doi.org/10.1162/089976698300017197).
"""

import numpy as np
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.observing import in_words
from cli.paired_tests import mcnemar_exact, paired_t, tango_interval
from cli.request import Request
from cli.row_scores import RowScores, is_same, scores_on_test_rows
from pages.comparison import write_comparison
from runtime.compared import write_compared
from runtime.errors import UsageError
from runtime.tables import number, print_table


def compare_runs(first: Request, second: Request) -> None:
    """Let both runs predict, then print one table and one sentence."""
    a, b = map(scores_on_test_rows, (first, second))
    check_same_rows(a, b)
    rows = {"A": a.checkpoint, "B": b.checkpoint, "test rows": str(len(a.truth))}
    if a.trained_on or b.trained_on:
        rows["note"] = "trained on these rows: this says how well they fit, not how well they predict"
    results, sentence = compare_scores(a, b)
    print_table("compare", rows | results)
    print(f"\n{sentence}")
    keep(first, second, rows | results, sentence)


def keep(first: Request, second: Request, rows: dict[str, str], sentence: str) -> None:
    """Write the comparison into both runs' folders, and their page; a failure is a warning, as all is printed."""
    assert first.run_folder is not None
    assert second.run_folder is not None
    try:
        write_compared(first.run_folder, second.run_folder, rows, sentence)
        print(f"page: {write_comparison([first.run_folder, second.run_folder])}")
    except Exception as error:
        rank_zero_warn(f"the page of this comparison could not be written ({in_words(error)})")


def compare_scores(a: RowScores, b: RowScores) -> tuple[dict[str, str], str]:
    """The table's rows and the sentence, by what the networks predict."""
    if a.right is not None:
        return compare_classes(a, b)
    return compare_shares(a, b) if a.shares is not None else compare_errors(a, b)


def check_same_rows(a: RowScores, b: RowScores) -> None:
    """Refuse two runs with different rows."""
    names = f"{a.checkpoint} and {b.checkpoint}"
    if (a.errors is None) != (b.errors is None):
        raise UsageError(f"{names} cannot be compared: one predicts classes, the other numbers")
    if len(a.truth) != len(b.truth):
        raise UsageError(
            f"{names} have other test rows, {len(a.truth)} and {len(b.truth)}; "
            "give both the same data options, such as --data.classes or --data.missing"
        )
    same_inputs = a.inputs is None or b.inputs is None or a.names != b.names or is_same(a.inputs, b.inputs)
    if not is_same(a.truth, b.truth) or not same_inputs:
        raise UsageError(
            f"{names} have {len(a.truth)} test rows each, but not the same ones, or with other labels or units; "
            "give both the same data options, such as --data.fold, --data.data_seed or --data.normalize"
        )


def compare_classes(a: RowScores, b: RowScores) -> tuple[dict[str, str], str]:
    """The table's rows and the sentence about the difference in accuracy."""
    assert a.right is not None
    assert b.right is not None
    num_rows = len(a.right)
    only_a, only_b = int((a.right & ~b.right).sum()), int((~a.right & b.right).sum())
    p_value = mcnemar_exact(only_a, only_b)
    low, high = (100 * limit for limit in tango_interval(only_a, only_b, num_rows))
    difference = 100 * (only_b - only_a) / num_rows
    rows = {
        "accuracy of A": number(float(a.right.double().mean())),
        "accuracy of B": number(float(b.right.double().mean())),
        "only A is right": str(only_a),
        "only B is right": str(only_b),
        "both are right": str(int((a.right & b.right).sum())),
        "both are wrong": str(int((~a.right & ~b.right).sum())),
        "accuracy of B - A": f"{difference:+.2f} percentage points",
        "95 % confidence interval": f"{low:+.2f} to {high:+.2f} (Tango's score interval)",
        "McNemar's exact test": p_text(p_value),
    }
    amount = f"{abs(difference):.2f} percentage points more accurate"
    interval = f"95 % confidence interval of B - A {low:+.2f} to {high:+.2f}, McNemar's exact test"
    return rows, say(difference, amount, interval, p_value)


def compare_shares(a: RowScores, b: RowScores) -> tuple[dict[str, str], str]:
    """The same where a row has many classes, such as one for each pixel, token or label.

    The row is the unit of the test, because neighboring pixels are not independent.
    """
    assert a.shares is not None
    assert b.shares is not None
    differences = 100 * (b.shares.double() - a.shares.double()).numpy()
    p_value, (low, high) = paired_t(differences)
    mean = float(np.mean(differences))
    rows = {
        "accuracy of A": number(float(a.shares.double().mean())),
        "accuracy of B": number(float(b.shares.double().mean())),
        "accuracy of B - A": f"{mean:+.2f} percentage points of a row's positions",
        "95 % confidence interval": f"{low:+.2f} to {high:+.2f} (Student, paired rows)",
        "paired t-test": p_text(p_value),
    }
    interval = f"95 % confidence interval of B - A {low:+.2f} to {high:+.2f}, paired t-test"
    return rows, say(mean, f"{abs(mean):.2f} percentage points more accurate", interval, p_value)


def compare_errors(a: RowScores, b: RowScores) -> tuple[dict[str, str], str]:
    """The table's rows and the sentence about the difference in mean squared error."""
    assert a.errors is not None
    assert b.errors is not None
    differences = (b.errors.double() - a.errors.double()).numpy()
    p_value, (low, high) = paired_t(differences)
    mean = float(np.mean(differences))
    rows = {
        "mse of A": number(float(a.errors.double().mean())),
        "mse of B": number(float(b.errors.double().mean())),
        "mse of B - A": f"{mean:+.4g}",
        "95 % confidence interval": f"{low:+.4g} to {high:+.4g} (Student, paired rows)",
        "paired t-test": p_text(p_value),
    }
    interval = f"95 % confidence interval of B - A {low:+.4g} to {high:+.4g}, paired t-test"
    return rows, say(-mean, f"more exact by a mean squared error of {abs(mean):.4g}", interval, p_value)


def say(gain: float, amount: str, interval: str, p_value: float) -> str:
    """One sentence; the test decides at the 5 % level."""
    better, worse = ("B", "A") if gain > 0 else ("A", "B")
    if gain == 0:
        return f"No difference: A and B do equally well ({interval} {p_text(p_value)})."
    if p_value < 0.05:
        return f"The difference is real: {better} is {amount} than {worse} ({interval} {p_text(p_value)})."
    return (
        f"The difference may be chance: {better} is {amount} than {worse}, but two equally good networks "
        f"would differ as much with probability {p_value:.2g} ({interval} {p_text(p_value)})."
    )


def p_text(p_value: float) -> str:
    """A p-value with two digits; one that rounds to 0 is shown as an upper bound."""
    return f"p = {p_value:.2g}" if p_value > 1e-300 else "p < 1e-300"
