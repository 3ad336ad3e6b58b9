"""Leaf co-occurrence embeddings of tree ensembles."""

import importlib
import pickle

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from lelp_sklearn.teachers import SklearnTeacher, as_teacher
from lelp_sklearn.teachers._embedders import embedder_of
from lelp_sklearn.teachers._trees import as_leaves

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]


def optional(library, name, **params):
    def make():
        module = pytest.importorskip(library, reason=f"{library} is optional")
        return getattr(module, name)(**params)

    make.__name__ = library
    return make


MAKERS = [
    lambda: RandomForestClassifier(n_estimators=8, random_state=0),
    lambda: ExtraTreesClassifier(n_estimators=8, random_state=0),
    lambda: GradientBoostingClassifier(n_estimators=4, random_state=0),
    lambda: HistGradientBoostingClassifier(max_iter=4),
    lambda: DecisionTreeClassifier(random_state=0),
    lambda: make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=8, random_state=0)),
    lambda: CalibratedClassifierCV(RandomForestClassifier(n_estimators=4, random_state=0), cv=2),
    optional("lightgbm", "LGBMClassifier", n_estimators=4, verbose=-1, n_jobs=1),
    optional("xgboost", "XGBClassifier", n_estimators=4, n_jobs=1),
    optional(
        "catboost",
        "CatBoostClassifier",
        iterations=4,
        verbose=0,
        allow_writing_files=False,
        thread_count=1,
    ),
]


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def fitted(request):
    model = request.param()
    library = type(model).__module__.partition(".")[0]
    y = SPECIES if library == "xgboost" else NAMES
    return model.fit(IRIS, y)


def test_probabilities_rows_and_pickles(fitted):
    teacher = as_teacher(fitted, IRIS)
    np.testing.assert_array_equal(teacher.predict_proba(IRIS), fitted.predict_proba(IRIS))
    assert teacher.predict(IRIS).shape == (150,)
    assert teacher.classes_.shape == (3,)
    H = teacher.transform(IRIS)
    for rows in ([3], [149, 0, 3], slice(10, 60)):
        np.testing.assert_allclose(teacher.transform(IRIS[rows]), H[rows], atol=1e-6)
    again = pickle.loads(pickle.dumps(teacher))
    np.testing.assert_allclose(again.transform(IRIS), H, atol=1e-6)
    assert not hasattr(teacher, "teacher_coef_")


def test_inner_products_are_shares_of_common_leaves(fitted):
    teacher = SklearnTeacher(fitted, n_components=10_000, random_state=0).fit_embedding(IRIS)
    H = teacher.transform(IRIS)
    leaves = as_leaves(embedder_of(fitted).embed(IRIS))
    shares = (leaves[:, None, :] == leaves[None, :, :]).mean(axis=2)
    np.testing.assert_allclose(H @ H.T, shares, atol=1e-4)


def test_hist_leaves_hold_the_leaf_values():
    model = HistGradientBoostingClassifier(max_iter=3).fit(IRIS, SPECIES)
    leaves = embedder_of(model).embed(IRIS).astype(int)
    trees = [tree for round_ in model._predictors for tree in round_]
    values = np.column_stack(
        [t.nodes["value"][leaf] for t, leaf in zip(trees, leaves.T, strict=True)]
    )
    raw = values.reshape(150, 3, 3).sum(axis=1)
    baseline = np.asarray(model._baseline_prediction).ravel()
    exponent = np.exp(raw + baseline)
    np.testing.assert_allclose(
        exponent / exponent.sum(axis=1, keepdims=True), model.predict_proba(IRIS)
    )
    for tree, leaf in zip(trees, leaves.T, strict=True):
        assert tree.nodes["is_leaf"][leaf].all()


def test_hist_with_missing_values_and_categories():
    pd = pytest.importorskip("pandas", reason="categories come in frames")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.integers(4, size=200)})
    y = (frame["b"] % 2 == 0).to_numpy()
    frame.loc[::7, "a"] = np.nan
    frame["b"] = frame["b"].map(dict(enumerate("wxyz"))).astype("category")
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype")
    teacher = SklearnTeacher(model, n_components=4, random_state=0).fit(frame, y)
    H = teacher.transform(frame)
    assert H.shape == (200, 4)
    np.testing.assert_allclose(teacher.transform(frame.iloc[[5, 7]]), H[[5, 7]], atol=1e-6)


def test_fit_fits_the_forest_and_its_embedding():
    forest = RandomForestClassifier(n_estimators=10, random_state=0)
    teacher = SklearnTeacher(forest, n_components=5, random_state=0).fit(IRIS, NAMES)
    same = SklearnTeacher(forest, n_components=5, random_state=0).fit(IRIS, NAMES)
    assert teacher.transform(IRIS).shape == (150, 5)
    np.testing.assert_array_equal(teacher.transform(IRIS), same.transform(IRIS))


def test_fitted_forest_without_rows_says_what_to_do():
    forest = RandomForestClassifier(n_estimators=3, random_state=0).fit(IRIS, NAMES)
    with pytest.raises(NotFittedError, match=r"fit_embedding\(X\)"):
        as_teacher(forest).transform(IRIS)


def test_no_library_is_imported_to_find_out():
    assert not hasattr(importlib.import_module("lelp_sklearn.teachers._trees"), "lightgbm")
