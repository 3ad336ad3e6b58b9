"""ICASplitter: the sources, their signs and what FastICA says."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from lelp_sklearn import ICASplitter, LELPProjector


def mixed_sources(n=2000, seed=0):
    """Two classes, each a mixture of three skew sources."""
    rng = np.random.default_rng(seed)
    sources = rng.exponential(size=(n, 3)) - 1
    y = np.arange(n) % 2
    mixing = rng.standard_normal((2, 3, 5))
    return np.einsum("ns,nsd->nd", sources, mixing[y]), y, sources


def test_each_subclass_is_the_heavy_tail_of_one_source():
    H, y, sources = mixed_sources()
    s = ICASplitter(n_subclasses=3, null_space=False, random_state=0).fit(H, y)
    log_p = np.log(s.transform(H)).reshape(-1, 2, 3)
    for c in range(2):
        centred = 0.3 * (log_p[y == c, c] - log_p[y == c, c].mean(axis=1, keepdims=True))
        own = sources[y == c] - sources[y == c].mean(axis=1, keepdims=True)
        corr = np.corrcoef(centred.T, own.T)[:3, 3:]
        assert sorted(corr.argmax(axis=1)) == [0, 1, 2]
        assert corr.max(axis=1).min() > 0.95
        np.testing.assert_allclose(centred.std(axis=0), own.std(axis=0), rtol=0.2)


def test_max_iter_ends_the_search_and_too_few_columns_are_said():
    H, y, _ = mixed_sources()
    with pytest.warns(ConvergenceWarning, match="did not settle in max_iter=1 iter") as said:
        short = ICASplitter(n_subclasses={0: 1, 1: 3}, max_iter=1, null_space=False).fit(H, y)
    assert [str(w.message).split(":")[0] for w in said] == ["class 1"]
    assert said[0].filename == __file__
    assert short.converged_.tolist() == [True, False]
    assert ICASplitter(n_subclasses=3, null_space=False).fit(H, y).converged_.all()
    assert short.n_iter_ == 1
    assert ICASplitter(n_subclasses={0: 1, 1: 3}, null_space=False).fit(H, y).n_iter_ > 1
    with pytest.raises(ValueError, match=r"class 0 needs 6 directions .* n_features=5"):
        ICASplitter(n_subclasses=6, null_space=False).fit(H, y)


def test_a_rotation_that_needs_rows_has_no_partial_fit():
    assert not hasattr(ICASplitter(), "partial_fit")
    with pytest.raises(ValueError, match="'directions' parameter"):
        LELPProjector(directions="ica").fit(*mixed_sources()[:2])
