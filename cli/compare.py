"""`train.py compare RUN_A RUN_B`: is the difference between two runs real, or could it be chance?

Both networks predict the same test rows. So the comparison is paired, and finds smaller differences than two separate
figures can. It is about these two trained networks only: the variation between seeds is not included (Dietterich 1998,
https://doi.org/10.1162/089976698300017197).
"""

from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.observing import in_words
from cli.metric_differences import metric_rows
from cli.request import Request
from cli.row_scores import RowScores, is_same, scores_on_test_rows
from cli.score_tables import compare_scores, say_beyond_accuracy
from pages.comparison import write_comparison
from runtime.compared import write_compared
from runtime.errors import UsageError
from runtime.tables import print_table


def compare_runs(first: Request, second: Request) -> None:
    """Let both runs predict, then print one table and one sentence."""
    a, b = map(scores_on_test_rows, (first, second))
    check_same_rows(a, b)
    rows = {"A": a.checkpoint, "B": b.checkpoint, "test rows": str(len(a.truth))}
    if a.trained_on or b.trained_on:
        rows["note"] = "trained on these rows: this says how well they fit, not how well they predict"
    results, sentence, test = compare_scores(a, b)
    results |= metric_rows(a, b, test.length)
    sentence = f"{sentence} {say_beyond_accuracy(a, b, results)}".rstrip()
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
