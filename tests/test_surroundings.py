"""What the surrounding program has set changes no result, and is afterwards as it was.

Every public call is tried so in ``tests/fuzz/test_surroundings.py``; here are whole workflows.
"""

import copy
import logging
import pickle
import time
from multiprocessing.pool import ThreadPool
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

import lelp_sklearn as lelp
from lelp_sklearn._torch import UsualSettings, torch_threads
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.students._net import DistillationNet
from lelp_sklearn.teachers import SkorchTeacher, TorchTeacher
from tests.fuzz.subjects import values as v
from tests.fuzz.surroundings import SURROUNDINGS, TOGETHER, state

QUICK = {**v.QUICK, "max_epochs": 2}
ANSWERS = {"teacher_proba": v.PROBA, "teacher_embeddings": v.H}
ROWS = v.X.astype(np.float32)


def student(body=None, **params):
    projector = lelp.LELPProjector(n_subclasses=2, null_space=False, random_state=0)
    return lelp.LELPStudentClassifier(body, projector=projector, **QUICK, **params)


def columns():
    numbers, words = StandardScaler(), OneHotEncoder(sparse_output=False)
    return ColumnTransformer([("n", numbers, ["a", "b", "c"]), ("w", words, ["d"])])


def forest():
    trees = RandomForestClassifier(3, random_state=0)
    return lelp.SklearnTeacher(trees, n_components=3, random_state=0)


class Net(nn.Sequential):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


NET = NeuralNetClassifier(
    Net, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0, iterator_train__shuffle=False
)
CLUSTERS = lelp.ClusterSplitter(n_subclasses=2, reduce=PCA(2), null_space=False, random_state=0)
WORDS = make_pipeline(TfidfVectorizer(), LogisticRegression())
DISTILLED = {
    "trees": (forest(), student(), v.X),
    "trees of a table": (
        lelp.SklearnTeacher(
            make_pipeline(columns(), RandomForestClassifier(3, random_state=0)), random_state=0
        ),
        lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **QUICK),
        v.TABLE,
    ),
    "steps before both": (
        make_pipeline(columns(), LogisticRegression()),
        make_pipeline(columns(), student(lelp.MLP, module__hidden=5)),
        v.TABLE,
    ),
    "transformer": (LinearDiscriminantAnalysis(), student(), v.X),
    "names": (
        make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
        student(),
        pd.DataFrame(v.X, columns=list("abcd")),
    ),
    "texts": (
        lelp.SklearnTeacher(WORDS, n_components=4, random_state=0),
        student(lelp.StaticText, module__dim=4),
        v.TEXTS,
    ),
    "ensemble": (
        lelp.TeacherEnsemble([("trees", forest()), ("lda", LinearDiscriminantAnalysis())]),
        student(),
        v.X,
    ),
    "search": (LinearDiscriminantAnalysis(), GridSearchCV(student(), {"lr": [0.1]}, cv=2), v.X),
    "student": (
        lelp.StudentClassifier(lelp.MLP, objective=lelp.CrossEntropy(), **QUICK),
        student(),
        v.X,
    ),
    "reduced": (
        forest(),
        lelp.StudentClassifier(
            lelp.MLP,
            objective=lelp.LELP(projector=CLUSTERS) + lelp.EmbeddingApproximation(reducer=PCA(2)),
            **QUICK,
        ),
        v.X,
    ),
    "skorch": (SkorchTeacher(NET), student(), ROWS),
}


@pytest.mark.parametrize(
    ("name", "surrounding"), [(name, [*TOGETHER][i % 2]) for i, name in enumerate(DISTILLED)]
)
def test_distilled_classifiers(name, surrounding):
    teacher, student, X = DISTILLED[name]

    def proba():
        distilled = lelp.DistilledClassifier(teacher, student, cv=2)
        return distilled.fit(X, v.Y).predict_proba(X)

    plain = proba()
    with SURROUNDINGS[surrounding]():
        before = state() | {"torch's numbers": None}  # a net of the user's draws from them
        np.testing.assert_array_equal(proba(), plain)
        assert state() | {"torch's numbers": None} == before


def of_a_torch_module(folder):
    return TorchTeacher(NETWORK).outputs(v.X).embeddings


NETWORK = Net()


def of_a_file(folder):
    path = folder / f"{time.monotonic_ns()}.lelp"
    fitted = lelp.StudentClassifier(lelp.MLP, objective=lelp.CrossEntropy(), **QUICK)
    lelp.save(make_pipeline(columns(), fitted).fit(v.TABLE, v.Y), path)
    return lelp.load(path).predict_proba(v.TABLE)


def of_onnx(folder):
    fitted = student(lelp.MLP).fit(ROWS, v.Y, **ANSWERS)
    return lelp.OnnxStudent(lelp.to_onnx(fitted, ROWS).SerializeToString()).predict_proba(ROWS)


def of_copies(folder):
    fitted = student(lelp.MLP, bf16=True, warm_start=True).fit(v.X, v.Y, **ANSWERS)
    again = pickle.loads(pickle.dumps(copy.deepcopy(fitted)))
    return again.fit(v.X, v.Y, **ANSWERS).predict_proba(v.X)


def kill_in_epoch_2(patch):
    step = DistillationNet.train_step_single

    def killed(net, *args, **kwargs):
        if len(net.history) == 2:
            raise InterruptedError
        return step(net, *args, **kwargs)

    patch.setattr(DistillationNet, "train_step_single", killed)


def of_a_checkpoint(folder):
    path = folder / f"{time.monotonic_ns()}.checkpoint"
    killed = student(lelp.MLP)
    with pytest.MonkeyPatch.context() as patch:
        kill_in_epoch_2(patch)
        with pytest.raises(InterruptedError):
            killed.fit(v.X, v.Y, checkpoint=path, **ANSWERS)
    return killed.fit(v.X, v.Y, checkpoint=path, **ANSWERS).predict_proba(v.X)


@pytest.mark.parametrize(
    "made", [of_a_torch_module, of_a_file, of_onnx, of_copies, of_a_checkpoint]
)
@pytest.mark.parametrize("surrounding", TOGETHER)
def test_what_is_made_of_them(made, surrounding, tmp_path):
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    plain = made(tmp_path)
    with SURROUNDINGS[surrounding]():
        before = state()
        np.testing.assert_array_equal(made(tmp_path), plain)
        assert state() == before


def test_after_an_error_too():
    with SURROUNDINGS["all with pandas"]():
        before = state()
        # scikit-learn does not look for NaN there, and the training does not go on in silence.
        with pytest.raises(ValueError, match="column 0 of X holds NaN"):
            student().fit(np.full_like(v.X, np.nan), v.Y, **ANSWERS)
        unscaled = ArrayInputs(standardize=False)
        with pytest.raises(FloatingPointError, match="Likely cause: X, in row 0 is not finite"):
            student(inputs=unscaled).fit(np.full_like(v.X, np.nan), v.Y, **ANSWERS)
        with pytest.raises(TypeError, match="the body Linear failed"):
            student(nn.Linear(5, 2)).fit(v.X, v.Y, **ANSWERS)
        with pytest.raises(RuntimeError):
            TorchTeacher(NETWORK).predict_proba(v.X[:, :3])
        assert state() == before


@pytest.mark.parametrize("surrounding", ["float64", "meta device"])
def test_a_body_made_in_such_surroundings_is_refused(surrounding):
    with SURROUNDINGS[surrounding]():
        body = nn.Linear(4, 3)
    with pytest.raises(TypeError, match=r"weight 'weight'.*pass the class and module__ parameters"):
        student(body).fit(v.X, v.Y, **ANSWERS)


def test_only_what_differs_is_changed(monkeypatch):
    monkeypatch.setattr("lelp_sklearn._torch.ExitStack", None)  # it would fail
    student().fit(v.X, v.Y, **ANSWERS).predict(v.X)


@pytest.fixture
def threads():
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


def test_threads_are_given_back(threads):
    fitted = student(n_threads=1).fit(v.X, v.Y, **ANSWERS)
    expected = fitted.predict_proba(v.X)

    def predicted(_):
        proba = fitted.predict_proba(v.X)
        return proba, torch.get_num_threads()

    with ThreadPool(4) as pool:
        answers = pool.map(predicted, range(100))
        assert {n for _, n in answers} == {3}
    for proba, _ in answers:
        np.testing.assert_array_equal(proba, expected)
    with ThreadPool(2) as pool:  # threads that are new to torch
        assert set(pool.map(lambda _: torch.get_num_threads(), range(4))) == {3}
    assert torch.get_num_threads() == 3


def test_fits_in_threads_draw_their_own_numbers():
    def proba(seed):
        fitted = student(lelp.MLP, module__dropout=0.3).set_params(random_state=seed)
        return fitted.fit(v.X, v.Y, **ANSWERS).predict_proba(v.X)

    before, alone = state(), [proba(seed) for seed in range(4)]
    with ThreadPool(2) as pool:
        for together, expected in zip(pool.map(proba, range(4), chunksize=1), alone, strict=True):
            np.testing.assert_array_equal(together, expected)
    assert state() == before


def test_threads_that_come_in_beside_others(threads):
    both_are_in = Barrier(2, timeout=10)
    first_is_out = Barrier(2, timeout=10)

    def inside(first):
        with torch_threads(1), UsualSettings():
            both_are_in.wait()
            if not first:
                first_is_out.wait()
                assert torch.get_default_dtype() == torch.float32
                assert torch.get_num_threads() == 1
        if first:
            first_is_out.wait()
        return torch.get_num_threads()

    with SURROUNDINGS["float64"](), ThreadPool(2) as pool:
        assert pool.map(inside, [True, False], chunksize=1) == [3, 3]
        assert torch.get_default_dtype() == torch.float64
    with ThreadPool(1) as pool:
        assert pool.apply(torch.get_num_threads) == 3
