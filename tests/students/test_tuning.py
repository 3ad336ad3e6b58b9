"""subclass_weight="auto": chosen on held-out labels, then trained with on all rows."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from lelp_sklearn import (
    LELP,
    DistilledClassifier,
    LELPProjector,
    LELPStudentClassifier,
    RandomSplitter,
    StudentClassifier,
    load,
    save,
)
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.students._tuning import SUBCLASS_WEIGHTS, held_out_rows
from tests.data import digits

ROWS = digits(200)
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


def student(**params):
    return LELPStudentClassifier(
        **{"subclass_weight": "auto", "max_epochs": 2, "random_state": 0, "device": "cpu", **params}
    )


def head(fitted):
    return fitted.net_.module_.head.weight.detach().numpy()


def test_auto_is_the_fit_with_the_weight_of_the_lowest_held_out_loss():
    auto = student().fit(ROWS.X, ROWS.y, **TEACHER)
    scores = auto.subclass_weight_scores_
    assert tuple(scores) == SUBCLASS_WEIGHTS
    assert len(set(scores.values())) == 5
    assert auto.subclass_weight_ == min(scores, key=scores.get)
    named = student(subclass_weight=auto.subclass_weight_).fit(ROWS.X, ROWS.y, **TEACHER)
    np.testing.assert_array_equal(head(auto), head(named))
    assert not hasattr(named, "subclass_weight_scores_")
    again = clone(auto).fit(ROWS.X, ROWS.y, **TEACHER)
    assert again.subclass_weight_scores_ == scores
    again.set_params(subclass_weight=0.1).fit(ROWS.X, ROWS.y, **TEACHER)
    assert again.subclass_weight_ == 0.1
    assert not hasattr(again, "subclass_weight_scores_")


class Interrupts(Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_begin(self, net, **kwargs):
        if self.epochs.pop() == "stop":
            raise KeyboardInterrupt


class Epochs(list):
    def __deepcopy__(self, memo):  # candidates count on
        return self


@pytest.mark.parametrize("whole", [0, 1, 3])
def test_ctrl_c_ends_the_whole_fit_with_the_best_candidate_so_far(whole, tmp_path):
    epochs = Epochs(["stop", *[""] * (2 * whole + 1)])
    stopped = student(callbacks=[Interrupts(epochs)])
    with pytest.warns(UserWarning, match="interrupted while it chose subclass_weight") as seen:
        stopped.fit(ROWS.X, ROWS.y, **TEACHER)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert not epochs  # and no fit came after it
    scores = stopped.subclass_weight_scores_
    assert tuple(scores) == SUBCLASS_WEIGHTS[:whole]
    if whole:
        assert f"best of {whole} candidates" in str(seen[0].message)
        assert stopped.subclass_weight_ == min(scores, key=scores.get)
        assert len(stopped.history_) == 2
        held = held_out_rows(
            ROWS.y, np.full(200, True), np.random.RandomState(0).randint(2**31 - 1)
        )
        proba = stopped.predict_proba(ROWS.X[held])
        loss = -np.log(proba[np.arange(held.sum()), ROWS.y[held]]).mean()
        assert loss == pytest.approx(min(scores.values()), rel=1e-5)  # these are its weights
    else:
        assert "first candidate, as far as it came" in str(seen[0].message)
        assert len(stopped.history_) == 1
    assert stopped.projector_.classes_.tolist() == [0, 1]
    stopped.set_params(callbacks=None)
    save(stopped, tmp_path / "stopped.lelp")
    again = load(tmp_path / "stopped.lelp")
    np.testing.assert_array_equal(again.predict_proba(ROWS.X), stopped.predict_proba(ROWS.X))
    whole_fit = stopped.fit(ROWS.X, ROWS.y, **TEACHER)
    assert len(whole_fit.subclass_weight_scores_) == 5


def test_a_fault_of_a_candidate_names_the_row_of_the_users_X_and_leaves_nothing():
    X = ROWS.X.copy()
    X[70, 3:9] = 3e38
    weight = np.ones(200)
    weight[:10] = 0
    failed = student(lr=0.5, inputs=ArrayInputs(standardize=False))
    before = dict(vars(failed))
    with pytest.raises(
        FloatingPointError, match=r"row 70 of X.*StudentClassifier is what it was"
    ) as info:
        failed.fit(X, ROWS.y, weight, **TEACHER)
    assert info.value.row == 70
    assert vars(failed) == before


def test_random_subclasses_get_little_weight():
    # Subclasses by chance only take capacity away from the class.
    X, digit = load_digits(return_X_y=True)
    X, y = X[:600] / 16, digit[:600] % 2
    proba = np.where(y[:, None] == [0, 1], 0.98, 0.02)
    rough = student(projector=RandomSplitter(n_subclasses=6), lr=0.05, max_epochs=10)
    rough.fit(X, y, teacher_proba=proba, teacher_embeddings=X)
    assert rough.subclass_weight_ <= 0.03


def test_a_fifth_of_each_class_is_held_out_and_no_unlabelled_row():
    y = np.repeat([0, 1, 2, 3], [100, 50, 3, 1])
    labeled = np.ones(154, bool)
    labeled[:40] = False
    held = held_out_rows(y, labeled, 0)
    assert np.bincount(y[held], minlength=4).tolist() == [12, 10, 1, 0]
    assert not held[~labeled].any()
    np.testing.assert_array_equal(held, held_out_rows(y, labeled, 0))
    assert not np.array_equal(held, held_out_rows(y, labeled, 1))


def test_unlabelled_rows_train_in_every_candidate_and_never_score():
    seen = []

    class Spy(LELPStudentClassifier):
        def fit(self, X, y, sample_weight=None, **arrays):
            seen.append((len(X), arrays["labeled"].sum(), len(arrays["teacher_proba"])))
            return super().fit(X, y, sample_weight, **arrays)

        def predict_log_proba(self, X):
            seen.append(len(X))
            return super().predict_log_proba(X)

    labeled = np.arange(200) < 100
    spy = Spy(subclass_weight="auto", max_epochs=1, device="cpu", random_state=0)
    y = np.where(labeled, ROWS.y, -1)
    spy.fit(ROWS.X, y, labeled=labeled, **TEACHER)
    held = seen[2]
    assert 18 <= held <= 22
    assert seen[1:] == [(200 - held, 100 - held, 200 - held), held] * 5


def test_row_and_class_weights_count_in_the_score_as_in_training():
    weight = np.where(ROWS.y == 1, 3.0, 1.0)
    by_row = student().fit(ROWS.X, ROWS.y, weight, **TEACHER)
    by_class = student(class_weight={0: 1.0, 1: 3.0}).fit(ROWS.X, ROWS.y, **TEACHER)
    assert by_row.subclass_weight_scores_ == by_class.subclass_weight_scores_
    plain = student().fit(ROWS.X, ROWS.y, **TEACHER)
    assert plain.subclass_weight_scores_ != by_row.subclass_weight_scores_


def test_partial_fit_needs_a_fit_first_and_warm_start_keeps_the_weight():
    with pytest.raises(ValueError, match="'auto' cannot be chosen by partial_fit"):
        student().partial_fit(ROWS.X, ROWS.y, **TEACHER)
    s = student(warm_start=True).fit(ROWS.X, ROWS.y, **TEACHER)
    scores = s.subclass_weight_scores_
    assert scores == student().fit(ROWS.X, ROWS.y, **TEACHER).subclass_weight_scores_
    chosen = s.subclass_weight_
    s.fit(ROWS.X[:50], ROWS.y[:50], **{k: v[:50] for k, v in TEACHER.items()})
    s.partial_fit(ROWS.X[:50], ROWS.y[:50], **{k: v[:50] for k, v in TEACHER.items()})
    assert s.subclass_weight_scores_ is scores
    assert s.subclass_weight_ == chosen
    assert len(s.history_) == 5


def test_a_class_with_one_labelled_row_keeps_it_for_training():
    labeled = ROWS.y == 0
    labeled[np.flatnonzero(ROWS.y == 1)[0]] = True
    s = student().fit(ROWS.X, ROWS.y, labeled=labeled, **TEACHER)
    assert s.subclass_weight_ in SUBCLASS_WEIGHTS
    single = np.zeros(200, bool)
    single[[0, 1]] = True
    with pytest.raises(ValueError, match="each class has a single one"):
        student().fit(ROWS.X, ROWS.y, labeled=single, **TEACHER)


def test_too_few_rows_for_the_candidates_say_where_it_happened():
    rows = np.r_[np.flatnonzero(ROWS.y == 0), np.flatnonzero(ROWS.y == 1)[:6]]
    s = student(projector=LELPProjector(n_subclasses=6))
    with pytest.raises(ValueError, match="fewer than its 6 subclasses") as caught:
        s.fit(ROWS.X[rows], ROWS.y[rows], **{k: v[rows] for k, v in TEACHER.items()})
    assert "choosing subclass_weight='auto'" in caught.value.__notes__[0]


def test_auto_belongs_to_the_lelp_student():
    with pytest.raises(ValueError, match="'subclass_weight' parameter of LELP"):
        StudentClassifier(objective=LELP(subclass_weight="auto"), device="cpu").fit(
            ROWS.X, ROWS.y, **TEACHER
        )


def test_auto_in_a_grid_and_in_a_distilled_classifier():
    grid = {"subclass_weight": ["auto", 1.0]}
    search = GridSearchCV(student(max_epochs=1), grid, cv=2, error_score="raise")
    assert np.isfinite(search.fit(ROWS.X, ROWS.y, **TEACHER).cv_results_["mean_test_score"]).all()
    model = DistilledClassifier(
        LogisticRegression().fit(ROWS.X, ROWS.y),
        student(max_epochs=1, projector=LELPProjector(n_subclasses=2)),
    )
    labels = np.array(["even", "odd"])[ROWS.y]
    model.teacher.fit(ROWS.X, labels)
    model.fit(ROWS.X, labels)
    assert model.student_.subclass_weight_ in SUBCLASS_WEIGHTS


def test_without_a_teacher_there_is_nothing_to_choose():
    with pytest.warns(UserWarning, match="got no teacher arrays") as caught:
        s = student().fit(ROWS.X, ROWS.y)
    assert not hasattr(s, "subclass_weight_")
    assert caught[0].filename == __file__
