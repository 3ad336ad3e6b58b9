"""ReAugKD at prediction: what is looked up, what is not, how the two parts are mixed."""

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    KD,
    LELP,
    MLP,
    BagOfNgrams,
    CrossEntropy,
    DistilledClassifier,
    LELPStudentClassifier,
    RandomSplitter,
    RetrievalAugmentedClassifier,
    Stage,
    Stages,
    StudentClassifier,
)
from lelp_sklearn.students import _knowledge_base
from lelp_sklearn.students._aligning import RETRIEVAL_WEIGHTS, aligned_student
from tests.data import digits

ROWS = digits(300)
TRAIN, TEST = slice(0, 200), slice(200, 300)
TEACHER = {"teacher_proba": ROWS.proba[TRAIN], "teacher_embeddings": ROWS.embeddings[TRAIN]}
X, Y = ROWS.X[TRAIN], ROWS.y[TRAIN]


SMALL = {"module__hidden": 16, "max_epochs": 6, "batch_size": 32, "lr": 0.02, "device": "cpu"}


def small(cls=StudentClassifier, **params):
    return cls(MLP, **{**SMALL, **params})


def model(student=None, **params):
    defaults = {"retrieval_weight": 0.5, "random_state": 0}
    return RetrievalAugmentedClassifier(student or small(), **{**defaults, **params})


@pytest.fixture(scope="module")
def fitted():
    return model().fit(X, Y, **TEACHER)


def fresh(fitted):
    return pickle.loads(pickle.dumps(fitted))


# What is mixed.


def test_the_mixture_is_the_formula(fitted):
    new = ROWS.X[TEST]
    base = fitted.knowledge_base_
    alignment = fitted.student_.objective_.objectives_[-1][1]
    np.testing.assert_allclose(
        base.embeddings, alignment.project(TEACHER["teacher_embeddings"]), atol=1e-6
    )
    np.testing.assert_allclose(base.proba, TEACHER["teacher_proba"], atol=1e-6)
    np.testing.assert_array_equal(base.labels, Y)
    queries = fitted._queries(new)
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)
    cosine = queries @ base.embeddings.T
    near = np.argsort(-cosine, axis=1)[:, :16]
    share = softmax(np.take_along_axis(cosine, near, 1) / 0.1, axis=1)
    votes = np.einsum("ij,ijc->ic", share, base.proba[near])
    expected = 0.5 * fitted.student_.predict_proba(new) + 0.5 * votes
    np.testing.assert_allclose(fitted.predict_proba(new), expected, atol=1e-5)
    distances, entries = fitted.kneighbors(new)
    np.testing.assert_array_equal(entries, near)
    np.testing.assert_allclose(1 - distances, np.take_along_axis(cosine, near, 1), atol=1e-5)


def test_weight_0_is_the_student_and_1_the_votes(fitted):
    new = ROWS.X[TEST]
    both = fresh(fitted)
    both.retrieval_weight_ = 0.0
    np.testing.assert_array_equal(both.predict_proba(new), both.student_.predict_proba(new))
    both.retrieval_weight_ = 1.0
    votes, _ = both._votes(new)
    np.testing.assert_allclose(both.predict_proba(new), votes, atol=1e-6)
    assert both.score(new, ROWS.y[TEST]) > 0.6


def test_neighbours_and_temperature_count_after_fit_too(fitted):
    new, other = ROWS.X[TEST], fresh(fitted)
    before = other.predict_proba(new)
    one = other.set_params(n_neighbors=1).predict_proba(new)
    flat = other.set_params(n_neighbors=1000, temperature=1e6).predict_proba(new)
    assert not np.allclose(before, one)
    mean = TEACHER["teacher_proba"].mean(axis=0)
    np.testing.assert_allclose(flat - 0.5 * other.student_.predict_proba(new), [0.5 * mean] * 100,
                               atol=1e-5)  # fmt: skip


def test_parameters_reach_the_alignment():
    retrieval = model(projection=None, temperature=0.3, alignment_weight=2.0)
    student = aligned_student(retrieval, 0)
    assert student.objective.weights == [1.0, 2.0]
    alignment = student.objective.objectives[-1][1]
    assert (alignment.projection, alignment.temperature) == (None, 0.3)
    narrow = model(n_components=3).fit(X, Y, **TEACHER)
    assert narrow.knowledge_base_.embeddings.shape == (200, 3)
    contrasted = model(n_components=3, projection="supcon").fit(X, Y, **TEACHER)
    assert not np.allclose(contrasted.knowledge_base_.embeddings, narrow.knowledge_base_.embeddings)


def test_training_aligns_the_spaces():
    def own_cosine(weight):
        fitted = model(small(max_epochs=20), alignment_weight=weight).fit(X, Y, **TEACHER)
        z = fitted._alignment.project(ROWS.embeddings[TEST])
        return (fitted._queries(ROWS.X[TEST]) * z).sum(axis=1).mean()

    assert own_cosine(1.0) > own_cosine(0.0) + 0.3


# A row and itself.


def test_a_training_row_never_retrieves_itself(fitted):
    assert not (fitted.kneighbors(X, 199)[1] == np.arange(200)[:, None]).any()
    distances, entries = fitted.kneighbors(X, 1000)
    assert entries.shape == (200, 200)  # the own entry is there, infinitely far
    np.testing.assert_array_equal(entries[:, -1], np.arange(200))
    assert np.isinf(distances[:, -1]).all()
    # Whatever the container and the order.
    order = np.random.default_rng(0).permutation(200)
    lists = X[order].astype(float).tolist()
    np.testing.assert_allclose(
        fitted.predict_proba(lists), fitted.predict_proba(X)[order], atol=1e-6
    )
    entries = fitted.kneighbors(None, 199)[1]
    assert not (entries == np.arange(200)[:, None]).any()


def test_a_base_of_the_row_alone_leaves_the_student():
    one = model(max_entries=1).fit(X, Y, **TEACHER)
    row = X[one.knowledge_base_.rows]
    np.testing.assert_allclose(one.predict_proba(row), one.student_.predict_proba(row), atol=1e-6)
    assert not np.allclose(one.predict_proba(X), one.student_.predict_proba(X))


# The weight.


def test_auto_takes_the_weight_of_the_lowest_held_out_loss():
    auto = model(retrieval_weight="auto").fit(X, Y, **TEACHER)
    scores = auto.retrieval_weight_scores_
    assert tuple(scores) == RETRIEVAL_WEIGHTS
    assert auto.retrieval_weight_ == min(scores, key=scores.get)
    assert clone(auto).fit(X, Y, **TEACHER).retrieval_weight_scores_ == scores
    named = model(retrieval_weight=auto.retrieval_weight_).fit(X, Y, **TEACHER)
    np.testing.assert_array_equal(named.predict_proba(X), auto.predict_proba(X))
    assert not hasattr(named, "retrieval_weight_scores_")
    auto.set_params(retrieval_weight=0.3).fit(X, Y, **TEACHER)
    assert not hasattr(auto, "retrieval_weight_scores_")


def test_weight_0_may_win():
    # Soft labels and embeddings that know nothing.
    rng = np.random.default_rng(0)
    nothing = {"teacher_proba": np.full((200, 2), 0.5), "teacher_embeddings": rng.random((200, 8))}
    student = small(objective=CrossEntropy(), max_epochs=20)
    auto = model(student, retrieval_weight="auto").fit(X, Y, **nothing)
    assert auto.retrieval_weight_ == 0
    np.testing.assert_array_equal(auto.predict_proba(X), auto.student_.predict_proba(X))


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_leave_auto_at_chance(seed):
    # The teacher knows each label by heart; only a leak could know a held-out one.
    y = np.random.default_rng(seed).permutation(Y)
    teacher = KNeighborsClassifier(1).fit(X, y)
    arrays = {
        "teacher_proba": teacher.predict_proba(X),
        "teacher_embeddings": ROWS.embeddings[TRAIN],
    }
    auto = model(retrieval_weight="auto", n_neighbors=4, random_state=seed).fit(X, y, **arrays)
    # The best of eleven weights on 40 rows is lucky by a little.
    assert min(auto.retrieval_weight_scores_.values()) > np.log(2) - 0.06
    # The test would see a leak: with their own entries the rows know their labels.
    base, own = auto.knowledge_base_, np.full(200, -1)
    leaked, _ = base.vote(base.embeddings, 4, 0.01, own)
    assert (leaked.argmax(axis=1) == y).mean() > 0.95
    kept, _ = base.vote(base.embeddings, 4, 0.01, np.arange(200))
    assert (kept.argmax(axis=1) == y).mean() < 0.6


def test_row_and_class_weights_count_in_the_choice():
    auto = model(retrieval_weight="auto")
    plain = auto.fit(X, Y, **TEACHER).retrieval_weight_scores_
    by_row = clone(auto).fit(X, Y, np.where(Y == 1, 3.0, 1.0), **TEACHER).retrieval_weight_scores_
    auto.set_params(student__class_weight={0: 1.0, 1: 3.0})
    assert auto.fit(X, Y, **TEACHER).retrieval_weight_scores_ == by_row
    assert plain != by_row


def test_auto_needs_labelled_rows_to_hold_out():
    labeled = np.zeros(200, bool)
    labeled[[np.argmax(Y == 0), np.argmax(Y == 1)]] = True
    with pytest.raises(ValueError, match="retrieval_weight='auto' holds out"):
        model(retrieval_weight="auto").fit(X, Y, labeled=labeled, **TEACHER)


# The entries.


def test_unlabelled_rows_are_entries_and_rows_of_weight_0_are_not():
    labeled = np.arange(200) < 150
    weight = np.where(np.arange(200) % 10 == 0, 0.0, 1.0)
    base = model().fit(X, Y, weight, labeled=labeled, **TEACHER).knowledge_base_
    np.testing.assert_array_equal(base.rows, np.flatnonzero(weight))
    np.testing.assert_array_equal(base.labels, np.where(labeled, Y, -1)[base.rows])
    # Without soft labels there is nothing to say of them.
    student = small(objective=CrossEntropy())
    arrays = {"teacher_embeddings": TEACHER["teacher_embeddings"]}
    base = model(student).fit(X, Y, labeled=labeled, **arrays).knowledge_base_
    np.testing.assert_array_equal(base.rows, np.arange(150))
    np.testing.assert_array_equal(base.proba, np.eye(2)[Y[:150]])


def test_the_base_is_capped_and_knows_its_size(fitted):
    base = fitted.knowledge_base_
    assert base.n_entries == 200
    assert base.nbytes == 200 * (4 * 10 + 4 * 2 + 28)
    capped = model(max_entries=50).fit(X, Y, **TEACHER).knowledge_base_
    assert capped.n_entries == 50
    assert len(set(capped.rows)) == 50
    np.testing.assert_array_equal(capped.embeddings, base.embeddings[capped.rows])


def test_added_rows_have_a_vote_without_training(fitted):
    grown = fresh(fitted)
    before = grown.student_.predict_proba(X)
    new, y = ROWS.X[TEST], 1 - ROWS.y[TEST]  # wrong on purpose
    assert grown.add(new, y) is grown
    assert grown.knowledge_base_.n_entries == 300
    assert fitted.knowledge_base_.n_entries == 200
    np.testing.assert_array_equal(grown.knowledge_base_.rows[200:], -1)
    np.testing.assert_array_equal(grown.student_.predict_proba(X), before)
    # What was added is found by the same row: where the query of the student is.
    distances, entries = grown.kneighbors(new, 1)
    np.testing.assert_array_equal(entries[:, 0], np.arange(200, 300))
    np.testing.assert_allclose(distances, 0, atol=1e-5)
    moved = grown.predict_proba(new) - fitted.predict_proba(new)
    assert moved[np.arange(100), y].mean() > 0.1
    # Training rows still do not find themselves.
    assert not (grown.kneighbors(X, 299)[1] == np.arange(200)[:, None]).any()


def test_added_rows_may_bring_the_teacher(fitted):
    grown = fresh(fitted)
    grown.add(
        ROWS.X[TEST],
        ROWS.y[TEST],
        teacher_proba=ROWS.proba[TEST],
        teacher_embeddings=ROWS.embeddings[TEST],
    )
    base = grown.knowledge_base_
    np.testing.assert_allclose(base.proba[200:], ROWS.proba[TEST], atol=1e-6)
    z = grown._alignment.project(ROWS.embeddings[TEST])
    np.testing.assert_allclose(base.embeddings[200:], z, atol=1e-6)


def test_adding_thins_what_was_there_before():
    grown = model(max_entries=60).fit(X, Y, **TEACHER).add(ROWS.X[200:240], ROWS.y[200:240])
    assert np.bincount(grown.knowledge_base_.rows < 0).tolist() == [20, 40]
    grown.add(ROWS.X[200:300], ROWS.y[200:300])
    assert np.bincount(grown.knowledge_base_.rows < 0).tolist() == [0, 60]
    assert np.isfinite(grown.predict_proba(X)).all()


def test_adding_says_what_does_not_fit(fitted):
    grown = fresh(fitted)
    with pytest.raises(ValueError, match=r"y holds \[7\], and the classes are \[0, 1\]"):
        grown.add(ROWS.X[:2], [0, 7])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        grown.add(ROWS.X[:2], [0])
    with pytest.raises(ValueError, match="teacher_embeddings has 3 columns"):
        grown.add(ROWS.X[:2], [0, 1], teacher_embeddings=np.ones((2, 3)))
    grown.retrieval_weight_ = 0.0
    with pytest.warns(UserWarning, match="retrieval_weight_ is 0"):
        grown.add(ROWS.X[:2], [0, 1])


# The search.


class FakeHnswlib:
    """Exact, with the calls of hnswlib."""

    def __init__(self, space, dim):
        assert (space, dim) == ("ip", 10)
        self.made = FakeHnswlib.made = []

    def init_index(self, max_elements, M, ef_construction, random_seed):
        self.made.append(max_elements)

    def add_items(self, data, ids):
        self.data = data

    def set_ef(self, ef):
        self.made.append(ef)

    def knn_query(self, queries, k):
        cosine = queries @ self.data.T
        near = np.argsort(-cosine, axis=1)[:, :k]
        return near.astype(np.uint64), 1 - np.take_along_axis(cosine, near, 1)


class FakeFaiss:
    """Exact, with the calls of faiss; the last neighbour is not found."""

    def __init__(self, dim, links, metric):
        assert (dim, metric) == (10, "inner product")
        self.hnsw = SimpleNamespace()

    def add(self, data):
        self.data = data

    def search(self, queries, k):
        assert self.hnsw.efSearch >= k
        cosine = queries @ self.data.T
        near = np.argsort(-cosine, axis=1)[:, :k]
        near[0, -1] = -1
        return np.take_along_axis(cosine, near, 1), near


LIBRARIES = {
    "hnswlib": SimpleNamespace(Index=FakeHnswlib),
    "faiss": SimpleNamespace(IndexHNSWFlat=FakeFaiss, METRIC_INNER_PRODUCT="inner product"),
}


def install(monkeypatch, *names):
    for name in LIBRARIES:
        monkeypatch.setitem(sys.modules, name, LIBRARIES[name] if name in names else None)


def test_hnswlib_finds_what_exact_search_finds(fitted, monkeypatch):
    install(monkeypatch, "hnswlib", "faiss")
    approximate = model(index="hnsw").fit(X, Y, **TEACHER)
    for rows in (X, ROWS.X[TEST]):
        np.testing.assert_allclose(
            approximate.predict_proba(rows), fitted.predict_proba(rows), atol=1e-5
        )
    assert FakeHnswlib.made == [200, 64, 64]
    again = fresh(approximate)  # the index is not in the file
    np.testing.assert_array_equal(again.predict_proba(X), approximate.predict_proba(X))


def test_faiss_stands_in_and_may_find_too_few(fitted, monkeypatch):
    install(monkeypatch, "faiss")
    approximate = model(index="hnsw").fit(X, Y, **TEACHER)
    new = ROWS.X[TEST]
    proba = approximate.predict_proba(new)
    np.testing.assert_allclose(proba[1:], fitted.predict_proba(new)[1:], atol=1e-5)
    distances, _ = approximate.kneighbors(new, 5)
    assert np.isinf(distances[0, -1])
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_auto_is_exact_for_small_bases_and_where_nothing_is_installed(monkeypatch):
    FakeHnswlib.made = None
    install(monkeypatch, "hnswlib")
    fitted = model().fit(X, Y, **TEACHER)
    fitted.predict(X)
    assert FakeHnswlib.made is None
    monkeypatch.setattr(_knowledge_base, "EXACT_UP_TO", 199)
    before = fitted.predict_proba(X)
    np.testing.assert_allclose(fresh(fitted).predict_proba(X), before, atol=1e-5)
    assert FakeHnswlib.made == [200, 64]
    install(monkeypatch)
    np.testing.assert_array_equal(fresh(fitted).predict_proba(X), before)
    with pytest.raises(ImportError, match="needs hnswlib or faiss"):
        model(index="hnsw").fit(X, Y, **TEACHER)


# Where it is used.


def test_a_lelp_student_is_trained_on_its_own_objective():
    student = small(LELPStudentClassifier, projector=RandomSplitter(n_subclasses=2), random_state=3)
    fitted = model(student).fit(X, Y, **TEACHER)
    parts = [part for _, part in fitted.student_.objective_.objectives_]
    assert isinstance(parts[0], LELP)
    assert fitted.student_.objective_.n_subclasses_ == (2, 2)
    assert fitted.student_.random_state == 3
    assert fitted.student_.module__hidden == 16
    assert student.projector is not parts[0].projector  # the given one stays as it is
    assert fitted.score(ROWS.X[TEST], ROWS.y[TEST]) > 0.6


def test_in_a_distilled_classifier_a_pipeline_and_a_grid():
    labels = np.array(["even", "odd"])[Y]
    teacher = LinearDiscriminantAnalysis().fit(X, labels)
    search = GridSearchCV(
        DistilledClassifier(teacher, make_pipeline(StandardScaler(), model())),
        {
            "student__retrievalaugmentedclassifier__n_neighbors": [2, 8],
            "student__retrievalaugmentedclassifier__student__lr": [0.03],
        },
        cv=2,
        error_score="raise",
    )
    search.fit(X, labels)
    inner = search.best_estimator_.student_[-1]
    assert inner.student_.lr == 0.03
    assert search.score(ROWS.X[TEST], np.array(["even", "odd"])[ROWS.y[TEST]]) > 0.6
    assert set(inner.predict(X)) == {"even", "odd"}
    grid = GridSearchCV(model(), {"retrieval_weight": [0.0, 0.5]}, cv=2, error_score="raise")
    assert grid.fit(X, Y, **TEACHER).best_score_ > 0.6


def test_frames_keep_their_names_and_unlabelled_rows_come_from_the_meta_estimator():
    frame = pd.DataFrame(X).add_prefix("pixel")
    distilled = DistilledClassifier(
        LinearDiscriminantAnalysis().fit(frame, Y), model(retrieval_weight="auto")
    ).fit(frame[:150], Y[:150], X_unlabeled=frame[150:])
    inner = distilled.student_
    assert list(inner.feature_names_in_) == list(frame.columns)
    assert inner.knowledge_base_.n_entries == 200
    assert (inner.kneighbors(frame, 199)[1] != np.arange(200)[:, None]).all()
    assert distilled.predict_proba(frame).shape == (200, 2)


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.coo_array])
def test_sparse_rows(form):
    student = StudentClassifier(BagOfNgrams, max_epochs=6, lr=0.05, batch_size=32, device="cpu")
    few = model(student, retrieval_weight="auto").fit(form(X), Y, **TEACHER)
    assert (few.kneighbors(form(X), 199)[1] != np.arange(200)[:, None]).all()
    assert few.score(form(ROWS.X[TEST]), ROWS.y[TEST]) > 0.7
    few.retrieval_weight_ = 0.5
    assert few.add(form(ROWS.X[TEST]), ROWS.y[TEST]).knowledge_base_.n_entries == 300


def test_without_a_teacher_the_entries_are_the_students_own():
    with pytest.warns(UserWarning, match="got no teacher arrays") as caught:
        alone = model(retrieval_weight="auto").fit(X, Y)
    assert len(caught) == 1
    base = alone.knowledge_base_
    assert base.embeddings.shape == (200, 16)
    np.testing.assert_array_equal(base.proba, np.eye(2)[Y])
    np.testing.assert_allclose(base.embeddings, alone._queries(X), atol=1e-6)
    assert fresh(alone).add(ROWS.X[TEST], ROWS.y[TEST]).knowledge_base_.n_entries == 300
    with pytest.raises(ValueError, match="the student's own embeddings"):
        alone.add(ROWS.X[:1], [0], teacher_embeddings=np.ones((1, 10)))


def test_the_default_student_and_its_parameters():
    default = RetrievalAugmentedClassifier().set_params(student__max_epochs=1)
    assert default.student.module is MLP
    assert default.get_params()["student__max_epochs"] == 1
    bare = RetrievalAugmentedClassifier(retrieval_weight=0.2, random_state=0)
    aligned_student(bare, 0)
    assert bare.student is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"retrieval_weight": 1.5}, "'retrieval_weight' parameter"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter"),
        ({"temperature": 0}, "'temperature' parameter"),
        ({"projection": "umap"}, "'projection' parameter"),
        ({"index": "annoy"}, "'index' parameter"),
        ({"max_entries": 0}, "'max_entries' parameter"),
        ({"student": StandardScaler()}, "'student' parameter"),
        ({"student": small(objective=Stages([("kd", Stage(KD()))]))}, "objective is Stages"),
        ({"student": LELPStudentClassifier(MLP, subclass_weight="auto")}, "beside the alignment"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        model(**params).fit(X, Y, **TEACHER)


def test_teacher_arrays_that_are_missing_or_short_are_named():
    with pytest.raises(ValueError, match="needs teacher_embeddings"):
        model().fit(X, Y, teacher_proba=TEACHER["teacher_proba"])
    with pytest.raises(ValueError, match="teacher_embeddings has 100 rows and X has 200"):
        model().fit(X, Y, teacher_proba=TEACHER["teacher_proba"],
                    teacher_embeddings=ROWS.embeddings[:100])  # fmt: skip
