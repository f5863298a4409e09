"""What callbacks read about the data, from any data module."""

from types import SimpleNamespace
from typing import Any

# By name, with the value used if the data module does not set it. `datamodules/spec.py` explains each.
DEFAULTS: dict[str, Any] = {
    "task": "",
    "in_shape": (),
    "out_features": 1,
    "class_names": (),
    "class_values": (),
    "feature_names": (),
    "feature_groups": {},
    "axis_names": {},
    "value_names": {},
    "target_name": "y",
    "id_name": "",  # empty: the samples of the split "predict" have no ids
    "submission_columns": {},
    "in_sample": False,
    "sample_name": "row",
    "in_time_order": False,
}


def spec_of(data: Any) -> Any:
    """All of `DEFAULTS`, with the data module's values.

    Args:
        data: a data module. It may have some of these as attributes, or in its `spec`, or none of them; attributes
            come first, as they do for the model. None: the Trainer was given loaders.
    """
    spec = getattr(data, "spec", None)
    values = {name: getattr(data, name, getattr(spec, name, default)) for name, default in DEFAULTS.items()}
    return SimpleNamespace(**values)
