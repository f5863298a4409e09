"""Faults of loaders, of their order, and of what validation is."""

import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
    random_split,
)

from benchmarks.fault_programs.base import Run, Supervised, convnet, fault, mlp
from benchmarks.fault_programs.data import Data, cancer, digits, flat, loaders, rare, raw_digits, wine

LEAK = "validation rows are training rows"


@fault(LEAK)
def validated_on_the_training_set(faulty: bool) -> Run:
    """Both loaders get the training set."""
    data = digits()
    if faulty:
        data = data._replace(x_val=data.x, y_val=data.y)
    return Run(Supervised(convnet(8, 16)), *loaders(data))


@fault(LEAK)
def split_twice_with_two_seeds(faulty: bool) -> Run:
    """random_split is called for each loader, with another seed each time: most of validation is in training."""
    data = flat(digits())
    whole = TensorDataset(torch.cat([data.x, data.x_val]), torch.cat([data.y, data.y_val]))
    parts = [0.8, 0.2]
    train, val = random_split(whole, parts, torch.Generator().manual_seed(0))
    if faulty:
        _, val = random_split(whole, parts, torch.Generator().manual_seed(1))
    return Run(Supervised(mlp(64, 64, 10)), DataLoader(train, 32, shuffle=True), DataLoader(val, 256))


@fault(LEAK)
def rare_rows_repeated_before_the_split(faulty: bool) -> Run:
    """The rare class is repeated ten times, and the split comes after."""
    x, y, x_val, y_val = rare(0.1)
    if not faulty:
        eights = (y == 1).nonzero()[:, 0].repeat(9)
        data = Data(torch.cat([x, x[eights]]), torch.cat([y, y[eights]]), x_val, y_val)
        return Run(Supervised(mlp(64, 32, 2)), *loaders(data))
    x, y = torch.cat([x, x_val]), torch.cat([y, y_val])
    eights = (y == 1).nonzero()[:, 0].repeat(9)
    x, y = torch.cat([x, x[eights]]), torch.cat([y, y[eights]])
    order = torch.randperm(len(x))
    x, y, n = x[order], y[order], int(0.8 * len(x))
    return Run(Supervised(mlp(64, 32, 2)), *loaders(Data(x[:n], y[:n], x[n:], y[n:])))


@fault("validation data prepared differently")
def validation_not_normalized(faulty: bool) -> Run:
    """Training images are normalized; validation images have pixels from 0 to 255."""
    data = digits()
    if faulty:
        data = data._replace(x_val=raw_digits().x_val)
    return Run(Supervised(convnet(8, 16)), *loaders(data))


@fault("validation data prepared differently")
def normalize_left_out_of_one_transform(faulty: bool) -> Run:
    """Training subtracts mean and divides by deviation; validation only scales to [0, 1]."""
    data = flat(digits())
    if faulty:
        data = data._replace(x_val=flat(raw_digits()).x_val / 255)
    return Run(Supervised(mlp(64, 64, 10)), *loaders(data))


@fault("validation data prepared differently")
def table_standardized_in_training_only(faulty: bool) -> Run:
    """The scaler is applied to the training table and forgotten for validation."""
    data = cancer()
    if faulty:
        data = data._replace(x_val=cancer(raw=True).x_val)
    return Run(Supervised(mlp(30, 32, 1), F.binary_cross_entropy_with_logits), *loaders(data), epochs=6)


class Noisy(Dataset):
    """Images that get new noise at each reading, if `augment`."""

    def __init__(self, x, y, augment: bool) -> None:
        self.x, self.y, self.augment = x, y, augment

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i):
        x = self.x[i]
        if self.augment:
            x = torch.roll(
                x, (random.randint(-1, 1), random.randint(-1, 1)), (1, 2)
            ) + 0.1 * torch.randn_like(x)
        return x, self.y[i]


@fault("validation data change", "validation data prepared differently")
def validation_augmented(faulty: bool) -> Run:
    """Validation uses the training transform, with random shifts and noise."""
    data = digits()
    train = DataLoader(Noisy(data.x, data.y, True), 32, shuffle=True)
    return Run(Supervised(convnet(8, 16)), train, DataLoader(Noisy(data.x_val, data.y_val, faulty), 256))


@fault("validation data change")
def validation_split_anew_each_time(faulty: bool) -> Run:
    """The validation loader draws a random fifth of the rows each time it is read."""
    data = flat(digits())

    class Fifth(Sampler):
        def __len__(self):
            return 70

        def __iter__(self):
            return iter(torch.randperm(len(data.x_val))[:70].tolist() if faulty else range(70))

    val = DataLoader(TensorDataset(data.x_val, data.y_val), 35, sampler=Fifth())
    return Run(Supervised(mlp(64, 64, 10)), loaders(data)[0], val)


@fault("sorted data")
def sorted_by_class(faulty: bool) -> Run:
    """Images stand sorted by class, and the loader does not shuffle."""
    data = digits()
    order = data.y.argsort(stable=True)
    data = data._replace(x=data.x[order], y=data.y[order])
    return Run(Supervised(convnet(8, 16)), *loaders(data, shuffle=not faulty))


@fault("sorted data")
def two_tables_one_after_the_other(faulty: bool) -> Run:
    """The rows of one class are appended to those of the other, without shuffling."""
    data = cancer()
    parts = [TensorDataset(data.x[rows], data.y[rows]) for rows in (data.y[:, 0] == 0, data.y[:, 0] == 1)]
    train = DataLoader(ConcatDataset(parts), 32, shuffle=not faulty)
    return Run(
        Supervised(mlp(30, 32, 1), F.binary_cross_entropy_with_logits), train, loaders(data)[1], epochs=6
    )


@fault("same order every epoch")
def sampler_seeded_anew_each_epoch(faulty: bool) -> Run:
    """A sampler shuffles with a generator that it seeds with 0 at the start of each epoch."""
    data = flat(digits())

    class Shuffled(Sampler):
        epoch = 0

        def __len__(self):
            return len(data.x)

        def __iter__(self):
            self.epoch += 1
            generator = torch.Generator().manual_seed(0 if faulty else self.epoch)
            return iter(torch.randperm(len(data.x), generator=generator).tolist())

    train = DataLoader(TensorDataset(data.x, data.y), 32, sampler=Shuffled())
    return Run(Supervised(mlp(64, 64, 10)), train, loaders(data)[1])


@fault("same batch every step")
def first_batch_for_ever(faulty: bool) -> Run:
    """The stream starts anew for each batch: next(iter(loader))."""
    data = flat(digits())
    rows = DataLoader(TensorDataset(data.x, data.y), 32, shuffle=not faulty)

    class Stream(IterableDataset):
        def __iter__(self):
            for _ in range(40):
                yield next(iter(rows))

    return Run(Supervised(mlp(64, 64, 10)), DataLoader(Stream(), batch_size=None), loaders(data)[1])


@fault("same batch every step")
def index_within_the_batch(faulty: bool) -> Run:
    """__getitem__ uses the index modulo the batch size, so that each batch holds the same rows."""
    data = wine()

    class Rows(Dataset):
        def __len__(self):
            return len(data.x)

        def __getitem__(self, i):
            i = i % 16 if faulty else i
            return data.x[i], data.y[i]

    train = DataLoader(Rows(), 16, shuffle=not faulty)
    return Run(Supervised(mlp(13, 32, 3)), train, loaders(data)[1], epochs=10)


def seed_all_alike(worker_id: int) -> None:
    torch.manual_seed(0)
    random.seed(0)


@fault("workers share random numbers")
def workers_seeded_alike(faulty: bool) -> Run:
    """worker_init_fn seeds every worker with 0, so that they draw the same augmentations."""
    data = digits()
    init = seed_all_alike if faulty else None
    train = DataLoader(Noisy(data.x, data.y, True), 32, shuffle=True, num_workers=2, worker_init_fn=init)
    return Run(Supervised(convnet(8, 16)), train, loaders(data)[1])


@fault("workers share random numbers")
def generator_made_in_the_data_set(faulty: bool) -> Run:
    """The data set holds one random.Random(0), and each worker gets a copy of it."""
    data = digits()

    class Shifted(Dataset):
        random = random.Random(0)

        def __len__(self):
            return len(data.x)

        def __getitem__(self, i):
            draw = self.random if faulty else random
            return torch.roll(data.x[i], draw.randint(-1, 1), 2) + 0.1 * draw.gauss(0, 1), data.y[i]

    train = DataLoader(Shifted(), 32, shuffle=True, num_workers=2)
    return Run(Supervised(convnet(8, 16, norm=nn.BatchNorm2d)), train, loaders(data)[1])
