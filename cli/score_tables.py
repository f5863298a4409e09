"""The table and the sentence of a comparison, by what the networks predict."""

import numpy as np
import torch

from callbacks.dependent_rows import Rows
from cli.paired_tests import MeanTest, holm, mcnemar_exact, mean_test, tango_interval
from cli.row_scores import RowScores
from runtime.tables import number

Table = dict[str, str]


def compare_scores(a: RowScores, b: RowScores) -> tuple[Table, str, MeanTest]:
    """The table's rows, the sentence, and the test of the mean difference B - A."""
    if a.right is not None:
        return compare_classes(a, b)
    if a.shares is not None:
        return compare_shares(a, b)
    return compare_outputs(a, b) if a.errors is not None and a.errors.ndim == 2 else compare_errors(a, b)


def compare_classes(a: RowScores, b: RowScores) -> tuple[Table, str, MeanTest]:
    """The difference in accuracy, in percentage points."""
    assert a.right is not None
    assert b.right is not None
    num_rows = len(a.right)
    only_a, only_b = int((a.right & ~b.right).sum()), int((~a.right & b.right).sum())
    test = mean_test(100 * (b.right.double() - a.right.double()).numpy(), a.rows)
    if a.rows.independent:
        low, high = (100 * limit for limit in tango_interval(only_a, only_b, num_rows))
        p_value = mcnemar_exact(only_a, only_b)
        test = MeanTest(test.mean, p_value, low, high, "McNemar's exact test", "Tango's score interval")
    table = {
        "compared": f"the class of each {a.rows.name}{in_words(a.rows)}",
        "accuracy of A": number(float(a.right.double().mean())),
        "accuracy of B": number(float(b.right.double().mean())),
        "only A is right": str(only_a),
        "only B is right": str(only_b),
        "both are right": str(int((a.right & b.right).sum())),
        "both are wrong": str(int((~a.right & ~b.right).sum())),
        "accuracy of B - A": f"{test.mean:+.2f} percentage points",
        **tested(test, ".2f"),
    }
    return table, say(test.mean, f"{abs(test.mean):.2f} percentage points more accurate", test, ".2f"), test


def say_beyond_accuracy(a: RowScores, b: RowScores, results: Table) -> str:
    """What an accuracy hides where most rows are of one class, and the difference in the metric that was monitored.

    Args:
        results: the table with the metrics asked for by name.
    """
    said = []
    if a.right is not None and b.right is not None:
        values, counts = a.truth.unique(return_counts=True)
        share, answer = float(counts.max()) / len(a.truth), int(values[counts.argmax()])
        accuracies = {"A": a.right.double().mean(), "B": b.right.double().mean()}
        idle = [name for name, accuracy in accuracies.items() if float(accuracy) <= share + 1e-9]
        called = f"'{a.class_names[answer]}'" if 0 <= answer < len(a.class_names) else f"class {answer}"
        if idle and share < 1:
            runs = " and ".join(idle) + (" is" if len(idle) == 1 else " are")
            said.append(
                f"{runs} no more accurate than to answer always {called}, "
                f"which is right in {100 * share:.2f} % of the {a.rows.plural}; a ranking metric such as AUROC says more."
            )
    metric = a.monitor.removeprefix("val/")
    if a.monitor == b.monitor and f"{metric} of B - A" in results:
        said.append(f"In {metric}, which chose the checkpoints, B - A is {results[f'{metric} of B - A']}.")
    return " ".join(said)


def compare_shares(a: RowScores, b: RowScores) -> tuple[Table, str, MeanTest]:
    """The same where a row has many classes, such as one for each pixel, token or label.

    The row is the unit of the test, because neighboring pixels are not independent. Rows without a label say nothing.
    """
    assert a.shares is not None
    assert b.shares is not None
    shares = torch.stack([a.shares, b.shares]).double().numpy()
    kept = ~np.isnan(shares).any(0)
    shares = shares[:, kept]
    test = mean_test(100 * (shares[1] - shares[0]), a.rows.kept(kept))
    table = {
        "compared": f"the share of correct classes within each {a.rows.name}{in_words(a.rows)}",
        "accuracy of A": number(float(shares[0].mean())),
        "accuracy of B": number(float(shares[1].mean())),
        "accuracy of B - A": f"{test.mean:+.2f} percentage points (mean over {a.rows.plural})",
        **tested(test, ".2f"),
    }
    return table, say(test.mean, f"{abs(test.mean):.2f} percentage points more accurate", test, ".2f"), test


def compare_errors(a: RowScores, b: RowScores) -> tuple[Table, str, MeanTest]:
    """The difference in mean squared error."""
    assert a.errors is not None
    assert b.errors is not None
    test = mean_test((b.errors.double() - a.errors.double()).numpy(), a.rows)
    table = {
        "compared": f"the squared error of each {a.rows.name}{in_words(a.rows)}",
        "mse of A": number(float(a.errors.double().mean())),
        "mse of B": number(float(b.errors.double().mean())),
        "mse of B - A": f"{test.mean:+.4g}",
        **tested(test, ".4g"),
    }
    amount = f"more exact by a mean squared error of {abs(test.mean):.4g}"
    return table, say(-test.mean, amount, test, ".4g"), test


def compare_outputs(a: RowScores, b: RowScores) -> tuple[Table, str, MeanTest]:
    """Several outputs, each in a unit of its own, so that their errors cannot be added.

    The test is about the mean of their r2, in which each error counts as a share of its output's variance. Then there is
    one test for each output, and their p-values are raised for their number.
    """
    assert a.errors is not None
    assert b.errors is not None
    errors = torch.stack([a.errors, b.errors]).double()
    variances = a.truth.double().reshape(errors.shape[1:]).var(0, correction=0)
    shares = errors / torch.where(variances > 0, variances, 1.0)
    test = mean_test((shares[0] - shares[1]).mean(1).numpy(), a.rows)
    r2 = 1 - shares.mean((1, 2))
    single = [mean_test(each, a.rows) for each in (errors[1] - errors[0]).numpy().T]
    p_values = holm([each.p_value for each in single])
    table = {
        "compared": f"the squared errors of {len(a.outputs)} outputs of each {a.rows.name}{in_words(a.rows)}",
        "r2 of A": number(float(r2[0])),
        "r2 of B": number(float(r2[1])),
        "r2 of B - A": f"{test.mean:+.4g} (mean of the outputs)",
        **tested(test, ".4g"),
    }
    for name, each, p_value in zip(a.outputs, single, p_values, strict=True):
        table[f"mse of B - A, {name}"] = f"{interval_in_words(each, '.4g')}; {p_text(p_value)} (Holm)"
    sentence = say(test.mean, f"more exact by an r2 of {abs(test.mean):.4g}", test, ".4g")
    return table, f"{sentence} {say_outputs(a.outputs, single, p_values)}", test


def say_outputs(names: tuple[str, ...], tests: list[MeanTest], p_values: list[float]) -> str:
    """In which outputs one of the two is better for certain."""
    better: dict[str, list[str]] = {"A": [], "B": []}
    for name, test, p_value in zip(names, tests, p_values, strict=True):
        if p_value < 0.05:
            better["B" if test.mean < 0 else "A"].append(name)
    found = [f"{network} is more exact in {', '.join(of)}" for network, of in better.items() if of]
    open_ = len(names) - sum(map(len, better.values()))
    if open_:
        found.append(f"the difference in {'each' if open_ == len(names) else open_} of them may be chance")
    return f"Of the {len(names)} outputs by themselves: {'; '.join(found)} (Holm's correction)."


def in_words(rows: Rows) -> str:
    """How the rows depend on each other."""
    if rows.groups is not None:
        return f"; {rows.plural} of a group are not independent"
    return (
        f"; neighbors in time are not independent, so {rows.plural} are drawn in blocks" * rows.in_time_order
    )


def tested(test: MeanTest, form: str) -> Table:
    """The rows of the table that every test has."""
    interval = f"{test.low:+{form}} to {test.high:+{form}} ({test.how})"
    return {"95 % confidence interval": interval, test.name: p_text(test.p_value)}


def interval_in_words(test: MeanTest, form: str) -> str:
    """A difference with its interval."""
    return f"{test.mean:+{form}} (95 % {test.low:+{form}} to {test.high:+{form}})"


def say(gain: float, amount: str, test: MeanTest, form: str) -> str:
    """One sentence; the test decides at the 5 % level."""
    better, worse = ("B", "A") if gain > 0 else ("A", "B")
    found = (
        f"95 % confidence interval of B - A {test.low:+{form}} to {test.high:+{form}}, "
        f"{test.name} {p_text(test.p_value)}"
    )
    if gain == 0:
        return f"No difference: A and B do equally well ({found})."
    if test.p_value < 0.05:
        return f"The difference is real: {better} is {amount} than {worse} ({found})."
    return (
        f"The difference may be chance: {better} is {amount} than {worse}, but two equally good networks "
        f"would differ as much with probability {test.p_value:.2g} ({found})."
    )


def p_text(p_value: float) -> str:
    """A p-value with two digits; one that rounds to 0 is shown as an upper bound."""
    return f"p = {p_value:.2g}" if p_value > 1e-300 else "p < 1e-300"
