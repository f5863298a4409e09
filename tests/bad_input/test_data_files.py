"""Tables and images that are damaged, of another kind, or out of range."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from tests.bad_input.conftest import Refused
from tests.conftest import write_idx

TABLE = "fit --config quick.yaml --data.train_csv bad.csv"
IMAGES = "fit --model LitLinear --data MNISTDataModule --data.data_dir data"
HEADING = "PassengerId,Survived,Sex,Age\n"
ROWS = "".join(f"{row},{row % 2},{'male' if row % 3 else 'female'},{20 + row}\n" for row in range(1, 31))
GOOD = HEADING + ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "bad.csv is not a CSV table: it is empty"),
        (HEADING, "bad.csv has a heading but no rows"),
        ("a,b,c\n1,2,3\n", "bad.csv: the table has no column 'Sex'; it has 'a', 'b', 'c'"),
        (GOOD.replace(",", " "), "no column 'Sex'; it has 'PassengerId Survived Sex Age'"),
        (GOOD.replace("Age", "age"), "no column 'Age'; the nearest is 'age'"),
        (GOOD.replace("PassengerId", "Age"), "bad.csv has two columns 'Age'; remove or rename one"),
        (ROWS, "bad.csv has two columns '1'"),
        (GOOD[:-12], "row 30 has 2 cells, but the heading 4; the file may be damaged or cut off"),
        (GOOD.replace("\n", ",9\n").replace("Age,9", "Age"), "row 1 has 5 cells, but the heading 4"),
        (GOOD + '31,1,"male,22\n', "bad.csv is not a CSV table: unexpected end of data in line 32"),
        (
            GOOD.replace("male", "m\xe4le", 1).encode("latin-1"),
            "is not UTF-8 text (invalid continuation byte)",
        ),
        pytest.param(
            gzip.compress(GOOD.encode())[:-50],
            "bad.csv is damaged or cut off: it cannot be unpacked",
            id="cut gz",
        ),
        (b"PAR1" + bytes(99), "bad.csv is a Parquet file, not a CSV table; save the table as CSV"),
        (
            bytes(range(256)) * 20,
            "bad.csv is not UTF-8 text (invalid start byte); save the table as CSV in UTF-8",
        ),
        (GOOD.encode().replace(b"female", b"fe\0male", 1), "column Sex, row 3 has 'fe\\x00male'"),
        (GOOD.replace(",21\n", ",old\n"), "column Age, row 1 has 'old'; it should be a number of at least 0"),
        (GOOD.replace(",21\n", ",-21\n"), "column Age, row 1 has '-21'"),
        (GOOD.replace(",21\n", ",1e400\n"), "column Age, row 1 has '1e400'"),
        (GOOD.replace("female", "woman"), "column Sex, row 3 has 'woman'; it should be one of male, female"),
        (GOOD.replace("1,1,", "1,7,", 1), "column Survived, row 1 has '7'; it should be one of 0, 1"),
        (GOOD.replace("1,1,", "1,,", 1), "column Survived is empty in 1 of 30 rows"),
        (GOOD.replace(",0,", ",1,"), "data.num_folds is 5, but the rarer class has 0 rows"),
    ],
)
def test_a_broken_table(content: str | bytes, message: str, refused: Refused, place: Path) -> None:
    (place / "bad.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(TABLE, message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (TABLE, "cannot read the table bad.csv: No such file or directory"),
        ("fit --config quick.yaml --data.train_csv data", "cannot read the table data: Is a directory"),
        (
            "fit --config quick.yaml --data.train_csv /dev/zero",
            "cannot read the table /dev/zero: it is no file but a pipe or a device",
        ),
        (
            "fit --config quick.yaml --data.train_csv pipe",
            "cannot read the table pipe: it is no file but a pipe or a device",
        ),
        ("fit --config quick.yaml --data.csv table.csv", "to train on it, use data.train_csv"),
        (
            "predict --ckpt_path runs/quick/version_0/checkpoints/best.ckpt --data.csv ids.csv",
            "ids.csv: column PassengerId, row 1 has '99999999999999999999'; it should be a whole number below 2^53",
        ),
        (
            "test --ckpt_path runs/quick/version_0/checkpoints/best.ckpt --data.csv nameless.csv",
            "data.csv cannot be evaluated, only predicted: nameless.csv: the table has no column 'Survived'",
        ),
    ],
)
def test_a_table_in_the_wrong_place(line: str, message: str, refused: Refused, place: Path) -> None:
    if line.endswith("pipe"):
        os.mkfifo(place / "pipe")
    (place / "ids.csv").write_text("PassengerId,Sex,Age\n99999999999999999999,male,22\n")
    (place / "nameless.csv").write_text("Sex,Age\nmale,22\n")
    refused(line, message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"", "is not an IDX file of unsigned bytes: it begins with nothing"),
        ("train-images-idx3-ubyte", b"<!DOCTYPE html>", "it begins with 3c 21 44 4f"),
        ("train-images-idx3-ubyte", bytes([0, 0, 9, 3]) + bytes(12), "it begins with 00 00 09 03"),
        ("train-images-idx3-ubyte", bytes([0, 0, 8, 3, 0, 0]), "ends within its header, after 6 bytes"),
        ("train-images-idx3-ubyte", bytes([0, 0, 8, 255]) + bytes(1020), "should have 255 dimensions"),
        ("train-images-idx3-ubyte", b"\0\0\x08\3" + b"\xff" * 12, "should hold 4294967295 x 4294967295"),
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\3" + bytes(3) + b"\1" + bytes(8),
            "images should be (N, 28, 28)",
        ),
        ("train-labels-idx1-ubyte", b"\0\0\x08\1" + bytes(3) + b"\2" + b"\1\1", "but there are 60 images"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\1" + bytes(3) + b"\x3c" + b"\x63" * 60, "has the label 99"),
        pytest.param(
            "t10k-images-idx3-ubyte",
            gzip.compress(bytes(999))[:20],
            "is damaged or cannot be read",
            id="compressed and cut off",
        ),
        pytest.param(
            "t10k-labels-idx1-ubyte", np.random.default_rng(0).bytes(300), "is not an IDX file", id="noise"
        ),
    ],
)
def test_broken_images(name: str, content: bytes, message: str, refused: Refused, place: Path) -> None:
    (place / "data" / name).write_bytes(content)
    refused(IMAGES, f"data/{name}", message)


def test_images_that_were_cut_off(refused: Refused, place: Path) -> None:
    path = place / "data/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    refused(IMAGES, "should hold 60 x 28 x 28 bytes by its header, but holds 46940")


def test_a_class_without_images(refused: Refused, place: Path) -> None:
    write_idx(place / "data/train-labels-idx1-ubyte", np.arange(60) % 9)
    refused(f"{IMAGES} --data.classes [4,9]", "data.classes has 9, but", "has no image of that class")


def test_a_file_where_the_data_should_be(refused: Refused) -> None:
    refused(
        f"{IMAGES}/none.csv --data.data_dir table.csv", "cannot write the data set to table.csv/MNIST/raw"
    )
