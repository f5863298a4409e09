"""The Titanic table: read it from a CSV file, and turn its columns into numeric features.

Every feature has a fixed vocabulary, so the number of inputs is known before a file is read. A missing value is NaN
here; `TitanicDataModule` decides what to do with it.
"""

import csv
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datamodules.base import closest_name

Column = NDArray[np.float64]  # (N,), NaN if the value is not known

SEXES = ("male", "female")
CLASSES = (1, 2, 3)
PORTS = ("C", "Q", "S")  # Cherbourg, Queenstown, Southampton
DECKS = ("A", "B", "C", "D", "E", "F", "G", "T")  # first letter of the cabin; T is the boat deck
TITLES = {
    "Mr": "mr",
    "Mrs": "mrs",
    "Mme": "mrs",
    "Miss": "miss",
    "Ms": "miss",
    "Mlle": "miss",
    "Master": "master",
}
CHILD_YEARS = 5  # "young" means younger than this
EMPTY = ("", "NA", "N/A", "NaN", "nan", "null", "None")  # what programs write into an empty cell
MAX_ID = 2**53  # larger whole numbers are not exact as floating-point numbers


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV file as text, NaN for empty cells.

    pandas would pad rows that are too short, shift rows that are too long, and rename the second of two columns with
    the same name; here they are refused.

    Raises:
        ValueError: if there is no such file, if it is not a UTF-8 table with as many cells in every row as in the
            heading, or if it has no rows.
    """
    try:
        if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
            raise ValueError("it is no file but a pipe or a device")  # reading it might never end
        text = Path(path).read_bytes().decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
        heading, *rows = [line for line in lines if line not in ([], [""])] or [[]]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason}); save the table as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV table: {error} in line {lines.line_num}") from None
    except (OSError, ValueError) as error:  # a ValueError: a zero byte in the path
        raise ValueError(f"cannot read the table {path}: {getattr(error, 'strerror', error)}") from None
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


def cells(table: pd.DataFrame, column: str) -> pd.Series:
    """One column of text.

    Raises:
        ValueError: if the table has no such column; the message names the closest one.
    """
    if column not in table.columns:
        close = closest_name(column, table.columns)
        hint = f"the nearest is {close!r}" if close else "it has " + ", ".join(map(repr, table.columns))
        raise ValueError(f"the table has no column {column!r}; {hint}")
    return table[column]


def numbers(table: pd.DataFrame, column: str) -> Column:
    """One column as numbers that are not negative.

    Raises:
        ValueError: at the first cell that is something else.
    """
    text = cells(table, column)
    values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = text.notna().to_numpy() & ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        _complain(text, wrong, "a number of at least 0")
    return values


def categories(table: pd.DataFrame, column: str, known: tuple[object, ...]) -> pd.Series:
    """One column of text with values from `known`.

    Raises:
        ValueError: at the first cell that is something else.
    """
    # Programs write whole numbers with a decimal point if the column has empty cells.
    text = cells(table, column).str.removesuffix(".0")
    wrong = text.notna() & ~text.isin([str(value) for value in known])
    if wrong.any():
        _complain(text, wrong.to_numpy(), "one of " + ", ".join(map(str, known)))
    return text


def labels(table: pd.DataFrame) -> NDArray[np.int64]:
    """The column Survived, 0 or 1, (N,).

    Raises:
        ValueError: if it is missing, or has empty cells.
    """
    text = categories(table, "Survived", (0, 1))
    if text.isna().any():
        raise ValueError(f"column Survived is empty in {int(text.isna().sum())} of {len(text)} rows")
    return text.to_numpy(np.int64)


def passenger_ids(table: pd.DataFrame) -> NDArray[np.int64]:
    """The column PassengerId (N,); every row must have an id."""
    values = numbers(table, "PassengerId")
    wrong = ~((values == np.floor(values)) & (values < MAX_ID))
    if wrong.any():
        _complain(table["PassengerId"], wrong, "a whole number below 2^53")
    return values.astype(np.int64)


def feature_matrix(table: pd.DataFrame, names: list[str]) -> NDArray[np.float64]:
    """The features `names` of every row, (N, F)."""
    return np.stack([FEATURES[name](table) for name in names], axis=1)


def _complain(text: pd.Series, wrong: NDArray[np.bool_], expected: str) -> None:
    row = int(np.flatnonzero(wrong)[0])
    value = text.iloc[row]
    raise ValueError(f"column {text.name}, row {row + 1} has {value!r}; it should be {expected}")


def _indicator(hit: pd.Series, known: pd.Series) -> Column:
    return np.where(known, hit.fillna(False), np.nan).astype(np.float64)


def _equals(column: str, known: tuple[object, ...], value: object, table: pd.DataFrame) -> Column:
    text = categories(table, column, known)
    return _indicator(text == str(value), text.notna())


def _is_young_male(table: pd.DataFrame) -> Column:
    age = numbers(table, "Age")
    young = np.where(np.isnan(age), np.nan, age < CHILD_YEARS)
    return young * _equals("Sex", SEXES, "male", table)


def _age_known(table: pd.DataFrame) -> Column:
    return (~np.isnan(numbers(table, "Age"))).astype(np.float64)


def _log_fare(table: pd.DataFrame) -> Column:
    return np.log1p(numbers(table, "Fare"))


def _family_size(table: pd.DataFrame) -> Column:
    return numbers(table, "SibSp") + numbers(table, "Parch") + 1


def _title(title: str, table: pd.DataFrame) -> Column:
    """Names look like "Braund, Mr. Owen Harris" or "Rothes, the Countess. of"; a title not in TITLES is rare."""
    names = cells(table, "Name")
    found = names.str.extract(r",\s*(?:the\s+)?(\w+)\.", expand=False)
    wrong = (names.notna() & found.isna()).to_numpy()
    if wrong.any():
        _complain(names, wrong, "like 'Braund, Mr. Owen Harris'")
    return _indicator(found.map(TITLES).fillna("rare") == title, found.notna())


def _deck(deck: str, table: pd.DataFrame) -> Column:
    """A missing cabin is a category of its own ("unknown"), so this is never NaN."""
    cabin = cells(table, "Cabin")
    letter = cabin.str[0]
    wrong = (cabin.notna() & ~letter.isin(DECKS)).to_numpy()
    if wrong.any():
        _complain(cabin, wrong, "a cabin that starts with one of " + ", ".join(DECKS))
    return np.where(letter.fillna("unknown") == deck, 1.0, 0.0)


FEATURES: dict[str, Callable[[pd.DataFrame], Column]] = {
    "male": partial(_equals, "Sex", SEXES, "male"),
    "Age": lambda table: numbers(table, "Age"),  # years
    "age_known": _age_known,
    "is_young_male": _is_young_male,
    "SibSp": lambda table: numbers(table, "SibSp"),  # siblings and spouse on board
    "Parch": lambda table: numbers(table, "Parch"),  # parents and children on board
    "family_size": _family_size,  # the passenger included
    "Fare": lambda table: numbers(table, "Fare"),  # pounds
    "log_fare": _log_fare,  # log(1 + pounds)
    "Pclass": lambda table: numbers(table, "Pclass"),  # 1, 2, 3
    **{f"class_{c}": partial(_equals, "Pclass", CLASSES, c) for c in CLASSES},
    **{f"embarked_{port}": partial(_equals, "Embarked", PORTS, port) for port in PORTS},
    **{f"title_{title}": partial(_title, title) for title in ("mr", "mrs", "miss", "master", "rare")},
    **{f"deck_{deck}": partial(_deck, deck) for deck in (*DECKS, "unknown")},
}

# Everything that the table says about a passenger, without features that repeat another one in a different form, and
# without `age_known`, which makes predictions worse (by 0.2 % in cross-validation).
ALL_FEATURES = [name for name in FEATURES if name not in ("age_known", "is_young_male", "Fare", "Pclass")]

ONE_HOT = ("class", "embarked", "title", "deck")  # one column of 0 and 1 for each value


def group_features(names: list[str]) -> dict[str, list[int]]:
    """Numbers of the columns that belong together, by group: title_mr, title_mrs, ... are the title."""
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        prefix = name.partition("_")[0]
        groups.setdefault(prefix if prefix in ONE_HOT else name, []).append(column)
    return groups
