"""The table that a command prints at its end."""

from cli.reports import metric_rows


def test_a_metric_of_many_classes_is_one_row() -> None:
    few = {"val/loss": 0.5, "val/f1_score/road": 0.25, "val/f1_score/B-PER": 1.0, "epoch": 3.0}
    assert metric_rows(few) == {
        "val/loss": "0.500000",
        "val/f1_score/road": "0.250000",
        "val/f1_score/B-PER": "1",
        "epoch": "3",
    }
    many = {"val/loss": 0.5, **{f"val/f1_score/{k}": k / 20 for k in range(13)}}
    assert metric_rows(many) == {
        "val/loss": "0.500000",
        "val/f1_score/...": "0 to 0.600000, 13 values in result.json",
    }
