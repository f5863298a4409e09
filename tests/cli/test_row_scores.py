"""How well rows are predicted, against counts by hand: one class per row, many classes per row, real numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cli.row_scores import checked_rows, output_names, score
from runtime.errors import UsageError


def test_a_column_of_targets_is_not_spread_over_all_rows() -> None:
    truth = torch.arange(10)
    right = score({"prediction": truth, "truth": truth[:, None]}, "best.ckpt")["right"]
    assert right.tolist() == [True] * 10
    errors = score({"prediction": truth.float(), "truth": truth[:, None].float()}, "best.ckpt")["errors"]
    assert errors.tolist() == [0.0] * 10


def test_positions_without_a_label_do_not_count() -> None:
    truth = torch.tensor([[0, 1, -100], [-100, -100, -100]])
    shares = score({"prediction": torch.zeros(2, 3, dtype=torch.long), "truth": truth}, "best.ckpt")["shares"]
    assert shares[0] == 0.5
    assert shares[1].isnan()


def test_errors_of_named_outputs_are_not_averaged() -> None:
    truth, prediction = torch.zeros(4, 2), torch.tensor([[1.0, 10.0]] * 4)
    columns = {"prediction": prediction, "truth": truth}
    assert score(columns, "best.ckpt", num_outputs=2)["errors"].tolist() == [[1.0, 100.0]] * 4
    assert score(columns, "best.ckpt")["errors"].tolist() == [50.5] * 4
    assert output_names(SimpleNamespace(target_name=("price", "days"))) == ("price", "days")
    assert output_names(SimpleNamespace(target_name="price")) == ()


def test_what_a_data_module_says_of_its_rows() -> None:
    data = SimpleNamespace(sample_name="image", row_groups={"test": np.array(["ann", "bob", "ann"])})
    rows = checked_rows(data, 3)
    assert (rows.plural, rows.in_time_order) == ("images", False)
    assert rows.groups is not None
    assert rows.groups.tolist() == [0, 1, 0]
    assert checked_rows(SimpleNamespace(row_groups="another thing"), 3).groups is None
    with pytest.raises(UsageError, match="names the groups of 3 test rows, but there are 4"):
        checked_rows(data, 4)


def test_nothing_to_compare() -> None:
    with pytest.raises(UsageError, match="there is nothing to compare"):
        score({"truth": torch.zeros(3)}, "best.ckpt")
