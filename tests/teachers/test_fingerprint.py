"""A fingerprint follows content: reloading keeps it, one changed weight changes it."""

import copy
import functools
import io
import pickle
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch import NeuralNetClassifier

from lelp_sklearn import MLP, CrossEntropy, StudentClassifier
from lelp_sklearn.teachers._fingerprint import fingerprint

X, Y = load_iris(return_X_y=True)
TEXTS = ["red wine", "white wine", "red rose"] * 50


def add(array, index=0):
    array.flat[index] += 1e-3


def change_tree(forest):
    state = forest.estimators_[3].tree_.__getstate__()
    add(state["values"])
    forest.estimators_[3].tree_.__setstate__(state)


def student(seed=0):
    body = {"module": MLP, "module__hidden": 4, "max_epochs": 1}
    return StudentClassifier(objective=CrossEntropy(), random_state=seed, **body).fit(X, Y)


class Scaled(torch.nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale
        self.layer = torch.nn.Linear(4, 3)
        self.register_buffer("shift", torch.zeros(3, dtype=torch.bfloat16))

    def forward(self, rows):
        return (self.layer(rows) * self.scale + self.shift).softmax(dim=1)


def scaled(**params):
    torch.manual_seed(0)
    return Scaled(**params)


def net():
    torch.manual_seed(0)
    made = NeuralNetClassifier(Scaled, max_epochs=1, lr=0.1, verbose=0)
    return made.fit(X.astype(np.float32), Y)


def use(teacher, rows):
    teacher.predict_proba(rows)


def change_head(module):
    module.head.weight.data[0, 0] += 1e-3


def change_shift(module):
    module.shift[0] = 0.5


# A teacher, rows for it, and the smallest change to it.
TEACHERS = {
    "pipeline": (
        lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
        X,
        lambda t: add(t[-1].coef_),
    ),
    "pipeline, first step": (
        lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
        X,
        lambda t: add(t[0].mean_),
    ),
    "forest": (
        lambda: RandomForestClassifier(5, random_state=0).fit(X, Y),
        X,
        change_tree,
    ),
    "hist gradient boosting": (
        lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(X, Y),
        X,
        lambda t: add(t._predictors[0][0].nodes["value"]),
    ),
    "mlp": (
        lambda: MLPClassifier(4, max_iter=300, tol=0.1, random_state=0).fit(X, Y),
        X,
        lambda t: add(t.coefs_[1]),
    ),
    "lda": (lambda: LinearDiscriminantAnalysis().fit(X, Y), X, lambda t: add(t.scalings_)),
    "neighbours": (
        lambda: KNeighborsClassifier(algorithm="kd_tree").fit(X, Y),
        X,
        lambda t: add(t._fit_X),
    ),
    "counts": (
        lambda: make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, Y),
        TEXTS,
        lambda t: t[0].vocabulary_.update(red=3, wine=1),
    ),
    "tf-idf": (
        lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, Y),
        TEXTS,
        lambda t: add(t[0]._tfidf.idf_),
    ),
    "student": (student, X, lambda t: change_head(t.net_.module_)),
    "skorch net": (net, X.astype(np.float32), lambda t: change_shift(t.module_)),
}


@pytest.mark.parametrize(("make", "rows", "change"), TEACHERS.values(), ids=TEACHERS)
def test_reloading_and_using_keep_it_and_a_changed_weight_does_not(make, rows, change):
    teacher = make()
    before = fingerprint(teacher)
    use(teacher, rows)
    assert fingerprint(teacher) == before
    reloaded = pickle.loads(pickle.dumps(teacher))
    assert fingerprint(reloaded) == before
    assert fingerprint(copy.deepcopy(teacher)) == before
    change(reloaded)
    assert fingerprint(reloaded) != before
    assert fingerprint(teacher) == before


def test_a_students_history_and_timings_do_not_count():
    teacher = student()
    before = fingerprint(teacher)
    teacher.net_.history[-1]["dur"] = 1e9
    assert fingerprint(teacher) == before
    assert fingerprint(student(seed=1)) != before
    teacher.classes_ = np.array(["a", "b", "c"])
    assert fingerprint(teacher) != before


def test_modules_by_weights_structure_and_plain_attributes():
    before = fingerprint(scaled())
    assert fingerprint(scaled(scale=2.0)) != before
    assert fingerprint(scaled().to(torch.float64)) != before
    buffered = scaled()
    buffered.shift += 1
    assert fingerprint(buffered) != before
    file = io.BytesIO()
    torch.save(scaled().state_dict(), file)
    torch.manual_seed(1)
    reloaded = Scaled()
    assert fingerprint(reloaded) != before
    reloaded.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert fingerprint(reloaded.eval()) == before


def test_random_states_and_ways_to_run_do_not_count():
    forest = RandomForestClassifier(3, random_state=np.random.RandomState(0)).fit(X, Y)
    before = fingerprint(forest)
    forest.random_state.rand(3)
    assert fingerprint(forest.set_params(n_jobs=2, verbose=0)) == before


def test_an_objects_own_fingerprint_is_asked_wherever_it_stands():
    class Own:
        def __init__(self, weights):
            self.weights = weights

        def fingerprint(self):
            return self.weights

    class Other(Own):
        def __fingerprint__(self):
            return 0

    lock = threading.Lock()
    assert fingerprint([Own("a"), lock]) == fingerprint([Own("a"), threading.Lock()])
    assert fingerprint([Own("a")]) != fingerprint([Own("b")])
    assert fingerprint(Other("a")) == fingerprint(Other("b"))


@dataclass
class Weights:
    values: np.ndarray
    name: str = "w"


class Slots:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


def times(factor):
    return lambda value: value * factor


class Lazy:
    def __init__(self, a):
        self.a = a

    @functools.cached_property
    def doubled(self):
        return 2 * self.a


DIFFERENT = [
    1, 1.0, True, "1", b"1", None, (), [], {}, set(), [1], (1,), {1}, [[1], [2]], [[1, 2]],
    ["a", "bc"], ["ab", "c"], [1, "a"], {"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": [1]},
    np.float32(1), np.float64(1), np.ones(1), np.ones((1, 1)), np.ones(1, np.float32),
    np.array(["1"]), np.array(["1"], object), np.array([1], object),
    np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
    np.array([(1, 2.0)], [("a", "i4"), ("c", "f8")]),
    np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.array([1.0, 2.0], mask=[1, 0]),
    sparse.csr_array([[1.0, 0]]), sparse.csr_array([[0, 1.0]]),
    torch.ones(1), torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.bfloat16),
    Weights(np.ones(2)), Weights(np.zeros(2)), Weights(np.ones(2), "v"), Slots(1), Slots(2),
    times(2), times(3), functools.partial(pow, 2), functools.partial(pow, 3), np.log, np.exp,
    int, float, Lazy(1), Lazy(2), FunctionTransformer(np.log), FunctionTransformer(times(2)),
    range(2), range(3), bytearray(b"1"), OrderedDict(a=1), [np.nan], [0.0], [-0.0],
]  # fmt: skip


def test_different_contents_differ():
    prints = [fingerprint(value) for value in DIFFERENT]
    clashes = [
        (DIFFERENT[i], DIFFERENT[j])
        for i in range(len(prints))
        for j in range(i)
        if prints[i] == prints[j]
    ]
    assert clashes == []


@pytest.mark.parametrize("value", DIFFERENT, ids=range(len(DIFFERENT)))
def test_copies_are_equal(value):
    assert fingerprint(copy.deepcopy(value)) == fingerprint(value)


def test_layout_sharing_and_order_in_memory_do_not_count():
    a = np.arange(6.0).reshape(2, 3)
    assert fingerprint(np.asfortranarray(a)) == fingerprint(a)
    assert fingerprint([a, a]) == fingerprint([a, a.copy()])
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})


def test_padding_and_cached_properties_do_not_count():
    dtype = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    padded = np.frombuffer(b"\1" + bytes(7) + bytes(8), dtype)
    other = np.frombuffer(b"\1" + b"garbage" + bytes(8), dtype)
    assert fingerprint(padded) == fingerprint(other)
    lazy = Lazy(1)
    before = fingerprint(lazy)
    assert lazy.doubled == 2
    assert fingerprint(lazy) == before


def test_cycles_end():
    loop: list = [1]
    loop.append(loop)
    other: list = [2]
    other.append(other)
    assert fingerprint(loop) == fingerprint(copy.deepcopy(loop)) != fingerprint(other)


def test_what_has_no_content_is_an_error():
    with pytest.raises(TypeError, match="give the teacher a method __fingerprint__"):
        fingerprint([iter(x for x in "ab")])
