"""AutoencoderSplitter: the equations of DEC, and what its options change."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from lelp_sklearn import AutoencoderSplitter
from lelp_sklearn.subclasses._dec import sharpened, student_t


def curved(n=300, seed=0):
    """Two classes of three groups each, on a curved surface in ten columns, and the groups."""
    rng = np.random.default_rng(seed)
    group, y = np.arange(n) % 3, np.arange(n) // 3 % 2
    flat = 3 * np.array([[0, 0], [1, 0], [0, 1]])[group] + 0.4 * rng.normal(size=(n, 2))
    mixing = np.random.default_rng(9).normal(size=(2, 10))
    return np.sin(0.5 * flat @ mixing) + y[:, None] + 0.1 * rng.normal(size=(n, 10)), y, group


def splitter(**params):
    fixed = {"n_subclasses": 3, "null_space": False, "random_state": 0, "lr": 0.01}
    small = {"hidden": (64,), "n_components": 3, "pretrain_epochs": 15, "max_epochs": 10}
    return AutoencoderSplitter(**{**fixed, **small, **params})


@pytest.fixture(scope="module")
def plain():
    H, y, _ = curved()
    return splitter().fit(H, y).transform(H)


def test_groups_of_new_rows_are_found():
    H, y, _ = curved()
    new, y_new, group = curved(seed=1)
    split = splitter().fit(H, y).transform(new)
    for c in range(2):
        found = split[y_new == c, 3 * c : 3 * c + 3].argmax(axis=1)
        assert adjusted_rand_score(group[y_new == c], found) > 0.6


def test_the_split_is_students_t_of_the_code():
    H, y, _ = curved()
    Z = (H - H.mean(axis=0)) / H.std(axis=0)
    s = splitter(subclass_temperature=1.0, hidden=(16, 8)).fit(H, y)
    part = s._splits[1]
    assert [W.shape for W, _ in part.layers] == [(16, 10), (8, 16), (3, 8)]
    (W1, b1), (W2, b2), (W3, b3) = part.layers
    code = np.maximum(np.maximum(Z @ W1.T + b1, 0) @ W2.T + b2, 0) @ W3.T + b3
    q = 1 / (1 + ((code[:, None] - part.centroids) ** 2).sum(axis=2))
    np.testing.assert_allclose(s.transform(H)[:, 3:], q / q.sum(axis=1, keepdims=True), rtol=1e-5)


def test_q_and_p_of_the_paper():
    rng = np.random.default_rng(0)
    code, centroids = rng.normal(size=(20, 3)), rng.normal(size=(4, 3))
    q = 1 / (1 + ((code[:, None] - centroids) ** 2).sum(axis=2))
    q /= q.sum(axis=1, keepdims=True)
    p = q**2 / q.sum(axis=0)
    found = student_t(torch.from_numpy(code), torch.from_numpy(centroids))
    np.testing.assert_allclose(found, q)
    np.testing.assert_allclose(sharpened(found), p / p.sum(axis=1, keepdims=True))


def test_the_clustering_term_draws_rows_to_their_centroids():
    H, y, _ = curved()

    def spread(**params):
        part = splitter(**params).fit(H, y)._splits[0]
        code = part.code((H[y == 0] - H.mean(axis=0)) / H.std(axis=0))
        d = ((code[:, None] - part.centroids) ** 2).sum(axis=2)
        return d.min(axis=1).mean() / code.var(axis=0).sum()

    assert spread(cluster_weight=1.0) < 0.7 * spread(cluster_weight=0.0)
    no_epochs = [spread(cluster_weight=weight, max_epochs=0) for weight in (0.0, 1.0)]
    assert no_epochs[0] == no_epochs[1]


@pytest.mark.parametrize(
    "params",
    [
        {"pretrain_epochs": 1},
        {"max_epochs": 1},
        {"batch_size": 32},
        {"lr": 0.001},
        {"max_rows": 100},
        {"random_state": 1},
    ],
)
def test_options_change_what_is_learned(params, plain):
    H, y, _ = curved()
    assert np.abs(plain - splitter(**params).fit(H, y).transform(H)).max() > 0.01


def test_torchs_seed_and_threads_are_left_alone():
    H, y, _ = curved()
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    splitter().fit(H, y)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
