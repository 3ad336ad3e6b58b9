"""ReAugKD at prediction: what is looked up, what is not, how the two parts are mixed."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from scipy.special import softmax
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

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
from lelp_sklearn.students import _aligning
from lelp_sklearn.students._aligning import (
    RETRIEVAL_WEIGHTS,
    aligned_student,
    held_out_parts,
    smallest_as_good,
)
from lelp_sklearn.students._knowledge_base import KnowledgeBase
from tests.data import digits

ROWS = digits(300)
TRAIN, TEST = slice(0, 200), slice(200, 300)
TEACHER = {"teacher_proba": ROWS.proba[TRAIN], "teacher_embeddings": ROWS.embeddings[TRAIN]}
X, Y = ROWS.X[TRAIN], ROWS.y[TRAIN]


SMALL = {"module__hidden": 16, "max_epochs": 6, "batch_size": 32, "lr": 0.05, "device": "cpu"}


def small(cls=StudentClassifier, **params):
    return cls(MLP, **{**SMALL, **params})


def model(student=None, **params):
    defaults = {"retrieval_weight": 0.5, "random_state": 0}
    return RetrievalAugmentedClassifier(student or small(), **{**defaults, **params})


@pytest.fixture(autouse=True)
def one_part_held_out(monkeypatch):
    monkeypatch.setattr(_aligning, "ENOUGH_HELD_OUT", 1)  # as of many rows, and three fits


@pytest.fixture(scope="module")
def fitted():
    return model().fit(X, Y, **TEACHER)


def fresh(fitted):
    return pickle.loads(pickle.dumps(fitted))


class Fails(Callback):
    def __init__(self, epochs):
        self.epochs = epochs  # of all fits; copies and clones count on

    def on_epoch_end(self, net, **kwargs):
        if self.epochs.pop() == "fail":
            raise RuntimeError("a callback's own")


class Epochs(list):
    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("fit_that_fails", [0, 1, 2])  # the plain, the aligned, the last
def test_a_failed_fit_leaves_it_as_it_was(fit_that_fails):
    one = model(retrieval_weight="auto").fit(X, Y, **TEACHER)
    before, answer = dict(vars(one)), one.predict_proba(ROWS.X)
    epochs = Epochs(["fail", *[""] * 6 * fit_that_fails])
    one.student = small(callbacks=[Fails(epochs)])
    with pytest.raises(RuntimeError, match="a callback's own"):
        one.fit(X[:, :9], 1 - Y, **TEACHER)
    assert not epochs
    assert vars(one) == before | {"student": one.student}
    np.testing.assert_array_equal(one.predict_proba(ROWS.X), answer)


class Interrupts(Callback):
    def __init__(self, epochs):
        self.epochs = epochs  # as above

    def on_epoch_begin(self, net, **kwargs):
        if self.epochs.pop() == "fail":
            raise KeyboardInterrupt


@pytest.mark.parametrize(("fits", "said"), [(0, "plain one, as far as it came"), (1, "one")])
def test_ctrl_c_while_auto_chooses_ends_the_whole_fit(fits, said):
    epochs = Epochs(["fail", *[""] * (6 * fits + 2)])
    one = model(small(callbacks=[Interrupts(epochs)]), retrieval_weight="auto")
    with pytest.warns(UserWarning, match=f"chose retrieval_weight.*{said}, trained on 160") as seen:
        one.fit(X, Y, **TEACHER)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert not epochs  # and no fit came after it
    assert one.retrieval_weight_ == one.knowledge_base_.n_entries == 0
    assert len(one.student_.history_) == (6 if fits else 2)
    assert not hasattr(one, "retrieval_weight_scores_")
    assert one.score(X, Y) > 0.5


def test_rows_of_any_size_are_looked_up_each_by_itself(fitted):
    huge = X * np.float32(1e12)
    alone = fitted.predict_proba(X[:5])
    together = fitted.predict_proba(np.vstack([X[:5], huge]))
    np.testing.assert_allclose(together[:5], alone, atol=1e-6)
    large = X * np.float32(1e6)  # of the same directions
    np.testing.assert_allclose(fitted._queries(huge), fitted._queries(large), atol=1e-4)


@pytest.mark.parametrize("teacher", [TEACHER, {}], ids=len)
@pytest.mark.parametrize("module", [MLP, None])
@pytest.mark.filterwarnings("ignore:StudentClassifier got no teacher arrays")
def test_huge_rows_are_learned(module, teacher):
    student = StudentClassifier(module, objective=None if teacher else CrossEntropy(), max_epochs=2)
    one = model(student).fit(X * np.float32(1e37), Y, **teacher)
    assert np.isfinite(one.predict_proba(X * np.float32(1e37))).all()
    assert len(np.unique(one.kneighbors(X * np.float32(1e37), 1)[1])) > 5


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


def test_weight_1_is_the_votes():
    new = ROWS.X[TEST]
    both = model(small(max_epochs=15)).fit(X, Y, **TEACHER)
    both.retrieval_weight_ = 1.0
    votes, _ = both._votes(new)
    np.testing.assert_allclose(both.predict_proba(new), votes, atol=1e-6)
    assert both.score(new, ROWS.y[TEST]) > 0.6


def test_weight_0_is_the_plain_student_and_keeps_no_rows():
    student = small(LELPStudentClassifier, projector=RandomSplitter(n_subclasses=2), random_state=3)
    none = model(student, retrieval_weight=0.0).fit(X, Y, **TEACHER)
    alone = clone(student).fit(X, Y, **TEACHER)
    assert isinstance(none.student_, LELPStudentClassifier)
    np.testing.assert_array_equal(none.predict_proba(X), alone.predict_proba(X))
    assert none.knowledge_base_.n_entries == none.knowledge_base_.nbytes == 0
    with pytest.raises(ValueError, match="no entries, as retrieval_weight_ is 0"):
        none.kneighbors(X)
    with pytest.warns(UserWarning, match="retrieval_weight_ is 0"):
        none.add(X, Y)
    assert none.knowledge_base_.n_entries == 0
    staged = small(objective=Stages([("kd", Stage(KD()))]))  # no alignment has to be added
    assert model(staged, retrieval_weight=0.0).fit(X, Y, **TEACHER).score(X, Y) > 0.6


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


def test_auto_tries_the_weights_on_rows_that_were_held_out(monkeypatch):
    monkeypatch.setattr(_aligning, "ENOUGH_HELD_OUT", 41)
    auto = model(retrieval_weight="auto").fit(X, Y, **TEACHER)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    parts = held_out_parts(Y, np.full(200, True), seed)
    assert len(parts) == 2
    loss = {0.0: [], 0.5: []}
    for held in parts:
        told = {name: values[~held] for name, values in TEACHER.items()}
        plain = small(random_state=seed).fit(X[~held], Y[~held], **told)
        half = model(small(random_state=seed), random_state=seed).fit(X[~held], Y[~held], **told)
        for weight, fitted in ((0.0, plain), (0.5, half)):
            loss[weight] += [log_loss(Y[held], fitted.predict_proba(X[held]))] * held.sum()
    scores = auto.retrieval_weight_scores_
    assert tuple(scores) == RETRIEVAL_WEIGHTS
    assert scores[0.0] == pytest.approx(np.mean(loss[0.0]), rel=1e-5)
    assert scores[0.5] == pytest.approx(np.mean(loss[0.5]), rel=1e-5)


def test_of_few_labelled_rows_all_are_held_out_in_turn(monkeypatch):
    monkeypatch.setattr(_aligning, "ENOUGH_HELD_OUT", 500)
    rng = np.random.default_rng(0)
    y, labeled = rng.integers(2, size=4000), rng.random(4000) < 0.9
    y[0], labeled[0] = 2, True  # the only one of its class
    few, many = labeled & (np.arange(4000) < 400), labeled
    parts = held_out_parts(y, few, 0)
    np.testing.assert_array_equal(np.sum(parts, axis=0), few & (y < 2))
    for part in parts:
        assert np.bincount(y[part]) == pytest.approx(np.bincount(y[few & (y < 2)]) / 5, abs=1)
    (part,) = held_out_parts(y, many, 0)
    assert part.sum() == pytest.approx(many.sum() / 5, abs=2)
    assert not (part & ~labeled).any()


def test_the_weight_that_auto_took_trains_on_all_rows():
    auto = model(retrieval_weight="auto").fit(X, Y, **TEACHER)
    again = clone(auto).fit(X, Y, **TEACHER)
    assert again.retrieval_weight_scores_ == auto.retrieval_weight_scores_
    named = model(retrieval_weight=auto.retrieval_weight_).fit(X, Y, **TEACHER)
    np.testing.assert_array_equal(named.predict_proba(X), auto.predict_proba(X))
    assert not hasattr(named, "retrieval_weight_scores_")
    auto.set_params(retrieval_weight=0.3).fit(X, Y, **TEACHER)
    assert not hasattr(auto, "retrieval_weight_scores_")


@given(
    losses=arrays(float, (3, 12), elements=st.floats(0, 5, width=16)),
    counts=arrays(int, 12, elements=st.integers(1, 3)),
)
@settings(max_examples=30, deadline=None)
def test_auto_takes_the_smallest_weight_within_a_standard_error_of_the_best(losses, counts):
    weights = (0.0, 0.5, 1.0)
    means = np.average(losses, axis=1, weights=counts)
    worse = losses - losses[means.argmin()]
    mean = np.average(worse, axis=1, weights=counts)
    error = np.sqrt(np.sum((counts * (worse - mean[:, None])) ** 2, axis=1)) / counts.sum()
    # Not those that rounding decides.
    assume(len(np.unique(means.round(9))) == 3)
    assume((abs(mean - error)[mean > 0] > 1e-9).all())
    expected = min(np.array(weights)[mean <= error])
    assert smallest_as_good(dict(zip(weights, losses, strict=True)), counts) == expected


def test_luck_on_few_rows_does_not_choose_a_weight():
    better = np.array([0.9, 0.1, 0.1, 0.9])
    assert smallest_as_good({0.0: np.full(4, 0.51), 0.5: better}, np.ones(4)) == 0
    assert smallest_as_good({0.0: np.full(4000, 0.53), 0.5: np.tile(better, 1000)}, np.ones(4000))


def test_weight_0_may_win():
    # Soft labels and embeddings that know nothing.
    rng = np.random.default_rng(0)
    nothing = {"teacher_proba": np.full((200, 2), 0.5), "teacher_embeddings": rng.random((200, 8))}
    student = small(objective=CrossEntropy(), max_epochs=20)
    with pytest.warns(UserWarning, match="teacher_proba is not used") as caught:
        auto = model(student, retrieval_weight="auto").fit(X, Y, **nothing)
    assert len(caught) == 1
    assert auto.retrieval_weight_ == 0
    np.testing.assert_array_equal(auto.predict_proba(X), auto.student_.predict_proba(X))


def test_shuffled_labels_leave_auto_at_chance(monkeypatch):
    monkeypatch.setattr(_aligning, "ENOUGH_HELD_OUT", 41)
    # The teacher knows each label by heart, and a row's query finds its own entry: only a leak
    # could know a held-out label, and one entry more would tell it.
    y = np.random.default_rng(0).permutation(Y)
    told = {"teacher_proba": np.eye(2)[y], "teacher_embeddings": X}
    student = StudentClassifier(max_epochs=25, lr=0.1, batch_size=32, device="cpu")
    auto = model(student, retrieval_weight="auto", n_neighbors=1, random_state=0)
    auto.fit(X, y, **told)
    assert min(auto.retrieval_weight_scores_.values()) > np.log(2) - 0.02

    found = auto.set_params(retrieval_weight=0.9).fit(X, y, **told)
    assert log_loss(y, found.predict_proba(X)) > np.log(2)
    monkeypatch.setattr(KnowledgeBase, "own", lambda base, keys: np.full(len(keys), -1))
    assert log_loss(y, found.predict_proba(X)) < 0.4  # a leak would be seen


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


# Where it is used.


def test_a_lelp_student_is_trained_on_its_own_objective():
    splitter = RandomSplitter(n_subclasses=2)
    student = small(LELPStudentClassifier, projector=splitter, random_state=3, max_epochs=15)
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
    # About 0.9, by the student and by the votes alone: the teacher's single column says enough.
    new, odd = ROWS.X[TEST], np.array(["even", "odd"])[ROWS.y[TEST]]
    assert search.score(new, odd) > 0.75
    inner.retrieval_weight_ = 1.0
    assert search.score(new, odd) > 0.75
    long = model(small(max_epochs=15))
    grid = GridSearchCV(long, {"retrieval_weight": [0.0, 0.5]}, cv=2, error_score="raise")
    assert grid.fit(X, Y, **TEACHER).best_score_ > 0.6


def test_frames_keep_their_names_and_unlabelled_rows_come_from_the_meta_estimator():
    frame = pd.DataFrame(X).add_prefix("pixel")
    distilled = DistilledClassifier(LinearDiscriminantAnalysis().fit(frame, Y), model()).fit(
        frame[:150], Y[:150], X_unlabeled=frame[150:]
    )
    inner = distilled.student_
    assert list(inner.feature_names_in_) == list(frame.columns)
    assert inner.knowledge_base_.n_entries == 200
    assert (inner.kneighbors(frame, 199)[1] != np.arange(200)[:, None]).all()
    assert distilled.predict_proba(frame).shape == (200, 2)
    auto = inner.set_params(retrieval_weight="auto").fit(frame, Y, **TEACHER)
    array = clone(auto).fit(X, Y, **TEACHER)
    assert auto.retrieval_weight_scores_ == array.retrieval_weight_scores_


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.coo_array])
def test_sparse_rows(form):
    student = StudentClassifier(BagOfNgrams, max_epochs=6, lr=0.05, batch_size=32, device="cpu")
    few = model(student).fit(form(X), Y, **TEACHER)
    assert (few.kneighbors(form(X), 199)[1] != np.arange(200)[:, None]).all()
    assert few.score(form(ROWS.X[TEST]), ROWS.y[TEST]) > 0.7
    assert few.add(form(ROWS.X[TEST]), ROWS.y[TEST]).knowledge_base_.n_entries == 300
    auto = clone(few).set_params(retrieval_weight="auto").fit(form(X), Y, **TEACHER)
    assert min(auto.retrieval_weight_scores_.values()) < 0.6


def test_without_a_teacher_the_entries_are_the_students_own():
    for weight in ("auto", 0.5):
        with pytest.warns(UserWarning, match="got no teacher arrays") as caught:
            alone = model(retrieval_weight=weight).fit(X, Y)
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
