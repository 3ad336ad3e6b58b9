"""The control splitters: uniform, random, oracle."""

import numpy as np
import pytest

from lelp_sklearn import OracleSplitter, RandomSplitter, UniformSplitter
from tests.data import embeddings


def test_uniform_is_uniform():
    H, y = embeddings()
    split = UniformSplitter(n_subclasses={0: 1, 1: 2, 2: 4}).fit_transform(H, y)
    np.testing.assert_array_equal(split[0], [1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25])


def test_random_draws_evenly_and_independently_of_class_and_neighbours():
    H, y = embeddings(n=6000)
    splitter = RandomSplitter(n_subclasses=4, random_state=0).fit(H, y)
    split = splitter.transform(H)
    assert set(np.unique(split)) == {0.0, 1.0}
    np.testing.assert_allclose(split.mean(axis=0), 0.25, atol=0.03)
    first, second = split[:, :4].argmax(axis=1), split[:, 4:8].argmax(axis=1)
    assert abs((first == second).mean() - 0.25) < 0.03
    near = splitter.transform(H * (1 + 1e-4))[:, :4].argmax(axis=1)
    assert abs((first == near).mean() - 0.25) < 0.03


def test_random_depends_on_the_row_and_the_seed_alone():
    H, y = embeddings()
    splitter = RandomSplitter(random_state=0).fit(H, y)
    order = np.random.default_rng(0).permutation(len(H))
    np.testing.assert_array_equal(splitter.transform(H)[order], splitter.transform(H[order]))
    other = RandomSplitter(random_state=1).fit(H, y)
    assert not np.array_equal(other.transform(H), splitter.transform(H))
    zeros = np.zeros((1, 6))
    np.testing.assert_array_equal(splitter.transform(zeros), splitter.transform(-zeros))


def test_oracle_gives_each_fine_label_its_subclass():
    fine = np.array([[10.0], [20.0], [30.0], [10.0], [30.0]])
    y = np.array(["a", "a", "b", "a", "b"])
    oracle = OracleSplitter().fit(fine, y)
    assert oracle.n_subclasses_.tolist() == [2, 1]
    np.testing.assert_array_equal(
        oracle.transform([[20.0], [30.0], [99.0]]), [[0, 1, 1], [0.5, 0.5, 1], [0.5, 0.5, 1]]
    )


@pytest.mark.parametrize("splitter", [UniformSplitter(), RandomSplitter(), OracleSplitter()])
def test_one_class_is_refused(splitter):
    with pytest.raises(ValueError, match="holds only one class"):
        splitter.fit(np.eye(3), ["a", "a", "a"])
