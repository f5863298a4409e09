"""What callbacks read of the data, whichever data module it comes from."""

from types import SimpleNamespace
from typing import Any

# By name, and as it is where the data module does not say it. `datamodules/spec.py` says what each means.
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
    "id_name": "",  # then the samples of the split "predict" have no ids
    "submission_columns": {},
}


def spec_of(data: Any) -> Any:
    """All of `DEFAULTS`, as the data module says it.

    Args:
        data: a data module. It may have some of these as attributes, or in its `spec`, or none of them; attributes
            come first, as they do for the model. None: the Trainer was given loaders.
    """
    spec = getattr(data, "spec", None)
    values = {name: getattr(data, name, getattr(spec, name, default)) for name, default in DEFAULTS.items()}
    return SimpleNamespace(**values)
