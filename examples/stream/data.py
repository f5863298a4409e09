"""Readings of a machine, from a file that is too long to be held in memory; a run resumes at the line where it was.

Each line is `temperature,vibration,current,age,failed`. The first lines are for validation and test. The stream for
training begins behind them, and starts over there at the end of the file. The file is generated.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

from datamodules.loaders import LoaderDataModule
from datamodules.resumable import ResumableLoader

Batch = tuple[Tensor, Tensor]  # readings (N, 4), and whether the machine failed (N,), 0 or 1


class ReadingsDataModule(LoaderDataModule):
    """From four numbers about a machine to whether it fails.

    Args:
        data_dir: where the file is or goes.
        num_readings: lines of the file.
        num_held_out: lines at its beginning for validation, and then as many for test.
        batches_per_epoch: a stream has no end, so an epoch may have any length.
        kwargs: see `LoaderDataModule`.
    """

    task, in_shape, out_features = "binary", (4,), 1
    feature_names = ("temperature", "vibration", "current", "age")
    class_names = ("works", "failed")

    def __init__(
        self,
        *,
        data_dir: str = "data",
        num_readings: int = 150_000,
        num_held_out: int = 4000,
        batches_per_epoch: int = 200,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_readings, self.num_held_out = num_readings, num_held_out
        self.batches_per_epoch = batches_per_epoch
        self.file = Path(data_dir, f"readings_{num_readings}.csv")

    def prepare_data(self) -> None:
        if not self.file.exists():
            write_readings(self.file, self.num_readings)

    def datasets(self) -> dict[str, Dataset]:
        """What is held out fits in memory."""
        with self.file.open("rb") as file:
            val, test = (parse(list(islice(file, self.num_held_out))) for _ in range(2))
            self.first_byte = file.tell()  # of the stream
        return {"val": TensorDataset(*val), "test": TensorDataset(*test), "predict": TensorDataset(*test)}

    def train_dataloader(self) -> "StreamLoader":
        return StreamLoader(
            self.file,
            self.first_byte,
            batch_size=self.batch_size,
            num_batches=self.batches_per_epoch,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            reading=self.reading_options(),
        )


class StreamLoader(ResumableLoader):
    """Batches of a stream; its state is the place in the file behind the last batch that was used.

    Workers read ahead, so only the batch itself can say where it ends: each comes with that place.

    Args:
        file: of lines.
        first_byte: where the stream begins.
        batch_size: lines per batch and process.
        num_batches: in an epoch.
        rank, world_size: this process and how many there are.
        reading: arguments of the DataLoader.
    """

    def __init__(
        self,
        file: Path,
        first_byte: int,
        *,
        batch_size: int,
        num_batches: int,
        rank: int,
        world_size: int,
        reading: dict[str, Any],
    ) -> None:
        super().__init__(seed=0, rank=rank, world_size=world_size)
        self.file, self.first_byte = file, first_byte
        self.batch_size, self.num_batches, self.reading = batch_size, num_batches, reading
        self.place = first_byte

    def __len__(self) -> int:
        return self.num_batches

    def cut(self) -> dict[str, int]:
        return {"batches": self.num_batches, "rows_per_step": self.batch_size * self.world_size}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "place": self.place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.place = state["place"]

    def batches_from(self, first: int) -> Iterator[Batch]:
        stream = Stream(self.file, self.first_byte, self.place, self.batch_size, self.rank, self.world_size)
        # With a generator of its own, the loader takes no number from the global one, which dropout may use.
        loader = DataLoader(stream, batch_size=None, generator=torch.Generator(), **self.reading)
        for place, batch in islice(loader, self.num_batches - first):
            self.place = place
            yield batch


class Stream(IterableDataset):
    """Batches from a place of the file on, each with the place behind it.

    All processes read the lines of a step and deal them out one by one; the workers of a process take turns with whole
    batches. So no line is used twice, and the batches are the same with any number of workers.
    """

    def __init__(
        self, file: Path, first_byte: int, place: int, batch_size: int, rank: int, world_size: int
    ) -> None:
        self.file, self.first_byte, self.place = file, first_byte, place
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        worker = get_worker_info()
        turn, num_workers = (worker.id, worker.num_workers) if worker else (0, 1)
        with self.file.open("rb") as file:
            file.seek(self.place)
            for step in count():
                lines: list[bytes] = []
                while len(lines) < self.batch_size * self.world_size:
                    if line := file.readline():
                        lines.append(line)
                    else:
                        file.seek(self.first_byte)
                if step % num_workers == turn:
                    yield file.tell(), parse(lines[self.rank :: self.world_size])


def parse(lines: Sequence[bytes]) -> Batch:
    """Readings (N, 4) and whether the machine failed (N,)."""
    values = torch.from_numpy(np.loadtxt(lines, np.float32, delimiter=",", ndmin=2))
    return values[:, :4], values[:, 4].long()


def write_readings(file: Path, num_readings: int, seed: int = 0) -> None:
    """Draw readings and write them; the file gets its name only once it is complete."""
    random = np.random.default_rng(seed)
    columns = {
        "temperature": 70 + 8 * random.standard_normal(num_readings),  # C
        "vibration": np.exp(0.5 * random.standard_normal(num_readings)),  # mm/s
        "current": 12 + 2 * random.standard_normal(num_readings),  # A
        "age": random.uniform(0, 10, num_readings),  # years
    }
    readings = np.stack(list(columns.values()), axis=1).round(3)
    failed = random.random(num_readings) < failure_probability(readings)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    np.savetxt(unfinished, np.column_stack([readings, failed]), fmt=["%.3f"] * 4 + ["%d"], delimiter=",")
    unfinished.replace(file)


def failure_probability(readings: np.ndarray) -> np.ndarray:
    """The true probability (N,) of readings (N, 4): heat harms under load, vibration harms old machines."""
    temperature, vibration, current, age = readings.T
    heat, load = (temperature - 70) / 8, (current - 12) / 2
    score = 2 * heat * load + 0.8 * (age - 5) * np.log(vibration) - 1
    return 1 / (1 + np.exp(-score))
