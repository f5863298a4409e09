"""The autoencoder's code, and how far its neighbors agree with the labels."""

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from lit_models.autoencoder import NeighborAgreement, nearest_neighbors
from tests.lit_models.cases import make, make_batch


def test_code_has_its_size_and_is_linear() -> None:
    model, (x, _) = make("autoencoder-conv"), make_batch("autoencoder-conv")
    code = model.encode(x)
    assert code.shape == (8, 6)
    assert (code < 0).any()
    assert torch.equal(model.decode(code), model(x))
    assert model(x).min() >= 0
    assert model(x).max() <= 1


@pytest.mark.parametrize("chunk_size", [1, 7, 40, 1000])
def test_neighbors_equal_those_of_scikit_learn(chunk_size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(60, 5, generator=generator)
    queries = torch.randn(40, 5, generator=generator)
    cosines, rows = nearest_neighbors(queries, codes, 4, chunk_size)
    reference = NearestNeighbors(n_neighbors=4, metric="cosine").fit(codes.numpy())
    distances, expected = reference.kneighbors(queries.numpy())
    assert rows.tolist() == expected.tolist()
    torch.testing.assert_close(1 - cosines, torch.from_numpy(distances), atol=1e-5, rtol=0, check_dtype=False)


def test_more_neighbors_than_codes() -> None:
    with pytest.raises(ValueError, match="5 neighbors were asked for among 3 codes"):
        nearest_neighbors(torch.ones(1, 2), torch.ones(3, 2), 5)


def agreement(codes: list[list[float]], labels: list[int], k: int) -> float:
    metric = NeighborAgreement(k)
    for code, label in zip(codes, labels, strict=True):  # one at a time, as from several batches
        metric.update(torch.tensor([code]), torch.tensor([label]))
    return metric.compute().item()


def test_neighbor_agreement_by_hand() -> None:
    """Two pairs of directions; the nearest of each is its partner, of which one has the other label."""
    codes = [[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0]]
    assert agreement(codes, [0, 0, 1, 1], k=1) == 1.0
    assert agreement(codes, [0, 0, 1, 0], k=1) == 0.5
    assert agreement(codes, [0, 0, 0, 1], k=3) == pytest.approx((2 + 2 + 2 + 0) / 12)


def test_a_code_is_never_its_own_neighbor_even_among_duplicates() -> None:
    """All identical, all labels different: counting itself would give more than 0."""
    assert agreement([[1.0, 2.0]] * 6, list(range(6)), k=2) == 0.0
    assert agreement([[1.0, 2.0]] * 6, [3] * 6, k=2) == 1.0


def test_neighbor_agreement_of_a_few_samples() -> None:
    assert agreement([[1.0], [2.0]], [1, 1], k=5) == 1.0
    assert agreement([[1.0]], [1], k=5) != agreement([[1.0]], [1], k=5)  # not a number
