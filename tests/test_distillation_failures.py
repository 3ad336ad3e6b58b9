"""A DistilledClassifier whose fit fails or is killed, and one that comes from a file."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from lelp_sklearn import (
    MLP,
    CrossEntropy,
    DistilledClassifier,
    LELPStudentClassifier,
    Mixup,
    RetrievalAugmentedClassifier,
    StaticText,
    StudentClassifier,
    load,
    save,
)
from lelp_sklearn.students._checkpoint import Checkpoint
from lelp_sklearn.students._net import DistillationNet
from tests.data import digits
from tests.students.test_checkpoint import Killed, check_same, kill_at_step

ROWS = digits(150)


def student(cls=StudentClassifier, **params):
    own = {"module": MLP, "module__hidden": 8, "module__dropout": 0.2, "batch_size": 32}
    return cls(**{**own, "max_epochs": 4, "device": "cpu", "random_state": 0, **params})


def distilled(of=None, **params):
    teacher = LogisticRegression()
    if params.get("cv", "prefit") == "prefit":
        teacher.fit(ROWS.X, ROWS.y)
    return DistilledClassifier(teacher, of or student(), **params)


class Fails(Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, net, **kwargs):
        raise self.error


# A second fit that fails.


@pytest.mark.parametrize("cv", ["prefit", 2])
@pytest.mark.parametrize(
    ("params", "X", "error"),
    [
        ({"callbacks": [Fails(RuntimeError("a callback's own"))]}, ROWS.X, "a callback's own"),
        ({"callbacks": [Fails(Killed("a kill"))]}, ROWS.X, "a kill"),
        (
            {"lr": 1e30, "schedule": None},
            ROWS.X,
            r"DistilledClassifier is what it was.*student__lr",
        ),
        ({}, ROWS.X * np.nan, "NaN"),  # which the teacher does not take
    ],
)
def test_a_failed_fit_leaves_it_as_it_was(cv, params, X, error):
    model = distilled(cv=cv).fit(ROWS.X, ROWS.y)
    before, answer = dict(vars(model)), model.predict_proba(ROWS.X)
    model.student = clone(model.student).set_params(**params)
    with pytest.raises(BaseException, match=error):
        model.fit(X, ROWS.y)
    assert vars(model) == before | {"student": model.student}
    np.testing.assert_array_equal(model.predict_proba(ROWS.X), answer)


def test_a_failed_first_fit_leaves_nothing():
    model = distilled(student(callbacks=[Fails(RuntimeError("a callback's own"))]))
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="a callback's own"):
        model.fit(ROWS.X, ROWS.y)
    assert vars(model) == before


def test_what_the_next_fit_does_not_set_is_forgotten():
    model = distilled(cv=2).fit(ROWS.X, ROWS.y)
    assert model.n_features_in_ == 64
    assert hasattr(model, "teacher_")
    model.set_params(refit_teacher=False).fit(ROWS.X, ROWS.y)
    assert not hasattr(model, "teacher_")

    class Speaks:
        classes_ = np.array([0, 1])

        def predict_proba(self, texts):
            return np.full((len(texts), 2), 0.5)

    texts = ["odd one out" if y else "even steven" for y in ROWS.y]
    reader = StudentClassifier(StaticText, max_epochs=1, device="cpu")
    model.set_params(teacher=Speaks(), student=reader, cv="prefit").fit(texts, ROWS.y)
    assert not hasattr(model, "n_features_in_")


# From a file, which holds no teacher.


def test_a_loaded_one_says_that_it_has_no_teacher_until_it_gets_one(tmp_path):
    model = distilled().fit(ROWS.X, ROWS.y)
    save(model, tmp_path / "model.lelp")
    again = load(tmp_path / "model.lelp")
    with pytest.raises(AttributeError, match=r"neither does a file of save.*set teacher_"):
        again.report(ROWS.X, ROWS.y)
    with pytest.raises(ValueError, match=r"teacher is None, as it is in what load gives"):
        again.fit(ROWS.X, ROWS.y)
    assert "teacher=None" in repr(clone(again))
    assert again.score(ROWS.X, ROWS.y) == model.score(ROWS.X, ROWS.y)
    again.teacher_ = model.teacher_
    agreement = model.report(ROWS.X, ROWS.y).rows["student"]["agreement"]
    assert again.report(ROWS.X, ROWS.y).rows["student"]["agreement"] == agreement
    again.set_params(teacher=model.teacher).fit(ROWS.X, ROWS.y)
    np.testing.assert_array_equal(again.predict_proba(ROWS.X), model.predict_proba(ROWS.X))


# Killed, and run again.

CASES = {
    "prefit": lambda: distilled(),
    "out of fold": lambda: distilled(student(LELPStudentClassifier), cv=2),
    "made rows": lambda: distilled(augment=Mixup(random_state=0)),
}


@pytest.mark.parametrize("kill", [Killed, KeyboardInterrupt])
@pytest.mark.parametrize("case", CASES)
def test_a_killed_fit_goes_on_to_the_same_weights(case, kill, tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    n_batches = 10 if case == "made rows" else 5
    with monkeypatch.context() as patch:
        kill_at_step(patch, 2 * n_batches + 2, kill)  # in epoch 3
        if kill is Killed:
            with pytest.raises(Killed):
                CASES[case]().fit(ROWS.X, ROWS.y, checkpoint=path)
        else:
            with pytest.warns(UserWarning, match="interrupted in epoch 3"):
                stopped = CASES[case]().fit(ROWS.X, ROWS.y, checkpoint=path)
            assert len(stopped.student_.history_) == 2
    assert path.exists()
    steps, step = [], DistillationNet.train_step_single

    def counting(self, *args, **kwargs):
        steps.append(1)
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(DistillationNet, "train_step_single", counting)
        resumed = CASES[case]().fit(ROWS.X, ROWS.y, checkpoint=path)
    assert len(steps) == 2 * n_batches  # epochs 3 and 4
    assert not path.exists()
    check_same(resumed.student_, CASES[case]().fit(ROWS.X, ROWS.y).student_)


def test_another_teacher_is_named(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at_step(patch, 12)
        with pytest.raises(Killed):
            distilled().fit(ROWS.X, ROWS.y, checkpoint=tmp_path / "run")
    other = distilled().set_params(teacher=LogisticRegression(C=0.01).fit(ROWS.X, ROWS.y))
    with pytest.raises(ValueError, match=r"differs in teacher_coef .* teacher_proba"):
        other.fit(ROWS.X, ROWS.y, checkpoint=tmp_path / "run")
    assert not hasattr(other, "teacher_")


@pytest.mark.parametrize(("every", "writings"), [(1, 4), (3, 1)])
def test_checkpoint_every(every, writings, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "lelp_sklearn.students._checkpoint.write_state", lambda *args: written.append(args)
    )
    distilled().fit(ROWS.X, ROWS.y, checkpoint=tmp_path / "run", checkpoint_every=every)
    assert len(written) == writings


@pytest.mark.parametrize(
    "of",
    [
        GridSearchCV(student(), {"lr": [0.01, 0.02]}),
        make_pipeline(StandardScaler(), student()),
        RetrievalAugmentedClassifier(student(objective=CrossEntropy())),
    ],
    ids=["search", "Pipeline", "retrieval"],
)
def test_a_checkpoint_belongs_to_one_fit(of, tmp_path):
    model = distilled(of)
    with pytest.raises(ValueError, match=f"one fit of one student, and {type(of).__name__} takes"):
        model.fit(ROWS.X, ROWS.y, checkpoint=tmp_path / "run")
    assert not hasattr(model, "teacher_")  # it was not asked


def test_nothing_of_a_checkpoint_stays(tmp_path):
    model = distilled().fit(ROWS.X, ROWS.y, checkpoint=tmp_path / "run")
    assert not list(tmp_path.iterdir())
    assert not any(isinstance(c, Checkpoint) for _, c in model.student_.net_.callbacks_)
