"""Which dimension of logits holds the classes: seen where the shapes differ, asked for where they do not."""

from pathlib import Path
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitModel
from lit_models.task_choice import make_task
from tests.lit_models.cases import make_trainer

K = 5
G = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, K, K, generator=G)
TARGET = torch.randint(K, (4, K), generator=G)


@pytest.mark.parametrize("shape", [(4, K, K), (4, K, K, K), (4, K, 3, K)])
def test_shapes_that_fit_twice_are_refused(shape: tuple[int, ...]) -> None:
    task = make_task("multiclass", out_features=K)
    with pytest.raises(
        ValueError, match=r"5 classes: they may be .* `classes_dim = 1` or `classes_dim = -1`"
    ):
        task.predict(torch.randn(shape))


@pytest.mark.parametrize(("dim", "second"), [(1, LOGITS), (-1, LOGITS.movedim(-1, 1))])
def test_the_model_can_say_it(dim: int, second: Tensor) -> None:
    task = make_task("multiclass", out_features=K, classes_dim=dim)
    assert task.loss(LOGITS, TARGET).item() == pytest.approx(F.cross_entropy(second, TARGET).item())
    assert torch.equal(task.predict(LOGITS)["prediction"], second.argmax(1))


@pytest.mark.parametrize(("dim", "first"), [(1, (4, K, 7)), (-1, (4, 7, K))])
def test_an_earlier_batch_shows_it(dim: int, first: tuple[int, ...]) -> None:
    """Texts of any length: one that happens to be as long as there are classes is read as those before it."""
    task, told = (make_task("multiclass", out_features=K, classes_dim=known) for known in (None, dim))
    task.loss(torch.randn(first, generator=G), torch.randint(K, (4, 7), generator=G))
    assert torch.equal(task.loss(LOGITS, TARGET), told.loss(LOGITS, TARGET))


def test_another_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="classes_dim is 2; it must be 1 or -1"):
        make_task("multiclass", out_features=K, classes_dim=2)


class Tokens(LitModel):
    """Logits (N, T, K) of tokens (N, T)."""

    def __init__(self) -> None:
        super().__init__(in_shape=[K], out_features=K, task="multiclass")
        self.table = nn.Embedding(K, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x)


class TokensLast(Tokens):
    classes_dim: ClassVar[int | None] = -1


def test_texts_as_long_as_the_alphabet(tmp_path: Path) -> None:
    x = torch.randint(K, (12, K), generator=G)
    loader = DataLoader(TensorDataset(x, x.roll(1, 1)), batch_size=5)
    with pytest.raises(ValueError, match="classes_dim = -1"):
        make_trainer(tmp_path).fit(Tokens(), loader, loader)
    model, trainer = TokensLast(), make_trainer(tmp_path)
    trainer.validate(model, loader, verbose=False)
    with torch.no_grad():
        expected = F.cross_entropy(model(x).flatten(0, 1), x.roll(1, 1).flatten()).item()
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, rel=1e-5)
