"""A stream: no line is used twice or held out and trained on, and a run reads on where it was."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from examples.stream.data import ReadingsDataModule, StreamLoader, failure_probability, write_readings
from tests.examples.figures import trained_and_tested

NUM_READINGS, HELD_OUT = 600, 50


@pytest.fixture
def data(tmp_path: Path) -> ReadingsDataModule:
    """A small file; the stream begins at line 100."""
    made = ReadingsDataModule(data_dir=str(tmp_path), num_readings=NUM_READINGS, num_held_out=HELD_OUT)
    made.prepare_data()
    made.setup()
    return made


def loader(
    data: ReadingsDataModule, rank: int = 0, world_size: int = 1, num_workers: int = 0
) -> StreamLoader:
    reading = {"num_workers": num_workers}
    sizes: Any = {"batch_size": 5, "num_batches": 20, "rank": rank, "world_size": world_size}
    return StreamLoader(data.file, data.first_byte, reading=reading, **sizes)


def lines_of(batches: Any) -> list[list[float]]:
    """The readings of batches, one by one."""
    return [row for x, _ in batches for row in x.tolist()]


def all_lines(data: ReadingsDataModule) -> list[list[float]]:
    return np.loadtxt(data.file, np.float32, delimiter=",")[:, :4].tolist()


@pytest.mark.parametrize("num_workers", [0, 2, 3])
@pytest.mark.parametrize("world_size", [1, 2])
def test_processes_and_workers_share_the_lines(
    data: ReadingsDataModule, world_size: int, num_workers: int
) -> None:
    shares = [lines_of(loader(data, rank, world_size, num_workers)) for rank in range(world_size)]
    used = [line for dealt in zip(*shares, strict=True) for line in dealt]
    begin = 2 * HELD_OUT
    assert used == all_lines(data)[begin : begin + 5 * 20 * world_size]


def test_held_out_lines_are_never_trained_on(data: ReadingsDataModule) -> None:
    """Not even where the stream starts over: six epochs are longer than the file."""
    stream = loader(data)
    used = [line for _ in range(6) for line in lines_of(stream)]
    held_out = [lines_of([data.splits[name].tensors]) for name in ("val", "test")]  # type: ignore[attr-defined]
    assert [*held_out[0], *held_out[1]] == all_lines(data)[: 2 * HELD_OUT]
    assert used == (2 * all_lines(data)[2 * HELD_OUT :])[: len(used)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_it_resumes_behind_the_last_batch_that_was_used(data: ReadingsDataModule, num_workers: int) -> None:
    whole, stopped, resumed = loader(data), loader(data, num_workers=num_workers), loader(data)
    before = lines_of(islice(stopped, 7))  # workers have read further
    resumed.load_state_dict(stopped.state_dict())
    assert before + lines_of(resumed) == lines_of(whole)
    assert lines_of(resumed) == lines_of(whole)  # the next epoch


def test_the_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savetxt", killed)
    with pytest.raises(KeyboardInterrupt):
        write_readings(tmp_path / "readings.csv", 10)
    assert not (tmp_path / "readings.csv").exists()


def test_no_model_can_be_much_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, figures = trained_and_tested("stream")
    x, y = run.datamodule.splits["test"].tensors
    best = log_loss(y, failure_probability(x.double().numpy()))
    assert best < figures["loss"] < best + 0.02
    with torch.no_grad():
        probability = run.model.eval()(x).sigmoid().flatten()
    assert figures["loss"] == pytest.approx(log_loss(y, probability.double()), abs=1e-4)
