"""A teacher and a student on the same raw data frame."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from lelp_sklearn import (
    DistilledClassifier,
    LELPStudentClassifier,
    StudentClassifier,
    TableInputs,
    TabularMLP,
    TeacherCache,
)


def rows(n=240, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "kind": pd.Categorical(rng.choice(list("xyz"), n)),
            "town": pd.Categorical(rng.choice(["u", "v"], n)),
        },
        index=rng.permutation(n) * 3,
    )
    y = np.where((frame["kind"] == "x") ^ (frame["size"] > 0), "yes", "no")
    frame.iloc[::7, 0] = np.nan
    frame.iloc[::9, 1] = None
    return frame, y


BOOSTING = HistGradientBoostingClassifier(
    categorical_features="from_dtype", max_iter=10, random_state=0
)
FOREST = make_pipeline(
    make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["kind", "town"]), (SimpleImputer(), ["size"])
    ),
    RandomForestClassifier(10, random_state=0),
)
MAKES = {"pandas": lambda frame: frame, "polars": pl.from_pandas}


def student(**params):
    return StudentClassifier(TabularMLP, max_epochs=8, lr=0.02, random_state=0, **params)


@pytest.mark.parametrize(
    ("make", "teacher", "cv"),
    [
        (MAKES["pandas"], BOOSTING, 3),
        (MAKES["pandas"], FOREST, "prefit"),
        (MAKES["polars"], FOREST, 3),
        (MAKES["polars"], BOOSTING, "prefit"),
    ],
    ids=["pandas boosting", "pandas forest", "polars forest", "polars boosting"],
)
def test_both_read_the_same_frame_with_missing_values(make, teacher, cv):
    frame, y = rows()
    X, more = make(frame), make(rows(60, seed=1)[0])
    teacher = clone(teacher) if cv == 3 else clone(teacher).fit(X, y)
    cache = TeacherCache()
    distilled = DistilledClassifier(teacher, student(), cv=cv, cache=cache)
    distilled.fit(X, y, X_unlabeled=more)
    assert distilled.score(X, y) > 0.75
    assert distilled.report(X, y).rows["student"]["agreement"] > 0.75
    again = clone(distilled).fit(X, y, X_unlabeled=more)
    np.testing.assert_array_equal(again.predict_proba(X), distilled.predict_proba(X))


def test_pseudo_subclasses_of_leaves_for_a_tabular_student():
    frame, y = rows()
    lelp = LELPStudentClassifier(
        TabularMLP, subclass_weight=0.1, max_epochs=8, lr=0.02, random_state=0
    )
    distilled = DistilledClassifier(FOREST, lelp, cv=3).fit(frame, y)
    assert distilled.score(frame, y) > 0.7
    assert distilled.student_.predict_subclass_proba(frame).shape[1] > 2


def test_a_search_over_bins_and_scaling():
    X, y = rows()
    distilled = DistilledClassifier(
        BOOSTING, student(inputs=TableInputs()), cv=2, cache=TeacherCache()
    )
    grid = {"student__module__n_bins": [0, 4], "student__inputs__numeric": ["standard", "quantile"]}
    search = GridSearchCV(distilled, grid, cv=2, error_score="raise").fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) > 1
    best = search.best_estimator_.student_
    assert best.inputs_.numeric == search.best_params_["student__inputs__numeric"]
    bins = search.best_params_["student__module__n_bins"]
    assert hasattr(best.net_.module_.body.numeric, "encoding") == (bins > 0)
