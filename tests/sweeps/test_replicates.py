"""Folds and seeds are averaged, never chosen: against runs trained one by one, and statistics by hand."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cli import main
from cli.sweep import build_trial
from runtime.errors import UsageError
from sweeps.space import Choice
from sweeps.study import Queue
from sweeps.summary import comparison, runs_table, settings_table

ROOT = Path(__file__).parents[2]
TITANIC = [
    *("--config", str(ROOT / "configs" / "titanic_full.yaml"), "--trainer.accelerator=cpu"),
    *("--trainer.max_epochs=2", "--diagnostics=false"),
]
FOLDS = ["--replicate", "data.fold=0,1,2"]


def scores_alone(*words: str) -> list[float]:
    """The best validation loss of each fold, each trained by its own `fit`."""
    scores = []
    for fold in range(3):
        run = build_trial([*TITANIC, *words, f"--data.fold={fold}"])
        run.fit()
        scores.append(float(run.trainer.checkpoint_callback.best_model_score))
    return scores


def test_the_mean_and_deviation_over_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *TITANIC, *FOLDS, "--run_name=cv"]) == 0
    printed = capsys.readouterr().out
    scores = scores_alone()
    expected = f"{np.mean(scores):.6f} ± {np.std(scores, ddof=1):.6f}"
    assert expected in " ".join(printed.split())
    assert "best setting" not in printed
    runs = pd.read_csv("runs/cv/runs.csv")
    assert runs["data.fold"].tolist() == [0, 1, 2]
    assert runs["score"].tolist() == pytest.approx(scores)
    accuracies = runs["val/accuracy"]
    accuracy = f"val/accuracy {accuracies.mean():.6f} ± {accuracies.std():.6f}"
    assert accuracy in " ".join(printed.partition("mean and deviation over")[2].split())
    assert pd.read_csv("runs/cv/settings.csv")["mean val/accuracy"].tolist() == pytest.approx(
        [accuracies.mean()]
    )
    assert main(["sweep", *TITANIC, *FOLDS, "--run_name=cv"]) == 0  # nothing is left to do
    assert len(pd.read_csv("runs/cv/runs.csv")) == 3
    assert main(["sweep", *TITANIC, "--replicate", "data.fold=0,1", "--run_name=cv"]) == 2
    assert "holds a sweep with other replicate" in capsys.readouterr().err


def test_settings_are_compared_by_their_means_over_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--vary data.fold` means the same; before, it ended with "best setting data.fold=2"."""
    monkeypatch.chdir(tmp_path)
    words = ["--vary", "data.fold=0,1,2", "--vary", "model.optimizer.lr=0.003,0.00001"]
    assert main(["sweep", *TITANIC, *words, "--run_name=cv"]) == 0
    said = capsys.readouterr()
    assert "data.fold: averaged over, as with --replicate, and not chosen" in said.err
    settings = pd.read_csv("runs/cv/settings.csv")
    for row in settings.to_dict("records"):
        scores = scores_alone(f"--model.optimizer.lr={row['model.optimizer.lr']}")
        assert (row["mean"], row["deviation"]) == pytest.approx((np.mean(scores), np.std(scores, ddof=1)))
    assert settings["model.optimizer.lr"].tolist() == [0.003, 0.00001]
    train = next(line for line in said.out.splitlines() if line.startswith("  train it"))
    assert "--model.optimizer.lr=0.003" in train
    assert "data.fold" not in train


def test_the_runs_and_their_order(plan: Callable[..., Any]) -> None:
    read = plan("--vary", "a=1,2", "--replicate", "data.fold=int:0:1", "--sweep.seeds", "2")
    assert read.axes == [Choice("a", ("1", "2"))]
    assert [(setting["a"], setting["data.fold"], seed) for setting, seed in read.runs()] == [
        *(("1", "0", 42), ("2", "0", 42), ("1", "1", 42), ("2", "1", 42)),
        *(("1", "0", 43), ("2", "0", 43), ("1", "1", 43), ("2", "1", 43)),
    ]
    assert read.num_runs == 8
    assert plan("--vary", "a=log:1:9", "--replicate", "f=0,1", "--sweep.trials", "6").num_settings == 3
    assert plan("--sweep.seeds", "3").runs() == [({}, 42), ({}, 43), ({}, 44)]


def test_from_a_config(plan: Callable[..., Any]) -> None:
    Path("folds.yaml").write_text("sweep: {vary: {a: [1, 2]}, replicate: {data.fold: [0, 1, 2]}}\n")
    assert plan("--config", "folds.yaml").replicated == (Choice("data.fold", ("0", "1", "2")),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--vary a=1,2 --replicate a=1,2", "a is in both --vary and --replicate"),
        ("--replicate data.fold", "--replicate data.fold has no values"),
        ("--replicate data.fold=float:0:1", "sweep.replicate.data.fold has a range"),
        ("--replicate seed_everything=1,2", "seed_everything varies with --sweep.seeds"),
        ("--replicate data.fold=0 1", "without spaces: --replicate data.fold=0,1"),
        ("--vary a=log:1:2 --replicate b=0,1 --sweep.sampler tpe", "tpe chooses by single runs"),
    ],
)
def test_what_cannot_be_replicated_is_refused(words: str, message: str, plan: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=message):
        plan(*words.split())


@pytest.mark.parametrize("flag", ["data.fold", "data.split_seed"])
def test_two_settings_are_compared_in_pairs_with_the_variance_of_folds(
    flag: str, plan: Callable[..., Any]
) -> None:
    scores = {"1": [0.50, 0.48, 0.55, 0.47, 0.52], "2": [0.53, 0.49, 0.58, 0.51, 0.54]}
    read = plan("--vary", "a=1,2", "--replicate", f"{flag}=0,1,2,3,4")
    queue = Queue(read)
    while (run := queue.next()) is not None:
        queue.complete(run, scores[str(run.setting["a"])][int(run.setting[flag])])
    runs = runs_table(queue.trials(), [flag])
    settings = settings_table(read, runs)
    assert settings["mean"].tolist() == pytest.approx([np.mean(scores["1"]), np.mean(scores["2"])])
    difference = np.subtract(scores["1"], scores["2"])
    share = 1 / 5 + (1 / 4 if flag == "data.fold" else 0)  # 1 / n, and rows held out over rows trained on
    t = difference.mean() / math.sqrt(difference.var(ddof=1) * share)
    p_value = 2 * stats.t.sf(abs(t), 4)
    assert f"p = {p_value:.2g}" in comparison(read, runs, settings)
