"""Pictures on the command line: there by default, off with one flag, and nothing is learnt differently."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cli import main
from runtime.end_record import recorded_end

FIT = ["fit", "--config", "quick.yaml"]
DEPTH = "--trainer.callbacks=callbacks.DepthPlot"


@pytest.fixture(scope="module", autouse=True)
def inside(workplace: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("LIGHTNING_INSIDE_RUN", "")
        yield


def test_pictures_change_nothing_but_the_folder_and_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--run_name", "with", "--pictures", "true", "--model.dropout", "0.2", DEPTH]) == 0
    told = capsys.readouterr().out
    assert main([*FIT, "--run_name", "without", "--pictures", "false", "--model.dropout", "0.2", DEPTH]) == 0
    told_without = capsys.readouterr().out
    folder = Path("runs/with/version_0/pictures")
    names = {path.name for path in folder.iterdir()}
    assert {f"fit_plane_{step:06d}.png" for step in (0, 12, 24)} <= names
    assert {"depth_gradient_over_steps_000024.png", "depth_gradients_000000.png"} <= names
    assert not Path("runs/without/version_0/pictures").exists()
    (row,) = [line.split() for line in told.splitlines() if line.startswith("  of that drawing")]
    (total,) = [line.split() for line in told.splitlines() if line.startswith("  time ")]
    assert 0 < float(row[3]) <= float(total[1]) + 1
    assert "drawing" not in told_without
    last = [
        torch.load(f"runs/{name}/version_0/checkpoints/last.ckpt", weights_only=True)
        for name in ("with", "without")
    ]
    for part in ("state_dict", "loops"):
        assert str(last[0][part]) == str(last[1][part])
    weights = [checkpoint["state_dict"] for checkpoint in last]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_run_that_goes_on_does_not_draw_its_beginning_anew() -> None:
    assert main([*FIT, "--run_name", "going", "--pictures", "true"]) == 0
    first = Path("runs/going/version_0/pictures/fit_plane_000000.png")
    drawn_at = first.stat().st_mtime_ns
    assert main(["fit", "--resume", "runs/going/version_0", "--trainer.max_epochs", "3"]) == 0
    assert first.stat().st_mtime_ns == drawn_at
    assert (first.parent / "fit_plane_000036.png").exists()


def test_a_disk_that_is_full_at_the_last_pictures_and_a_resume_that_draws_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All training is done and saved by then; the run must not count as ended."""
    name, write = "full", Path.write_bytes

    def to_a_full_disk(path: Path, data: bytes) -> int:
        if path.name.endswith("_000024.png"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", to_a_full_disk)
        assert main([*FIT, "--run_name", name, "--pictures", "true"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    folder = Path(f"runs/{name}/version_0")
    assert recorded_end(folder) is None
    assert main(["fit", "--resume", str(folder)]) == 0
    assert recorded_end(folder) is not None
    expected = {path.name for path in Path("runs/with/version_0/pictures").glob("fit_*")}
    assert expected <= {path.name for path in (folder / "pictures").iterdir()}
