"""Whatever the files of a run hold, it is listed, in the terminal, as JSON, as CSV and on the page."""

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.runs_query import COLUMNS, in_order
from cli.runs_table import as_csv, as_rows, cells_of
from pages.runs_table import page
from runtime.run_list import all_runs
from tests.handmade import make_run

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ", "150")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
KEYS = st.sampled_from(
    [
        *(
            "launches",
            "started",
            "seconds",
            "total",
            "error",
            "from_config",
            "model.init_args.depth",
            "experiment",
        ),
        *(
            "verdicts",
            "severity",
            "holds",
            "healthy",
            "validation",
            "test",
            "metrics",
            "loss",
            "value",
            "note",
            "tags",
        ),
        *(
            "op_code",
            "trial_id",
            "user_attr",
            "user_attrs",
            "system_attrs",
            "fixed_params",
            "folder",
            "seed",
            "state",
        ),
        *("param_name", "param_value_internal", "distribution"),
    ]
)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.sampled_from(
        ["fail", "warn", "2026-11-27T07:39:00", "2026-11-27T07:39:00+00:00", "version_0", "[", "é<&"]
    ),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
NAMES = (
    "run.json",
    "diagnosis.json",
    "result.json",
    "notes.json",
    "end.json",
    "study.journal",
    "config.yaml",
)


def shown(root: Path) -> None:
    """Everything that is made of a list of runs."""
    runs = all_runs(root)
    assert len(runs) == 1
    cells = cells_of(runs[0], ["val/loss", "model.depth"])
    assert all(isinstance(cell, str) for cell in cells)
    json.dumps(as_rows(runs), allow_nan=False, default=str)
    assert as_csv(runs).count("folder") >= 1
    for name in COLUMNS:
        in_order(runs, name)
    assert "</html>" in page(runs)


@fuzzed
@given(name=st.sampled_from(NAMES), content=VALUES)
def test_any_json(name: str, content: Any, tmp_path: Path) -> None:
    folder = make_run(tmp_path / f"{len(os.listdir(tmp_path))}/a/version_0")
    place = folder.parent / name if name == "study.journal" else folder / name
    lines = content if isinstance(content, list) and name == "study.journal" else [content]
    place.write_text("\n".join(json.dumps(line) for line in lines))
    shown(folder.parents[1])


@fuzzed
@given(name=st.sampled_from([*NAMES, "metrics.csv"]), content=st.binary(max_size=60))
def test_any_bytes(name: str, content: bytes, tmp_path: Path) -> None:
    folder = make_run(tmp_path / f"{len(os.listdir(tmp_path))}/a/version_0", loss=None)
    place = folder.parent / name if name == "study.journal" else folder / name
    place.write_bytes(content if name != "metrics.csv" else b"step,val/loss\n" + content)
    shown(folder.parents[1])
