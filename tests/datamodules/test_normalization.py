"""What becomes of inputs: of tables, images and token ids, each against NumPy or the tensor itself."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.base import TensorDataModule
from datamodules.normalization import by_output


class Given(TensorDataModule):
    """Any inputs; the first half is for training."""

    def __init__(self, x: Tensor, **kwargs):
        super().__init__(**kwargs)
        self.x = x
        self.task, self.in_shape, self.out_features = "binary", list(x.shape[1:]), 1

    def load(self):
        y, half = torch.arange(len(self.x)) % 2, len(self.x) // 2
        return {"train": (self.x[:half], y[:half]), "val": (self.x[half:], y[half:])}


def prepared(x: Tensor, **options) -> Tensor:
    """The inputs of the validation split."""
    data = Given(x, **options)
    data.setup("fit")
    return torch.cat([batch for batch, _ in data.val_dataloader()])


def draws(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.uint8])
def test_images_are_scaled_by_channel(kind):
    """Against NumPy. By pixel column, a column that is hardly ever lit reached hundreds."""
    x = 255 * draws(40, 3, 8, 5) * torch.tensor([1.0, 0.1, 0.01])[:, None, None]
    x[:, :, :, 0] = 0
    x[3, 0, 2, 0] = 1  # the only lit pixel of its column
    x = x.to(kind)
    train, val = x[:20].double().numpy(), x[20:].double().numpy()
    mean, std = (f(train, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    with warnings.catch_warnings(action="error"):
        found = prepared(x)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, (val - mean) / std, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 4), (40, 7, 4)])
def test_tables_and_sequences_are_scaled_by_column(shape):
    x = draws(*shape) * torch.tensor([1.0, 10.0, 100.0, 1000.0])
    train, val = x[:20].double().numpy().reshape(-1, 4), x[20:].double().numpy()
    np.testing.assert_allclose(prepared(x), (val - train.mean(0)) / train.std(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.int16, torch.uint8])
@pytest.mark.parametrize("shape", [(40,), (40, 12)])
def test_integers_stay_integers_without_normalization(kind, shape):
    if len(shape) == 1:
        shape = (40, 1)
    ids = (200 * draws(*shape)).to(kind)
    found = prepared(ids, normalize=False)
    assert found.dtype == kind
    assert torch.equal(found, ids[20:])
    embedded = torch.nn.functional.embedding(found.long(), torch.eye(200))
    assert torch.equal(embedded.argmax(-1), ids[20:].long())


def test_integers_are_scaled_as_quantities_on_request_and_it_is_said():
    counts = (200 * draws(40, 3)).long()
    with pytest.warns(UserWarning, match=r"the inputs of Given are integers.*data.normalize false"):
        found = prepared(counts)
    train = counts[:20].double().numpy()
    np.testing.assert_allclose(found, (counts[20:].numpy() - train.mean(0)) / train.std(0), rtol=1e-5)
    with warnings.catch_warnings(action="error"):
        assert torch.equal(prepared(counts.float()), found)


@pytest.mark.parametrize("x", [draws(40, 3) > 0.5, (255 * draws(40, 1, 4, 4)).byte()], ids=["bools", "bytes"])
def test_yes_and_no_and_pixels_are_numbers(x):
    found = prepared(x, normalize=False)
    assert found.dtype == torch.float32
    assert torch.equal(found, x[20:].float())


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (torch.eye(1, 40_000)[0], "1 of 2 input columns reach more than 100.* number 1, .* reaches 141"),
        (torch.arange(40_000) % 2, None),
        (torch.ones(40_000), None),
    ],
    ids=["one in 20,000", "often", "constant"],
)
def test_a_tiny_deviation_is_said(column, said):
    x = torch.stack([draws(40_000), column], dim=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepared(x)
    messages = [str(each.message) for each in caught if "reach more than" in str(each.message)]
    assert len(messages) == (said is not None)
    if said:
        with pytest.warns(UserWarning, match=said):
            prepared(x)


def test_a_checkpoint_from_when_images_were_scaled_by_pixel_column_keeps_its_statistics():
    data = Given(draws(40, 3, 8, 5))
    data.setup("fit")
    old = {**data.state_dict(), "input_mean": torch.arange(5.0), "input_std": torch.full((5,), 2.0)}
    data.load_state_dict(old)
    found = torch.cat([x for x, _ in data.val_dataloader()])
    torch.testing.assert_close(found, (data.splits["val"][0] - torch.arange(5.0)) / 2)
    with pytest.raises(ValueError, match="other inputs"):
        data.load_state_dict({**old, "input_mean": torch.zeros(4)})


@pytest.mark.parametrize(
    ("shape", "out_features", "expected"),
    [
        ((6,), 1, (6,)),
        ((6, 1), 1, (6,)),
        ((6, 3), 3, (6, 3)),
        ((6, 4, 3), 12, (24, 3)),  # four steps of three series
        ((6, 4, 3), 3, (24, 3)),
        ((6, 4, 1), 1, (24,)),
        ((6, 8, 8), 1, (384,)),  # a value for each pixel
    ],
)
def test_columns_of_a_target_that_have_their_own_units(
    shape: tuple[int, ...], out_features: int, expected: tuple[int, ...]
) -> None:
    assert by_output(torch.zeros(shape), out_features).shape == expected
