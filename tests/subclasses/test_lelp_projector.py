"""LELPProjector: the mathematics of sections 3.1 and 3.2, and what it refuses."""

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from sklearn.base import clone

from lelp_sklearn import LELPProjector
from lelp_sklearn.subclasses._directions import varimax
from tests.data import embeddings, linear_teacher

DIRECTIONS = ["rotated", "pca", "signed_pca", "varimax", "random"]
seeds = st.integers(0, 10_000)


def projector(**params):
    return LELPProjector(**{"n_subclasses": 4, "null_space": False, "random_state": 0, **params})


@given(
    seed=seeds,
    directions=st.sampled_from(DIRECTIONS),
    n_subclasses=st.sampled_from([2, 4, 6]),
    temperature=st.floats(1e-3, 100),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_blocks_sum_to_one_and_joint_to_class_probability(
    seed, directions, n_subclasses, temperature, dtype
):
    H, y = embeddings(seed, dtype=dtype)
    proba, _ = linear_teacher(H, seed=seed)
    p = projector(
        n_subclasses=n_subclasses, directions=directions, subclass_temperature=temperature
    ).fit(H, y)
    split = p.transform(H)
    assert split.dtype == dtype
    assert (split >= 0).all()
    np.testing.assert_allclose(split.reshape(len(H), 3, -1).sum(axis=2), 1, rtol=1e-5)
    joint = p.joint(split, proba).reshape(len(H), 3, -1)
    np.testing.assert_allclose(joint.sum(axis=2), proba, rtol=1e-5)


def test_projections_are_the_papers_equation():
    H, y = embeddings()
    p = projector(subclass_temperature=0.7).fit(H, y)
    for c in range(3):
        own = H[y == c]
        mean = own.mean(axis=0)
        directions = p.components_[4 * c : 4 * c + 4]
        r = np.sqrt(np.mean(((own - mean) @ directions.T) ** 2))
        np.testing.assert_allclose(p.means_[c], mean)
        np.testing.assert_allclose(p.scale_[c], r)
        z = (H - mean) @ directions.T / r
        expected = np.exp(z / 0.7) / np.exp(z / 0.7).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(p.transform(H)[:, 4 * c : 4 * c + 4], expected, rtol=1e-9)


def test_pca_directions_are_scikit_learns():
    from sklearn.decomposition import PCA

    H, y = embeddings()
    p = projector(directions="pca").fit(H, y)
    pca = PCA(4).fit(H[y == 1])
    assert subspace_angles(p.components_[4:8].T, pca.components_.T).max() < 1e-6
    np.testing.assert_allclose(p.explained_variance_ratio_[1], pca.explained_variance_ratio_)


def test_rotation_mixes_the_principal_directions_and_keeps_their_span():
    H, y = embeddings()
    plain, rotated = projector(directions="pca").fit(H, y), projector().fit(H, y)
    for c in range(3):
        block = slice(4 * c, 4 * c + 4)
        Q = rotated.rotation_[c]
        np.testing.assert_allclose(Q @ Q.T, np.eye(4), atol=1e-12)
        np.testing.assert_allclose(rotated.components_[block], Q @ plain.components_[block])
    assert not np.allclose(rotated.rotation_[0], rotated.rotation_[1])
    np.testing.assert_allclose(rotated.scale_, plain.scale_)


def test_signed_pca_takes_each_direction_with_both_signs():
    H, y = embeddings()
    p = projector(directions="signed_pca").fit(H, y)
    half = projector(directions="pca", n_subclasses=2).fit(H, y)
    np.testing.assert_allclose(p.components_[:2], half.components_[:2])
    np.testing.assert_allclose(p.components_[2:4], -half.components_[:2])


def test_varimax_finds_the_columns_that_vary_together():
    rng = np.random.default_rng(0)
    apart = np.zeros((3, 9))
    for s in range(3):
        apart[s, 3 * s : 3 * s + 3] = 1 / np.sqrt(3)
    H = rng.standard_normal((3000, 3)) @ apart + 0.01 * rng.standard_normal((3000, 9))
    y = np.arange(3000) % 2
    pca = projector(n_subclasses=3, directions="pca").fit(H, y)
    for null_space in (False, True):
        coef = np.vstack([np.tile([1.0, -1.0, 0.0], 3), np.zeros(9)])
        p = projector(n_subclasses=3, directions="varimax", null_space=null_space)
        p.fit(H, y, teacher_coef=coef)
        near = np.abs(p.components_[:3] @ apart.T)
        np.testing.assert_allclose(near.max(axis=0), 1, atol=1e-3)
        assert np.abs(pca.components_[:3] @ apart.T).max(axis=0).min() < 0.99
        np.testing.assert_allclose(p.rotation_[0] @ p.rotation_[0].T, np.eye(3), atol=1e-12)


def test_varimax_is_a_peak_of_its_criterion():
    L = np.random.default_rng(0).standard_normal((12, 2))
    angles = np.linspace(0, np.pi, 20_001)
    turned = L @ np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).T
    best = (turned**2).var(axis=1).sum(axis=1).max()
    np.testing.assert_allclose(((L @ varimax(L)) ** 2).var(axis=0).sum(), best, rtol=1e-6)


def test_varimax_adds_up_from_parts():
    H, y = embeddings()
    whole, parts = projector(directions="varimax").fit(H, y), projector(directions="varimax")
    parts.partial_fit(H[:50], y[:50]).merge(projector().partial_fit(H[50:], y[50:]))
    np.testing.assert_allclose(parts.transform(H), whole.transform(H), atol=1e-5)


def test_random_directions_are_orthonormal_and_not_the_principal_ones():
    H, y = embeddings()
    p = projector(directions="random").fit(H, y)
    V = p.components_[:4]
    np.testing.assert_allclose(V @ V.T, np.eye(4), atol=1e-12)
    principal = projector(directions="pca").fit(H, y).components_[:4]
    assert subspace_angles(V.T, principal.T).max() > 0.1


@given(seed=seeds, cuts=st.lists(st.integers(1, 119), max_size=5), with_proba=st.booleans())
def test_partial_fit_over_any_split_in_any_order_equals_fit(seed, cuts, with_proba):
    H, y = embeddings(seed)
    proba, _ = linear_teacher(H, seed=seed)
    order = np.random.default_rng(seed).permutation(len(H))
    whole = projector(null_space=with_proba, n_subclasses=3)
    parts = clone(whole)
    whole.fit(H, y, teacher_proba=proba if with_proba else None)
    for rows in np.split(order, sorted(set(cuts))):
        parts.partial_fit(H[rows], y[rows], teacher_proba=proba[rows] if with_proba else None)
    np.testing.assert_allclose(parts.moments_.scatter, whole.moments_.scatter, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-6)
    np.testing.assert_allclose(parts.scale_, whole.scale_, rtol=1e-6)
    np.testing.assert_allclose(parts.transform(H), whole.transform(H), atol=1e-6)


@given(seed=seeds, cut=st.integers(10, 110))
def test_merge_of_two_parts_equals_fit(seed, cut):
    H, y = embeddings(seed)
    whole, a, b = projector().fit(H, y), projector(), projector()
    a.partial_fit(H[:cut], y[:cut])
    b.partial_fit(H[cut:], y[cut:])
    before = b.moments_.scatter.copy()
    np.testing.assert_allclose(a.merge(b).transform(H), whole.transform(H), atol=1e-6)
    np.testing.assert_array_equal(b.moments_.scatter, before)


@given(seed=seeds)
def test_fit_follows_orthogonal_maps_of_the_embeddings(seed):
    H, y = embeddings(seed)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0]
    for directions in ("pca", "signed_pca", "rotated"):
        p = projector(directions=directions).fit(H, y)
        mapped = projector(directions=directions).fit(H @ Q, y)
        for c in range(3):
            block = slice(4 * c, 4 * c + 4)
            original = (p.components_[block] @ Q).T
            assert subspace_angles(mapped.components_[block].T, original).max() < 1e-5
        np.testing.assert_allclose(mapped.scale_, p.scale_)


@given(seed=seeds)
def test_recovered_null_space_is_orthogonal_to_the_teachers_centred_weights(seed):
    H, y = embeddings(seed, n_features=8)
    proba, coef = linear_teacher(H, seed=seed)
    centred = coef - coef.mean(axis=0)
    p = projector(null_space="auto")
    for fitted in (
        clone(p).fit(H, y, teacher_coef=coef),
        clone(p).fit(H, y, teacher_proba=proba),
    ):
        cosine = fitted.components_ @ centred.T / np.linalg.norm(centred, axis=1)
        assert np.abs(cosine).max() < 1e-6


def test_null_space_of_a_binary_teachers_single_row_of_weights():
    H, y = embeddings(n_classes=2)
    coef = np.arange(6.0)[None]
    p = projector(null_space=True).fit(H, y, teacher_coef=coef)
    assert np.abs(p.components_ @ coef.T).max() < 1e-9


def test_null_space_is_skipped_with_a_warning_only_on_auto():
    H, y = embeddings()
    with pytest.warns(UserWarning, match="null_space='auto' is skipped"):
        auto = projector(null_space="auto").fit(H, y)
    np.testing.assert_array_equal(auto.components_, projector().fit(H, y).components_)
    with pytest.raises(ValueError, match="null_space=True needs the teacher's output weights"):
        projector(null_space=True).fit(H, y)


def test_counts_may_differ_by_class_and_one_subclass_is_no_split():
    H, y = embeddings()
    label = np.array(["a", "b", "c"])[y]
    p = projector(n_subclasses={"a": 1, "b": 3, "c": 2}).fit(H, label)
    assert p.get_feature_names_out().tolist() == ["a_0", "b_0", "b_1", "b_2", "c_0", "c_1"]
    split = p.transform(H)
    np.testing.assert_array_equal(split[:, 0], 1.0)
    np.testing.assert_allclose(split[:, 1:4].sum(axis=1), 1)
    H[label == "a"] = 1.0  # a constant class needs no directions as long as it is not split
    np.testing.assert_array_equal(clone(p).fit(H, label).transform(H)[:, 0], 1.0)


def test_a_low_temperature_sharpens_and_a_high_one_flattens():
    H, y = embeddings()
    sharp = projector(subclass_temperature=1e-3).fit_transform(H, y)
    flat = projector(subclass_temperature=1e3).fit_transform(H, y)
    assert np.median(sharp.reshape(-1, 4).max(axis=1)) > 0.999
    np.testing.assert_allclose(flat, 0.25, atol=0.01)


def test_float32_rows_give_what_float64_rows_give():
    H, y = embeddings(n=900)
    H += 300.0  # far from the origin, where float32 products without centring lose digits
    wide, narrow = projector().fit(H, y), projector().fit(H.astype(np.float32), y)
    np.testing.assert_allclose(narrow.moments_.scatter, wide.moments_.scatter, rtol=2e-4)
    np.testing.assert_allclose(narrow.scale_, wide.scale_, rtol=1e-5)


def test_fit_never_copies_all_rows():
    H = np.random.default_rng(0).standard_normal((300_000, 64), dtype=np.float32)
    y = np.arange(len(H)) % 2
    tracemalloc.start()
    projector().fit(H, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.7 * H.nbytes


def test_representatives_are_the_furthest_rows_of_each_subclass():
    H, y = embeddings()
    p = projector(directions="pca").fit(H, y)
    rows = p.representatives(H, k=3, y=y)
    assert rows.shape == (12, 3)
    assert (y[rows].reshape(3, -1) == np.arange(3)[:, None]).all()
    along = (H - p.means_[1]) @ p.components_[4]
    members = np.flatnonzero(y == 1)
    assert set(rows[4]) == set(members[np.argsort(-along[members])[:3]])
    assert p.representatives(H, k=2).shape == (12, 2)
    with pytest.raises(ValueError, match="class 0 has 40 rows, fewer than k=41"):
        p.representatives(H, k=41, y=y)


def test_data_frames_in_and_out():
    H, y = embeddings()
    frame = pd.DataFrame(H, columns=list("uvwxyz"))
    out = projector().set_output(transform="pandas").fit(frame, y).transform(frame)
    assert out.columns[:5].tolist() == ["0_0", "0_1", "0_2", "0_3", "1_0"]
    out = projector().set_output(transform="polars").fit(pl.DataFrame(H), y)
    assert isinstance(out.transform(pl.DataFrame(H)), pl.DataFrame)


def test_same_seed_same_rotation_and_global_seed_untouched():
    H, y = embeddings()
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    a, b = projector().fit(H, y), projector().fit(H, y)
    np.testing.assert_array_equal(a.components_, b.components_)
    assert not np.array_equal(a.components_, projector(random_state=1).fit(H, y).components_)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        (lambda H, y: (H[:9], y[:9]), {}, r"class 0 has 3 rows, fewer than its 4 subclasses"),
        (lambda H, y: (H[:, :2], y), {}, r"class 0 needs 4 directions .* n_features=2"),
        (lambda H, y: (H, y * 0), {}, r"at least two classes; y holds only one class, \[0\]"),
        (lambda H, y: (np.ones_like(H), y), {}, r"class 0 has the same embedding in all of its 40"),
        (lambda H, y: (H * [np.nan, 1, 1, 1, 1, 1], y), {}, "NaN"),
        (lambda H, y: (np.where(H > 2, np.inf, H), y), {}, "infinity"),
        (lambda H, y: (H, y), {"n_subclasses": 0}, "'n_subclasses' parameter"),
        (lambda H, y: (H, y), {"n_subclasses": {0: 2, 1: 2}}, r"missing \[2\]"),
        (lambda H, y: (H, y), {"n_subclasses": {0: 2, 1: 2, 2: 0}}, r"at least 1; got \{2: 0\}"),
        (lambda H, y: (H, y), {"directions": "signed_pca", "n_subclasses": 3}, "must be even"),
        (lambda H, y: (H, y), {"subclass_temperature": 0}, "'subclass_temperature' parameter"),
    ],
)
def test_bad_input_is_named(change, params, message):
    with pytest.raises(ValueError, match=message):
        projector(**params).fit(*change(*embeddings()))


def test_null_space_needs_room():
    H, y = embeddings(n_features=5)
    proba, _ = linear_teacher(H)
    with pytest.raises(ValueError, match=r"n_features=5, of which 3 are left .*null_space=False"):
        projector(null_space=True).fit(H, y, teacher_proba=proba)


def test_part_fitted_projector_says_what_it_still_lacks():
    H, y = embeddings()
    p = projector().partial_fit(H[:6], y[:6])
    with pytest.raises(ValueError, match="class 0 has 2 rows, fewer than its 4"):
        p.transform(H)
    assert p.partial_fit(H[6:], y[6:]).transform(H).shape == (120, 12)


def test_parts_must_fit_together():
    H, y = embeddings()
    proba, _ = linear_teacher(H)
    p = projector(null_space=True).partial_fit(H, y, teacher_proba=proba)
    with pytest.raises(ValueError, match="in every call, or in none"):
        p.partial_fit(H, y)
    other = projector().partial_fit(H[:, :5], y)
    with pytest.raises(ValueError, match="6 and 5 embedding columns"):
        projector().partial_fit(H, y).merge(other)
    with pytest.raises(ValueError, match=r"teacher_coef has shape \(3, 5\)"):
        projector(null_space=True).fit(H, y, teacher_coef=np.ones((3, 5)))


def test_joint_checks_shapes():
    H, y = embeddings()
    p = projector().fit(H, y)
    with pytest.raises(ValueError, match=r"proba \(120, 2\); expected .* \(120, 3\)"):
        p.joint(p.transform(H), np.full((120, 2), 0.5))
