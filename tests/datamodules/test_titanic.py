"""The Titanic tables: features against pandas, folds against scikit-learn, messages about broken tables."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from datamodules import TitanicDataModule
from datamodules.titanic import FILES
from datamodules.titanic_table import ALL_FEATURES, FEATURES

TRAIN = pd.read_csv(FILES / "train.csv")
TEST = pd.read_csv(FILES / "test.csv")


def ready(stage=None, **options):
    data = TitanicDataModule(**options)
    data.setup(stage)
    return data


def write(path, table=TRAIN, **columns):
    """Save the first rows of `table` with some columns replaced (None drops one)."""
    table = table.head(20).copy()
    for name, values in columns.items():
        table = table.drop(columns=name) if values is None else table.assign(**{name: values})
    table.to_csv(path, index=False)
    return str(path)


def first(value, other):
    """A column of 20 cells of which the first is special."""
    return [value] + [other] * 19


@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_the_bundled_tables_are_the_documented_ones(name):
    digest = hashlib.sha256((FILES / name).read_bytes()).hexdigest()
    assert digest in (FILES / "PROVENANCE.md").read_text()


def test_logistic_regression_on_the_714_rows_gives_the_known_fit():
    data = ready(features=["male", "Age", "is_young_male"], missing="drop", num_folds=None, normalize=False)
    x, y = (part.numpy() for part in data.splits["train"])
    assert x.shape == (714, 3)
    fit = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(fit.coef_[0], [-2.6734, 0.0081, 2.3831], atol=1e-3)
    np.testing.assert_allclose(fit.intercept_, 0.9019, atol=1e-3)
    np.testing.assert_allclose(log_loss(y, fit.predict_proba(x)), 0.5086, atol=1e-4)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("male", TRAIN.Sex == "male"),
        ("Age", TRAIN.Age),
        ("age_known", TRAIN.Age.notna()),
        ("is_young_male", ((TRAIN.Sex == "male") & (TRAIN.Age < 5)).where(TRAIN.Age.notna())),
        ("family_size", TRAIN.SibSp + TRAIN.Parch + 1),
        ("log_fare", np.log(1 + TRAIN.Fare)),
        ("Pclass", TRAIN.Pclass),
        ("class_3", TRAIN.Pclass == 3),
        ("embarked_Q", (TRAIN.Embarked == "Q").where(TRAIN.Embarked.notna())),
        ("title_master", TRAIN.Name.str.contains("Master.", regex=False)),
        ("title_miss", TRAIN.Name.str.contains(r", (?:Miss|Ms|Mlle)\.")),
        ("title_rare", ~TRAIN.Name.str.contains(r", (?:Mr|Mrs|Mme|Miss|Ms|Mlle|Master)\.")),
        ("deck_C", TRAIN.Cabin.str.startswith("C").fillna(False)),
        ("deck_unknown", TRAIN.Cabin.isna()),
    ],
)
def test_features_agree_with_pandas(feature, expected):
    x, _ = ready(features=[feature], num_folds=None).splits["train"]
    np.testing.assert_allclose(x[:, 0], expected.astype(float))


@pytest.mark.parametrize("prefix", ["class_", "title_", "deck_", "embarked_"])
def test_each_passenger_is_in_one_category(prefix):
    names = [name for name in FEATURES if name.startswith(prefix)]
    for split in ("train", "predict"):
        x, _ = ready(features=names, num_folds=None).splits[split]
        np.testing.assert_array_equal(x.nansum(1)[~x.isnan().any(1)], 1.0)


def test_the_number_of_inputs_is_known_without_reading_a_file():
    data = TitanicDataModule(features="all", csv="no such file")
    assert data.in_features == len(ALL_FEATURES) == data.in_shape[0]
    assert (data.task, data.out_features) == ("binary", 1)


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_those_of_scikit_learn(fold):
    data = ready(fold=fold, split_seed=3, features=["Fare"])
    folds = StratifiedKFold(5, shuffle=True, random_state=3).split(TRAIN, TRAIN.Survived)
    train, held_out = list(folds)[fold]
    np.testing.assert_array_equal(data.splits["train"][0][:, 0], TRAIN.Fare[train])
    for split in ("val", "test"):
        np.testing.assert_array_equal(data.splits[split][0][:, 0], TRAIN.Fare[held_out])
        np.testing.assert_array_equal(data.splits[split][1], TRAIN.Survived[held_out])


@pytest.mark.parametrize("missing", ["impute", "drop"])
def test_rows_that_are_held_out_have_their_ids(missing):
    kept = TRAIN if missing == "impute" else TRAIN.dropna(subset="Age")
    ids = [ready(fold=fold, features=["Age"], missing=missing).row_ids["val"] for fold in range(5)]
    assert sorted(torch.cat(ids).tolist()) == kept.PassengerId.tolist()
    data = ready(fold=2, features=["Age"], missing=missing)
    table = TRAIN.set_index("PassengerId").loc[data.row_ids["val"].tolist()]
    np.testing.assert_array_equal(data.splits["val"][1], table.Survived)


@pytest.mark.parametrize("ids", [None, first("x", 7)])
def test_a_table_without_ids_has_row_numbers(tmp_path, ids):
    own = write(tmp_path / "own.csv", PassengerId=ids)
    data = ready(train_csv=own, num_folds=None, features=["Fare"])
    assert data.row_ids["val"].tolist() == list(range(1, 21))


def test_rows_are_dropped_for_the_features_in_use_only():
    assert len(ready(features=["male"], missing="drop", num_folds=None).splits["train"][0]) == 891
    assert len(ready(features=["Age"], missing="drop", num_folds=None).splits["train"][0]) == 714
    assert len(ready(features=["Age"], missing="impute", num_folds=None).splits["train"][0]) == 891


def test_missing_values_are_filled_with_the_median_of_the_training_split():
    data = ready(features=["Age", "male"], fold=2)
    age = data.splits["train"][0][:, 0]
    np.testing.assert_allclose(data.statistics["fill"][0], np.nanmedian(age))
    (x, _) = next(iter(data.val_dataloader()))
    missing = data.splits["val"][0][:, 0].isnan()
    assert missing.any()
    in_years = x[:, 0].double() * data.statistics["input_std"][0] + data.statistics["input_mean"][0]
    np.testing.assert_allclose(in_years[missing], np.nanmedian(age), rtol=1e-5)


@pytest.mark.parametrize("missing", ["drop", "impute"])
def test_every_row_of_the_test_table_gets_a_prediction(missing):
    data = ready("predict", missing=missing)
    x, ids = zip(*data.predict_dataloader(), strict=True)
    assert torch.cat(ids).tolist() == TEST.PassengerId.tolist()
    assert torch.cat(x).isfinite().all()
    assert data.id_name == "PassengerId"


def test_a_table_of_ones_own_is_evaluated_and_predicted(tmp_path):
    own = write(tmp_path / "own.csv", TRAIN.tail(20))
    for stage in ("validate", "test", "predict"):
        data = ready(stage, csv=own, fold=1)
        assert torch.equal(data.statistics["input_mean"], ready(fold=1).statistics["input_mean"])
    for loader in (data.val_dataloader(), data.test_dataloader()):
        assert torch.cat([y for _, y in loader]).tolist() == TRAIN.Survived.tail(20).tolist()
    assert (
        torch.cat([ids for _, ids in data.predict_dataloader()]).tolist()
        == TRAIN.PassengerId.tail(20).tolist()
    )


def test_a_table_without_labels_and_ids_can_be_predicted(tmp_path):
    own = write(tmp_path / "own.csv", Survived=None, PassengerId=None)
    data = ready("predict", csv=own)
    assert torch.cat([ids for _, ids in data.predict_dataloader()]).tolist() == list(range(1, 21))
    assert data.id_name == "row"


def test_a_table_of_ones_own_can_be_trained_on(tmp_path):
    data = ready("fit", train_csv=write(tmp_path / "own.csv"), num_folds=2)
    assert len(data.splits["train"][0]) == len(data.splits["val"][0]) == 10


def test_whole_numbers_may_be_written_with_a_decimal_point(tmp_path):
    own = write(tmp_path / "own.csv", Pclass=3.0, Survived=TRAIN.Survived.head(20).astype(float))
    assert ready("test", csv=own, features=["class_3"]).splits["test"][0].tolist() == [[1.0]] * 20


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Age": None, "age": 30}, "no column 'Age'; the nearest is 'age'"),
        ({"Sex": first("mlae", "male")}, "column Sex, row 1 has 'mlae'; it should be one of male, female"),
        ({"Pclass": first(4, 3)}, "column Pclass, row 1 has '4'; it should be one of 1, 2, 3"),
        ({"Embarked": first("X", "S")}, "column Embarked, row 1 has 'X'"),
        ({"Cabin": first("Z9", "C1")}, "column Cabin, row 1 has 'Z9'"),
        ({"Name": first("John", "Kelly, Mr. James")}, "column Name, row 1 has 'John'"),
        ({"Age": first("22 years", 30)}, "column Age, row 1 has '22 years'; it should be a number"),
        ({"Fare": first(-1, 30)}, "column Fare, row 1 has '-1'"),
        ({"Fare": first("inf", 30)}, "column Fare, row 1 has 'inf'"),
        ({"PassengerId": first("A1", 3)}, "column PassengerId, row 1 has 'A1'"),
        ({"PassengerId": first(1.5, 3)}, "column PassengerId, row 1 has '1.5'"),
        ({"Survived": first(2, 1)}, "column Survived, row 1 has '2'"),
        ({"Survived": first(None, 1)}, "column Survived is empty in 1 of 20 rows"),
        ({"Survived": None}, "no column 'Survived'"),
    ],
)
def test_a_broken_table_is_described_in_one_line(tmp_path, columns, message):
    own = write(tmp_path / "own.csv", **columns)
    with pytest.raises(ValueError, match=message) as caught:
        ready("test", csv=own)
    assert own in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a CSV table"),
        (b"PassengerId,Sex\n", "has a heading but no rows"),
        ("PassengerId,Name\n1,Müller\n".encode("latin-1"), "not UTF-8"),
        (b"a,b\n1,2,3,4\n1,2\n1,2,3,4,5\n", "not a CSV table"),
        (None, "cannot read the table"),
    ],
)
def test_a_file_that_is_no_table_is_described(tmp_path, content, message):
    path = tmp_path / "own.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        ready("predict", csv=str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": ["male", "age"]}, "data.features: there is no 'age'; did you mean .male,Age"),
        ({"features": []}, r"data.features is \[\]"),
        ({"features": ["male", "male"]}, "list of different features"),
        ({"missing": "dorp"}, "data.missing is 'dorp'; did you mean 'drop'"),
        ({"fold": 5}, "data.fold is 5; with data.num_folds 5 it must be 0 to 4"),
        ({"num_folds": 1}, "data.num_folds is 1"),
        ({"num_folds": 343}, "data.num_folds is 343, but the rarer class has 342 rows"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ready(**options)


def test_training_on_the_evaluation_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"to train on it, use data.train_csv"):
        ready("fit", csv=write(tmp_path / "own.csv"))


def test_a_feature_without_any_value_is_refused(tmp_path):
    own = write(tmp_path / "own.csv", Age=np.nan)
    with pytest.raises(ValueError, match="no row of the training split gives Age"):
        ready("fit", train_csv=own, num_folds=2)


def test_what_pictures_are_told_of_the_features() -> None:
    data = TitanicDataModule(features=["male", "title_mr", "Age", "class_1", "title_miss"])
    assert data.feature_names == data.features
    assert data.feature_groups == {"male": [0], "title": [1, 4], "Age": [2], "class": [3]}
    assert set(data.axis_names) | set(data.value_names) <= set(FEATURES)
    grouped = sorted(column for group in TitanicDataModule().feature_groups.values() for column in group)
    assert grouped == list(range(len(ALL_FEATURES)))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["sex", "age"], "there is no 'sex', 'age'; did you mean [male,Age]?"),
        (["sex", "Age"], "there is no 'sex'; did you mean [male,Age]?"),
        ("Gender", "there is no 'Gender'; did you mean [male]?"),
        (["fare", "sibsp", "PCLASS"], "did you mean [Fare,SibSp,Pclass]?"),
        (["Class"], "did you mean [class_1,class_2,class_3]?"),
        (["embarked", "port"], "did you mean [embarked_C,embarked_Q,embarked_S,embarked_C,"),
        (["Name"], "did you mean [title_mr,title_mrs,title_miss,title_master,title_rare]?"),
        (["male", "shoe size"], "there is no 'shoe size'; choose from all, male, Age, "),
        ("sex,age", "there is no 'sex', 'age'; did you mean [male,Age]?"),
        ("male,Age", "data.features is male,Age; a list has brackets: [male,Age]"),
    ],
)
def test_the_features_that_were_probably_meant_are_named(features, message):
    with pytest.raises(ValueError, match=r"data\.features") as caught:
        TitanicDataModule(features=features)
    assert message in str(caught.value)


def test_values_that_are_made_up_are_reported():
    data = ready("predict", features=["male", "Age"], missing="drop", num_folds=None)
    with pytest.warns(UserWarning, match=r"86 of 418 rows of the test table .* \(Age 28\)"):
        data.predict_dataloader()


@pytest.mark.filterwarnings("error")
def test_nothing_is_reported_where_nothing_is_made_up():
    ready("predict", features=["male", "Age"], missing="impute").predict_dataloader()
    ready("predict", features=["male"], missing="drop").predict_dataloader()
    ready("fit", features=["male", "Age"], missing="drop").train_dataloader()  # the documented 714 rows


@pytest.mark.parametrize(("stage", "option"), [("test", "csv"), ("validate", "csv"), ("fit", "train_csv")])
def test_rows_of_ones_own_table_that_are_left_out_are_reported(stage, option, tmp_path):
    own = write(tmp_path / "own.csv", Age=[None, None] + [30.0] * 18)
    with pytest.warns(UserWarning, match=r"2 of 20 rows of .*own.csv have missing values and are left out"):
        ready(stage, features=["male", "Age"], missing="drop", num_folds=None, **{option: own})
