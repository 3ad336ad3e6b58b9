"""The main job on real tables, where LELP_DATA names the folder that holds them."""

import os
from pathlib import Path

import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from lelp_sklearn import (
    KD,
    MLP,
    BagOfNgrams,
    CrossEntropy,
    DistilledClassifier,
    StaticText,
    StudentClassifier,
    TabularMLP,
)

FOLDER = os.environ.get("LELP_DATA")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="LELP_DATA does not name a data folder")


def load(name, split="train"):
    table = pd.read_parquet(Path(FOLDER) / name / f"{split}.parquet")
    return table.drop(columns=["label", "fine"], errors="ignore"), table["label"]


def test_pendigits_with_string_labels_in_data_frames():
    X, y = load("pendigits")
    X_test, y_test = load("pendigits", "test")
    teacher = make_pipeline(
        StandardScaler(),
        StudentClassifier(MLP, objective=CrossEntropy(), max_epochs=15, random_state=0),
    ).fit(X, y)
    student = make_pipeline(StandardScaler(), _lelp())
    distilled = DistilledClassifier(teacher, student).fit(X, y)
    assert teacher.score(X_test, y_test) > 0.95
    assert distilled.score(X_test, y_test) > 0.92  # a linear student on labels has 0.87
    assert set(distilled.predict(X_test)) == {"even", "odd"}


def test_adult_with_mixed_columns_and_a_forest_out_of_fold():
    X, y = load("adult")
    X, y = X[:3000], y[:3000]
    encode = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    forest = make_pipeline(encode, RandomForestClassifier(20, random_state=0))
    student = make_pipeline(encode, StudentClassifier(objective=KD(), random_state=0))
    distilled = DistilledClassifier(forest, student, cv=3).fit(X, y)
    assert distilled.score(*load("adult", "test")) > 0.8  # 0.76 earn little


def test_adult_as_it_is_through_a_table_student():
    X, y = load("adult")
    X, y = X[:3000], y[:3000]
    boosting = HistGradientBoostingClassifier(
        categorical_features="from_dtype", max_iter=30, random_state=0
    )
    teacher = make_pipeline(FunctionTransformer(_with_categories), boosting)
    student = StudentClassifier(TabularMLP, objective=KD(), max_epochs=10, random_state=0)
    distilled = DistilledClassifier(teacher, student, cv=3).fit(X, y)
    X_test, y_test = load("adult", "test")
    X_test, y_test = X_test[:4000], y_test[:4000]
    assert distilled.score(X_test, y_test) > 0.8
    report = distilled.report(X_test[:2000], y_test[:2000]).rows
    assert report["student"]["average_precision"] > 0.7


def test_messages_as_sparse_words_and_as_tokens():
    X, y = load("sms_spam", "all")
    texts, rest, y, y_rest = train_test_split(
        X["text"].tolist(), y.to_numpy(str), train_size=0.5, stratify=y, random_state=0
    )
    settings = {"objective": CrossEntropy(), "max_epochs": 5, "random_state": 0}
    words = make_pipeline(TfidfVectorizer(), StudentClassifier(BagOfNgrams, **settings))
    tokens = StudentClassifier(StaticText, module__dim=32, **settings)
    for student in (words, tokens):
        assert student.fit(texts, y).score(rest, y_rest) > 0.93  # 0.87 are not spam


def _with_categories(X):
    return X.astype(dict.fromkeys(X.select_dtypes(exclude="number"), "category"))


def _lelp():
    from lelp_sklearn import LELPProjector, LELPStudentClassifier

    return LELPStudentClassifier(
        projector=LELPProjector(n_subclasses=8, directions="signed_pca"),
        subclass_weight=0.1,
        random_state=0,
    )
