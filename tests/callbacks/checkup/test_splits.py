"""Validation rows: held out, and the same at each validation."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler, Subset, TensorDataset

from callbacks.checkup.checks import splits
from tests.callbacks.checkup.data_checks import classifier, found, outcomes, why_not
from tests.callbacks.plain import Plain

HELD_OUT, UNCHANGED = splits.CHECKS[:1], splits.CHECKS[1:]
KIND = "validation rows are training rows"


def points(n, seed=0, make=torch.randn):
    generator = torch.Generator().manual_seed(seed)
    return make(n, 4, generator=generator), torch.randint(3, (n,), generator=generator)


def discrete(n, seed=0):
    """Few values: most rows have a twin."""
    x, y = points(n, seed, torch.rand)
    return (4 * x).floor() / 4, y


def loader(x, y, shuffle=True, **kwargs):
    return DataLoader(TensorDataset(x, y), batch_size=32, shuffle=shuffle, **kwargs)


def leaky(share, n=400):
    (x, y), (x_val, y_val) = points(n), points(n // 2, seed=1)
    rows = int(share * len(x_val))
    return loader(x, y), loader(
        torch.cat([x[:rows], x_val[rows:]]), torch.cat([y[:rows], y_val[rows:]]), False
    )


@pytest.mark.parametrize(
    ("share", "expected"), [(0, {}), (0.1, {KIND: "fail"}), (1, {KIND: "fail"})], ids=["none", "some", "all"]
)
def test_shared_rows(share, expected):
    assert found(HELD_OUT, classifier(), *leaky(share)) == expected


def test_the_message_says_how_many():
    (outcome,) = outcomes(HELD_OUT, classifier(), *leaky(0.1))
    assert "of 200 validation rows and 400 training rows read, 20 validation rows (10.0%)" in str(
        outcome.verdicts[0]
    )


def test_honest_twins_in_a_table_of_few_values():
    x, y = discrete(1000)
    assert found(HELD_OUT, classifier(), loader(x[:700], y[:700]), loader(x[700:], y[700:])) == {}


def test_a_table_where_nearly_every_row_has_a_twin_says_nothing():
    x, y = points(1000, make=torch.rand)
    x = (2 * x).floor()
    (reason,) = why_not(HELD_OUT, classifier(), loader(x[:500], y[:500]), loader(x[:500], y[:500]))
    assert "more than once" in reason


def test_the_same_inputs_with_other_targets_are_other_rows():
    (x, y), (_, other) = points(400), points(400, seed=2)
    rows = y != other
    assert found(HELD_OUT, classifier(), loader(x, y), loader(x[rows], other[rows])) == {}


class Augmented(TensorDataset):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x + 0.1 * torch.randn(4), y


def test_augmented_rows_cannot_be_recognized():
    data = points(200)
    (reason,) = why_not(HELD_OUT, classifier(), DataLoader(Augmented(*data), 32), loader(*data))
    assert "training rows change" in reason


@pytest.mark.parametrize(("first", "expected"), [(150, {}), (140, {KIND: "fail"})], ids=["apart", "overlap"])
def test_numbers_of_a_subset_are_compared_even_if_rows_are_augmented(first, expected):
    data = Augmented(*points(300))
    train, val = Subset(data, range(150)), Subset(data, range(first, 300))
    assert found(HELD_OUT, classifier(), DataLoader(train, 32), DataLoader(val, 32)) == expected


def test_data_module_may_say_that_figures_are_in_sample():
    class InSample(pl.LightningDataModule):
        in_sample = True

        def train_dataloader(self):
            return loader(*points(200))

        val_dataloader = train_dataloader

    assert found(HELD_OUT, classifier(), InSample()) == {KIND: "info"}


@pytest.mark.parametrize(
    ("val", "kwargs", "reason"),
    [
        (None, {}, "there is no validation data"),
        (loader(*points(20)), {}, "too few rows"),
        (loader(torch.randn(60, 2, 2), torch.zeros(60).long()), {}, "different shapes"),
        (loader(*points(200)), {"overfit_batches": 1}, "overfit_batches"),
    ],
    ids=["no validation", "few", "shapes", "overfit_batches"],
)
def test_what_cannot_be_compared(val, kwargs, reason):
    (why,) = why_not(HELD_OUT, classifier(), loader(*points(200)), val, **kwargs)
    assert reason in why


def test_ids_of_samples_do_not_hide_shared_rows():
    class WithIds(Plain):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch[:2], batch_idx)

    x, y = points(200)
    train, val = (
        DataLoader(TensorDataset(x, y, ids), 32) for ids in (torch.arange(200), torch.arange(200, 400))
    )
    model = classifier()
    assert found(HELD_OUT, WithIds(model.net, model.loss), train, val) == {KIND: "fail"}


class Changing(Dataset):
    """Some parts of a sample are drawn anew each time it is read."""

    def __init__(self, *parts, shape=(4,)):
        self.parts, self.shape = parts, shape

    def __len__(self):
        return 100

    def __getitem__(self, i):
        fixed = torch.Generator().manual_seed(i)
        x = torch.randn(self.shape, generator=None if "inputs" in self.parts else fixed)
        y = torch.randint(3, (), generator=None if "targets" in self.parts else fixed)
        return x, y


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Changing(), {}),
        (Changing("inputs"), {"validation data change": "warn"}),
        (Changing("inputs", shape=(1, 2, 2)), {"validation data change": "warn"}),
        (Changing("inputs", "targets"), {"validation data change": "info"}),  # such as masked words
        (Changing("inputs", shape=(2, 2)), {"validation data change": "info"}),  # points drawn from a shape
    ],
    ids=["fixed", "table", "image", "masked words", "points"],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_validation_data_change(data, shuffle, expected):
    train = DataLoader(Changing(shape=data.shape), 20)
    assert found(UNCHANGED, classifier(), train, DataLoader(data, 20, shuffle=shuffle)) == expected


def test_validation_of_an_unknown_loader_that_shuffles():
    class Shuffling:
        def __iter__(self):
            rows = torch.randperm(200)
            x, y = points(200)
            return iter([(x[rows], y[rows])])

    (reason,) = why_not(UNCHANGED, classifier(), loader(*points(200)), Shuffling())
    assert "shuffles" in reason


class Fifth(Sampler):
    """A part of the rows, drawn anew for each reading, or always the first ones."""

    def __init__(self, anew):
        self.anew = anew

    def __len__(self):
        return 40

    def __iter__(self):
        return iter(torch.randperm(200)[:40].tolist() if self.anew else range(40))


@pytest.mark.parametrize(("anew", "expected"), [(True, {"validation data change": "warn"}), (False, {})])
def test_validation_samples_that_are_drawn_anew(anew, expected):
    val = DataLoader(TensorDataset(*points(200)), 20, sampler=Fifth(anew))
    assert found(UNCHANGED, classifier(), loader(*points(200)), val) == expected


@pytest.mark.parametrize(("repeated_first", "expected"), [(True, {KIND: "fail"}), (False, {})])
def test_rows_repeated_before_the_split(repeated_first, expected):
    x, y = torch.randn(300, 40), points(300)[1]
    rows = torch.arange(300) if not repeated_first else torch.arange(300).repeat_interleave(3)
    rows = rows[torch.randperm(len(rows))]
    train, val = rows[len(rows) // 3 :], rows[: len(rows) // 3]
    train = train if repeated_first else train.repeat_interleave(3)  # only training rows
    loaders = loader(x[train], y[train]), loader(x[val], y[val])
    model = classifier(40)
    if expected:
        assert found(HELD_OUT, model, *loaders) == expected
    else:
        assert "more than once" in why_not(HELD_OUT, model, *loaders)[0]


def sentences(n, seed=0):
    """Forty tokens of one of two hundred sentences, and the next ones: many have a twin, as short sentences do."""
    whole = torch.randint(30, (200, 41), generator=torch.Generator().manual_seed(9))
    chosen = torch.randint(200, (n,), generator=torch.Generator().manual_seed(seed))
    own = torch.randint(30, (n, 41), generator=torch.Generator().manual_seed(seed + 1))
    tokens = torch.where((torch.arange(n) % 3 == 0)[:, None], whole[chosen], own)
    return tokens[:, :-1], tokens[:, 1:]


class Tokens(Plain):
    def __init__(self):
        super().__init__(nn.Sequential(nn.Embedding(30, 8), nn.Linear(8, 30)))

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch[0]).mT, batch[1])


def test_equal_sentences_are_no_copies_but_chance():
    x, y = sentences(900)
    assert found(HELD_OUT, Tokens(), loader(x, y), loader(*sentences(300, seed=5), False)) == {}


def test_copied_sentences_are_found():
    x, y = sentences(900)
    assert found(HELD_OUT, Tokens(), loader(x, y), loader(x[:300], y[:300], False)) == {KIND: "fail"}
