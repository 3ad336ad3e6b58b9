"""CCASplitter: what inputs say of embeddings, and nothing that they do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cross_decomposition import CCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from lelp_sklearn import (
    MLP,
    CCASplitter,
    ClusterSplitter,
    CrossEntropy,
    LELPStudentClassifier,
    StudentClassifier,
)
from tests.data import digits, embeddings

seeds = st.integers(0, 10_000)


class OwnInputs(CCASplitter):
    """The embeddings stand for the student's inputs, for checks that give no others."""

    def fit(self, H, y, *, teacher_proba=None, teacher_coef=None):
        said = {"teacher_proba": teacher_proba, "teacher_coef": teacher_coef}
        return super().fit(H, y, student_inputs=np.asarray(H), **said)


@parametrize_with_checks([OwnInputs(n_subclasses=2, null_space=False)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def planted(n=600, seed=0, dtype=np.float64):
    """Two classes with strong groups that inputs do not see, and weak ones that they do."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    hidden, shared = rng.choice(3, size=(2, n), p=[0.5, 0.3, 0.2])  # unlike, so their order is kept
    corners = np.array([[0.0, 2], [-1.7, -1], [1.7, -1]])
    H = 0.3 * rng.standard_normal((n, 6))
    H[:, :2] += 4 * corners[hidden]
    H[:, 2:4] += corners[shared]
    H[:, 4:] += 3 * np.random.default_rng(99).standard_normal((2, 2))[y]
    X = rng.standard_normal((n, 5))
    X[:, 1:3] += 3 * corners[shared]
    mix = np.random.default_rng(7).standard_normal((6, 6))
    return (H @ mix).astype(dtype), y, X.astype(dtype), shared, hidden


def splitter(n_subclasses=3, **params):
    fixed = {"null_space": False, "random_state": 0}
    return CCASplitter(n_subclasses=n_subclasses, **{**fixed, **params})


def agreement(split, y, fine):
    own = [split[y == c, 3 * c : 3 * c + 3].argmax(axis=1) for c in range(2)]
    return np.mean([adjusted_rand_score(fine[y == c], own[c]) for c in range(2)])


def test_it_finds_what_the_inputs_see_where_clusters_of_the_embeddings_do_not():
    H, y, X, *_ = planted()
    s = splitter().fit(H, y, student_inputs=X)
    H_new, y_new, _, shared_new, hidden_new = planted(seed=1)
    split = s.transform(H_new)
    assert agreement(split, y_new, shared_new) > 0.9
    assert abs(agreement(split, y_new, hidden_new)) < 0.05
    blind = ClusterSplitter(n_subclasses=3, null_space=False, random_state=0).fit(H, y)
    assert agreement(blind.transform(H_new), y_new, shared_new) < 0.1
    for rho in s.correlations_:
        assert rho[:2].min() > 0.4  # shrunk by the regularisation: its direction is weak
        assert rho[2] < 0.25


def by_hand(H, X, gamma):
    """Canonical correlations as eigenvalues of the generalised problem."""
    H, X = H - H.mean(axis=0), X - X.mean(axis=0)
    Chh, Cvv, Chv = H.T @ H / len(H), X.T @ X / len(X), H.T @ X / len(H)
    Chh += gamma * np.trace(Chh) / len(Chh) * np.eye(len(Chh))
    Cvv += gamma * np.trace(Cvv) / len(Cvv) * np.eye(len(Cvv))
    squares = np.linalg.eigvals(np.linalg.solve(Chh, Chv) @ np.linalg.solve(Cvv, Chv.T))
    return np.sqrt(np.sort(np.maximum(squares.real, 0))[::-1])


@given(seed=seeds, gamma=st.sampled_from([0.0, 0.1, 3.0]))
def test_correlations_are_those_of_the_closed_form(seed, gamma):
    rng = np.random.default_rng(seed)
    H, y = embeddings(seed, n=150)
    X = H @ rng.standard_normal((6, 4)) + rng.standard_normal((150, 4))
    s = splitter(4, regularization=gamma).fit(H, y, student_inputs=X)
    Z = StandardScaler().fit_transform(H)
    for c, rho in enumerate(s.correlations_):
        np.testing.assert_allclose(rho, by_hand(Z[y == c], X[y == c], gamma)[:4], atol=1e-6)


def test_without_regularization_they_are_scikit_learns():
    H, y, X, *_ = planted(n=300)
    s = splitter(3, regularization=0).fit(H, y, student_inputs=X)
    for c in range(2):
        model = CCA(3, max_iter=10_000, tol=1e-12).fit(H[y == c], X[y == c])
        variates = model.transform(H[y == c], X[y == c])
        expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(v.T for v in variates), strict=True)]
        np.testing.assert_allclose(s.correlations_[c], expected, atol=1e-4)


@given(seed=seeds)
def test_without_regularization_any_linear_view_of_either_side_is_the_same(seed):
    rng = np.random.default_rng(seed)
    H, y, X, *_ = planted(n=120)
    s = splitter(regularization=0).fit(H, y, student_inputs=X)
    A, B = (np.linalg.qr(rng.standard_normal((d, d)))[0] * rng.uniform(0.5, 2, d) for d in (6, 5))
    other = splitter(regularization=0).fit(H @ A + 3, y, student_inputs=X @ B - 5)
    for rho, same in zip(s.correlations_, other.correlations_, strict=True):
        np.testing.assert_allclose(rho, same, atol=1e-8)


def test_turned_inputs_and_rescaled_embeddings_give_the_same_split():
    H, y, X, *_ = planted()
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((5, 5)))[0]
    split = splitter().fit(H, y, student_inputs=X).transform(H)
    other = splitter().fit(H * [1, 9, 0.1, 5, 2, 3], y, student_inputs=10 * X @ turn + 1)
    np.testing.assert_allclose(other.transform(H * [1, 9, 0.1, 5, 2, 3]), split, atol=1e-6)


def test_the_order_of_rows_and_columns_does_not_matter():
    H, y, X, *_ = planted()
    rng = np.random.default_rng(0)
    rows, h, v = rng.permutation(len(H)), rng.permutation(6), rng.permutation(5)
    split = splitter().fit(H, y, student_inputs=X).transform(H)
    other = splitter().fit(H[rows][:, h], y[rows], student_inputs=X[rows][:, v])
    np.testing.assert_allclose(other.transform(H[:, h]), split, atol=1e-6)


def test_swapped_classes_are_swapped_blocks():
    H, y, X, *_ = planted()
    one, other = (splitter().fit(H, labels, student_inputs=X) for labels in (y, 1 - y))
    np.testing.assert_allclose(np.roll(other.transform(H), 3, axis=1), one.transform(H), atol=1e-6)


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("max_features", [256, 3])
def test_sparse_equals_dense(form, max_features):
    H, y, X, *_ = planted()
    X = np.where(np.abs(X) > 0.5, X, 0)
    s = splitter(max_features=max_features)
    dense = s.fit(H, y, student_inputs=X).transform(H)
    np.testing.assert_allclose(s.fit(H, y, student_inputs=form(X)).transform(H), dense, atol=1e-6)


def test_wide_inputs_are_reduced_to_max_features():
    H, y, X, *_ = planted()
    wide = np.hstack([X, 1e-3 * np.random.default_rng(0).standard_normal((len(X), 40))])
    two = splitter(max_features=2).fit(H, y, student_inputs=wide)
    assert [len(rho) for rho in two.correlations_] == [2, 2]
    reduced = splitter(max_features=5).fit(H, y, student_inputs=wide)
    plain = splitter().fit(H, y, student_inputs=X)
    np.testing.assert_allclose(reduced.correlations_, plain.correlations_, atol=1e-3)
    few = splitter(2).fit(H[:10], y[:10], student_inputs=np.tile(wide[:10], 20))
    assert few.n_subclasses_.tolist() == [2, 2]


def test_regularization_keeps_few_rows_from_chance():
    rng = np.random.default_rng(0)
    H, y, X = rng.standard_normal((60, 6)), np.arange(60) % 2, rng.standard_normal((60, 40))
    by_chance = splitter(regularization=0).fit(H, y, student_inputs=X)
    np.testing.assert_allclose(by_chance.correlations_, 1, atol=1e-9)
    assert np.max(splitter(regularization=5.0).fit(H, y, student_inputs=X).correlations_) < 0.7


class Recorder(TransformerMixin, BaseEstimator):
    """Second and third column, with some noise of its own seed."""

    seen: list = []  # noqa: RUF012

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        self.seen.append((X, y, self.random_state))
        return self

    def transform(self, X):
        return X[:, 1:3]


def test_the_view_is_fitted_to_inputs_and_labels_and_its_output_is_used():
    H, y, X, *_ = planted()
    words = np.array(["ham", "spam"])[y]
    Recorder.seen.clear()
    view = Recorder()
    s = splitter(view=view).fit(H, words, student_inputs=X)
    (inputs, labels, seed), *more = Recorder.seen
    assert not more
    assert inputs is X
    assert labels.tolist() == words.tolist()
    assert isinstance(seed, int)
    assert view.random_state is None
    same = splitter().fit(H, words, student_inputs=X[:, 1:3])
    np.testing.assert_array_equal(s.transform(H), same.transform(H))


def test_a_bent_view_sees_what_a_straight_one_does_not():
    rng = np.random.default_rng(0)
    y, angle = np.arange(800) % 2, rng.uniform(0, 2 * np.pi, 800)
    X = np.column_stack([np.cos(angle), np.sin(angle)])
    H = np.column_stack([np.cos(2 * angle), rng.standard_normal(800)])
    straight = splitter(2).fit(H, y, student_inputs=X)
    bent = splitter(2, view=Nystroem(n_components=30)).fit(H, y, student_inputs=X)
    assert max(r[0] for r in straight.correlations_) < 0.3
    assert min(r[0] for r in bent.correlations_) > 0.8


def test_views_may_read_texts_and_may_be_students():
    H, y, _, shared, _ = planted()
    texts = [f"word{'abc'[group]} filler" for group in shared]
    s = splitter(view=TfidfVectorizer()).fit(H, y, student_inputs=texts)
    assert agreement(s.transform(H), y, shared) > 0.95
    X = planted()[2].astype(np.float32)
    student = StudentClassifier(MLP, objective=CrossEntropy(), max_epochs=2, device="cpu")
    first, again = (splitter(view=student).fit(H, y, student_inputs=X) for _ in range(2))
    np.testing.assert_array_equal(first.transform(H), again.transform(H))
    assert len(first.correlations_[0]) == 3


def test_a_student_gives_its_inputs():
    rows = digits(240)
    student = LELPStudentClassifier(
        projector=CCASplitter(n_subclasses=3), max_epochs=1, device="cpu", random_state=0
    )
    student.fit(rows.X, rows.y, teacher_proba=rows.proba, teacher_embeddings=rows.embeddings)
    assert student.predict_subclass_proba(rows.X).shape == (240, 6)
    assert min(rho[0] for rho in student.projector_.correlations_) > 0.5


def test_the_seed_decides_and_repeats():
    rng = np.random.default_rng(0)
    H, y, X = rng.standard_normal((300, 4)), np.arange(300) % 2, rng.standard_normal((300, 30))
    H[:, :2] += X[:, :2]
    splits = [
        splitter(5, random_state=r).fit(H, y, student_inputs=X).transform(H) for r in (0, 0, 1)
    ]
    np.testing.assert_array_equal(splits[0], splits[1])
    assert np.abs(splits[0] - splits[2]).max() > 0.01


def test_rank_deficient_sides_and_fewer_columns_than_subclasses():
    H, y, X, *_ = planted()
    plain = splitter().fit(H, y, student_inputs=X)
    for gamma in (0, 0.1):
        twice = splitter(regularization=gamma).fit(
            np.hstack([H, H]), y, student_inputs=np.hstack([X, X, 0 * X])
        )
        assert np.isfinite(twice.transform(np.hstack([H, H]))).all()
        assert max(r.max() for r in twice.correlations_) <= 1
        if gamma == 0:
            plain = splitter(regularization=0).fit(H, y, student_inputs=X)
            np.testing.assert_allclose(twice.correlations_, plain.correlations_, atol=1e-6)
    narrow = splitter(5).fit(H, y, student_inputs=X[:, 1:2])
    assert narrow.n_subclasses_.tolist() == [5, 5]
    assert [len(r) for r in narrow.correlations_] == [1, 1]


def test_a_class_that_is_not_split_has_no_correlations():
    H, y, X, *_ = planted()
    X[y == 0] = 1.5
    s = splitter({0: 1, 1: 3}).fit(H, y, student_inputs=X)
    assert [len(r) for r in s.correlations_] == [0, 3]
    with pytest.raises(ValueError, match="class 0 has the same student_inputs in all of its 300"):
        splitter().fit(H, y, student_inputs=X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: None, r"needs what the student reads: pass fit\(H, y, student_inputs=X\)"),
        (lambda X: X[:-1], "student_inputs has 599 rows; expected 600"),
        (lambda X: X.astype(str) + "a", "must be a table of finite numbers: set view"),
        (lambda X: np.where(X > 3, np.nan, X), "must be a table of finite numbers"),
        (lambda X: X[:, 0], "must be a table of finite numbers"),
        (lambda X: ["text"] * len(X), "must be a table of finite numbers"),
    ],
)
def test_inputs_that_cannot_be_correlated_are_refused(change, message):
    H, y, X, *_ = planted()
    with pytest.raises(ValueError, match=message):
        splitter().fit(H, y, student_inputs=change(X))


def test_views_that_give_no_table_are_named():
    H, y, X, *_ = planted()
    with pytest.raises(ValueError, match="view FunctionTransformer must give a table"):
        splitter(view=FunctionTransformer(lambda X: X * np.nan)).fit(H, y, student_inputs=X)
    with pytest.raises(ValueError, match="view FunctionTransformer must give a table"):
        clone(splitter(view=FunctionTransformer(np.ravel))).fit(H, y, student_inputs=X)
