"""Means over seeds, the best setting, and whether it differs from the second best."""

import math
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from scipy import stats
from torch.utils.tensorboard import SummaryWriter

from runtime.tables import number
from sweeps.plan import Plan
from sweeps.space import Setting, is_fold, key
from sweeps.study import setting_of

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
MAX_ROWS = 20
MAX_METRICS = 4  # next to the score in the printed table; settings.csv has all
NOT_METRICS = (
    "trial",
    "seed",
    "score",
    "epoch",
    "step",
    "seconds",
    "gradient_ratio",
)  # other numbers of a run


def runs_table(trials: list[FrozenTrial], replicated: Collection[str] = ()) -> pd.DataFrame:
    """One row per run: what varied, `seed`, `state`, `score`, its other metrics, `seconds`, `folder`, `error`.

    Args:
        replicated: flags that do not distinguish settings, such as `data.fold`.
    """
    rows = []
    for trial in trials:
        attributes: dict[str, Any] = dict(trial.user_attrs)
        metrics = attributes.pop("metrics", {})
        rows.append(
            {
                "trial": trial.number,
                **setting_of(trial),
                "seed": attributes.pop("seed", None),
                "state": STATES[trial.state],
                "score": trial.value if trial.state == TrialState.COMPLETE else math.nan,
                **metrics,
                **attributes,
                "setting": key({k: v for k, v in setting_of(trial).items() if k not in replicated}),
            }
        )
    return pd.DataFrame(rows)


def settings_table(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """One row per setting, the best first: `mean` and sample `deviation` of the score over seeds and replicates.

    For the other metrics of validation, which are those of the state in best.ckpt, there are `mean NAME` and
    `deviation NAME`.

    `runs` counts complete runs. A setting with missing seeds (failed, pruned, not yet run) comes after all complete
    ones, because a mean over only its lucky seeds says little.
    """
    rows = []
    flags = [axis.flag for axis in plan.axes]
    for _, group in runs.groupby("setting", sort=False):
        scores = group["score"].dropna()
        row = {flag: group[flag].iloc[0] for flag in flags}
        row |= {"mean": scores.mean(), "deviation": scores.std(), "runs": len(scores)}
        for state in ("pruned", "failed"):
            row[state] = int((group["state"] == state).sum())
        row["seconds"] = group["seconds"].mean() if "seconds" in group else math.nan
        if "gradient_ratio" in group:
            row["gradient_ratio"] = group["gradient_ratio"].median()
        if "diagnosis" in group:
            findings = group["diagnosis"].dropna()
            row["diagnosis"] = findings.mode().iloc[0] if len(findings) else ""
        for name in other_metrics(plan, runs):
            values = group.loc[group["score"].notna(), name]
            row |= {f"mean {name}": values.mean(), f"deviation {name}": values.std()}
        rows.append({**row, "setting": group["setting"].iloc[0]})
    table = pd.DataFrame(rows)
    order = table.assign(lacking=-table["runs"], by=table["mean"] * (1 if plan.mode == "min" else -1))
    return table.loc[order.sort_values(["lacking", "by"], kind="stable").index].reset_index(drop=True)


def other_metrics(plan: Plan, runs: pd.DataFrame) -> list[str]:
    """Names of the validation metrics of the runs, without the one that is the score."""
    others = {*NOT_METRICS, plan.monitor, *(axis.flag for axis in plan.all_axes())}
    return [name for name in map(str, runs.select_dtypes("number")) if name not in others]


def comparison(plan: Plan, runs: pd.DataFrame, settings: pd.DataFrame) -> str:
    """One sentence: is the best setting really better than the runner-up, or may it be chance?

    Runs with the same seeds and replicates are compared in pairs (Student 1908), others by Welch's test (1947), at the
    usual 5 % level. Folds share training rows, which makes their differences alike: the variance is larger by
    1 + n / (k - 1) for n runs on k folds (Nadeau & Bengio 2003, https://doi.org/10.1023/A:1024068626366).
    """
    done = settings[settings["runs"] > 0]
    if len(done) < 2:
        return "There is no second setting to compare with."
    if done["runs"].iloc[:2].min() < 2:
        return "With one run per setting, chance cannot be told from merit; repeat with --sweep.seeds 5."
    first, second = (scores_by_seed(plan, runs, setting) for setting in done["setting"].iloc[:2])
    difference = abs(first.mean() - second.mean())
    paired = first.index.equals(second.index)
    scatter = (first - second).std() if paired else first.std() + second.std()
    count = f"{len(first)}" if len(first) == len(second) else f"{len(first)} and {len(second)}"
    seeds = f"{count} {'runs' if plan.replicated else 'seeds'}"
    if scatter <= 1e-12 * max(abs(first.mean()), difference):  # no scatter, so no test
        same = "no different from" if difference == 0 else f"always {number(difference)} better than"
        return f"The best is {same} the runner-up, in each of {seeds}."
    test = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
    name, p_value = "paired t-test" if paired else "Welch's t-test", float(test.pvalue)
    if paired and (shared := shared_rows(plan)):
        t = float(test.statistic) / math.sqrt(1 + len(first) * shared)
        name, p_value = "paired t-test, corrected for folds", float(2 * stats.t.sf(abs(t), len(first) - 1))
    verdict = "can be told" if p_value < 0.05 else "cannot be told"
    return (
        f"The best {verdict} from the runner-up: they differ by {number(difference)} over {seeds} "
        f"({name}, p = {p_value:.2g})."
    )


def standard_error(plan: Plan, settings: pd.DataFrame) -> float:
    """Of the mean of the first setting; larger for folds, as in `comparison`. NaN for a single run."""
    deviation, count = settings["deviation"].iloc[0], settings["runs"].iloc[0]
    return float(deviation) * math.sqrt(1 / count + shared_rows(plan))


def shared_rows(plan: Plan) -> float:
    """Rows held out over rows trained on, by which folds make the variance of a mean larger; 0 without folds."""
    folds = next((len(axis.values) for axis in plan.replicated if is_fold(axis.flag)), 1)
    return 1 / (folds - 1) if folds > 1 else 0.0


def scores_by_seed(plan: Plan, runs: pd.DataFrame, setting: str) -> pd.Series:
    """Scores of one setting, by seed and replicate in ascending order."""
    chosen = runs[(runs["setting"] == setting) & runs["score"].notna()]
    return chosen.set_index(["seed", *(axis.flag for axis in plan.replicated)])["score"].sort_index()


def lines(plan: Plan, settings: pd.DataFrame) -> list[str]:
    """The table for the terminal."""
    columns = [axis.flag for axis in plan.axes]
    shown = settings[columns].map(short)
    shown[plan.monitor] = with_deviations(settings, "mean", "deviation")
    for name in metrics_in(settings)[:MAX_METRICS]:
        shown[name] = with_deviations(settings, f"mean {name}", f"deviation {name}")
    shown["runs"] = settings["runs"]
    for name in ("pruned", "failed"):
        if settings[name].any():
            shown[name] = settings[name]
    shown["s each"] = settings["seconds"].map("{:.1f}".format)
    if "gradient_ratio" in settings:
        shown["gradient ratio"] = settings["gradient_ratio"].map("{:.2g}".format)
    if "diagnosis" in settings:
        shown["diagnosis"] = settings["diagnosis"]
    text = shown[:MAX_ROWS].to_string(index=False, max_colwidth=60).splitlines()
    hidden = len(shown) - MAX_ROWS
    return [*text, f"... and {hidden} more in {plan.folder / 'settings.csv'}"] if hidden > 0 else text


def metrics_in(settings: pd.DataFrame) -> list[str]:
    """Names of the metrics other than the score."""
    return [name.removeprefix("mean ") for name in map(str, settings) if name.startswith("mean ")]


def with_deviations(settings: pd.DataFrame, mean: str, deviation: str) -> list[str]:
    """The cells of a column of the printed table."""
    return [
        f"{number(row[mean])} ± {number(row[deviation])}"
        if row["runs"] > 1
        else number(row[mean])
        if row["runs"]
        else "-"
        for _, row in settings.iterrows()
    ]


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def setting_in(plan: Plan, row: pd.Series) -> Setting:
    return {axis.flag: row[axis.flag] for axis in plan.axes}


def write_hparams(plan: Plan, settings: pd.DataFrame, folder: Path) -> None:
    """One line per setting for TensorBoard's HPARAMS tab: what varied, and mean and deviation of the score."""
    shutil.rmtree(folder, ignore_errors=True)  # left from an earlier, shorter sweep
    for place, row in settings[settings["runs"] > 0].iterrows():
        with SummaryWriter(str(folder / f"{int(str(place)):03d}")) as writer:
            hparams = {flag: short(value) for flag, value in setting_in(plan, row).items()}
            scores = {f"mean/{plan.monitor}": row["mean"], "runs": row["runs"]}
            if row["runs"] > 1:
                scores[f"deviation/{plan.monitor}"] = row["deviation"]
            writer.add_hparams(hparams, scores, run_name=".")
