"""What data dictate to a model, and what pictures and predictions call their parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

TaskName = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """All that is known of the data before they are read; what is fitted on them is in the data module's `statistics`.

    Args:
        task: what is to be learnt: one of two classes, one of several, or a real number.
        in_shape: of one sample: (F,) for a table, (C, H, W) for an image, (T, F) for a sequence of F numbers.
        out_features: numbers per sample that the network returns; of several classes one logit each, else 1.
        class_names: of the classes 0, 1, ... in pictures; without them, their numbers.
        class_values: what the source calls the classes 0, 1, ...; so does predictions.csv.
        feature_names: of the F columns of a table, as the settings call them.
        feature_groups: columns that say one thing together, such as one for each class of ticket, by what that is.
        axis_names: label of a feature's axis in pictures, with its unit, where it is not the feature's name.
        value_names: what 0 and 1 mean, of a feature that has no other values.
        target_name: of the target of a regression, with its unit.
        id_name: heading of the column in predictions.csv that names the row; the split "predict" has the ids.
        submission_columns: columns of predictions.csv, by the headings that they have there, and the headings under
            which they are written to submission.csv as well.
    """

    task: TaskName
    in_shape: Sequence[int]
    out_features: int
    class_names: Sequence[str] = ()
    class_values: Sequence[int] = ()
    feature_names: Sequence[str] = ()
    feature_groups: Mapping[str, Sequence[int]] = field(default_factory=dict)
    axis_names: Mapping[str, str] = field(default_factory=dict)
    value_names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    target_name: str = "y"
    id_name: str = "index"
    submission_columns: Mapping[str, str] = field(default_factory=dict)
