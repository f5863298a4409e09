"""A code of two numbers: the decoder's images stand where their codes are."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from callbacks.pictures import CodeGrid, Codes, Reconstruction
from callbacks.pictures.code_grid import SIDE, grid
from callbacks.pictures.codes import with_labels
from callbacks.pictures.network import first_tensor
from tests.callbacks.pictures.small import Autoencoder, X, Y, convnet, data, figures, fit
from tests.callbacks.plain import Plain


class TwoNumbers(Plain):
    """Codes are the mean gray of the left and the right half; images are made of their codes."""

    def __init__(self, extra: bool = False) -> None:
        super().__init__(nn.Conv2d(1, 1, 1), loss=lambda output, _: first_tensor(output).mean())
        self.extra = extra

    def encode(self, x: Tensor) -> Any:
        codes = torch.stack([x[..., :4].mean((1, 2, 3)), x[..., 4:].mean((1, 2, 3))], dim=1)
        return (codes, torch.zeros_like(codes)) if self.extra else codes

    def decode(self, z: Tensor) -> Tensor:
        left, right = z[:, :1, None, None], z[:, 1:, None, None]
        return torch.cat([left.expand(-1, 1, 8, 4), right.expand(-1, 1, 8, 4)], dim=3)

    def forward(self, x: Tensor) -> Any:
        restored = self.net(self.decode(self.encode(x)[0] if self.extra else self.encode(x)))
        return (restored, None) if self.extra else restored


def test_the_first_number_rises_to_the_right_and_the_second_upwards() -> None:
    points = grid(np.array([[-1.0, -2.0], [3.0, 5.0]]), torch.zeros(1))
    assert points.shape == (SIDE * SIDE, 2)
    assert points[0].tolist() == [-1, 5]
    assert points[SIDE - 1].tolist() == [3, 5]
    assert points[-1].tolist() == [3, -2]


def test_each_image_lies_at_its_code() -> None:
    model = TwoNumbers()
    axes = figures(CodeGrid(), model)["code/grid"].axes[0]
    image = axes.images[0]
    left, right, bottom, top = image.get_extent()
    shown = image.get_array() * float(X.max() - X.min()) + float(X.min())
    for row, column in ((0, 0), (3, 7), (SIDE - 1, 2)):
        code_1 = left + (column + 0.5) * (right - left) / SIDE
        code_2 = top - (row + 0.5) * (top - bottom) / SIDE
        tile = shown[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert np.allclose(tile[:, :4], code_1, atol=1e-6)
        assert np.allclose(tile[:, 4:], code_2, atol=1e-6)
    codes = model.encode(X).numpy()
    assert left < np.quantile(codes[:, 0], 0.02) < np.quantile(codes[:, 0], 0.98) < right


def test_two_numbers_are_drawn_as_they_are() -> None:
    axes = figures(Codes(), TwoNumbers())["code/plane"].axes[0]
    codes = TwoNumbers().encode(X).numpy()
    for label, scattered in enumerate(axes.collections):
        assert np.allclose(scattered.get_offsets(), codes[label == Y])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("code 1", "code 2")


def test_more_numbers_have_no_grid() -> None:
    class ThreeNumbers(TwoNumbers):
        def encode(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :3]

    assert figures(CodeGrid(), ThreeNumbers()) == {}
    assert not CodeGrid().suits(Autoencoder(), data())  # it has no `decode`
    assert not CodeGrid().suits(convnet(), data())


def test_a_mean_with_a_variance_is_a_code(tmp_path: Path, recwarn: Any) -> None:
    """As many variational autoencoders return it, of `encode` and of `forward`."""
    fit(TwoNumbers(extra=True), *(kind(tmp_path) for kind in (Codes, CodeGrid, Reconstruction)))
    assert not [each for each in recwarn if "drawn" in str(each.message)]
    names = {path.name[:-11] for path in tmp_path.iterdir()}
    assert names == {"code_plane", "code_neighbors", "code_grid", "reconstruction_images"}


def test_images_without_classes_have_one_color() -> None:
    for batch in (X, (X,), (X, torch.rand(len(X))), (X, X)):
        x, y = with_labels(batch)
        assert x is X
        assert not y.any()
    axes = figures(Codes(), TwoNumbers(), batch=(X, X))["code/plane"].axes[0]
    assert len(axes.collections) == 1
    assert not axes.texts
