"""The command `watch`: its words, and a run that it follows."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cli import main
from cli.watch_run import follow
from pages.watch.controls import Controls
from tests.conftest import ROOT


class EnoughError(Exception):
    """The page has seen enough."""


class Pages:
    """Stands for the server of `follow`: keeps what it publishes, and changes the run between two frames.

    Args:
        changes: one function for each frame; after the last the command is stopped.
    """

    def __init__(self, *changes: Any) -> None:
        self.controls = Controls(can_train=False)
        self.controls.opened()
        self.pictures: Path | None = None
        self.changes = list(changes)
        self.frames: list[dict[str, Any]] = []
        self.hello: dict[str, Any] = {}

    def publish(self, message: dict[str, Any]) -> None:
        """Take in a message."""
        message = json.loads(json.dumps(message, allow_nan=False))
        if message["type"] == "hello":
            self.hello = message
            return
        self.frames.append(message)
        if not self.changes:
            raise EnoughError
        self.changes.pop(0)()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the circles that has ended."""
    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = [
            f"--config={ROOT}/configs/circles.yaml",
            "--trainer.max_epochs=2",
            "--trainer.log_every_n_steps=10",
        ]
        assert main(["fit", *words, "--pictures=false"]) == 0
    return folder / "runs" / "circles" / "version_0"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights(frame: dict[str, Any]) -> Any:
    return frame["network"]["edges"][0]["values"]


def test_a_run_that_has_ended_shows_its_last_weights_and_stays_as_it_is(run: Path) -> None:
    before, pages = content(run), Pages()
    with pytest.raises(EnoughError):
        follow(run, [], pages.controls, pages)
    (frame,) = pages.frames
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]["layers.0.weight"]
    assert weights(frame) == [pytest.approx(row, rel=1e-4) for row in last.tolist()]
    assert not pages.hello["can_train"]
    assert (frame["state"], frame["step"]) == ("finished", 159)
    assert frame["note"].startswith("This run has ended")
    assert len(frame["curves"]["train"]) == 16
    assert len(frame["curves"]["val/loss"]) == 2
    assert [layer["tag"] for layer in frame["layers"]] == ["00_layers.0", "01_layers.2"]
    assert content(run) == before


def test_what_another_process_writes_is_followed(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "circles" / "version_0")
    last = copy / "checkpoints" / "last.ckpt"
    (copy / "end.json").unlink()

    def trains_on() -> None:
        with (copy / "metrics.csv").open("a") as file:
            columns = (copy / "metrics.csv").read_text().partition("\n")[0].split(",")
            row = {"step": "999", "train/loss": "0.125"}
            file.write(",".join(row.get(name, "") for name in columns) + "\n")

    def finds_something() -> None:
        verdict = {
            "severity": "warn",
            "kind": "vanishing gradient",
            "message": "small.",
            "advice": "relu",
            "holds": True,
        }
        (copy / "diagnosis.json").write_text(json.dumps({"verdicts": [verdict]}))

    def saves() -> None:
        shutil.copy(copy / "checkpoints" / "best.ckpt", last)
        checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
        assert "state_dict" in checkpoint

    def draws() -> None:
        (copy / "pictures").mkdir(exist_ok=True)
        for name in ("fit_plane_000000.png", "fit_plane_000160.png", "fit_lines_000160.png"):
            (copy / "pictures" / name).write_bytes(b"")

    pages = Pages(trains_on, finds_something, saves, draws)
    with pytest.raises(EnoughError):
        follow(copy, [], pages.controls, pages)
    killed, trained, found, saved, drawn = pages.frames
    assert killed["state"] == "killed"
    assert trained["curves"]["train"][-1] == [999, 0.125]
    assert [each["kind"] for each in found["findings"]] == ["vanishing gradient"]
    assert saved["step"] == 999
    assert drawn["pictures"] == ["fit_lines_000160.png", "fit_plane_000160.png"]


def test_a_run_without_a_checkpoint_says_so(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "circles" / "version_0")
    shutil.rmtree(copy / "checkpoints")
    pages = Pages()
    with pytest.raises(EnoughError):
        follow(copy, [], pages.controls, pages)
    assert "no checkpoint yet, so the weights are untrained" in pages.frames[0]["note"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "fit needs --config"),
        (["runs/nothing/version_0"], "runs/nothing/version_0 does not exist"),
        (["--config", "nothing.yaml"], "--config nothing.yaml does not exist"),
        (["--resume", "runs/x/version_0"], "--resume does not go with watch"),
        (["--ckpt_path=last.ckpt"], "--ckpt_path does not go with watch"),
        (["--port", "many"], "--port is many; it must be a number from 1 to 65535"),
        (["--port=70000"], "--port is 70000"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_served(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", *words]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "http" not in output.out


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--help"]) == 0
    assert "--no-browser" in capsys.readouterr().out
