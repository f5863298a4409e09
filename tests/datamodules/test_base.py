"""What all data modules share: statistics from the training split alone, the same ones after a reload."""

import warnings
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from datamodules.base import TensorDataModule, check_choice, split_rows


class Table(TensorDataModule):
    """x has columns of different scale and one constant; y = x w + 5."""

    task = "regression"
    in_shape = (3,)
    out_features = 1

    def __init__(self, val_shift: float = 0.0, num_val: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.val_shift = val_shift
        self.num_val = num_val
        self.times_loaded = 0

    def load(self):
        self.times_loaded += 1
        x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x = x * torch.tensor([1.0, 100.0, 0.0]) + torch.tensor([0.0, 50.0, 7.0])
        y = x @ torch.tensor([1.0, 0.1, 0.0], dtype=torch.float64) + 5
        val = (x[: self.num_val] + self.val_shift, y[: self.num_val])
        return {"train": (x[4:], y[4:]), "val": val, "predict": (x, torch.arange(20))}


def all_rows(loader):
    return [torch.cat(parts) for parts in zip(*loader, strict=True)]


def test_inputs_and_target_are_normalized_with_the_training_split_and_read_back():
    data = Table(normalize_target=True)
    data.setup("fit")
    x, y = all_rows(data.train_dataloader())
    assert x.dtype == y.dtype == torch.float32
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        x.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0])
    )  # the constant column is 0
    torch.testing.assert_close(
        (y * data.target_std + data.target_mean).sort().values, data.splits["train"][1].float().sort().values
    )


def test_a_split_with_fewer_rows_than_processes_is_refused():
    """A process without a row would fail, and the others would wait for it."""
    data = Table(num_val=2)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(world_size=2, global_rank=1, strategy=strategy)
    data.setup("fit")
    assert [len(x) for x, _ in data.val_dataloader()] == [1]
    data.trainer.world_size = 3
    assert [len(x) for x, _ in data.train_dataloader()] == [5]
    with pytest.raises(
        ValueError, match=r"the val split of Table has 2 rows for 3 processes; use fewer \(--trainer.dev"
    ):
        data.val_dataloader()


def test_the_validation_rows_do_not_move_the_statistics():
    modules = [Table(), Table(val_shift=1000.0)]
    for data in modules:
        data.setup("fit")
    assert all(torch.equal(modules[0].statistics[k], modules[1].statistics[k]) for k in modules[0].statistics)
    val = [all_rows(data.val_dataloader())[0] for data in modules]
    assert (val[1] - val[0]).abs().max() > 5


def test_without_normalization_values_are_untouched():
    data = Table(normalize=False)
    data.setup()
    x, y = all_rows(data.val_dataloader())
    torch.testing.assert_close(x.double(), data.splits["val"][0], rtol=1e-6, atol=0)
    torch.testing.assert_close(y.double(), data.splits["val"][1], rtol=1e-6, atol=0)
    assert (data.target_mean, data.target_std) == (0.0, 1.0)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("normalize_target", [True, False])
def test_coefficients_are_read_back_in_table_units(normalize, normalize_target):
    data = Table(normalize=normalize, normalize_target=normalize_target, batch_size=None)
    data.setup()
    x, y = next(iter(data.train_dataloader()))
    design = torch.cat([x[:, :2], torch.ones(len(x), 1)], dim=1).double()
    solution = torch.linalg.lstsq(design, y.double()[:, None]).solution[:, 0]
    weight = torch.cat([solution[:2], torch.zeros(1)])[None]
    weight, bias = data.coefficients_in_table_units(weight, solution[2:])
    torch.testing.assert_close(
        weight[0], torch.tensor([1.0, 0.1, 0.0], dtype=torch.float64), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(bias[0].item(), 5.0, atol=1e-3, rtol=0)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict", None])
def test_setup_loads_once_whatever_the_stage(stage):
    data = Table()
    data.setup(stage)
    data.setup("fit")
    data.setup(stage)
    assert data.times_loaded == 1


@pytest.mark.parametrize("setup_first", [True, False])
def test_statistics_come_from_the_checkpoint(setup_first):
    trained = Table()
    trained.setup("fit")
    state = trained.state_dict()
    state["input_mean"] = state["input_mean"] + 1
    data = Table()
    if setup_first:
        data.setup("test")
    data.load_state_dict(state)
    data.setup("test")
    assert torch.equal(data.statistics["input_mean"], trained.statistics["input_mean"] + 1)


def test_a_checkpoint_with_other_inputs_is_refused():
    data = Table()
    data.setup("test")
    state = {name: torch.zeros(2) for name in data.state_dict()}
    with pytest.raises(ValueError, match="other inputs"):
        data.load_state_dict(state)


def test_prediction_batches_carry_the_rows_ids():
    data = Table(eval_batch_size=6)
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert torch.equal(torch.cat([ids for _, ids in batches]), torch.arange(20))
    assert [len(x) for x, _ in batches] == [6, 6, 6, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"eval_batch_size": 0}, "eval_batch_size is 0"),
        ({"passes_per_epoch": 0}, "passes_per_epoch is 0"),
        ({"num_val": 0}, "val split of Table has no rows"),
    ],
)
def test_options_that_make_no_data_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Table(**options).setup()


def test_a_split_that_does_not_exist_is_named():
    data = Table()
    data.setup()
    with pytest.raises(ValueError, match="Table has no test split"):
        data.test_dataloader()


def test_a_class_cannot_be_normalized():
    data = Table(normalize_target=True)
    data.task = "binary"
    with pytest.raises(ValueError, match="normalize_target"):
        data.setup()


class Recorder(pl.LightningModule):
    """A linear model that notes what it is trained on, and saves a checkpoint after `save_at` steps."""

    def __init__(self, path=None, save_at=None):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.path, self.save_at = path, save_at
        self.seen = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.seen.append(x.tolist())
        return (self.layer(x).squeeze(-1) - y).square().mean()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.global_step == self.save_at:
            self.trainer.save_checkpoint(self.path)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def fit(model, ckpt_path=None, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(accelerator="cpu", max_epochs=3, logger=False, **quiet, **options)
    trainer.fit(
        model, datamodule=Table(batch_size=5), ckpt_path=ckpt_path, weights_only=ckpt_path is not None
    )
    return model.seen


@pytest.mark.parametrize(
    "save_at", [2, 4, 7]
)  # of 4 steps per epoch: inside one, at its end, inside a later one
def test_a_resumed_training_sees_the_batches_that_were_left(tmp_path, save_at):
    path = tmp_path / "last.ckpt"
    whole = fit(Recorder(path, save_at))
    assert len(whole) == 12
    assert fit(Recorder(), ckpt_path=path) == whole[save_at:]


def test_overfitting_repeats_one_batch():
    seen = fit(Recorder(), overfit_batches=1)
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]


def test_rows_are_split_without_overlap_and_by_their_own_seed():
    torch.manual_seed(1)
    rows = split_rows(100, 20, seed=5, num_test=10)
    torch.manual_seed(2)
    again = split_rows(100, 20, seed=5, num_test=10)
    assert [len(part) for part in rows.values()] == [70, 20, 10]
    assert sorted(torch.cat(list(rows.values())).tolist()) == list(range(100))
    assert all(torch.equal(rows[name], again[name]) for name in rows)
    assert not torch.equal(rows["val"], split_rows(100, 20, seed=6)["val"])


def test_a_split_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(ValueError, match="10 rows leave none for training after 10"):
        split_rows(10, 10, seed=0)


@pytest.mark.parametrize(
    ("value", "hint"), [("circels", "did you mean 'circles'"), ("xyz", "choose from blobs, circles")]
)
def test_a_misspelt_choice_is_answered_with_the_nearest(value, hint):
    with pytest.raises(ValueError, match=f"data.name is '{value}'; {hint}"):
        check_choice("data.name", value, ["blobs", "circles"])


@pytest.mark.parametrize(
    ("batch_size", "is_reported"), [(10**8, True), (17, True), (16, False), (None, False)]
)
def test_a_batch_larger_than_the_training_split_is_reported(batch_size, is_reported):
    data = Table(batch_size=batch_size)
    data.setup("fit")
    num_rows = len(data.splits["train"][0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.train_dataloader()
    expected = f"data.batch_size is {batch_size}, but the training split has {num_rows} rows"
    assert [expected in str(each.message) for each in caught] == [True] * is_reported
