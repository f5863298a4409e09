"""report.html from the command line: after fit and test, by the command report, and none with --page false."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from cli import main
from runtime.run_record import read_record
from tests.conftest import ROOT
from tests.pages.reading import Reader, section_of, text_of

FIT = ["fit", "--config", "quick.yaml"]


@pytest.fixture(scope="module", autouse=True)
def inside(workplace: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("LIGHTNING_INSIDE_RUN", "")
        yield


def test_fit_test_and_report_write_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--run_name", "paged", "--model.optimizer.lr", "0.05"]) == 0
    page = Path("runs/paged/version_0/report.html")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["report", str(page)] in rows
    html = page.read_text(encoding="utf-8")
    assert "finished" in text_of(html)
    assert "step 24" in text_of(html)
    assert "--model.optimizer.lr 0.05" in section_of(html, "asked")
    assert not [each for each in Reader(html).of("meta") if each.get("http-equiv")]
    assert "step 23" not in text_of(html).partition("What was asked")[0]

    page.unlink()
    assert main(["test", "--ckpt_path", "runs/paged/version_0/checkpoints/best.ckpt"]) == 0
    assert ["report", str(page)] in [line.split() for line in capsys.readouterr().out.splitlines()]
    page.unlink()
    assert main(["report", "paged"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(page)]
    assert page.exists()


def test_a_page_changes_nothing_that_is_learned(capsys: pytest.CaptureFixture[str]) -> None:
    for name, flag in (("with", "true"), ("without", "false")):
        assert main([*FIT, "--run_name", name, "--page", flag]) == 0
    printed = capsys.readouterr().out
    assert Path("runs/with/version_0/report.html").exists()
    assert not Path("runs/without/version_0/report.html").exists()
    assert printed.count("\n  report ") == 1
    saved = [
        torch.load(f"runs/{name}/version_0/checkpoints/last.ckpt", weights_only=True)
        for name in ("with", "without")
    ]
    assert all(
        torch.equal(saved[0]["state_dict"][name], value) for name, value in saved[1]["state_dict"].items()
    )
    tables = [Path(f"runs/{name}/version_0/metrics.csv").read_text() for name in ("with", "without")]
    assert tables[0] == tables[1]


def test_a_page_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cli.page_at_end.write_report", fail)
    with pytest.warns(UserWarning, match=r"report.html could not be written \(OSError: .*No space left"):
        assert main([*FIT, "--run_name", "full"]) == 0
    assert not Path("runs/full/version_0/report.html").exists()


def test_a_failed_training_has_a_page_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from lit_models import LitMLP

    step = LitMLP.training_step

    def failing(self: LitMLP, *args: object) -> object:
        if self.global_step == 15:
            raise RuntimeError("the <cable> was pulled")
        return step(self, *args)

    monkeypatch.setattr(LitMLP, "training_step", failing)
    assert main([*FIT, "--run_name", "failed"]) == 1
    text = text_of(Path("runs/failed/version_0/report.html").read_text(encoding="utf-8")).partition(
        "What was asked"
    )[0]
    assert "failed" in text
    assert "RuntimeError: the <cable> was pulled" in text


def test_a_stopped_training_has_a_page_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from lit_models import LitMLP

    step = LitMLP.training_step

    def stopped(self: LitMLP, *args: object) -> object:
        if self.global_step == 15:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *args)

    monkeypatch.setattr(LitMLP, "training_step", stopped)
    assert main([*FIT, "--run_name", "stopped"]) == 143
    html = Path("runs/stopped/version_0/report.html").read_text(encoding="utf-8")
    assert "stopped before its end" in text_of(html)
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "report needs a run"),
        (["paged", "nowhere_at_all"], "nowhere_at_all does not exist"),
        (["nowhere_at_all"], "nowhere_at_all does not exist"),
        (["--fast"], "report takes no flags, and --fast looks like one"),
    ],
)
def test_wrong_words_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *words]) == 2
    assert message in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--help"]) == 0
    assert "report RUN" in capsys.readouterr().out


def test_two_runs_are_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    for lr in ("0.1", "0.2"):
        assert main([*FIT, "--run_name", "pair", "--page=false", f"--model.optimizer.lr={lr}"]) == 0
    capsys.readouterr()
    assert main(["report", "pair/version_0", "pair"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == Path("runs/comparison_pair_0_pair_1.html")
    page = path.read_text(encoding="utf-8")
    assert "--model.optimizer.lr 0.1 0.2" in section_of(page, "settings")
    assert main(["compare", "pair/version_0", "pair/version_1"]) == 0
    said = capsys.readouterr().out
    assert said.rstrip().endswith(f"page: {path}")
    [sentence] = [line for line in said.splitlines() if "95 % confidence interval of" in line]
    assert sentence in section_of(path.read_text(encoding="utf-8"), "compared")


def test_a_sweep_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--vary", "model.optimizer.lr=0.1,0.01", "--run_name=few", "--trainer.max_epochs=1"]
    assert main(["sweep", *FIT[1:], *words, "--sweep.seeds=2"]) == 0
    path = Path("runs/few/report.html")
    said = capsys.readouterr()
    assert f"page  {path}" in said.out
    assert "runs trained together" in said.err
    page = path.read_text(encoding="utf-8")
    best = pd.read_csv("runs/few/settings.csv").iloc[0]
    assert f"model.optimizer.lr={best['model.optimizer.lr']}" in section_of(page, "best")
    assert "2 settings 4 complete" in text_of(page)
    for row in pd.read_csv("runs/few/runs.csv").itertuples():
        record = read_record(Path(row.folder))  # also of runs that trained together
        assert f"--seed_everything={row.seed}" in record.launches[0].command
        assert record.seed == row.seed
        lr = record.from_defaults["model.init_args.optimizer.init_args.lr"]
        assert f"--model.optimizer.lr={lr}" in record.launches[0].command
        assert record.launches[0].ended is not None
    path.unlink()
    assert main(["report", "few"]) == 0
    assert path.read_text(encoding="utf-8") == page


def test_a_run_in_training_says_so_while_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is written between two steps, with the state and the step of that moment."""
    monkeypatch.setattr("pages.live.PAUSE", 0.0)
    monkeypatch.setattr("pages.live.SHARE", 1e9)
    seen: list[tuple[bool, str]] = []
    from pages import live

    write = live.write_report

    def spy(folder: Path, state: str, step: int) -> Path:
        path = write(folder, state, step)
        html = path.read_text(encoding="utf-8")
        reloads = any(each.get("http-equiv") == "refresh" for each in Reader(html).of("meta"))
        seen.append((reloads, text_of(html).partition("What was asked")[0]))
        return path

    monkeypatch.setattr(live, "write_report", spy)
    assert main([*FIT, "--run_name", "watched"]) == 0
    assert len(seen) > 10
    assert all(reloads for reloads, _ in seen)
    assert "training" in seen[5][1]
    steps = [int(text.partition("step ")[2].split()[0]) for _, text in seen]
    assert steps == sorted(steps)
    assert steps[-1] == 23
    record = json.loads(Path("runs/watched/version_0/run.json").read_text())
    assert record["launches"][0]["error"] is None
    html = Path("runs/watched/version_0/report.html").read_text(encoding="utf-8")
    assert "finished" in text_of(html)


def test_pytorch_is_not_imported() -> None:
    """It would take ten times as long."""
    code = "import sys, cli.report; sys.exit('torch' in sys.modules or 'pytorch_lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
