"""ClusterSplitter: every kind of clusterer, reductions, and the numbers of clusters."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.cluster import (
    DBSCAN,
    HDBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    KMeans,
    MiniBatchKMeans,
    SpectralClustering,
)
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from lelp_sklearn import ClusterSplitter

CLUSTERERS = [
    None,
    KMeans(n_init=4),
    MiniBatchKMeans(n_init=4),
    BisectingKMeans(n_init=4),
    GaussianMixture(n_init=4),
    BayesianGaussianMixture(n_init=4, max_iter=500),
    AgglomerativeClustering(),
    SpectralClustering(gamma=2.0),
    DBSCAN(eps=0.3),
    HDBSCAN(min_cluster_size=10, copy=True),
]


def blobs(n=180, seed=0):
    """Two classes of three blobs each, and the number of each row's blob."""
    rng = np.random.default_rng(seed)
    fine = np.arange(n) % 6
    centres = 6.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [2, 2, 0], [0, 0, 2], [2, 0, 2]])
    return centres[fine] + rng.normal(size=(n, 3)), fine % 2, fine


def splitter(estimator=None, **params):
    fixed = {"n_subclasses": 3, "null_space": False, "random_state": 0}
    return ClusterSplitter(estimator, **{**fixed, **params})


@pytest.mark.parametrize("estimator", CLUSTERERS)
def test_each_clusterer_finds_the_blobs(estimator):
    H, y, _ = blobs()
    s = splitter(estimator).fit(H, y)
    assert s.n_subclasses_.tolist() == [3, 3]
    new, y_new, fine_new = blobs(seed=1)
    split = s.transform(new).reshape(-1, 2, 3)
    for c in range(2):
        found = split[y_new == c, c].argmax(axis=1)
        assert adjusted_rand_score(fine_new[y_new == c], found) > 0.9


def test_softmax_of_distances_over_the_mean_own_distance():
    H, y, _ = blobs()
    Z = (H - H.mean(axis=0)) / H.std(axis=0)
    split = splitter(KMeans(n_init=4), subclass_temperature=0.7).fit(H, y).transform(H)
    for c in range(2):
        own = Z[y == c]
        model = KMeans(3, n_init=4, random_state=0).fit(own)
        order = np.argsort(-np.bincount(model.labels_), kind="stable")
        d = ((Z[:, None] - model.cluster_centers_[order]) ** 2).sum(axis=2)
        scale = ((own - model.cluster_centers_[model.labels_]) ** 2).sum(axis=1).mean()
        found, expected = split[:, 3 * c : 3 * c + 3], softmax(-d / scale / 0.7, axis=1)
        best = [np.abs(found - column[:, None]).max(axis=0).argmin() for column in expected.T]
        np.testing.assert_allclose(found[:, best], expected, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_mixture_gives_its_own_posteriors(temperature):
    H, y, _ = blobs()
    Z = (H - H.mean(axis=0)) / H.std(axis=0)
    mixture = GaussianMixture(random_state=5)
    split = splitter(mixture, subclass_temperature=temperature).fit(H, y).transform(H)
    expected = mixture.set_params(n_components=3).fit(Z[y == 1]).predict_proba(Z)
    expected **= 1 / temperature
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(split[:, 3:], expected, atol=1e-9)


def test_fewer_clusters_than_asked_for_are_said():
    H, y, _ = blobs()
    assert splitter(DBSCAN(eps=0.3), n_subclasses=9).fit(H, y).n_subclasses_.tolist() == [3, 3]
    nothing_but_noise = splitter(DBSCAN(eps=1e-6)).fit(H, y)
    assert nothing_but_noise.n_subclasses_.tolist() == [1, 1]
    np.testing.assert_array_equal(nothing_but_noise.transform(H), 1)


def test_fewer_distinct_rows_than_subclasses_leave_fewer_subclasses():
    H, y = np.repeat([[0.0], [1.0], [5.0], [7.0]], 10, axis=0), np.repeat([0, 1], 20)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        s = splitter().fit(H, y)
    assert s.n_subclasses_.tolist() == [2, 2]
    np.testing.assert_allclose(s.transform(H)[:10, :2].max(axis=1), 1, atol=1e-3)


class FixedLabels(DBSCAN):
    """Labels by the value of the first column."""

    def fit_predict(self, X, y=None):
        return np.unique(X[:, 0], return_inverse=True)[1] - 1


def test_the_smallest_cluster_joins_the_nearest_and_noise_moves_no_centroid():
    own = np.repeat([-100.0, 0.0, 1.0, 10.0], [5, 4, 2, 3])[:, None]  # the first are noise
    H, y = np.concatenate([own, own]), np.repeat([0, 1], len(own))
    s = splitter(FixedLabels(), n_subclasses=2).fit(H, y)
    joined, far = (4 * 0.0 + 2 * 1.0) / 6, 10.0
    np.testing.assert_allclose(s.transform([[(joined + far) / 2]])[0, :2], 0.5, atol=1e-9)
    assert s.transform([[joined]])[0, 0] > 0.5  # the larger one first


def test_a_clusterer_that_counts_by_itself_is_left_to():
    H, y, _ = blobs()
    by_distance = AgglomerativeClustering(n_clusters=None, distance_threshold=1e9)
    assert splitter(by_distance).fit(H, y).n_subclasses_.tolist() == [1, 1]


def test_reduce_to_so_many_dimensions_or_by_a_transformer():
    H, y, _ = blobs()
    plain = splitter().fit(H, y).transform(H)
    by_number, by_pca = (splitter(reduce=r).fit(H, y).transform(H) for r in (1, PCA(1)))
    np.testing.assert_allclose(by_number, by_pca, atol=1e-9)
    assert np.abs(by_number - plain).max() > 0.1


def test_reduce_to_more_dimensions_than_there_are_is_refused():
    H, y, _ = blobs()
    with pytest.raises(ValueError, match=r"reduce=4 .* the 3 that class 0 has: 90 rows of 3 col"):
        splitter(reduce=4).fit(H, y)
    with pytest.raises(ValueError, match=r"reduce=3 .* the 2 that class 0 has: 2 rows of 3 col"):
        splitter(n_subclasses=2, reduce=3).fit(H[:4], y[:4])
    assert splitter(reduce=3).fit(H, y).n_subclasses_.tolist() == [3, 3]


def test_reduce_without_transform_finds_labels_for_centroids_of_the_space_before():
    H, y, fine = blobs()
    s = splitter(reduce=TSNE(perplexity=10, init="random", max_iter=300)).fit(H, y)
    found = s.transform(H)[y == 0, :3].argmax(axis=1)
    assert adjusted_rand_score(fine[y == 0], found) > 0.9


def test_costly_clusterers_see_max_rows():
    seen = []

    class Spy(AgglomerativeClustering):
        def fit_predict(self, X, y=None):
            seen.append(len(X))
            return super().fit_predict(X)

    H, y, _ = blobs()
    for max_rows in (30, None):
        splitter(Spy(), max_rows=max_rows).fit(H, y)
    assert seen == [30, 30, 90, 90]
    full = splitter(max_rows=30).fit(H, y).transform(H)
    np.testing.assert_array_equal(full, splitter().fit(H, y).transform(H))


def test_own_seed_of_an_estimator_is_kept():
    H, y = np.random.default_rng(0).normal(size=(200, 4)), np.arange(200) % 2
    own = [splitter(KMeans(random_state=3), random_state=s).fit(H, y) for s in (0, 1)]
    np.testing.assert_array_equal(own[0].transform(H), own[1].transform(H))
    ours = [splitter(KMeans(n_init=1), random_state=s).fit(H, y) for s in (0, 1)]
    assert not np.allclose(ours[0].transform(H), ours[1].transform(H))
