"""result.json of real trainings, validations and tests."""

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest

from cli import main
from cli.build import build
from cli.request import prepare
from runtime.result_file import FILE, read_result
from tests.cli.end_to_end.commands import BEST, FIT, RUN, newest


def by_hand(split: str) -> dict[str, Any]:
    """The figures of best.ckpt, row by row."""
    run = build(prepare(["test", f"--ckpt_path={BEST}"]))
    state = torch.load(BEST, weights_only=True)
    run.model.load_state_dict(state["state_dict"])
    run.datamodule.setup()
    x, y = next(iter(getattr(run.datamodule, f"{split}_dataloader")()))
    with torch.no_grad():
        logits = run.model.eval()(x)[:, 0]
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, y.float(), reduction="none"
    ).double()
    hits, rows = int(((logits > 0) == (y > 0)).sum()), len(y)
    share = float((y == y.mode().values).double().mean())
    entropy = -sum(p * torch.tensor(p).log().item() for p in (share, 1 - share))
    interval = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    error = 1.959964 * float(losses.std()) / rows**0.5
    mean = float(losses.mean())
    metrics = {
        "accuracy": {"value": hits / rows, "low": interval.low, "high": interval.high, "constant": share},
        "loss": {"value": mean, "low": mean - error, "high": mean + error, "constant": entropy},
    }
    return {"rows": rows, "metrics": metrics}


def assert_is(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["rows"] == expected["rows"]
    assert found["checkpoint"] == "checkpoints/best.ckpt"
    assert set(found["metrics"]) == set(expected["metrics"])
    for name, figure in expected["metrics"].items():
        for key, value in figure.items():
            assert found["metrics"][name][key] == pytest.approx(value, rel=1e-4), (name, key)
    words = {name: figure["constant_words"] for name, figure in found["metrics"].items()}
    assert words == {"accuracy": "always 'died'", "loss": "the shares of the classes"}


@pytest.mark.usefixtures("table")
def test_fit_then_test_and_validate() -> None:
    found = read_result(RUN)
    assert set(found) == {"validation"}
    assert_is(found["validation"], by_hand("val"))
    kept = torch.load(BEST, weights_only=True)["callbacks"]
    metrics = next(state["best_metrics"] for state in kept.values() if "best_metrics" in state)
    place = {name: int(metrics[name]) for name in ("step", "epoch")}
    assert {name: found["validation"][name] for name in place} == place

    assert main(["test", "--ckpt_path", BEST]) == 0
    tested = read_result(RUN)
    assert tested["validation"] == found["validation"]
    assert_is(tested["test"], by_hand("test"))
    assert {name: tested["test"][name] for name in place} == place

    before = found["validation"]
    assert main(["validate", "--ckpt_path", BEST]) == 0
    again = read_result(RUN)["validation"]
    assert {name: again[name] for name in ("step", "epoch", "rows")} == {**place, "rows": before["rows"]}
    assert_is(again, by_hand("val"))


@pytest.mark.parametrize("flag", ["--data.missing=drop", "--trainer.limit_test_batches=0.5"])
@pytest.mark.usefixtures("table")
def test_the_figures_of_other_rows_are_not_those_of_the_run(flag: str) -> None:
    before = (RUN / FILE).read_text(encoding="utf-8")
    main(["test", "--ckpt_path", BEST, flag])
    assert (RUN / FILE).read_text(encoding="utf-8") == before


def trained_and_tested(*flags: str) -> Path:
    """The folder of a new run of one epoch."""
    assert main([*FIT, "--trainer.max_epochs=1", *flags]) == 0
    folder = newest("quick")
    assert main(["test", "--ckpt_path", str(folder / "checkpoints/best.ckpt")]) == 0
    assert read_result(folder)["test"]["step"] == 12
    return folder


def test_a_resume_that_finds_nothing_better_keeps_the_figures() -> None:
    folder = trained_and_tested("--model.optimizer.lr=0")
    before = read_result(folder)
    assert before["validation"]["metrics"]["loss"]["constant"] is not None
    assert main(["fit", "--resume", str(folder), "--trainer.max_epochs=3"]) == 0
    assert read_result(folder) == before


def test_a_resume_that_finds_something_better_drops_the_test_of_the_older_network() -> None:
    folder = trained_and_tested()
    assert main(["fit", "--resume", str(folder), "--trainer.max_epochs=3"]) == 0
    after = read_result(folder)
    assert set(after) == {"validation"}
    assert after["validation"]["step"] > 12
    assert after["validation"]["metrics"]["accuracy"]["constant"] is not None


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    assert read_result(tmp_path) == {}
