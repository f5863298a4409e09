"""What the data determine in a model, and what pictures and predictions call the parts of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What is known about the data before they are read; what is fitted is in the data module's `statistics`.

    Args:
        task: what is learned: "binary", "multiclass" (one class for each sample or position), "multilabel", "regression",
            or the class path of a task of one's own.
        in_shape: of one sample: (F,) for a table, (C, H, W) for an image, (T, F) for a sequence of F numbers.
        out_features: numbers per sample that the network returns; one logit per class if there are several, else 1.
        class_names: of the classes 0, 1, ... in pictures; the numbers themselves if empty.
        class_values: the source's values for the classes 0, 1, ...; predictions.csv uses them.
        feature_names: of the F columns of a table, as in the settings.
        feature_groups: columns that belong together, such as one for each class of ticket, by their common name.
        axis_names: label of a feature's axis in pictures, with its unit, if it differs from the feature's name.
        value_names: the meaning of 0 and 1, for a feature that has no other values.
        target_name: of the target of a regression, with its unit; a list of names for several outputs, which metrics,
            predictions.csv and `compare` then use.
        id_name: heading of the column in predictions.csv that names the row; the split "predict" has the ids.
        submission_columns: columns of predictions.csv that are also written to submission.csv: heading in
            predictions.csv -> heading in submission.csv.
        in_sample: whether the validation rows are training rows on purpose, to say how well the model can fit.
        sample_name: of one sample in the words of `compare`, such as "image", "sequence" or "series".
        in_time_order: whether the test samples follow each other in time, such as windows that slide over a series.
            Neighbors are then alike, and neither `compare` nor the intervals in result.json take them for independent.

    Two further attributes of a data module hold something for each row of a split, once it is set up:
    `row_groups = {"test": (N,)}` (also for "val") what rows belong to that are not independent, such as the patient of an
    image; `row_ids = {"val": (N,)}` their ids (for the table out of fold of a cross-validation).
    """

    task: str
    in_shape: Sequence[int]
    out_features: int
    class_names: Sequence[str] = ()
    class_values: Sequence[int] = ()
    feature_names: Sequence[str] = ()
    feature_groups: Mapping[str, Sequence[int]] = field(default_factory=dict)
    axis_names: Mapping[str, str] = field(default_factory=dict)
    value_names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    target_name: str | Sequence[str] = "y"
    id_name: str = "index"
    submission_columns: Mapping[str, str] = field(default_factory=dict)
    in_sample: bool = False
    sample_name: str = "row"
    in_time_order: bool = False
