"""Rows of rare classes: by a stand-in, and by imbalanced-learn where it is installed."""

import sys
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError

from lelp_sklearn import Smote
from lelp_sklearn.augmentation._smote import levelled

X = np.arange(24.0).reshape(12, 2)
Y = np.array(["often"] * 8 + ["rare"] * 4)


class Standin(BaseEstimator):
    """Takes and gives what imbalanced-learn's over-samplers do: new rows after the given."""

    def __init__(self, k_neighbors=5, sampling_strategy="auto", random_state=None):
        self.k_neighbors = k_neighbors
        self.sampling_strategy = sampling_strategy
        self.random_state = random_state

    def fit_resample(self, X, y):
        rng = np.random.RandomState(self.random_state)
        new, of = [X], [y]
        for label, target in self.sampling_strategy.items():
            own = X[y == label]
            assert len(own) > self.k_neighbors
            n_new = target - len(own)
            assert n_new >= 0
            near = own[rng.randint(len(own) - self.k_neighbors, size=n_new)]
            new.append(near + rng.random_sample((n_new, 1)) * (own[-1] - near))
            of.append(np.full(n_new, label))
        return np.vstack(new), np.concatenate(of)


@pytest.fixture(params=["stand-in", "imbalanced-learn"])
def smote(request, monkeypatch):
    """What Smote imports."""
    if request.param == "imbalanced-learn":
        pytest.importorskip("imblearn", reason="needs imbalanced-learn")
        return
    module = types.ModuleType("imblearn.over_sampling")
    module.SMOTE = Standin
    monkeypatch.setitem(sys.modules, "imblearn", types.ModuleType("imblearn"))
    monkeypatch.setitem(sys.modules, "imblearn.over_sampling", module)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(1, 60))
def test_the_rarest_are_raised_first(counts, n_more):
    counts = np.array(counts)
    targets = levelled(counts, n_more)
    assert targets.sum() == counts.sum() + n_more
    assert (targets >= counts).all()
    raised = targets > counts
    assert targets[raised].max() - targets[raised].min() <= 1
    assert (counts[~raised] >= targets[raised].max() - 1).all()


def test_new_rows_are_of_the_rare_class(smote):
    rows = Smote(random_state=0).fit(X, Y).sample(4)
    assert rows.shape == (4, 2)
    assert (rows[:, 0] >= X[8:, 0].min()).all()
    assert_array_equal(rows, Smote(random_state=0).fit(X, Y).sample(4))
    assert not np.array_equal(rows, Smote(random_state=1).fit(X, Y).sample(4))
    more = Smote(random_state=0).fit(X, Y).sample(10)  # 4 to be level, then 3 of each
    assert (more[:, 0] < X[8, 0]).sum() == 3


def test_neighbours_are_as_many_as_the_class_has(smote):
    wide = Smote(k_neighbors=1, random_state=0).fit(X, Y).sample(4)
    narrow = Smote(k_neighbors=3, random_state=0).fit(X, Y).sample(4)
    assert not np.array_equal(wide, narrow)
    assert_array_equal(narrow, Smote(k_neighbors=5, random_state=0).fit(X, Y).sample(4))


def test_another_sampler_may_be_given():
    sampler = Standin(k_neighbors=2)
    rows = Smote(sampler=sampler, random_state=0).fit(X, Y).sample(4)
    assert rows.shape == (4, 2)
    assert sampler.sampling_strategy == "auto"  # a clone did it


def test_containers_and_integers(smote):
    frame = pd.DataFrame(X.astype(int), columns=["a", "b"])
    rows = Smote(random_state=0).fit(frame, Y).sample(5)
    assert list(rows.dtypes) == list(frame.dtypes)


def test_errors(smote, monkeypatch):
    with pytest.raises(ValueError, match="needs the labels"):
        Smote().fit(X)
    with pytest.raises(ValueError, match="missing values"):
        Smote().fit(np.where(X == 0, np.nan, X), Y)
    with pytest.raises(TypeError, match=r"no numbers: \{'c'"):
        Smote().fit(pd.DataFrame({"c": ["u", "v"] * 6}), Y)
    with pytest.raises(ValueError, match=r"a single one of \['rare'\]"):
        Smote().fit(X[:9], Y[:9]).sample(2)
    for params in ({"k_neighbors": 0}, {"sampler": 3}):
        with pytest.raises(InvalidParameterError, match=next(iter(params))):
            Smote(**params).fit(X, Y)
    monkeypatch.setitem(sys.modules, "imblearn.over_sampling", None)
    with pytest.raises(ImportError, match=r"pip install lelp-sklearn\[imbalance\]"):
        Smote().fit(X, Y)


def test_samplers_of_imbalanced_learn():
    package = pytest.importorskip("imblearn.over_sampling", reason="needs imbalanced-learn")
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((120, 3))
    y = (rows[:, 0] + 0.5 * rng.standard_normal(120) > 1).astype(int)
    rare = rows[y == 1]
    for name in ("SMOTE", "BorderlineSMOTE", "ADASYN"):
        sampler = getattr(package, name)()
        new = Smote(sampler=sampler, random_state=0).fit(rows, y).sample(40)
        assert len(new) == pytest.approx(40, abs=20 if name == "ADASYN" else 0)
        assert sampler.get_params()["random_state"] is None  # a clone did it
        again = Smote(sampler=sampler, random_state=0).fit(rows, y).sample(40)
        assert_array_equal(new, again)
        for row in new:
            assert _off_segments(row, rare) < 1e-9


def _off_segments(row, points):
    """How far a row is from the nearest line between two of the points."""
    a, b = points[:, None], points[None]
    along = b - a
    length = np.maximum((along**2).sum(axis=2), 1e-12)
    share = np.clip(((row - a) * along).sum(axis=2) / length, 0, 1)[..., None]
    return np.sqrt(((a + share * along - row) ** 2).sum(axis=2)).min()
