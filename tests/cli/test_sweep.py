"""What the words and the `sweep:` sections say."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cli.sweep import read_plan
from runtime.errors import UsageError
from sweeps.plan import Plan
from sweeps.space import Choice, Range

Read = Callable[..., Plan]


def test_flags_alone(plan: Read) -> None:
    read = plan("--vary", "a=1,2", "--vary=b=x,y", "--sweep.seeds", "3", "--data.q", "5", "--run_name=mine")
    assert read.axes == [Choice("a", ("1", "2")), Choice("b", ("x", "y"))]
    assert (read.name, read.sampler, read.seeds) == ("mine", "grid", [42, 43, 44])
    assert read.words == ["--model", "LitMLP", "--data.q", "5"]
    assert read.num_runs == 12
    assert read.fit_words({"a": "1"}, 7)[-2:] == ["--a=1", "--seed_everything=7"]


def test_every_setting_comes_once_before_any_has_its_second_seed(plan: Read) -> None:
    runs = plan("--vary", "a=1,2", "--sweep.seeds", "[5,3]").runs()
    assert runs == [({"a": "1"}, 5), ({"a": "2"}, 5), ({"a": "1"}, 3), ({"a": "2"}, 3)]


def test_one_value_may_be_a_list(plan: Read) -> None:
    assert plan("--vary", "a=[3]").axes == [Choice("a", ("[3]",))]


def test_a_config_and_flags_that_win_over_it(plan: Read) -> None:
    section = {"vary": {"a": [1, 2], "b": "log:1:10"}, "seeds": [4, 5], "trials": 6}
    Path("configs/sweeps").mkdir(parents=True)
    Path("configs/sweeps/lr.yaml").write_text(yaml.safe_dump({"sweep": section, "seed_everything": 1}))
    read = plan("--config", "configs/sweeps/lr.yaml", "--vary", "a=7", "--sweep.trials=8")
    assert read.axes == [Choice("a", ("7",)), Range("b", "log", 1, 10)]
    assert (read.name, read.sampler, read.seeds, read.num_settings) == ("LitMLP_lr", "random", [4, 5], 4)


@pytest.mark.parametrize(("given", "first"), [(["--seed_everything=7"], 7), ([], 42)])
def test_seeds_count_from_that_of_the_experiment(plan: Read, given: list[str], first: int) -> None:
    assert plan("--vary", "a=1", "--sweep.seeds", "2", *given).seeds == [first, first + 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "nothing varies"),
        ("--vary a", "--vary a has no values"),
        ("--vary", "--vary needs a value"),
        ("--vary a=1 --sweep.sampler grd", "'grd' is not one of grid, random, tpe"),
        ("--vary a=1 --sweep.seedz 2", "did you mean 'seeds'"),
        ("--vary a=1 --sweep.seeds 0", "sweep.seeds is 0"),
        ("--vary a=1 --sweep.seeds [1,1]", "sweep.seeds is"),
        ("--vary a=1 --sweep.seeds two", "sweep.seeds"),
        ("--vary a=1 --sweep.trials 0", "sweep.trials is 0"),
        ("--vary a=1 --sweep.minutes -1", "sweep.minutes is -1"),
        ("--vary a=log:1:2 --sweep.sampler grid", "sweep.sampler is grid, but a has a range"),
        ("--vary a=1 --resume runs/x/version_0", "a sweep is resumed with its own command"),
        ("--vary a=1 --config nowhere.yaml", "nowhere.yaml does not exist"),
        ("--config wrong.yaml", "`sweep:` holds 'lr'"),
    ],
)
def test_what_is_wrong_is_said(plan: Read, given: str, message: str) -> None:
    Path("wrong.yaml").write_text("sweep: lr")
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        plan(*given.split())


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].glob("configs/sweeps/*.yaml")), ids=lambda path: path.stem
)
def test_every_study_is_a_plan_and_its_header_says_command_and_finding(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = path.parents[2]
    monkeypatch.chdir(root)
    header = [line[2:] for line in path.read_text().splitlines() if line.startswith("# ")]
    (command,) = (line for line in header if line.startswith("python train.py sweep"))
    assert read_plan(command.split()[3:]).num_runs > 1
    assert any(line.startswith("Finds ") for line in header)
    assert (root / "docs" / "studies" / f"{path.stem}.png").exists()
