"""TeacherEnsemble: probabilities combined by each rule, embeddings side by side."""

import pickle

import numpy as np
import pytest
import torch
from pandas import DataFrame
from scipy.sparse import coo_array
from scipy.stats import gmean
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from lelp_sklearn import KD, DistilledClassifier, LELPStudentClassifier, StudentClassifier
from lelp_sklearn.losses import class_kl
from lelp_sklearn.teachers import TeacherCache, TeacherEnsemble, as_teacher, teacher_outputs
from lelp_sklearn.teachers._combining import ca_mkd_weights, entropy_weights
from tests.data import digits

RULES = ["mean_proba", "mean_logits", "log_loss", "entropy", "ca_mkd"]
X, CODE = load_iris(return_X_y=True)
Y = np.array(["setosa", "versicolor", "virginica"])[CODE]
ROWS = digits(200)


def lda():
    return LinearDiscriminantAnalysis()


def forest():
    return RandomForestClassifier(n_estimators=5, random_state=0)


def fitted(rule="mean_proba", **params):
    teachers = [("lda", lda().fit(X, Y)), ("nb", GaussianNB().fit(X, Y))]
    return TeacherEnsemble(teachers, combine=rule, prefit=True, **params).fit(X, Y)


def probas(ensemble):
    return np.stack([teacher.predict_proba(X) for teacher in ensemble.teachers_])


class Fixed(ClassifierMixin, BaseEstimator):
    """Fitted; gives the first columns of X as probabilities, and chosen embeddings."""

    def __init__(self, start=0, n_classes=3, classes=("a", "b", "c"), embeddings=None):
        self.start = start
        self.n_classes = n_classes
        self.classes = classes
        self.embeddings = embeddings
        self.classes_ = np.asarray(classes)

    def predict_proba(self, X):
        return np.asarray(X)[:, self.start : self.start + self.n_classes]


class Embedding(Fixed):
    def transform(self, X):
        return np.asarray(self.embeddings)[: len(X)]


class Lost(LinearDiscriminantAnalysis):
    """Knows the classes, and gives embeddings that are NaN."""

    def transform(self, X):
        return X * np.nan


def simplex(n, n_classes=3, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(n_classes), size=n)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("teacher", [lda(), forest()], ids=["lda", "forest"])
def test_a_single_teacher_is_itself(rule, teacher):
    ensemble = TeacherEnsemble([("one", teacher)], combine=rule, cv=3).fit(X, Y)
    alone = clone(teacher).fit(X, Y)
    np.testing.assert_array_equal(ensemble.predict_proba(X), alone.predict_proba(X))
    np.testing.assert_array_equal(ensemble.predict_proba(X, Y), alone.predict_proba(X))
    np.testing.assert_array_equal(ensemble.row_weights(X, Y), np.ones((len(X), 1)))


@pytest.mark.parametrize("rule", RULES)
def test_a_teacher_beside_its_own_copy_is_itself(rule):
    teacher = lda().fit(X, Y)
    twins = TeacherEnsemble([("a", teacher), ("b", teacher)], combine=rule, prefit=True).fit(X, Y)
    np.testing.assert_allclose(twins.row_weights(X, Y), 0.5)
    np.testing.assert_allclose(twins.predict_proba(X, Y), teacher.predict_proba(X), atol=2e-7)


@pytest.mark.parametrize("rule", ["mean_proba", "mean_logits"])
@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_one_teacher_left_out_and_put_back(rule, left_out):
    teachers = [("lda", lda()), ("nb", GaussianNB()), ("knn", KNeighborsClassifier())]
    teachers = [(name, teacher.fit(X, Y)) for name, teacher in teachers]
    others = teachers[:left_out] + teachers[left_out + 1 :]
    full, rest, one = (
        TeacherEnsemble(some, combine=rule, prefit=True).fit(X).predict_proba(X)
        for some in (teachers, others, [teachers[left_out]])
    )
    if rule == "mean_proba":
        np.testing.assert_allclose(full, (2 * rest + one) / 3, atol=1e-12)
    else:
        product = np.clip(rest, 1e-300, 1) ** (2 / 3) * np.clip(one, 1e-7, 1) ** (1 / 3)
        product /= product.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(full, product, atol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_mean_probability_is_the_mean_of_the_distillation_losses(temperature):
    ensemble = fitted()
    each = torch.from_numpy(probas(ensemble))
    mean = torch.from_numpy(ensemble.predict_proba(X))
    generator = torch.Generator().manual_seed(0)
    logits = [
        torch.randn(len(X), 3, generator=generator, dtype=torch.float64).requires_grad_()
        for _ in range(2)
    ]

    def of_mean(u):
        return class_kl(u, mean, temperature).sum()

    def mean_of(u):
        return sum(class_kl(u, p, temperature).sum() for p in each) / len(each)

    for u in logits:
        torch.testing.assert_close(
            *(torch.autograd.grad(loss(u), u)[0] for loss in (of_mean, mean_of)),
            rtol=0,
            atol=1e-6,
        )
    constants = [(mean_of(u) - of_mean(u)).item() for u in logits]
    assert constants[0] == pytest.approx(constants[1], abs=1e-6)


def test_mean_logits_is_the_geometric_mean():
    ensemble = fitted("mean_logits")
    product = gmean(np.clip(probas(ensemble), 1e-7, 1), axis=0)
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ensemble.predict_proba(X), expected, rtol=1e-12)


def test_zeros_of_one_teacher_are_no_veto():
    p = np.array([[1.0, 0.0, 0.0, 0.0, 0.5, 0.5], [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]])
    teachers = [("first", Fixed()), ("second", Fixed(start=3))]
    for rule in RULES:
        ensemble = TeacherEnsemble(teachers, combine=rule, prefit=True).fit(p, ["a", "c"])
        proba = ensemble.predict_proba(p, ["a", "c"])
        assert np.isfinite(proba).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        if rule == "mean_proba":
            np.testing.assert_array_equal(proba[1], [0, 0.5, 0.5])


def test_classes_are_matched_by_label():
    p = simplex(20)
    order = [2, 0, 1]
    both = np.hstack([p, p[:, order]])
    permuted = Fixed(start=3, classes=tuple(np.array(["a", "b", "c"])[order]))
    y = np.array(["a", "b", "c"])[p.argmax(axis=1)]
    for rule in RULES:
        for teachers in ([Fixed(), permuted], [permuted, Fixed()]):
            named = list(zip("mn", teachers, strict=True))
            ensemble = TeacherEnsemble(named, combine=rule, prefit=True).fit(both, y)
            assert ensemble.classes_.tolist() == ["a", "b", "c"]
            np.testing.assert_allclose(ensemble.predict_proba(both, y), p, atol=1e-6)


def test_classes_are_matched_by_label_out_of_fold():
    class Reversed(LinearDiscriminantAnalysis):
        def fit(self, X, y):
            super().fit(X, y)
            self.classes_ = self.classes_[::-1]
            return self

        def predict_proba(self, X):
            return super().predict_proba(X)[:, ::-1]

    ensemble = TeacherEnsemble([("as it is", lda()), ("reversed", Reversed())], combine="log_loss")
    np.testing.assert_allclose(ensemble.fit(X, Y).weights_, 0.5)
    np.testing.assert_allclose(ensemble.predict_proba(X), lda().fit(X, Y).predict_proba(X))


def test_a_class_that_a_fold_lacks_does_not_count():
    y = Y.copy()
    y[0] = "rare"
    folds = ShuffleSplit(1, test_size=0.5, random_state=0)
    halves = next(folds.split(X))
    ensemble = TeacherEnsemble(
        [("nb", GaussianNB(var_smoothing=1e-2)), ("knn", KNeighborsClassifier())],
        combine="log_loss",
        cv=[halves, halves[::-1]],
    )
    with pytest.warns(UserWarning, match="1 of class 'rare'.* do not count in the log-loss"):
        ensemble.fit(X, y)
    assert np.isfinite(ensemble.weights_).all()
    np.testing.assert_allclose(ensemble.weights_.sum(), 1)


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_the_teachers_does_not_matter(rule):
    ensemble = fitted(rule)
    turned = clone(ensemble).set_params(teachers=ensemble.teachers[::-1]).fit(X, Y)
    for labels in (None, Y):
        np.testing.assert_allclose(
            turned.predict_proba(X, labels), ensemble.predict_proba(X, labels), rtol=1e-12
        )
        np.testing.assert_allclose(
            turned.row_weights(X, labels)[:, ::-1], ensemble.row_weights(X, labels), rtol=1e-12
        )


@pytest.mark.parametrize("n_teachers", [1, 2, 3, 5])
def test_row_weights_sum_to_one(n_teachers):
    p = np.stack([simplex(50, seed=m) for m in range(n_teachers)])
    y = np.arange(50) % 3
    for weights in (entropy_weights(p), ca_mkd_weights(p, y)):
        assert weights.shape == (n_teachers, 50)
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=0), 1)


def test_entropy_prefers_the_sure_teacher():
    p = np.array([[[0.98, 0.01, 0.01]], [[0.5, 0.3, 0.2]], [[0.4, 0.3, 0.3]]])
    weights = entropy_weights(p)[:, 0]
    assert weights[0] > weights[1] > weights[2]
    entropy = -(p * np.log(p)).sum(axis=2)[:, 0]
    np.testing.assert_allclose(weights, (1 - entropy / entropy.sum()) / 2)
    certain = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]])
    np.testing.assert_allclose(entropy_weights(certain), 1 / 3)


def test_ca_mkd_prefers_the_right_teacher():
    p = np.array([[[0.9, 0.1]], [[0.2, 0.8]], [[0.0, 1.0]]])
    right = ca_mkd_weights(p, np.array([0]))[:, 0]
    assert right[0] > right[1] > right[2]
    loss = -np.log(np.clip(p[:, 0, 0], 1e-7, 1))
    np.testing.assert_allclose(right, (1 - np.exp(loss) / np.exp(loss).sum()) / 2)


def test_ca_mkd_without_labels_takes_those_of_the_mean():
    ensemble = fitted("ca_mkd")
    guess = ensemble.classes_[probas(ensemble).mean(axis=0).argmax(axis=1)]
    np.testing.assert_array_equal(ensemble.predict_proba(X), ensemble.predict_proba(X, guess))
    wrong = np.roll(Y, 50)
    assert np.abs(ensemble.predict_proba(X, wrong) - ensemble.predict_proba(X)).max() > 0.01


def test_log_loss_prefers_the_better_teacher():
    teachers = [("blunt", KNeighborsClassifier(100)), ("lda", lda())]
    ensemble = TeacherEnsemble(teachers, combine="log_loss").fit(X, Y)
    assert ensemble.weights_[1] > ensemble.weights_[0]
    np.testing.assert_allclose(
        ensemble.weights_, np.exp(-ensemble.log_loss_) / np.exp(-ensemble.log_loss_).sum()
    )
    np.testing.assert_allclose(
        ensemble.predict_proba(X), np.tensordot(ensemble.weights_, probas(ensemble), 1)
    )


def test_log_loss_is_out_of_fold():
    # One neighbour repeats the noise that it was shown: perfect on those rows, poor on others.
    rng = np.random.default_rng(0)
    y = np.where(rng.uniform(size=200) < 0.2, 1 - ROWS.y, ROWS.y)
    teachers = [("one", KNeighborsClassifier(1)), ("lr", LogisticRegression(C=0.01))]
    here = TeacherEnsemble(teachers, combine="log_loss", cv=3).fit(ROWS.X, y)
    assert here.weights_[1] > 0.9
    seen = [(name, clone(teacher).fit(ROWS.X, y)) for name, teacher in teachers]
    prefit = TeacherEnsemble(seen, combine="log_loss", prefit=True)
    assert prefit.fit(ROWS.X, y).weights_[0] > 0.5
    halves = [(name, clone(teacher).fit(ROWS.X[:100], y[:100])) for name, teacher in teachers]
    prefit = TeacherEnsemble(halves, combine="log_loss", prefit=True)
    assert prefit.fit(ROWS.X[100:], y[100:]).weights_[1] > 0.9


@pytest.mark.parametrize("container", [np.ndarray.tolist, coo_array, DataFrame])
def test_folds_are_taken_from_any_container(container):
    lr = LogisticRegression(max_iter=300)
    ensemble = TeacherEnsemble([("lr", lr), ("tight", clone(lr).set_params(C=0.1))], cv=2)
    ensemble.set_params(combine="log_loss")
    expected = clone(ensemble).fit(X, Y).log_loss_
    np.testing.assert_allclose(ensemble.fit(container(X), list(Y)).log_loss_, expected, rtol=1e-3)


def test_weights_are_there_where_they_are_the_same_for_all_rows():
    ensemble = fitted("log_loss")
    assert hasattr(ensemble, "log_loss_")
    for rule in RULES:
        ensemble.set_params(combine=rule).fit(X, Y)
        assert hasattr(ensemble, "weights_") == (rule in RULES[:3])
        assert hasattr(ensemble, "log_loss_") == (rule == "log_loss")
        np.testing.assert_allclose(ensemble.row_weights(X).sum(axis=1), 1)


def test_embeddings_are_standardised_and_side_by_side():
    ensemble = TeacherEnsemble(
        [("lda", lda()), ("lr", as_teacher(LogisticRegression(max_iter=300)))]
    ).fit(X, Y)
    H = ensemble.transform(X)
    assert H.shape == (150, 6)
    np.testing.assert_allclose(H.mean(axis=0), 0, atol=1e-12)
    for block, teacher in ((H[:, :2], lda().fit(X, Y).transform(X)), (H[:, 2:], X)):
        assert block.var(axis=0).sum() == pytest.approx(1)
        centred = teacher - teacher.mean(axis=0)
        scale = np.sqrt(centred.var(axis=0).sum())  # one for all columns
        np.testing.assert_allclose(block, centred / scale, atol=1e-12)
    assert ensemble.get_feature_names_out().tolist() == [
        *("lda_0", "lda_1"),
        *("lr_0", "lr_1", "lr_2", "lr_3"),
    ]
    np.testing.assert_allclose(ensemble.transform(X[:7] + 1), ensemble.transform(X + 1)[:7])


def test_embeddings_are_reduced_teacher_by_teacher():
    teachers = [("lda", lda()), ("lr", as_teacher(LogisticRegression(max_iter=300)))]
    full = TeacherEnsemble(teachers).fit(X, Y).transform(X)
    ensemble = TeacherEnsemble(teachers, n_components=3).fit(X, Y)
    H = ensemble.transform(X)
    assert H.shape == (150, 2 + 3)
    assert len(ensemble.get_feature_names_out()) == 5
    np.testing.assert_allclose(H[:, :2], full[:, :2])  # narrow already
    assert H[:, 2:].var(axis=0).sum() == pytest.approx(1)
    covariance = np.cov(H[:, 2:].T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-12)
    assert (np.diff(np.diag(covariance)) < 0).all()


def test_weights_of_rows_are_repetitions():
    weight = np.arange(150) % 3
    lr = as_teacher(LogisticRegression(max_iter=1000, tol=1e-8))
    plain = TeacherEnsemble([("lr", lr), ("nb", GaussianNB())], n_components=2)
    weighted = clone(plain).fit(X, Y, sample_weight=weight)
    repeated = clone(plain).fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight))
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-10)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("n_components", [None, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_constant_embeddings_stay_finite(n_components, dtype):
    p = simplex(31)
    constant = np.full((31, 4), 123456.789, dtype)  # its mean is not exact
    partly = np.column_stack([constant[:, :3], np.arange(31, dtype=dtype)])
    teachers = [
        ("constant", Embedding(embeddings=constant)),
        ("partly", Embedding(embeddings=partly)),
    ]
    ensemble = TeacherEnsemble(teachers, prefit=True, n_components=n_components).fit(p)
    H = ensemble.transform(p)
    assert H.dtype == dtype
    width = n_components or 4
    np.testing.assert_allclose(H[:, :width], 0, atol=1e-6)
    assert H[:, width:].var(axis=0).sum() == pytest.approx(1, rel=1e-5)


def test_outputs_are_both_at_once():
    ensemble = fitted("entropy")
    outputs = ensemble.outputs(X)
    np.testing.assert_array_equal(outputs.proba, ensemble.predict_proba(X))
    np.testing.assert_array_equal(outputs.embeddings, ensemble.transform(X))
    cached = TeacherCache().outputs(ensemble, X)
    np.testing.assert_allclose(cached.proba, outputs.proba, atol=1e-6)


class Oracle:
    """Says probabilities and nothing else."""

    classes_ = np.array([0, 1])

    def predict_proba(self, X):
        return ROWS.proba[: len(X)]


def test_without_embeddings_only_probabilities_are_given():
    ensemble = TeacherEnsemble([("a", Oracle()), ("b", Oracle())], prefit=True).fit(ROWS.X)
    assert teacher_outputs(ensemble, ROWS.X).given == ["proba"]
    with pytest.raises(ValueError, match=r"none of the teachers \['a', 'b'\] gives embeddings"):
        ensemble.transform(ROWS.X)


def test_members_get_the_embedding_of_their_kind():
    forest = RandomForestClassifier(5, random_state=0)
    for prefit in (False, True):
        members = [("forest", forest.fit(X, Y) if prefit else forest), ("lda", lda().fit(X, Y))]
        ensemble = TeacherEnsemble(members, prefit=prefit).fit(X, Y)
        expected = as_teacher(forest.fit(X, Y), X).transform(X).shape[1] + 2
        assert ensemble.transform(X).shape == (150, expected)


def test_labels_reach_ca_mkd_through_the_meta_estimator():
    teachers = [("lda", lda()), ("knn", KNeighborsClassifier(3))]
    ensemble = TeacherEnsemble(teachers, combine="ca_mkd").fit(X, Y)
    told = teacher_outputs(ensemble, X, ensemble.classes_, Y).proba
    np.testing.assert_array_equal(told, ensemble.predict_proba(X, Y))
    assert not np.array_equal(told, ensemble.predict_proba(X))
    prefit = TeacherEnsemble(
        [("lda", lda().fit(X, Y)), ("knn", KNeighborsClassifier(3).fit(X, Y))],
        combine="ca_mkd",
        prefit=True,
    ).fit(X, Y)
    student = StudentClassifier(max_epochs=2, random_state=0, device="cpu")
    distilled = DistilledClassifier(prefit, student).fit(X, Y)
    by_hand = clone(student).fit(X, Y, teacher_proba=prefit.predict_proba(X, Y))
    np.testing.assert_array_equal(distilled.predict_proba(X), by_hand.predict_proba(X))
    with pytest.raises(ValueError, match="depend on the rows' labels, and a cache knows rows only"):
        DistilledClassifier(prefit, student, cache=TeacherCache()).fit(X, Y)


def test_sparse_embeddings_are_asked_to_be_reduced():
    texts = np.array(["a fine film", "a dull film", "what a joy", "what a bore"] * 5)
    y = np.array([1, 0, 1, 0] * 5)

    class Words(LogisticRegression):
        def fit(self, texts, y):
            self.words_ = TfidfVectorizer().fit(texts)
            return super().fit(self.words_.transform(texts), y)

        def predict_proba(self, texts):
            return super().predict_proba(self.transform(texts))

        def transform(self, texts):
            return self.words_.transform(texts)

    with pytest.raises(TypeError, match="sparse matrix; embeddings are dense"):
        TeacherEnsemble([("words", Words())]).fit(texts, y)
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    plain = TeacherEnsemble([("tfidf", pipeline)]).fit(texts, y)
    np.testing.assert_array_equal(plain.predict(texts), y)
    dense = TeacherEnsemble([("tfidf", as_teacher(pipeline))], combine="log_loss", cv=2)
    assert dense.fit(list(texts), y).transform(list(texts)).ndim == 2


def test_clones_share_prefit_teachers_and_no_others():
    ensemble = fitted("log_loss")
    copy = clone(ensemble)
    assert copy is not ensemble
    assert not hasattr(copy, "classes_")
    assert [t for _, t in copy.teachers] == [t for _, t in ensemble.teachers]
    np.testing.assert_array_equal(copy.fit(X, Y).predict_proba(X), ensemble.predict_proba(X))
    assert copy.teachers_[0] is ensemble.teachers[0][1]
    unfitted = TeacherEnsemble([("lda", lda()), ("nb", GaussianNB())])
    assert clone(unfitted).teachers[0][1] is not unfitted.teachers[0][1]
    unfitted.fit(X, Y)
    assert not hasattr(unfitted.teachers[0][1], "classes_")


def test_clones_keep_set_output():
    frame = clone(fitted().set_output(transform="pandas")).fit(X, Y).transform(X)
    assert list(frame.columns)[:2] == ["lda_0", "lda_1"]


def test_prefit_teachers_need_no_labels():
    teacher = lda().fit(X, Y)
    ensemble = TeacherEnsemble([("lda", teacher), ("nb", GaussianNB().fit(X, Y))], prefit=True)
    for rule in RULES:
        ensemble.set_params(combine=rule)
        if rule == "log_loss":
            with pytest.raises(ValueError, match="not with combine='log_loss'"):
                ensemble.fit(X)
        else:
            assert ensemble.fit(X[:50]).transform(X).shape == (150, 6)


def test_teachers_are_parameters_by_name():
    ensemble = TeacherEnsemble([("lda", lda()), ("knn", KNeighborsClassifier())])
    assert ensemble.get_params()["knn__n_neighbors"] == 5
    ensemble.set_params(knn__n_neighbors=3, lda=GaussianNB())
    assert isinstance(dict(ensemble.teachers)["lda"], GaussianNB)
    grid = GridSearchCV(
        ensemble, {"knn__n_neighbors": [1, 9], "combine": RULES[:2]}, cv=2, error_score="raise"
    ).fit(X, Y)
    assert grid.best_score_ > 0.9


def test_pickles():
    ensemble = fitted("log_loss", n_components=1)
    again = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(again.predict_proba(X), ensemble.predict_proba(X))
    np.testing.assert_array_equal(again.transform(X), ensemble.transform(X))


def test_sample_weight_reaches_teachers_that_take_it():
    weight = np.where(Y == "versicolor", 100.0, 0.01)
    ensemble = TeacherEnsemble([("nb", GaussianNB()), ("lda", lda())], combine="log_loss", cv=3)
    ensemble.fit(X, Y, sample_weight=weight)
    expected = GaussianNB().fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(ensemble.teachers_[0].predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("rule", RULES)
def test_it_teaches_a_student(rule):
    teachers = [
        ("lr", as_teacher(LogisticRegression(max_iter=300))),
        ("forest", as_teacher(forest()).set_params(n_components=8, random_state=0)),
    ]
    ensemble = TeacherEnsemble(teachers, combine=rule, cv=3, n_components=10)
    student = LELPStudentClassifier(max_epochs=3, lr=0.03, device="cpu", random_state=0)
    student.set_params(projector__n_subclasses=2, projector__null_space=False)
    distilled = DistilledClassifier(ensemble, student, cv=3).fit(ROWS.X, ROWS.y)
    assert distilled.teacher_.transform(ROWS.X).shape == (200, 18)
    assert distilled.score(ROWS.X, ROWS.y) > 0.7


def test_it_teaches_a_student_prefit():
    teachers = [("lr", LogisticRegression(max_iter=300)), ("knn", KNeighborsClassifier())]
    ensemble = TeacherEnsemble(teachers).fit(ROWS.X[:100], ROWS.y[:100])
    student = StudentClassifier(objective=KD(), max_epochs=20, device="cpu", random_state=0)
    distilled = DistilledClassifier(ensemble, student).fit(ROWS.X, ROWS.y)
    assert distilled.score(ROWS.X, ROWS.y) > 0.7


def named(*teachers, **params):
    return TeacherEnsemble([(f"t{i}", t) for i, t in enumerate(teachers)], **params)


@pytest.mark.parametrize(
    ("ensemble", "error", "message"),
    [
        (TeacherEnsemble([]), ValueError, "expected at least one pair of name and teacher"),
        (TeacherEnsemble([lda()]), ValueError, "expected at least one pair of name and teacher"),
        (TeacherEnsemble([("a", lda()), ("a", lda())]), ValueError, "not unique"),
        (TeacherEnsemble([("cv", lda())]), ValueError, "conflict with constructor"),
        (named(LinearSVC()), TypeError, "'t0', a LinearSVC, has no predict_proba"),
        (named(lda(), prefit=True), NotFittedError, "'t0' is not fitted and prefit=True"),
        (named(lda(), combine="median"), ValueError, "'combine' parameter"),
        (
            named(lda().fit(X, Y), lda().fit(X[50:], Y[50:]), prefit=True),
            ValueError,
            r"'t1' knows the classes \['versicolor', 'virginica'\] and teacher 't0' \['setosa',",
        ),
        (
            named(lda().fit(X[50:], Y[50:]), prefit=True),
            ValueError,
            r"y holds the labels \['setosa'\], which the teachers do not know",
        ),
        (
            named(Lost().fit(X, Y), prefit=True),
            ValueError,
            "embeddings of teacher 't0' contains NaN",
        ),
    ],
)
def test_what_does_not_fit_is_named(ensemble, error, message):
    with pytest.raises(error, match=message):
        ensemble.fit(X, Y)


def test_labels_that_do_not_fit_are_named():
    ensemble = fitted("ca_mkd")
    with pytest.raises(ValueError, match="y has 3 labels and X has 150 rows"):
        ensemble.predict_proba(X, Y[:3])
    with pytest.raises(ValueError, match=r"the labels \['rose'\]"):
        ensemble.predict_proba(X[:2], ["setosa", "rose"])
    with pytest.raises(ValueError, match="requires y to be passed"):
        TeacherEnsemble([("lda", lda())]).fit(X)
