"""A checkpoint may be given by its file, by the folder of its run, or by the name of an experiment."""

from pathlib import Path

import pytest

from cli.request import comparison_requests, option_values, prepare
from cli.run_paths import checkpoint_of
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
