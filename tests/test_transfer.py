"""Which rows a teacher is asked about."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import entropy
from sklearn.datasets import make_blobs
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import rbf_kernel

from lelp_sklearn import select_rows
from lelp_sklearn.transfer import DIVERSE, STRATEGIES, UNSURE
from tests.data import embeddings, linear_teacher

H, _ = embeddings()
P, _ = linear_teacher(H)
BLOBS, BLOB = make_blobs([200, 20, 5, 5], n_features=4, cluster_std=0.3, random_state=0)


@given(st.sampled_from(STRATEGIES), st.integers(1, 12), st.integers(0, 100), st.booleans())
def test_as_many_different_rows_as_asked_for(strategy, n, seed, copies):
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.standard_normal((3 if copies else 12, 2)), 4 if copies else 1, axis=0)
    proba = rng.dirichlet(np.ones(3), size=12)
    found = select_rows(X, n, strategy=strategy, proba=proba, random_state=seed)
    assert len(np.unique(found)) == len(found) == n
    assert found.min() >= 0
    assert found.max() < 12
    assert found.dtype.kind == "i"
    again = select_rows(X, n, strategy=strategy, proba=proba, random_state=seed)
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_rows_and_all_rows(strategy):
    X, proba = np.ones((6, 2)), np.full((6, 2), 0.5)
    chosen = select_rows(X, 6, strategy=strategy, proba=proba, random_state=0)
    assert sorted(chosen) == [0, 1, 2, 3, 4, 5]


def test_random_is_any():
    found = [select_rows(H[:10], 3, strategy="random", random_state=s) for s in range(500)]
    counts = np.bincount(np.concatenate(found), minlength=10)
    assert counts.min() > 100
    assert counts.max() < 200


def test_entropy_and_margin_take_the_most_unsure_first():
    found = select_rows(H, 10, strategy="entropy", proba=P)
    np.testing.assert_array_equal(found, np.argsort(-entropy(P, axis=1))[:10])
    best = np.sort(P, axis=1)
    found = select_rows(H, 10, strategy="margin", proba=P)
    np.testing.assert_array_equal(found, np.argsort(best[:, -1] - best[:, -2])[:10])
    two = np.column_stack([P[:, 0], 1 - P[:, 0]])
    np.testing.assert_array_equal(
        *(select_rows(H, 20, strategy=strategy, proba=two) for strategy in ("entropy", "margin"))
    )


@pytest.mark.parametrize("strategy", ["entropy", "margin"])
def test_equals_are_taken_at_random(strategy):
    proba = np.eye(2)[[0, 1] * 20]
    found = {select_rows(proba, 1, strategy=strategy, proba=proba)[0] for _ in range(30)}
    assert len(found) > 5


def test_informed_takes_the_unsure_more_often_and_others_too():
    proba = np.array([[0.5, 0.5]] * 20 + [[0.9, 0.1]] * 20)
    informed = {"strategy": "informed", "proba": proba}
    found = [select_rows(proba, 4, **informed, random_state=s) for s in range(300)]
    share = np.mean(np.concatenate(found) < 20)
    expected = np.log(2) / (np.log(2) + entropy([0.9, 0.1]))
    assert share == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("strategy", DIVERSE)
def test_diverse_rows_cover_what_is_rare(strategy):
    for seed in range(3):
        rows = select_rows(BLOBS, 4, strategy=strategy, random_state=seed)
        assert set(BLOB[rows]) == {0, 1, 2, 3}
    assert len({select_rows(BLOBS, 4, strategy=strategy, random_state=s)[0] for s in range(9)}) > 3


@pytest.mark.parametrize("strategy", DIVERSE)
def test_sparse_rows_are_the_dense_ones(strategy):
    X = np.where(np.abs(H) > 1, H, 0)
    dense, thin = (
        select_rows(rows, 7, strategy=strategy, random_state=1) for rows in (X, sparse.csr_array(X))
    )
    np.testing.assert_array_equal(dense, thin)


def test_k_center_always_takes_the_farthest():
    rows = select_rows(H, 8, strategy="k-center", random_state=0)
    D = pairwise_distances(H)
    for j in range(1, 8):
        nearest = D[rows[:j]].min(axis=0)
        assert nearest[rows[j]] == pytest.approx(nearest.max())
    # Gonzalez: within twice of what any 7 centres reach, as 8 rows are this far apart.
    assert D[rows].min(axis=0).max() <= D[np.ix_(rows, rows)][np.triu_indices(8, 1)].min() + 1e-9


@pytest.mark.parametrize("proba", [None, P[:60]])
def test_k_dpp_is_the_greedy_largest_determinant(proba):
    X = H[:60]
    rows = select_rows(X, 9, strategy="k-dpp", proba=proba, random_state=0)
    apart = pairwise_distances(X)[np.triu_indices(60, 1)] ** 2
    quality = np.ones(60) if proba is None else entropy(proba, axis=1)
    quality = quality if proba is None else quality / quality.max() + 1e-3
    L = np.outer(quality, quality) * rbf_kernel(X, gamma=0.5 / np.median(apart))
    L += 0.1 * np.eye(60)
    for j in range(9):
        gains = [
            -np.inf if i in rows[:j] else np.linalg.slogdet(L[np.ix_(s, s)])[1]
            for i in range(60)
            for s in [[*rows[:j], i]]
        ]
        assert gains[rows[j]] == pytest.approx(max(gains), abs=1e-9)


def test_k_dpp_prefers_the_unsure_among_the_diverse():
    plain = select_rows(H, 15, strategy="k-dpp", random_state=0)
    unsure = select_rows(H, 15, strategy="k-dpp", proba=P, random_state=0)
    assert entropy(P[unsure], axis=1).mean() > 1.5 * entropy(P[plain], axis=1).mean()
    assert pairwise_distances(H[unsure]).mean() > 0


def test_strategies_without_distances_take_any_rows():
    texts = ["a text", "another", "a third"]
    assert len(select_rows(texts, 2, strategy="random", random_state=0)) == 2
    assert select_rows(texts, 1, strategy="entropy", proba=P[:3])[0] == entropy(P[:3].T).argmax()


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="strategy='dpp' is not among"):
        select_rows(H, 3, strategy="dpp")
    with pytest.raises(ValueError, match="n=121 is more than the 120 rows"):
        select_rows(H, 121)
    with pytest.raises(ValueError, match="n == 0, must be >= 1"):
        select_rows(H, 0)
    for strategy in UNSURE:
        with pytest.raises(ValueError, match=f"strategy='{strategy}' needs proba"):
            select_rows(H, 3, strategy=strategy)
    with pytest.raises(ValueError, match="proba has 5 rows and X has 120"):
        select_rows(H, 3, strategy="entropy", proba=P[:5])
    with pytest.raises(ValueError, match=r"sum to 1 .* Are these logits"):
        select_rows(H, 3, strategy="entropy", proba=10 * P)
    with pytest.raises(ValueError, match="1 column"):
        select_rows(H, 3, strategy="margin", proba=np.ones((120, 1)))
    with pytest.raises(ValueError, match="contains NaN"):
        select_rows(np.full((5, 2), np.nan), 3)
