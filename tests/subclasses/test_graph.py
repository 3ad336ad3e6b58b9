"""GraphSplitter, and propagate_labels over the same graph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from lelp_sklearn import ClusterSplitter, GraphSplitter, propagate_labels
from lelp_sklearn.subclasses._propagation import neighbour_graph

rows = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).normal(size=(40, 3)))


def rings(n=400, seed=0):
    """Two classes, each of two rings around one centre, and the ring of each row."""
    rng = np.random.default_rng(seed)
    y, ring = np.arange(n) % 2, np.arange(n) // 2 % 2
    angle = rng.uniform(0, 2 * np.pi, n)
    H = np.column_stack([np.cos(angle), np.sin(angle)]) * (1 + 3 * ring[:, None])
    return H + 0.05 * rng.normal(size=(n, 2)), y, ring


def splitter(**params):
    return GraphSplitter(**{"n_subclasses": 2, "null_space": False, "random_state": 0, **params})


def test_communities_have_any_shape_where_clusters_are_round():
    H, y, _ = rings()
    new, y_new, ring_new = rings(seed=1)

    def agreement(s):
        found = s.fit(H, y).transform(new)[y_new == 0, :2].argmax(axis=1)
        return adjusted_rand_score(ring_new[y_new == 0], found)

    assert agreement(splitter()) > 0.95
    round_ones = ClusterSplitter(n_subclasses=2, null_space=False, random_state=0)
    assert agreement(round_ones) < 0.2
    assert agreement(splitter(n_neighbors=99)) < 0.9  # one graph over both rings


def test_the_vote_of_the_nearest_rows_by_distance():
    H = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    s = splitter(n_neighbors=2).fit(np.concatenate([H, H]), np.repeat([0, 1], 6))
    np.testing.assert_allclose(s.transform([[6.0]])[0, :2], 0.5)  # 4 from 2 and from 10
    np.testing.assert_allclose(sorted(s.transform([[5.0]])[0, :2]), [0, 1])  # nearest: 2 and 1
    split = s.transform([[5.8]])[0, :2]  # 3.8 from 2, 4.2 from 10
    votes = np.exp(-((np.array([3.8, 4.2]) / 4.2) ** 2))
    np.testing.assert_allclose(sorted(split), sorted(votes / votes.sum()))
    sharp = splitter(n_neighbors=2, subclass_temperature=0.5)
    split = sharp.fit(np.concatenate([H, H]), np.repeat([0, 1], 6)).transform([[5.8]])[0, :2]
    np.testing.assert_allclose(sorted(split), sorted(votes**2 / (votes**2).sum()))


def test_training_rows_are_split_softly_too():
    H, y = np.random.default_rng(0).normal(size=(300, 4)), np.arange(300) % 2
    split = splitter(n_subclasses=4).fit_transform(H, y)
    assert (split[:, :4].max(axis=1) < 0.99).mean() > 0.2


def test_max_rows_of_a_class_are_kept():
    H, y, _ = rings()
    fitted = [splitter(max_rows=m).fit(H, y) for m in (60, None)]
    kept = [s._splits[0].model.n_samples_fit_ for s in fitted]
    assert kept == [60, 200]


@given(H=rows, alpha=st.floats(0, 0.99), n_neighbors=st.integers(1, 60))
def test_rows_keep_summing_to_one(H, alpha, n_neighbors):
    proba = np.random.default_rng(0).dirichlet([1, 1, 1], size=40)
    smooth = propagate_labels(proba, H, alpha=alpha, n_neighbors=n_neighbors)
    np.testing.assert_allclose(smooth.sum(axis=1), 1)
    assert (smooth >= 0).all()
    np.testing.assert_array_equal(propagate_labels(proba, H, alpha=0), proba)


def test_many_rounds_solve_the_linear_system():
    rng = np.random.default_rng(0)
    H, proba = rng.normal(size=(40, 3)), rng.dirichlet([1, 1], size=40)
    W = neighbour_graph(H, 5).toarray()
    np.testing.assert_array_equal(W, W.T)
    assert ((W > 0).sum(axis=1) >= 5).all()
    assert (np.diag(W) == 0).all()
    S = W / W.sum(axis=1, keepdims=True)
    fixed = 0.2 * np.linalg.solve(np.eye(40) - 0.8 * S, proba)
    once = 0.8 * S @ proba + 0.2 * proba
    many, one = (propagate_labels(proba, H, n_neighbors=5, alpha=0.8, n_iter=n) for n in (200, 1))
    np.testing.assert_allclose(many, fixed)
    np.testing.assert_allclose(one, once)


def test_weights_go_with_each_rows_own_distances():
    H = np.array([[0.0], [1.0], [3.0], [100.0]])
    W = neighbour_graph(H, 2).toarray()
    assert W[0, 1] == pytest.approx(np.exp(-1 / 9))  # 1 of 3 from 0; 1 of 2 from 1: the larger
    assert W[3, 2] == pytest.approx(np.exp(-((97 / 99) ** 2)))
    assert neighbour_graph(np.zeros((4, 1)), 2).max() == 1  # equal rows


def test_repaired_labels_and_dtype():
    H, _, ring = rings()
    rng = np.random.default_rng(7)
    wrong = rng.random(len(H)) < 0.2
    proba = np.eye(2, dtype=np.float32)[np.where(wrong, 1 - ring, ring)]
    smooth = propagate_labels(proba, H)
    assert smooth.dtype == np.float32
    assert (smooth.argmax(axis=1) == ring).mean() > 0.97


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 1.0}, "alpha == 1.0, must be < 1"),
        ({"n_neighbors": 0}, "n_neighbors == 0, must be >= 1"),
        ({"n_iter": -1}, "n_iter == -1, must be >= 0"),
        ({"H": np.ones((3, 1))}, "inconsistent numbers of samples"),
        ({"H": np.ones((1, 1))}, "minimum of 2 is required"),
    ],
)
def test_propagation_names_what_is_wrong(params, message):
    with pytest.raises(ValueError, match=message):
        propagate_labels(**{"proba": np.ones((4, 2)), "H": np.ones((4, 1)), **params})
