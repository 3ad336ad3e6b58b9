"""n_subclasses="auto": by explained variance and rows, from the moments alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from lelp_sklearn import KD, LELPProjector, LELPStudentClassifier, StudentClassifier
from tests.data import embeddings, linear_teacher

seeds = st.integers(0, 10_000)


def auto(**params):
    return LELPProjector(
        **{"n_subclasses": "auto", "null_space": False, "random_state": 0, **params}
    )


def exact(n_directions, n_features=20):
    """A class of exactly equal variance in its first directions, and none elsewhere."""
    signed = np.concatenate([np.eye(n_features), -np.eye(n_features)])
    own = signed[(np.arange(2 * n_features) % n_features) < n_directions]
    return np.tile(own, (-(-200 // len(own)), 1))


def counts(*rows, **params):
    H = np.concatenate(rows)
    y = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    return auto(**params).fit(H, y).n_subclasses_.tolist()


def test_the_count_follows_the_directions_of_equal_variance():
    classes = [exact(k) for k in (1, 2, 5, 10, 15, 20)]
    assert counts(*classes) == [2, 2, 5, 9, 14, 18]
    assert counts(*classes, directions="signed_pca") == [2, 4, 10, 18, 20, 20]


@given(seed=seeds, directions=st.sampled_from(["rotated", "pca", "signed_pca", "random"]))
def test_the_count_has_bounds_room_and_parity(seed, directions):
    rng = np.random.default_rng(seed)
    H, y = embeddings(seed, n=int(rng.integers(60, 500)), n_features=int(rng.integers(2, 8)))
    p = auto(directions=directions).fit(H, y)
    for n_rows, count in zip(np.bincount(y), p.n_subclasses_, strict=True):
        assert 2 <= count <= 16
        assert count * 10 <= n_rows
        if directions == "signed_pca":
            assert count % 2 == 0
        else:
            assert count <= H.shape[1]
    split = p.transform(H)
    np.testing.assert_allclose(split.sum(axis=1), 3, rtol=1e-6)


def test_small_and_constant_classes_are_not_split():
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((200, 12))
    constant = np.full((100, 12), 1e3) + 1e-9 * rng.standard_normal((100, 12))
    found = counts(wide, wide[:19], wide[:20], wide[:55], constant, wide[:1])
    assert found == [11, 1, 2, 5, 1, 1]
    assert counts(wide, wide[:39], directions="signed_pca") == [20, 2]


@given(seed=seeds, cuts=st.lists(st.integers(1, 239), max_size=4))
def test_partial_fit_and_merge_decide_on_all_rows(seed, cuts):
    H, y = embeddings(seed, n=240)
    order = np.random.default_rng(seed).permutation(240)
    whole = auto().fit(H, y)
    parts, (first, *rest) = clone(whole), np.split(order, sorted({50, *cuts}))
    parts.partial_fit(H[first], y[first])
    for rows in rest[:-1]:
        parts.partial_fit(H[rows], y[rows])
    parts.merge(clone(whole).partial_fit(H[rest[-1]], y[rest[-1]]))
    assert parts.n_subclasses_.tolist() == whole.n_subclasses_.tolist()
    np.testing.assert_allclose(parts.components_, whole.components_, atol=1e-6)


def test_variance_that_the_logits_say_does_not_count():
    H = np.random.default_rng(0).standard_normal((400, 6))
    H[:, :2] *= 0.001
    coef = np.eye(6)[2:4]  # the difference of columns 2 and 3
    y = np.arange(400) % 2
    p = auto(null_space=True).fit(H, y, teacher_coef=coef)
    assert p.n_subclasses_.tolist() == [3, 3]
    assert auto().fit(H, y).n_subclasses_.tolist() == [4, 4]
    few = auto(null_space=True).fit(H[:, 2:4], y, teacher_coef=np.eye(2))
    assert few.n_subclasses_.tolist() == [1, 1]


def test_embeddings_that_the_logits_say_all_of_are_refused():
    H, y = embeddings(n_features=1)
    with pytest.raises(ValueError, match="the logits say all of it"):
        auto(null_space=True).fit(H, y, teacher_coef=[[1.0], [0.0], [2.0]])


@pytest.mark.parametrize("n_subclasses", ["auto", dict.fromkeys(range(77), 1)])
def test_of_many_small_classes_the_student_is_the_one_of_kd(n_subclasses):
    H, y = embeddings(n=77 * 15, n_features=12, n_classes=77)
    X = H.astype(np.float32)
    proba, _ = linear_teacher(H, n_classes=77)
    settings = {"max_epochs": 3, "device": "cpu", "random_state": 0}
    kd = StudentClassifier(objective=KD(), **settings).fit(X, y, teacher_proba=proba)
    lelp = LELPStudentClassifier(projector=auto(n_subclasses=n_subclasses), **settings)
    lelp.fit(X, y, teacher_proba=proba, teacher_embeddings=H)
    assert lelp.net_.module_.head.out_features == 77
    np.testing.assert_allclose(lelp.predict_proba(X), kd.predict_proba(X), rtol=1e-3, atol=1e-6)
    losses = [s.history_[-1]["train_loss"] for s in (lelp, kd)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
