"""A checkpoint may be given by its file, by the folder of its run, or by the name of an experiment."""

from pathlib import Path

import pytest

from cli.request import comparison_requests, option_values, prepare
from cli.run_paths import checkpoint_of, existing_checkpoint, run_of
from runtime.errors import UsageError

NEWEST = "runs/mine/version_10/checkpoints/best.ckpt"
LAST = "runs/mine/version_9/checkpoints/last.ckpt"


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest run has saved nothing yet, and runs are numbered, not sorted by name."""
    monkeypatch.chdir(tmp_path)
    for path in (NEWEST, LAST, "runs/mine/version_2/checkpoints/best.ckpt"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
        Path(path).parent.with_name("config.yaml").write_text("model: LitMLP\n")
    Path("lone.ckpt").touch()
    Path("runs/my 'first' try/version_0/checkpoints").mkdir(parents=True)
    Path("runs/my 'first' try/version_0/checkpoints/best.ckpt").touch()
    Path("runs/mine/version_11/checkpoints").mkdir(parents=True)
    Path("runs/mine/version_old").mkdir()
    Path("runs/mine/version_8/checkpoints/best.ckpt").mkdir(parents=True)
    Path("runs/mine/version_8/checkpoints/best.ckpt/meta.pt").touch()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("lone.ckpt", "lone.ckpt"),
        (LAST, LAST),
        ("runs/mine/version_9", LAST),
        ("runs/mine/version_9/", LAST),
        ("runs/mine/version_9/checkpoints", LAST),
        ("runs/mine/version_10", NEWEST),
        ("runs/mine", NEWEST),
        ("mine", NEWEST),
        ("mine/version_9", LAST),
        ("runs/mine/version_8", "runs/mine/version_8/checkpoints/best.ckpt"),
        ("runs/mine/version_8/checkpoints/best.ckpt", "runs/mine/version_8/checkpoints/best.ckpt"),
        ("runs/mine/version_11", "runs/mine/version_11"),
        ("runs", "runs"),
        ("nowhere", "nowhere"),
    ],
)
def test_what_is_meant(given: str, found: str) -> None:
    assert checkpoint_of(Path(given)) == Path(found)


@pytest.mark.parametrize(
    "command", ["test", "validate", "predict", "fit --config runs/mine/version_9/config.yaml"]
)
def test_every_command_takes_each_form(command: str) -> None:
    for given in ("mine", "runs/mine", NEWEST):
        request = prepare([*command.split(), "--ckpt_path", given])
        assert option_values(request.args, "--ckpt_path") == [NEWEST]


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_an_evaluation_takes_it_as_its_first_word(command: str) -> None:
    for given in ("mine", "runs/mine", "mine/version_10", NEWEST):
        request = prepare([command, given, "--data.csv", "a b.csv"])
        assert option_values(request.args, "--ckpt_path") == [NEWEST]
        assert request.run_folder == Path("runs/mine/version_10")
        assert "a b.csv" in request.args


def test_a_resume_takes_the_newest_run_that_was_saved() -> None:
    assert prepare(["fit", "--resume", "mine"]).run_folder == Path("runs/mine/version_10")


def test_any_run_will_do_where_nothing_is_loaded() -> None:
    assert run_of("mine") == Path("runs/mine/version_11")
    assert run_of("mine/version_9") == run_of("runs/mine/version_9/") == Path("runs/mine/version_9")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mine", "mine: its newest run with a checkpoint, runs/mine/version_10\n"),
        ("runs/mine", "runs/mine: its newest run with a checkpoint, runs/mine/version_10\n"),
        ("my 'first' try", "my 'first' try: its newest run, runs/my 'first' try/version_0\n"),
        ("mine/version_9", ""),
        ("lone.ckpt", ""),
        (LAST, ""),
    ],
)
def test_which_run_was_taken_is_said_where_an_experiment_was_named(
    given: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    existing_checkpoint(given)
    assert capsys.readouterr().err == said
    monkeypatch.setenv("LOCAL_RANK", "1")  # the first process of a launch has said it
    existing_checkpoint(given)
    assert capsys.readouterr().err == ""


def test_inside_a_run_a_dot_means_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("runs/mine/version_9")
    assert existing_checkpoint(".") == Path("checkpoints/last.ckpt")
    assert capsys.readouterr().err == ""


def test_so_does_a_comparison() -> None:
    first, second = comparison_requests(["mine", "runs/mine/version_9"])
    assert option_values(first.args, "--ckpt_path") == [NEWEST]
    assert option_values(second.args, "--ckpt_path") == [LAST]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("test --ckpt_path nowhere", "--ckpt_path nowhere does not exist"),
        ("test --ckpt_path runs/mine/version_11", "is a folder without a checkpoint"),
        (
            "fit --config runs/mine/version_9/config.yaml --ckpt_path runs",
            "--ckpt_path runs is a folder without",
        ),
        (f"fit --resume {LAST}", f"--resume {LAST} is a file; give the folder of its run"),
    ],
)
def test_what_is_no_checkpoint_is_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(line.split())
