"""Read a table from a text file: with any of the usual separators, in UTF-8 or UTF-16, also compressed."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import pandas as pd

EMPTY = ("", "NA", "N/A", "NaN", "nan", "null", "None")  # what programs write into an empty cell
SEPARATORS = (",", ";", "\t", "|")
MAX_BYTES = 2**30  # of the text; a small archive can hold far more than fits in memory
# By the first bytes of a file.
OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second: without any file
# What is not read, by its first bytes.
OTHER_KINDS = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file (Feather)",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"7z\xbc\xaf": "a 7z archive",
    b"%PDF": "a PDF file",
    b"<": "a web page or XML",
    b"{": "JSON",
}
TAR = slice(257, 262), b"ustar"  # where the archives of tar have their name


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table as text, NaN for empty cells.

    pandas would pad rows that are too short, shift rows that are too long, and rename the second of two columns with
    the same name; here they are refused.

    Raises:
        ValueError: if there is no such file, if it is not a table of text with as many cells in every row as in the
            heading, or if it has no rows.
    """
    text = decode(content(path), path)
    heading, *rows = split_rows(text, path) or [[]]
    if not rows:
        state = "has a heading but no rows" if heading else "is not a CSV table: it is empty"
        raise ValueError(f"{path} {state}")
    if twice := [name for name in heading if heading.count(name) > 1]:
        raise ValueError(f"{path} has two columns {twice[0]!r}; remove or rename one")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heading):
            raise ValueError(
                f"{path} is not a CSV table: row {number} has {len(row)} cells, but the heading {len(heading)}; "
                "the file may be damaged or cut off"
            )
    table = pd.DataFrame(rows, columns=heading, dtype=str)
    return table.mask(table.isin(EMPTY))


def content(path: str | Path) -> bytes:
    """The bytes of a table's text; what is compressed is unpacked.

    Raises:
        ValueError: if the file cannot be read, or is of another kind.
    """
    try:
        if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
            raise ValueError("it is no file but a pipe or a device")  # reading it might never end
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a ValueError: a zero byte in the path
        raise ValueError(f"cannot read the table {path}: {getattr(error, 'strerror', error)}") from None
    try:
        data = unpacked(raw, path)
    except DAMAGED as error:
        raise ValueError(f"{path} is damaged or cut off: it cannot be unpacked ({error})") from None
    kinds = [kind for first, kind in OTHER_KINDS.items() if data.startswith(first)]
    place, name = TAR
    if kinds or data[place] == name:
        raise ValueError(
            f"{path} is {(kinds or ['a tar archive'])[0]}, not a CSV table; save the table as CSV"
        )
    return data


def unpacked(raw: bytes, path: str | Path) -> bytes:
    """What a compressed file holds; the bytes themselves if they are not compressed."""
    if raw.startswith(ZIP):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return only_member(archive, path)
    for first, open_compressed in OPENERS.items():
        if raw.startswith(first):
            with open_compressed(io.BytesIO(raw)) as stream:
                return limited(stream, path)
    return raw


def only_member(archive: zipfile.ZipFile, path: str | Path) -> bytes:
    """The only file of an archive; a spreadsheet is an archive, too."""
    names = [
        name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")
    ]
    if "xl/workbook.xml" in names or "content.xml" in names:
        raise ValueError(
            f"{path} is a spreadsheet (Excel or OpenDocument), not a CSV table; save the table as CSV"
        )
    if len(names) != 1:
        shown = ", ".join(names[:3])
        raise ValueError(f"{path} holds {len(names)} files ({shown}); unpack it, and give the table")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise ValueError(f"{path} needs a password; unpack it, and give the table")
    with archive.open(names[0]) as stream:
        return limited(stream, path)


def limited(stream: IO[bytes], path: str | Path) -> bytes:
    """The bytes of a stream, which must not be more than a table can have."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path} holds more than {MAX_BYTES} bytes; that is no table for this memory")
    return data


def decode(data: bytes, path: str | Path) -> str:
    """The text, which is UTF-8 unless its first bytes say that it is UTF-16."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason}); save the table as CSV in UTF-8"
        ) from None


def split_rows(text: str, path: str | Path) -> list[list[str]]:
    """The cells of all lines that are not empty."""
    separator = separator_of(text)
    if text[:4].lower() == "sep=":  # Excel's own first line
        separator, text = text[4:5], text.partition("\n")[2]
    lines = reader(text, separator)
    try:
        return [line for line in lines if line not in ([], [""])]
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV table: {error} in line {lines.line_num}") from None


def separator_of(text: str) -> str:
    """The separator that gives the heading most columns; the comma, if none gives more than another."""

    def columns(separator: str) -> int:
        try:
            return next((len(line) for line in reader(text, separator) if line), 0)
        except csv.Error:
            return 0

    return max(SEPARATORS, key=columns)


def reader(text: str, separator: str) -> Any:
    """A reader of the lines of a table; it has the cells of one line after the other."""
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
