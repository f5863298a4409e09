"""The Titanic table: turn its columns into numeric features.

Every feature has a fixed vocabulary, so the number of inputs is known before a file is read. A missing value is NaN
here; `TitanicDataModule` decides what to do with it.
"""

from collections.abc import Callable
from functools import partial

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
MAX_ID = 2**53  # larger whole numbers are not exact as floating-point numbers


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
    values = pd.to_numeric(with_points(text), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = text.notna().to_numpy() & ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        _complain(text, wrong, "a number of at least 0, without a comma that may separate thousands")
    return values


def with_points(text: pd.Series) -> pd.Series:
    """Numbers with a decimal comma, such as 7,25, with a point instead.

    If a column also has points, or if three digits follow each comma, its commas may separate thousands: they stay.
    """
    has_comma = text.str.fullmatch(r"[+-]?\d*,\d+", na=False)
    may_be_thousands = text.str.fullmatch(r"[+-]?\d{1,3},\d{3}", na=False)
    if (has_comma == may_be_thousands).all() or text.str.contains(".", regex=False, na=False).any():
        return text
    return text.where(~has_comma, text.str.replace(",", ".", regex=False))


def categories(table: pd.DataFrame, column: str, known: tuple[object, ...]) -> pd.Series:
    """One column of text with values from `known`.

    Raises:
        ValueError: at the first cell that is something else.
    """
    # Programs write whole numbers with a decimal point if the column has empty cells.
    text = cells(table, column).str.removesuffix(".0").str.removesuffix(",0")
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
# What people call a feature, or the column that it comes from: its name, or the name of its group.
SYNONYMS = {
    "sex": "male",
    "gender": "male",
    "female": "male",
    "name": "title",
    "cabin": "deck",
    "port": "embarked",
    "family": "family_size",
}


def feature_names(given: str | list[str]) -> list[str]:
    """The names of features as a list; "all" stands for `ALL_FEATURES`.

    Raises:
        ValueError: for names that are unknown, with those that were probably meant, or that appear twice.
    """
    if given == "all":
        return list(ALL_FEATURES)
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
    meant = [each for name in names for each in meant_features(name)]
    if unknown := [name for name in names if name not in FEATURES and name != "all"]:
        shown = ", ".join(map(repr, unknown))
        unclear = not all(map(meant_features, names))
        hint = "choose from all, " + ", ".join(FEATURES) if unclear else f"did you mean [{','.join(meant)}]?"
        raise ValueError(f"data.features: there is no {shown}; {hint}")
    if isinstance(given, str) and len(names) > 1:
        raise ValueError(f"data.features is {given}; a list has brackets: [{','.join(names)}]")
    if not names or "all" in names or len(set(names)) < len(names):
        raise ValueError(f"data.features is {names}; it must be 'all' or a list of different features")
    return names


def meant_features(name: str) -> list[str]:
    """The features that a name stands for: itself, those of a group, or the one that is spelled most like it."""
    if name in FEATURES:
        return [name]
    lower = name.lower()
    meant = SYNONYMS.get(lower, lower)
    if meant in ONE_HOT:
        return [feature for feature in FEATURES if feature.startswith(f"{meant}_")]
    return [close] if (close := closest_name(meant, FEATURES)) else []


def group_features(names: list[str]) -> dict[str, list[int]]:
    """Numbers of the columns that belong together, by group: title_mr, title_mrs, ... are the title."""
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        prefix = name.partition("_")[0]
        groups.setdefault(prefix if prefix in ONE_HOT else name, []).append(column)
    return groups
