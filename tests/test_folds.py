"""Which rows a teacher is asked about by whom: shuffles, groups, classes that a fold lacks."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from lelp_sklearn import (
    CKA,
    DKD,
    KD,
    LELP,
    MLP,
    CrossEntropy,
    DistilledClassifier,
    LELPStudentClassifier,
    Mixup,
    StudentClassifier,
    TeacherEnsemble,
)
from lelp_sklearn.teachers._out_of_fold import folds, out_of_fold_proba
from lelp_sklearn.teachers._outputs import teacher_outputs

X, DIGIT = load_digits(return_X_y=True)
ORDER = np.argsort(DIGIT, kind="stable")[::3]
X, DIGIT = X[ORDER] / 16, DIGIT[ORDER]
Y = DIGIT % 2
GROUPS = np.arange(len(Y)) % 60


def student(**params):
    return StudentClassifier(**{"max_epochs": 2, "random_state": 0, **params})


class Recorder(ClassifierMixin, BaseEstimator):
    """A teacher that remembers the groups it was fitted on, in the first column of X."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y, groups=None):
        self.classes_ = np.unique(y)
        self.rows_ = set(X[:, 0].tolist())
        if groups is not None:
            assert len(groups) == len(X)
            Recorder.seen.append(set(groups.tolist()))
        return self

    def predict_proba(self, X):
        assert self.rows_.isdisjoint(X[:, 0].tolist()) or len(self.rows_) == len(np.unique(X[:, 0]))
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))

    def transform(self, X):
        return X


def test_sorted_rows_are_shuffled():
    def proba(seed):
        return out_of_fold_proba(
            KNeighborsClassifier(3), X, Y, np.arange(2), 5, None, teacher_outputs, seed=seed
        )[0]

    # Held-out digits would be told from no other even or odd digit.
    assert (proba(0).argmax(axis=1) == Y).mean() > 0.85
    assert not np.array_equal(proba(0), proba(1))
    np.testing.assert_array_equal(proba(0), proba(0))


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_have_their_share_of_each_class(n_folds):
    y = np.repeat([0, 1, 2, 3], [1, 2, 10, 40])
    tested = []
    for train, test in folds(n_folds, y, None, 0):
        counts = np.bincount(y[test], minlength=4)
        shares = np.array([1, 2, 10, 40]) / n_folds
        assert (np.abs(counts - shares) < 1).all()
        assert set(train).isdisjoint(test)
        tested.extend(test)
    assert sorted(tested) == list(range(len(y)))


@pytest.mark.parametrize("seed", [0, np.random.RandomState(0)], ids=["int", "RandomState"])
def test_one_seed_seeds_the_folds_the_teacher_the_student_and_new_rows(seed):
    model = DistilledClassifier(
        RandomForestClassifier(5),
        LELPStudentClassifier(max_epochs=2),
        cv=3,
        augment=Mixup(),
        augment_factor=0.2,
        random_state=seed,
    )
    first, second = (clone(model).fit(X, Y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = clone(model).set_params(random_state=1).fit(X, Y).predict_proba(X)
    assert not np.array_equal(first, other)
    assert model.teacher.random_state is None
    assert model.student.random_state is None


def test_seeded_parts_give_the_same_fit_without_a_seed_of_its_own():
    model = DistilledClassifier(
        RandomForestClassifier(5, random_state=0),
        LELPStudentClassifier(max_epochs=2, random_state=0),
        cv=3,
    )
    first, second = (clone(model).fit(X, Y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_fitted_part_keeps_its_seed():
    fitted = RandomForestClassifier(3).fit(X, Y)
    teacher = TeacherEnsemble([("forest", fitted)], prefit=True)
    DistilledClassifier(teacher, student(), cv=2, random_state=0).fit(X, Y)
    assert fitted.random_state is None


@pytest.mark.parametrize("cv", [3, GroupKFold(3)], ids=str)
def test_groups_stay_whole(cv):
    rows = np.column_stack([GROUPS, X])  # the recorder refuses rows of groups it was fitted on
    Recorder.seen = []
    model = DistilledClassifier(Recorder(), student(), cv=cv)
    model.fit(rows, Y, groups=GROUPS)
    assert len(Recorder.seen) == 4  # of each fold, and of all rows
    model.fit(rows, Y, groups=pd.Series(GROUPS).astype(str), X_unlabeled=rows[:60])


def test_groups_reach_it_through_searches_with_routing():
    rows = np.column_stack([GROUPS, X])
    model = DistilledClassifier(Recorder(), student(validation_fraction=0.3), cv=GroupKFold(2))
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_validate(
            model, rows, Y, cv=GroupKFold(3), params={"groups": GROUPS}, error_score="raise"
        )
        assert len(found["test_score"]) == 3
        GridSearchCV(model, {"student__lr": [0.1]}, cv=GroupKFold(2), error_score="raise").fit(
            rows, Y, groups=GROUPS
        )


@pytest.mark.parametrize(("params", "n_fits"), [({"validation_fraction": 0.3}, 1), ({}, 6)])
def test_a_student_holds_out_whole_groups(monkeypatch, params, n_fits):
    taken = []
    from lelp_sklearn.students import _callbacks, _tuning

    def note(function):
        def noted(*args, **kwargs):
            found = function(*args, **kwargs)
            taken.append((found, args, kwargs))
            return found

        return noted

    arrays = {"teacher_proba": np.eye(2)[Y], "teacher_embeddings": X, "groups": GROUPS}
    if params:
        monkeypatch.setattr(_callbacks.HeldOut, "__call__", note(_callbacks.HeldOut.__call__))
        student(**params).fit(X, Y, **arrays)
        train, held = (GROUPS[np.asarray(part.indices)] for part in taken[0][0])
    else:
        from lelp_sklearn.students import _lelp

        module = _lelp if hasattr(_lelp, "held_out_rows") else _tuning
        monkeypatch.setattr(module, "held_out_rows", note(module.held_out_rows))
        LELPStudentClassifier(max_epochs=1, subclass_weight="auto", random_state=0).fit(
            X, Y, **arrays
        )
        mask = taken[0][0]
        train, held = GROUPS[~mask], GROUPS[mask]
    assert len(held) > 0
    assert set(train).isdisjoint(held)


def test_an_ensembles_held_out_weights_keep_groups_whole():
    rows = np.column_stack([GROUPS, X])
    ensemble = TeacherEnsemble([("a", Recorder()), ("b", GaussianNB())], combine="log_loss", cv=3)
    assert ensemble.fit(rows, Y, groups=GROUPS).log_loss_[0] == pytest.approx(np.log(2))


def test_rows_in_no_test_fold_take_their_labels_alone():
    model = DistilledClassifier(GaussianNB(), student(), cv=TimeSeriesSplit(2))
    shuffled = np.random.default_rng(0).permutation(len(Y))
    with pytest.warns(UserWarning, match=r"201 of 599 rows get no answer .* in no test fold"):
        model.fit(X[shuffled][:599], Y[shuffled][:599])


def test_a_class_that_a_fold_lacks_has_probability_0_there():
    y = np.repeat(["a", "b", "c"], [190, 220, 189])
    with pytest.warns(UserWarning, match=r"190 of class 'a', 189 of class 'c'") as caught:
        proba, teachers = out_of_fold_proba(
            GaussianNB(), X, y, np.unique(y), KFold(3), None, teacher_outputs
        )
    assert len(caught) == 1
    assert len(teachers) == 3
    answered = ~np.isnan(proba[:, 0])
    np.testing.assert_array_equal(answered, y == "b")
    np.testing.assert_allclose(proba[answered].sum(axis=1), 1, rtol=1e-6)
    assert (proba[190:200, 0] == 0).all()
    assert (proba[400:410, 2] == 0).all()


def test_one_row_of_a_class_and_a_fold_of_one_class():
    y = Y.astype(object)
    y[0] = 2
    y = y.astype(int)
    model = DistilledClassifier(GaussianNB(), student(), cv=3)
    with pytest.warns(UserWarning, match="1 of 599 rows get no answer .*1 of class 2"):
        model.fit(X, y)
    assert model.predict_proba(X).shape == (599, 3)
    with pytest.warns(UserWarning, match="saw no row of their class, or no other one"):
        model.set_params(cv=KFold(2)).fit(X, (np.arange(len(X)) > 280).astype(int))
    with pytest.raises(ValueError, match="no row that a teacher can be asked about"):
        model.set_params(cv=KFold(2)).fit(X[:20], np.repeat([0, 1], 10))


def test_many_classes_with_fewer_rows_than_folds():
    classes = np.repeat(np.arange(50), 4)
    rows = np.random.default_rng(0).normal(size=(50, 8))[classes]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = DistilledClassifier(GaussianNB(), student(), cv=5).fit(rows, classes)
    assert model.predict_proba(rows).shape == (200, 50)


def test_too_few_rows_or_groups_for_folds():
    model = DistilledClassifier(GaussianNB(), student(), cv=5)
    with pytest.raises(ValueError, match="asks for 5 folds, and there are 4 rows"):
        model.fit(X[[0, 1, 598, 597]], [0, 0, 1, 1])
    with pytest.raises(ValueError, match="asks for 5 folds, and there are 3 groups"):
        model.fit(X, Y, groups=np.arange(599) % 3)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, Y, groups=[1, 2])
    with pytest.raises(ValueError, match="all 599 rows are of one"):
        student(validation_fraction=0.2).fit(
            X, Y, teacher_proba=np.eye(2)[Y], groups=np.ones(len(Y))
        )


def test_the_error_of_a_folds_teacher_names_the_fold():
    class Failing(GaussianNB):
        def fit(self, X, y):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no") as caught:
        DistilledClassifier(Failing(), student(), cv=3).fit(X, Y)
    assert "the teacher of fold 0 of cv=3, on 399 rows" in caught.value.__notes__[0]


def test_a_splitter_that_tests_rows_several_times():
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    proba, teachers = out_of_fold_proba(GaussianNB(), X, Y, np.arange(2), cv, None, teacher_outputs)
    assert len(teachers) == 6
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)


def test_without_a_refitted_teacher_the_pool_gets_the_mean_of_teachers_that_lack_classes():
    y = np.where(DIGIT < 4, 0, np.where(DIGIT < 8, 1, 2))
    model = DistilledClassifier(
        GaussianNB(), student(objective=KD()), cv=KFold(3), refit_teacher=False
    )
    with pytest.warns(UserWarning, match="get no answer"):
        model.fit(X, y, X_unlabeled=X[:30])
    assert model.predict_proba(X).shape == (599, 3)


# Rows of NaN in teacher_proba: no answer.


@pytest.mark.parametrize(
    "objective",
    [KD(), KD(alpha=0), KD(kind="mse"), DKD(beta=0), LELP(), KD() + 0.1 * CKA()],
    ids=lambda o: type(o).__name__,
)
@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame], ids=["array", "frame"])
def test_rows_without_an_answer_are_learned_from_their_labels(objective, container):
    proba = np.eye(2)[1 - Y]  # a teacher that is always wrong
    proba[:, :] = proba * 0.8 + 0.1
    missing = np.arange(len(Y)) % 10 > 0
    proba[missing] = np.nan
    arrays = {"teacher_proba": container(proba), "teacher_embeddings": X}
    body = {"module": MLP, "module__hidden": 8, "max_epochs": 20, "lr": 0.05}
    fitted = student(objective=objective, **body).fit(X, Y, **arrays)
    assert (fitted.predict(X)[missing] == Y[missing]).mean() > 0.75
    assert np.isfinite(fitted.history_[-1]["train_loss"])


def test_if_only_few_are_answered_training_is_on_labels():
    proba = np.full((len(Y), 2), np.nan)
    proba[:1] = np.eye(2)[Y[:1]]
    weight = np.ones(len(Y))
    weight[0] = 1e-8
    taught = student(objective=KD(alpha=0)).fit(X, Y, weight, teacher_proba=proba)
    alone = student(objective=CrossEntropy()).fit(X, Y, weight)
    np.testing.assert_allclose(taught.predict_proba(X), alone.predict_proba(X), atol=1e-4)


def test_held_out_rows_without_an_answer_and_an_auto_weight():
    proba = np.eye(2)[Y] * 0.8 + 0.1
    proba[::2] = np.nan
    arrays = {"teacher_proba": proba, "teacher_embeddings": X}
    fitted = student(validation_fraction=0.3, batch_size=1).fit(X[:40], Y[::15], **{
        name: values[::15] for name, values in arrays.items()
    })  # fmt: skip
    assert np.isfinite(fitted.history_[-1]["valid_loss"])
    chosen = LELPStudentClassifier(subclass_weight="auto", max_epochs=1, random_state=0)
    assert np.isfinite(list(chosen.fit(X, Y, **arrays).subclass_weight_scores_.values())).all()


def test_no_answer_and_no_label_is_an_error():
    proba = np.eye(2)[Y]
    proba[7] = np.nan
    labeled = np.arange(len(Y)) != 7
    with pytest.raises(ValueError, match=r"NaN in row 7.*no label either"):
        student().fit(X, Y, teacher_proba=proba, labeled=labeled)
    with pytest.raises(ValueError, match="NaN in all rows"):
        student().fit(X, Y, teacher_proba=np.full((len(Y), 2), np.nan))
    proba[8, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        student().fit(X, Y, teacher_proba=proba)


# A fitted teacher that has seen the rows.


def test_a_fitted_teacher_that_knows_the_rows_is_a_warning():
    half = np.arange(len(Y)) % 2 == 0
    forest = RandomForestClassifier(20, random_state=0).fit(X[half], Y[half])
    model = DistilledClassifier(forest, student())
    with pytest.warns(UserWarning, match="RandomForestClassifier is wrong about .* use cv=5"):
        model.fit(X[half], Y[half])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X[~half], Y[~half])
        model.fit(X[half][::10], Y[half][::10])  # too few to tell
        DistilledClassifier(
            LogisticRegression(C=1e-3).fit(X[half], Y[half]), student()
        ).fit(X[half], Y[half])  # fmt: skip
