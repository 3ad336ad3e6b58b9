"""A fingerprint follows content: reloading keeps it, one changed weight changes it."""

import copy
import functools
import io
import pickle
import sys
import threading
import types
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd
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

from lelp_sklearn import MLP, CrossEntropy, StudentClassifier, TabularMLP
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


class Kept(torch.nn.Module):
    """A layer whose forward reads whatever it keeps."""

    kept = 1.0

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)
        self.items = [1.0, 2.0]
        self.table = {"a": 1.0, "b": 2.0}
        self.shift = torch.zeros(3)
        self.number = np.float64(1.0)
        self.register_buffer("unsaved", torch.zeros(3), persistent=False)


def kept(change=lambda module: None):
    torch.manual_seed(0)
    module = Kept()
    change(module)
    return module


class Hook:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, module, rows, outputs):
        return self.factor * outputs


UNSEEN = {
    "an item of a list": lambda m: m.items.append(3.0),
    "an item of a dict": lambda m: m.table.update(a=3.0),
    "the order of a dict": lambda m: m.table.update(a=m.table.pop("a")),
    "a tensor": lambda m: m.shift.add_(1),
    "a numpy scalar": lambda m: setattr(m, "number", np.float64(2)),
    "a buffer that is not saved": lambda m: m.unsaved.add_(1),
    "a hook": lambda m: m.layer.register_forward_hook(Hook(1.0)),
    "another hook": lambda m: m.layer.register_forward_hook(Hook(2.0)),
    "a hook before": lambda m: m.register_forward_pre_hook(lambda module, rows: None),
    "a method of the instance": lambda m: setattr(m, "forward", m.layer.forward),
    "an attribute over the class's": lambda m: setattr(m, "kept", 2.0),
}


def test_what_a_module_keeps_beside_its_weights_counts():
    modules = [kept(), *map(kept, UNSEEN.values())]
    prints = [fingerprint(module) for module in modules]
    assert len(set(prints)) == len(modules)
    assert [fingerprint(copy.deepcopy(module)) for module in modules] == prints


HELPER = """
import numpy as np
import {module}
OFFSET = {offset}
SCALE = {{"a": [{scale}]}}
def helper(X):
    return X {operator} OFFSET
def function(X):
    shown = [helper(x) for x in X]
    return {module}.times(np.multiply(shown, SCALE["a"][0]))
class Model:
    power = {power}
    def __init__(self):
        self.ask = function
    def predict(self, X):
        return function(X) ** self.power
class Child(Model):
    pass
"""
PLAIN = {"offset": 1, "scale": 1, "operator": "+", "power": 1, "times": 1}


@pytest.mark.parametrize("change", [{}, *({name: 2} for name in PLAIN if name != "operator"),
                                    {"operator": "-"}], ids=str)  # fmt: skip
def test_what_code_reads_counts(change, monkeypatch):
    def made(module, offset, scale, operator, power, times):
        helpers = types.ModuleType(module)
        exec(f"def times(X):\n    return {times} * X", vars(helpers))
        monkeypatch.setitem(sys.modules, module, helpers)
        names = {"__name__": "notebook"}
        exec(HELPER.format(**vars_of(locals())), names)
        return names

    def vars_of(local):
        return {n: local[n] for n in ("module", "offset", "scale", "operator", "power")}

    before, after = made("own_helpers", **PLAIN), made("own_helpers", **PLAIN | change)
    same = not change
    for make in (
        lambda names: FunctionTransformer(names["function"]),
        lambda names: names["Model"](),
        lambda names: names["Child"],
        lambda names: names["Child"]().predict,
    ):
        if "power" in change and make(before).__class__ is FunctionTransformer:
            continue  # it does not read the class
        assert (fingerprint(make(before)) == fingerprint(make(after))) == same


class Power(torch.nn.Module):
    def __init__(self, power: float = 1.0):
        super().__init__()
        self.power = power
        self.layer = torch.nn.Linear(2, 2)
        torch.nn.init.ones_(self.layer.weight)
        torch.nn.init.ones_(self.layer.bias)

    def forward(self, rows):
        return self.layer(rows) ** self.power


@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")
def test_scripted_modules_by_code_weights_and_attributes():
    scripted = [torch.jit.script(Power()), torch.jit.script(Power())]
    assert fingerprint(scripted[0]) == fingerprint(scripted[1])
    assert fingerprint(torch.jit.script(Power(2.0))) != fingerprint(scripted[0])
    scripted[1].layer.bias.data[0] = 0
    assert fingerprint(scripted[1]) != fingerprint(scripted[0])


class Counted:
    calls, scale = 0, 1.0

    def predict_proba(self, rows):
        Counted.calls += 1
        return self.scale * rows


def test_asking_makes_no_other_teacher_of_one_that_counts_its_calls(monkeypatch):
    names = {"__name__": "notebook", "calls": 0}
    exec("def ask(rows):\n    global calls\n    calls += 1\n    return rows", names)
    before = fingerprint(Counted()), fingerprint(names["ask"])
    Counted().predict_proba(X)
    names["ask"](X)
    assert (Counted.calls, names["calls"]) == (1, 1)
    assert (fingerprint(Counted()), fingerprint(names["ask"])) == before
    monkeypatch.setattr(Counted, "scale", 2.0)
    assert fingerprint(Counted()) != before[0]


class OwnNet(NeuralNetClassifier):
    def __init__(self, *args, sharpness=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.sharpness = sharpness


def test_a_nets_own_parameters_count():
    def net(**params):
        torch.manual_seed(0)
        return OwnNet(Scaled, **params).initialize()

    assert fingerprint(net()) == fingerprint(net(lr=0.5, max_epochs=3, verbose=0))
    changes = [{}, {"sharpness": 2.0}, {"predict_nonlinearity": None}, {"module__scale": 2.0}]
    assert len({fingerprint(net(**change)) for change in changes}) == len(changes)


def test_a_students_inputs_count():
    rows = pd.DataFrame({"a": ["x", "y", "z"] * 10, "b": np.arange(30.0)})
    made = StudentClassifier(TabularMLP, objective=CrossEntropy(), max_epochs=1, random_state=0)
    made.fit(rows, rows["a"])
    other = copy.deepcopy(made)
    assert fingerprint(other) == fingerprint(made)
    other.inputs_.fit(rows.assign(a=["z", "y", "x"] * 10, b=rows["b"] * 2))
    assert fingerprint(other) != fingerprint(made)


class Labelled(np.ndarray):
    pass


def test_kinds_of_arrays_and_matrices_count():
    table = np.eye(2)
    prints = [
        fingerprint(value)
        for value in (
            table,
            table.view(Labelled),
            sparse.csr_matrix(table),
            sparse.csr_array(table),
            Counter("ab"),
            dict(Counter("ab")),
            defaultdict(int, a=1),
            defaultdict(list, a=1),
        )
    ]
    assert len(set(prints)) == len(prints)


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


def test_layout_and_sharing_in_memory_do_not_count():
    a = np.arange(6.0).reshape(2, 3)
    assert fingerprint(np.asfortranarray(a)) == fingerprint(a)
    assert fingerprint([a, a]) == fingerprint([a, a.copy()])


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
    unhashable = iter(x for x in "ab")
    with pytest.raises(TypeError, match="give the teacher a method __fingerprint__"):
        fingerprint([unhashable])

    def reads_it():
        return unhashable

    with pytest.raises(TypeError, match="pass fingerprint= to TeacherCache"):
        fingerprint(reads_it)
    reads_it.__fingerprint__ = "first"
    first = fingerprint(reads_it)
    reads_it.__fingerprint__ = "second"
    assert fingerprint(reads_it) != first
