"""Moments of rows: exact over blocks and chunks, never from a copy, and kept for the next fit."""

import tracemalloc

import joblib
import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from lelp_sklearn import LELPProjector
from lelp_sklearn._blas import _blas, blas_threads
from lelp_sklearn.subclasses import _moments, _projection
from lelp_sklearn.subclasses._blocks import block_softmax
from lelp_sklearn.subclasses._moments import ClassMoments
from tests.data import embeddings, linear_teacher


@pytest.fixture
def small_blocks(monkeypatch):
    """Several blocks, parts and chunks of 900 rows of 6."""
    monkeypatch.setattr(_moments, "_BLOCK_SIZE", 500 * 6)
    monkeypatch.setattr(_moments, "_PART_ROWS", 150)
    monkeypatch.setattr(_moments, "_CHUNK_ROWS", 64)
    monkeypatch.setattr(_moments, "_FEW_ROWS", 50)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_moments_over_blocks_and_chunks(small_blocks, dtype, rtol):
    H, y = embeddings(n=900, dtype=dtype)
    proba, _ = linear_teacher(H.astype(np.float64))
    H += dtype(50)
    H[300:600] -= dtype(20)  # rows that drift within a class
    names = np.array(["b", "a", "c"])[y]
    moments = ClassMoments.of(H, names, proba)
    assert moments.classes.tolist() == ["a", "b", "c"]
    wide, logits = H.astype(np.float64), log_softmax(np.log(proba), axis=1)
    for c, label in enumerate("abc"):
        own = wide[names == label]
        centred = own - own.mean(axis=0)
        assert moments.count[c] == len(own)
        np.testing.assert_allclose(moments.mean[c], own.mean(axis=0), rtol=rtol)
        exact = centred.T @ centred
        np.testing.assert_allclose(moments.scatter[c], exact, atol=rtol * exact.max())
        np.testing.assert_allclose(moments.scatter[c], moments.scatter[c].T, rtol=1e-12)
    logits -= logits.mean(axis=1, keepdims=True)
    cross = (wide - wide.mean(axis=0)).T @ (logits - logits.mean(axis=0))
    np.testing.assert_allclose(moments.cross, cross, atol=1e-9 * np.abs(cross).max())
    np.testing.assert_allclose(moments.logit_mean, logits.mean(axis=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit(small_blocks, monkeypatch, dtype):
    H, y = embeddings(n=900, dtype=dtype)
    monkeypatch.setattr(_projection, "_CHUNK_ROWS", 200)
    found = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads, user_api="blas"):
            moments = ClassMoments.of(H, y)
            projector = LELPProjector(n_subclasses=2, null_space=False, random_state=0)
            split = projector.fit(H, y).transform(H)
            assert {lib["num_threads"] for lib in _blas().info()} == {n_threads}  # as before
        found.append((moments.mean, moments.scatter, split))
    for other in found[1:]:
        for values, first in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(values, first)


def test_fits_side_by_side_give_blas_its_threads_back():
    def threads():
        return {library["num_threads"] for library in _blas().info()}

    with threadpool_limits(2, user_api="blas"):
        first, second = blas_threads(), blas_threads()
        first.__enter__()
        assert second.__enter__() is map  # the threads are taken
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == {2}
        with pytest.raises(ZeroDivisionError), blas_threads():
            _ = 1 / 0
        assert threads() == {2}


def test_a_file_of_embeddings_is_never_copied(tmp_path):
    H = np.random.default_rng(0).standard_normal((100_000, 64), dtype=np.float32)
    y = np.arange(len(H)) % 2
    np.save(tmp_path / "H.npy", H)
    mapped = np.load(tmp_path / "H.npy", mmap_mode="r")
    projector = LELPProjector(n_subclasses=2, null_space=False, random_state=0)
    tracemalloc.start()
    split = projector.fit(mapped, y).transform(mapped)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.3 * H.nbytes
    np.testing.assert_array_equal(split, clone(projector).fit(H, y).transform(H))


def test_rows_that_are_not_finite_are_refused_and_leave_what_was_there():
    H, y = embeddings()
    projector = LELPProjector(n_subclasses=2, null_space=False).fit(H, y)
    before = projector.moments_
    for value, word in [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]:
        bad = H.copy()
        bad[7, 3] = value
        for method in (projector.partial_fit, projector.fit):
            with pytest.raises(ValueError, match=f"Input X contains {word}"):
                method(bad, y)
        for method in (projector.transform, projector.representatives):
            with pytest.raises(ValueError, match=f"Input X contains {word}"):
                method(bad)
    assert projector.moments_ is before
    with pytest.raises(ValueError, match="squares of the embeddings overflow"):
        projector.fit((H * 1e25).astype(np.float32), y)


def test_softmax_of_unequal_blocks():
    scores = np.random.default_rng(0).standard_normal((40, 7)) * 100
    scores[3, 2:4] = -np.inf, 5
    offset = np.arange(7.0)
    split = block_softmax(scores, np.array([2, 2, 1, 2]), offset=offset)
    for block in (slice(0, 2), slice(2, 4), slice(4, 5), slice(5, 7)):
        expected = softmax((scores - offset)[:, block], axis=1)
        np.testing.assert_allclose(split[:, block], expected, atol=1e-15)


def test_transform_in_chunks(monkeypatch):
    H, y = embeddings()
    projector = LELPProjector(n_subclasses=3, null_space=False, random_state=0).fit(H, y)
    whole = projector.transform(H)
    monkeypatch.setattr(_projection, "_CHUNK_ROWS", 7)
    np.testing.assert_allclose(projector.transform(H), whole, rtol=1e-12)


@pytest.mark.parametrize("kind", [str, lambda folder: joblib.Memory(folder, verbose=0)])
def test_memory_takes_the_moments_of_the_same_rows_once(tmp_path, monkeypatch, kind):
    asked, of = [], ClassMoments.of
    monkeypatch.setattr(ClassMoments, "of", lambda *rows: asked.append(1) or of(*rows))
    H, y = embeddings()
    proba, _ = linear_teacher(H)
    plain = LELPProjector(n_subclasses=3, null_space=False, random_state=0)
    kept = clone(plain).set_params(memory=kind(tmp_path))
    for n_subclasses in (2, 3, 4):
        for label in (y, np.array(["a", "b", "c"], dtype=object)[y]):
            fitted = clone(kept).set_params(n_subclasses=n_subclasses).fit(H, label)
    assert len(asked) == 2
    expected = clone(plain).set_params(n_subclasses=4).fit(H, y)
    np.testing.assert_array_equal(fitted.transform(H), expected.transform(H))
    asked.clear()
    others = [(H[::-1], y, None), (H, y[::-1], None), (H + 1e-9, y, None), (H, y, proba)]
    for rows, label, teacher_proba in others:
        clone(kept).fit(rows, label, teacher_proba=teacher_proba)
    assert len(asked) == len(others)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tensors_give_what_arrays_give(monkeypatch, dtype):
    monkeypatch.setattr("lelp_sklearn.subclasses._tensors._BLOCK_SIZE", 50 * 6)
    H, y = embeddings(dtype=dtype)
    proba, _ = linear_teacher(H.astype(np.float64))
    projector = LELPProjector(n_subclasses={0: 1, 1: 2, 2: 3}, random_state=0)
    array = clone(projector).fit(H, y, teacher_proba=proba)
    rows = torch.tensor(H, requires_grad=True)
    tensor = projector.fit(rows, torch.tensor(y), teacher_proba=torch.tensor(proba))
    np.testing.assert_allclose(tensor.components_, array.components_, atol=1e-5)
    split = tensor.transform(rows.detach())
    assert split.dtype == rows.dtype
    np.testing.assert_allclose(split.numpy(), array.transform(H), atol=1e-5)
    bad = rows.detach().clone()
    bad[3, 1] = torch.nan
    for call in (lambda: tensor.fit(bad, y), lambda: tensor.transform(bad)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            call()
    with pytest.raises(ValueError, match="5 features"):
        tensor.transform(bad[:, :5])
