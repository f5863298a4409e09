"""Whatever bytes a file holds, its reader returns what it promises or raises the documented error, in one line.

Examples are drawn anew from the same seed each time. `FUZZ=20000 pytest tests/bad_input/test_fuzz.py` draws more.
"""

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.config_files import check_config
from cli.config_files import settings as known_settings
from datamodules import titanic_table as tt
from datamodules.idx import read_idx, read_images_and_labels
from datamodules.table_file import read_table
from datamodules.titanic import FILES
from runtime.errors import UsageError
from tests.conftest import QUICK

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ", "150")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TITANIC = "".join((FILES / "train.csv").read_text().splitlines(keepends=True)[:6])


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A good file of which a few parts were cut out, doubled or overwritten."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(start + 40, len(content))))
        new = draw(st.one_of(st.binary(max_size=8), st.just(content[start:stop] * 2)))
        content = content[:start] + new + content[stop:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    """A header of sizes, and about as many values as it announces."""
    sizes = draw(
        st.lists(st.one_of(st.sampled_from([0, 1, 2, 28, 2**32 - 1]), st.integers(0, 40)), max_size=5)
    )
    announced = draw(st.one_of(st.just(len(sizes)), st.integers(0, 255)))
    kind = draw(st.sampled_from([b"\0\0\x08", b"\0\0\x08", b"\0\0\x0d", b"\x08\0\0"]))
    length = min(int(np.prod(sizes, dtype=object)), 5000) + draw(st.integers(-1, 1))
    values = draw(st.sampled_from([b"\0", b"\x07", b"\x0a"])) * max(0, length)
    content = kind + bytes([announced]) + struct.pack(f">{len(sizes)}I", *sizes) + values
    return gzip.compress(content, mtime=0) if draw(st.booleans()) else content


IDX = st.one_of(st.binary(max_size=60), idx_files(), idx_files().flatmap(damaged))


def read_or_refused(read: Callable[[], Any], *paths: Path, error: type[Exception] = ValueError) -> Any:
    """What `read` returns; or None after the documented error, in one line that names one of the files."""
    try:
        return read()
    except error as refusal:
        message = str(refusal)
    assert "\n" not in message
    assert not paths or any(str(path) in message for path in paths)
    return None


@fuzzed
@given(content=IDX)
@example(content=b"\0\0\x08\x03" + b"\xff" * 12)
@example(content=b"\0\0\x08\x03" + b"\xff" * 8 + bytes(4))  # NumPy's own message did not name the file
def test_idx_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(content)
    values = read_or_refused(lambda: read_idx(path), path)
    if values is not None:
        plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        assert values.dtype == np.uint8
        assert plain.endswith(values.tobytes())
        assert len(plain) == 4 + 4 * values.ndim + values.size


@fuzzed
@given(images=IDX, labels=IDX)
@example(
    images=b"\0\0\x08\x03" + struct.pack(">3I", 2, 28, 28) + bytes(1568), labels=b"\0\0\x08\1\0\0\0\2\1\x09"
)
def test_images_and_labels(images: bytes, labels: bytes, tmp_path: Path) -> None:
    paths = tmp_path / "images", tmp_path / "labels"
    for path, content in zip(paths, (images, labels), strict=True):
        path.write_bytes(content)
    if read := read_or_refused(lambda: read_images_and_labels(*paths), *paths):
        x, y = read
        assert x.shape == (len(y), 1, 28, 28)
        assert y.dtype == torch.int64
        assert 0 <= y.min() <= y.max() <= 9


CELLS = st.one_of(
    st.sampled_from(
        ["", "0", "1", "3", "male", "22.5", "1e999", "-1", "nan", '"', "C85", '"Kelly, Mr. J"', "S"]
    ),
    st.text(max_size=5),
)
COLUMNS = st.sampled_from(TITANIC.partition("\n")[0].split(","))
TABLES = st.tuples(st.lists(COLUMNS, max_size=12), st.lists(st.lists(CELLS, max_size=12), max_size=4)).map(
    lambda table: "\n".join(",".join(row) for row in [table[0], *table[1]]).encode("utf-8", "surrogatepass")
)


@fuzzed
@given(content=st.one_of(st.binary(max_size=60), TABLES, damaged(TITANIC.encode())))
@example(content=TITANIC.encode())
@example(content=TITANIC.encode("utf-16"))
def test_tables(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    table = read_or_refused(lambda: read_table(path), path)
    if table is None:
        return
    assert len(table) > 0
    assert len(set(table.columns)) == len(table.columns)
    readers = {
        "labels": lambda: tt.labels(table),
        "ids": lambda: tt.passenger_ids(table),
        **{name: lambda name=name: tt.feature_matrix(table, [name])[:, 0] for name in tt.FEATURES},
    }
    for name, read in readers.items():
        values = read_or_refused(read)
        if values is not None:
            assert values.shape == (len(table),)
            assert not np.isinf(values).any()
            assert np.isnan(values).any() <= (name not in ("labels", "ids"))


YAML = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["model", "data", "trainer", "class_path", "init_args", "x"]), inner),
    ),
    max_leaves=8,
).map(lambda content: yaml.safe_dump(content).encode())


@fuzzed
@given(
    content=st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(str.encode), YAML, damaged(QUICK.encode())
    )
)
@example(content=QUICK.encode())
@example(content=b"a: 2020-13-45")
def test_configs(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)

    def read() -> set[str]:
        check_config("fit", path)
        return {name.partition(".")[0] for name in yaml.safe_load(content.decode("utf-8-sig"))}

    names = read_or_refused(read, path, error=UsageError)
    assert names is None or names <= set(known_settings("fit"))


def test_a_table_of_ones_own_is_read_as_pandas_reads_it() -> None:
    """The bundled tables, cell by cell; the reader is not pandas' own."""
    for name in ("train.csv", "test.csv"):
        pd.testing.assert_frame_equal(read_table(FILES / name), pd.read_csv(FILES / name, dtype=str))
