"""What is read of runs, also of old, damaged and running ones, and that this takes no PyTorch and no second."""

import json
import math
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.run_list import ListedRun, all_runs
from runtime.run_lock import is_locked, locked
from tests.handmade import make_run, write

ROOT = Path(__file__).parents[2]


def listed(tmp_path: Path) -> dict[str, ListedRun]:
    return {run.name: run for run in all_runs(tmp_path)}


def test_a_run_says_what_its_files_say(tmp_path: Path) -> None:
    make_run(tmp_path / "rings/version_3", loss=0.25, depth=3, verdicts=("warn", "fail", "warn", "info"))
    run = listed(tmp_path)["rings/version_3"]
    assert (run.experiment, run.version) == ("rings", "version_3")
    assert run.started == datetime(2026, 11, 27, 7, 39, tzinfo=UTC)
    assert run.seconds == 66
    assert run.changes == {"model.depth": 3}
    assert (run.monitor, run.best) == ("val/loss", 0.25)
    assert run.metrics == {"val/loss": 0.25, "val/accuracy": 0.75}
    assert run.verdict == "1 FAIL, 2 WARN"
    assert run.state == "finished"
    assert run.damaged == []


def test_a_metric_keeps_its_own_name_and_tests_are_metrics_too(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a/version_0")
    measured = {"validation": {"metrics": {"valid/f1": {"value": 0.5}, "loss": {"value": None}}}}
    write(folder / "result.json", {**measured, "test": {"metrics": {"loss": {"value": 0.75}}}})
    assert listed(tmp_path)["a/version_0"].metrics == {"valid/f1": 0.5, "test/loss": 0.75}


@pytest.mark.parametrize("state", ["finished", "killed", "failed"])
def test_how_a_run_ended(state: str, tmp_path: Path) -> None:
    make_run(tmp_path / "a/version_0", state=state)
    assert listed(tmp_path)["a/version_0"].state == state


def test_a_run_under_way_is_seen_without_disturbing_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a/version_0", state="killed")
    code = "import sys, time; from pathlib import Path; from runtime.run_lock import locked\n"
    code += "with locked(Path(sys.argv[1])) as free:\n    print(free, flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        before = (folder / ".lock").stat()
        assert listed(tmp_path)["a/version_0"].state == "running"
        with locked(folder) as is_free:
            assert not is_free
        after = (folder / ".lock").stat()
        assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        process.kill()
    assert listed(tmp_path)["a/version_0"].state == "killed"
    assert not is_locked(folder)


def test_several_readers_do_not_take_each_other_for_a_training(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a/version_0")
    with locked(folder, os.O_RDONLY) as is_free:
        assert is_free
        assert not is_locked(folder)


def test_an_old_run_is_compared_with_the_config_of_its_experiment(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "titanic_mlp/version_0", depth=2, loss=None)
    (folder / "run.json").unlink()
    (folder / "events.out.tfevents.1795729754.vm.2827.0").touch()
    (folder / "metrics.csv").write_text(
        "step,train/loss,val/loss,val/accuracy\n0,0.9,,\n9,0.8,0.7,0.6\n19,0.7,0.4,0.8\n29,0.6,0.6,0.7\n"
    )
    run = listed(tmp_path)["titanic_mlp/version_0"]
    assert run.changes is not None
    assert run.changes["model.depth"] == 2
    assert "model.hidden_sizes" not in run.changes  # as in the config
    assert "model.optimizer.betas" not in run.changes  # the default of Adam
    assert run.started == datetime.fromtimestamp(1795729754, UTC)
    assert run.metrics == {"val/loss": 0.4, "val/accuracy": 0.8}


def test_an_old_run_of_an_unknown_experiment_does_not_say_what_changed(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "mine/version_0")
    (folder / "run.json").unlink()
    assert listed(tmp_path)["mine/version_0"].changes is None


def test_where_the_largest_is_the_best_so_is_it_in_a_run_under_way(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a/version_0", loss=None)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("monitor: val/loss", "monitor: val/accuracy"))
    (folder / "metrics.csv").write_text("step,val/accuracy\n0,0.5\n1,0.9\n2,0.7\n")
    assert listed(tmp_path)["a/version_0"].best == 0.9


JOURNAL = [
    {"op_code": 0, "study_name": "s", "directions": [1]},
    *(
        {
            "op_code": 4,
            "state": 4,
            "user_attrs": {"seed": 42},
            "system_attrs": {"fixed_params": {"model.lr": lr}},
        }
        for lr in ("0.1", "0.01")
    ),
    {"op_code": 4, "state": 0, "user_attrs": {"seed": 43}, "system_attrs": {}},
    {
        "op_code": 5,
        "trial_id": 2,
        "param_name": "model.lr",
        "param_value_internal": 0.5,
        "distribution": '{"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0}}',
    },
    *({"op_code": 8, "trial_id": n, "user_attr": {"folder": f"runs/s/version_{n}"}} for n in range(3)),
    {"op_code": 8, "trial_id": 0, "user_attr": {"metrics": {"epoch": 1, "val/loss": 0.25}}},
    {"op_code": 6, "trial_id": 0, "state": 1, "values": [0.25]},
    {"op_code": 6, "trial_id": 1, "state": 3, "values": None},
]


def test_runs_of_a_sweep_are_labelled_by_their_settings(tmp_path: Path) -> None:
    for number in range(3):
        make_run(tmp_path / f"s/version_{number}", state="killed", loss=None)
    lines = [json.dumps(line) for line in JOURNAL]
    (tmp_path / "s/study.journal").write_text("\n".join([lines[0], "", '{"op_code": 4, "cut', *lines[1:]]))
    runs = list(listed(tmp_path).values())
    assert [run.changes for run in runs] == [
        {"model.lr": "0.1", "seed_everything": 42},
        {"model.lr": "0.01", "seed_everything": 42},
        {"model.lr": 0.5, "seed_everything": 43},
    ]
    assert [run.state for run in runs] == ["finished", "failed", "killed"]
    assert runs[0].best == 0.25
    assert runs[1].setting("model.lr") == 0.01


def damage(folder: Path, name: str, content: bytes | None) -> None:
    path = folder / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "content", [None, b"", b'{"launches": [{"sta', b"\xff\xfe\x00", b"[" * 9000, b"7", b"[]"]
)
@pytest.mark.parametrize("name", ["config.yaml", "run.json", "diagnosis.json", "result.json", "end.json"])
def test_a_damaged_file_is_never_a_crash(name: str, content: bytes | None, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "rings/version_0")
    (folder / "notes.json").write_bytes(content or b"")
    (folder / "metrics.csv").write_bytes(content or b"")
    damage(folder, name, content)
    run = listed(tmp_path)["rings/version_0"]
    for part in (
        "changes",
        "started",
        "seconds",
        "state",
        "monitor",
        "metrics",
        "best",
        "verdict",
        "notes",
        "config",
    ):
        getattr(run, part)
    assert run.setting("model.depth") in (1, None)
    if content and not content.startswith((b"7", b"[]")) and name not in ("end.json",):
        assert name in run.damaged


def test_a_folder_without_anything_is_a_run_without_anything(tmp_path: Path) -> None:
    (tmp_path / "a/version_0").mkdir(parents=True)
    run = listed(tmp_path)["a/version_0"]
    assert (run.state, run.started, run.changes, run.verdict) == ("unknown", None, None, "")
    assert math.isnan(run.best)
    assert run.damaged == ["config.yaml"]


def test_only_numbered_folders_outside_the_trash_are_runs(tmp_path: Path) -> None:
    for name in (
        "a/version_0",
        "deep/er/version_12",
        ".trash/a/version_1",
        "a/version_old",
        "tune_lr",
        "x/settings/000",
    ):
        (tmp_path / name).mkdir(parents=True)
    assert sorted(listed(tmp_path)) == ["a/version_0", "deep/er/version_12"]
    assert all_runs(tmp_path / "nowhere") == []


def test_five_hundred_runs_take_less_than_a_second_of_the_processor(tmp_path: Path) -> None:
    for number in range(500):
        make_run(tmp_path / f"a/version_{number}", depth=1 + number % 3, state="killed")
    before = time.process_time()
    runs = all_runs(tmp_path)
    read = [
        (run.state, run.started, run.best, run.verdict, run.changes, run.setting("model.hidden_sizes"))
        for run in runs
    ]
    assert time.process_time() - before < 1.0
    assert len(read) == 500
    assert {each[-1] == [2] for each in read} == {True}
