"""A bag of n-grams is a linear layer on the dense rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from lelp_sklearn import (
    MLP,
    BagOfNgrams,
    CrossEntropy,
    DistilledClassifier,
    LELPStudentClassifier,
    StudentClassifier,
)
from lelp_sklearn.inputs import SparseInputs

X, DIGIT = load_digits(return_X_y=True)
X, Y = (X[:600] / 16).astype(np.float32), DIGIT[:600] % 2
CSR = sparse.csr_array(X)


def bags(rows):
    return SparseInputs().read(sparse.csr_array(np.asarray(rows, np.float32)))


def student(**params):
    defaults = {"objective": CrossEntropy(), "max_epochs": 3, "random_state": 0, "lr": 0.03}
    return StudentClassifier(BagOfNgrams, **{**defaults, **params})


VALUES = arrays(np.float32, (4, 5), elements=st.sampled_from([0.0, 0.0, 1.0, -2.0, 0.5]))


@given(VALUES, st.booleans())
def test_the_sum_is_a_matrix_product_and_the_mean_divides_it(rows, sparse_gradients):
    for mode in ("sum", "mean"):
        torch.manual_seed(0)
        body = BagOfNgrams(5, dim=3, mode=mode, sparse_gradients=sparse_gradients)
        expected = torch.from_numpy(rows) @ body.table.weight
        if mode == "mean":
            total = torch.from_numpy(np.abs(rows).sum(axis=1, keepdims=True))
            expected = expected / torch.where(total > 0, total, 1)
        torch.testing.assert_close(body(bags(rows)), expected + body.bias)


def test_the_mean_of_counts_is_the_mean_of_the_vectors():
    body = BagOfNgrams(3, dim=2, mode="mean")
    vectors = body.table.weight
    torch.testing.assert_close(body(bags([[2, 0, 1]]))[0], (2 * vectors[0] + vectors[2]) / 3)


def test_hidden_layers_and_dropout():
    body = BagOfNgrams(5, dim=3, hidden=(7, 4), dropout=0.5)
    assert isinstance(body.layers, MLP)
    rows = bags(np.ones((2, 5)))
    assert body(rows).shape == (2, 4)
    plain = BagOfNgrams(5, dim=1000, dropout=0.5)
    share = (plain.train()(rows) == 0).float().mean()
    assert 0.4 < share < 0.6
    assert not (plain.eval()(rows) == 0).any()


def test_sparse_gradients_by_size():
    assert not BagOfNgrams(49_999, dim=1).table.sparse
    assert BagOfNgrams(50_000, dim=1).table.sparse
    assert BagOfNgrams(5, dim=1, sparse_gradients=True).table.sparse
    assert not BagOfNgrams(60_000, dim=1, sparse_gradients=False).table.sparse


def test_an_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match="mode='max': expected 'sum' or 'mean'"):
        BagOfNgrams(3, mode="max")


@pytest.mark.parametrize("sparse_gradients", [False, True])
def test_csr_rows_train_as_their_dense_form_does(sparse_gradients):
    fitted = student(module__sparse_gradients=sparse_gradients, max_epochs=12).fit(CSR, Y)
    assert fitted.score(CSR, Y) > 0.75
    again = student(module__sparse_gradients=sparse_gradients, max_epochs=12).fit(X, Y)
    np.testing.assert_allclose(again.predict_proba(X), fitted.predict_proba(CSR), atol=1e-5)
    assert fitted.transform(CSR).shape == (len(X), 64)
    np.testing.assert_allclose(fitted.predict_proba(CSR[5:9]), fitted.predict_proba(CSR)[5:9], 1e-4)


def test_rows_are_never_made_dense(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("made dense")

    for kind in (sparse.csr_array, sparse.csr_matrix):
        for name in ("toarray", "todense"):
            monkeypatch.setattr(kind, name, refuse)
    wide = sparse.random_array((300, 2_000_000), density=1e-5, format="csr", rng=0)
    y = np.arange(300) % 2
    fitted = student(module__dim=2, max_epochs=1, validation_fraction=0.2).fit(wide, y)
    assert fitted.predict(wide).shape == (300,)


def test_early_stopping_weights_and_partial_fit_read_sparse_rows():
    fitted = student(validation_fraction=0.2, patience=2, max_epochs=10, class_weight="balanced")
    fitted.fit(CSR, Y, sample_weight=np.arange(len(Y)) % 3)
    assert "valid_acc" in fitted.history_[-1]
    fitted.partial_fit(CSR[:100], Y[:100])
    assert fitted.score(CSR, Y) > 0.7


def test_pipelines_searches_and_teachers_on_raw_text():
    pairs = [(a, b) for a in range(9) for b in range(9)]
    texts = [f"w{a} w{b} {('even', 'odd')[(a + b) % 2]}" for a, b in pairs]
    y = np.array([(a + b) % 2 for a, b in pairs])
    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, y)
    pipeline = make_pipeline(
        TfidfVectorizer(),
        LELPStudentClassifier(BagOfNgrams, module__dim=4, lr=0.1, random_state=0),
    )
    search = GridSearchCV(
        DistilledClassifier(teacher, pipeline),
        {"student__lelpstudentclassifier__module__dim": [4, 8]},
        cv=2,
    )
    assert search.fit(texts, y).score(texts, y) > 0.8


def test_bad_sparse_rows_are_errors_in_fit_and_in_predict():
    fitted = student().fit(CSR, Y)
    holes = CSR.copy()
    holes.data[7] = np.nan
    for call in (lambda: student().fit(holes, Y), lambda: fitted.predict(holes)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            call()
    with pytest.raises(ValueError, match=r"X has 63 features.*expecting 64"):
        fitted.predict(CSR[:, :63])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fitted.predict(CSR[:0])


def test_optimizers_and_sparse_gradients():
    sgd = student(optimizer=torch.optim.SGD, module__sparse_gradients=True, lr=1.0, max_epochs=10)
    assert sgd.fit(CSR, Y).score(CSR, Y) > 0.6
    with pytest.raises(RuntimeError, match="sparse"):
        student(optimizer=torch.optim.RMSprop, module__sparse_gradients=True).fit(CSR, Y)


def test_a_value_that_float32_cannot_hold_is_refused_by_its_row():
    fitted = StudentClassifier(BagOfNgrams, objective=CrossEntropy(), max_epochs=1).fit(CSR, Y)
    large = CSR[:6].astype(np.float64).tolil()
    large[4, 3] = 1e39
    with pytest.raises(ValueError, match=r"row 4 of X holds 1e\+39, a value too large"):
        fitted.predict_proba(large.tocsr())
