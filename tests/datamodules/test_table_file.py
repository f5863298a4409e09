"""Tables as other programs write them are read as the same table; what is no table is named."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable

import pandas as pd
import pytest

from datamodules import TitanicDataModule, table_file
from datamodules.table_file import read_table
from datamodules.titanic import FILES

PLAIN = (FILES / "train.csv").read_bytes()
TABLE = read_table(FILES / "train.csv")


def written(**options) -> bytes:
    """The bundled table as pandas writes it."""
    return TABLE.to_csv(index=False, **options).encode()


def zipped(*names: str, content: bytes = PLAIN) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        written(sep=";"),
        written(sep="\t"),
        written(sep="|"),
        b"sep=;\r\n" + written(sep=";"),
        written(sep=";", lineterminator="\r\n"),
        written(quoting=1),
        written(sep=";", quoting=1),
        b"\xef\xbb\xbf" + PLAIN,
        b"\xef\xbb\xbf" + written(sep=";", quoting=1),
        PLAIN.decode().encode("utf-16"),
        written(sep="\t").decode().encode("utf-16"),
        gzip.compress(PLAIN),
        bz2.compress(PLAIN),
        lzma.compress(PLAIN),
        zipped("train.csv"),
        zipped("titanic/", "titanic/train.csv", "__MACOSX/titanic/._train.csv"),
        gzip.compress(b"\xef\xbb\xbf" + written(sep=";")),
    ],
)
def test_a_table_is_read_as_it_would_be_with_commas(content, tmp_path):
    (tmp_path / "own.csv").write_bytes(content)
    pd.testing.assert_frame_equal(read_table(tmp_path / "own.csv"), TABLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1" + bytes(40) + b"PAR1", "is a Parquet file, not a CSV table; save the table as CSV"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(40), "is an Excel workbook, not a CSV table"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "is a spreadsheet (Excel or OpenDocument), not a"),
        (zipped("mimetype", "content.xml"), "is a spreadsheet (Excel or OpenDocument), not a"),
        (
            zipped("train.csv", "test.csv"),
            "holds 2 files (train.csv, test.csv); unpack it, and give the table",
        ),
        (zipped(), "holds 0 files"),
        (zipped("train.csv", content=b""), "is not a CSV table: it is empty"),
        (gzip.compress(PLAIN)[:-200], "is damaged or cut off: it cannot be unpacked"),
        (lzma.compress(PLAIN)[:-200], "is damaged or cut off: it cannot be unpacked"),
        (bz2.compress(PLAIN)[:-200], "is damaged or cut off: it cannot be unpacked"),
        (zipped("train.csv")[:-30], "is damaged or cut off: it cannot be unpacked"),
        (gzip.compress(bytes(257) + b"ustar" + bytes(99)), "is a tar archive, not a CSV table"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page or XML, not a CSV table"),
        (b'{"Sex": ["male"]}', "is JSON, not a CSV table"),
        (b"SQLite format 3\0" + bytes(40), "is an SQLite database"),
        (PLAIN.decode().encode("utf-16")[:-1], "is not UTF-8 text (truncated data)"),
    ],
)
def test_what_is_no_table_of_text_is_named(content, message, tmp_path):
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"own\.csv") as caught:
        read_table(tmp_path / "own.csv")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, lambda data: zipped("a", content=data)]
)
def test_a_small_archive_of_a_huge_file_does_not_fill_the_memory(
    pack: Callable[[bytes], bytes], tmp_path, monkeypatch
):
    monkeypatch.setattr(table_file, "MAX_BYTES", len(PLAIN) - 1)
    (tmp_path / "own.csv").write_bytes(pack(PLAIN))
    with pytest.raises(ValueError, match="holds more than"):
        read_table(tmp_path / "own.csv")


@pytest.mark.parametrize(
    ("heading", "separator"),
    [
        ("Sex,Age", ","),
        ("Sex;Age", ";"),
        ("Sex", ","),
        ("Sex Age", ","),
        ("Sex,Age;years,Fare", ","),
        ('"Sex;a","Age;b"', ","),
        ('"Sex,a";"Age,b"', ";"),
        ("\n\nSex\tAge", "\t"),
    ],
)
def test_the_heading_shows_the_separator(heading, separator):
    assert table_file.separator_of(heading + "\n1;2;3,4\n") == separator


@pytest.mark.parametrize(
    ("fares", "expected"),
    [
        (["7,25", "71,2833", "8"], [7.25, 71.2833, 8]),
        (["7,925", "71,2833", "8"], [7.925, 71.2833, 8]),
        ([",5", "0,25", "1"], [0.5, 0.25, 1]),
        (["7.25", "71.2833", "8"], [7.25, 71.2833, 8]),
        (["7,925", "8,050", "1"], None),  # or are they thousands?
        (["1.234,5", "2", "3"], None),
        (["7,25", "7.25", "1"], None),
        (["-7,25", "7,5", "1"], None),
        (["7,25,3", "7,5", "1"], None),
    ],
)
def test_a_decimal_comma_is_read_only_where_it_is_certain(fares, expected, tmp_path):
    rows = "".join(f"{number};{number % 2};{fare}\n" for number, fare in enumerate(fares))
    (tmp_path / "own.csv").write_text(f"PassengerId;Survived;Fare\n{rows}")
    data = TitanicDataModule(features=["Fare"], csv=str(tmp_path / "own.csv"))
    if expected is None:
        with pytest.raises(ValueError, match=r"column Fare, row [12] has"):
            data.setup("test")
    else:
        data.setup("test")
        assert data.splits["test"][0][:, 0].tolist() == expected


def test_a_table_in_the_german_style_gives_the_same_inputs(tmp_path):
    table = pd.read_csv(FILES / "train.csv")
    table["Pclass"] = table["Pclass"].astype(float)
    table.to_csv(tmp_path / "own.csv", sep=";", decimal=",", index=False)
    own, bundled = TitanicDataModule(train_csv=str(tmp_path / "own.csv")), TitanicDataModule()
    for data in (own, bundled):
        data.setup("fit")
    for name in ("train", "val"):
        assert own.splits[name][0].equal(bundled.splits[name][0]) or (
            own.splits[name][0].nan_to_num(-1).equal(bundled.splits[name][0].nan_to_num(-1))
        )
        assert own.splits[name][1].equal(bundled.splits[name][1])
