"""Whatever estimator is drawn, what is saved comes back equal to the last bit."""

import warnings

import numpy as np
import pandas as pd
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import BisectingKMeans
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from lelp_sklearn import (
    CRD,
    DIST,
    DKD,
    KD,
    LELP,
    MLP,
    RKD,
    AutoencoderSplitter,
    BagOfNgrams,
    CCASplitter,
    ClusterSplitter,
    CompRess,
    CrossEntropy,
    DiSK,
    DistilledClassifier,
    EmbeddingMatching,
    EnsembleSplitter,
    GraphSplitter,
    ICASplitter,
    LELPProjector,
    LELPStudentClassifier,
    Linear,
    OracleSplitter,
    RandomSplitter,
    RetrievalAugmentedClassifier,
    SimKD,
    Stage,
    Stages,
    StaticText,
    StudentClassifier,
    SubclassTeacher,
    TableInputs,
    TabularMLP,
    TextCNN,
    TokenInputs,
    UniformSplitter,
    load,
    save,
)
from lelp_sklearn.subclasses import SubclassSplitter
from tests.data import embeddings, linear_teacher

N = 60
LABELS = (
    np.array([0, 1, 2]),
    np.array([3, 7, 2**40]),
    np.array([-1.0, 0.0, 2.0]),
    np.array(["a longer label", "no", "yes"]),
    np.array(["maybe", "no", "ä"], dtype=object),
    np.array([1, 2, 3], dtype=np.uint8),
    np.array([False, True]),
)


class Knows(ClassifierMixin, BaseEstimator):
    """A teacher of rows of any kind, by their number."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.random.default_rng(0).dirichlet(np.ones(len(self.classes_)), X.shape[0])

    def transform(self, X):
        return np.random.default_rng(1).normal(size=(X.shape[0], 6))


class Rows:
    """Rows of one kind, and what a teacher says of them."""

    def __init__(self, kind, labels, named):
        self.H, codes = embeddings(n=N, n_classes=len(labels))
        self.y = labels[codes]
        proba = linear_teacher(self.H, n_classes=len(labels))[0]
        self.arrays = {"teacher_proba": proba, "teacher_embeddings": self.H}
        self.kind = kind
        self.X = getattr(self, f"_{kind}")(self.H + np.arange(6), codes)
        if named and kind == "numbers":
            self.X = pd.DataFrame(self.X, columns=[f"ä{i}" for i in range(6)])

    def _numbers(self, H, codes):
        return H

    def _sparse(self, H, codes):
        return sparse.csr_matrix(np.where(H > 1, H, 0))

    def _table(self, H, codes):
        table = pd.DataFrame({"age": H[:, 0], "job": np.array(["cook", "smith"])[codes % 2]})
        return table.assign(visits=np.where(codes, np.arange(N) % 5, np.nan), member=codes > 0)

    def _texts(self, H, codes):
        return np.array([f"row {i % 7} of kind {c}, ä" for i, c in enumerate(codes)], dtype=object)


SPLITTERS = st.one_of(
    st.builds(
        LELPProjector,
        n_subclasses=st.sampled_from([2, 3, "auto"]),
        directions=st.sampled_from(["pca", "random", "varimax"]),
        null_space=st.booleans(),
        random_state=st.integers(0, 9),
    ),
    st.builds(
        ClusterSplitter,
        st.sampled_from(
            [None, GaussianMixture(2, random_state=0), BisectingKMeans(2, random_state=0)]
        ),
        n_subclasses=st.integers(1, 3),
        reduce=st.sampled_from([None, 3]),
        null_space=st.booleans(),
        random_state=st.integers(0, 9),
    ),
    st.builds(
        AutoencoderSplitter,
        n_subclasses=st.just(2),
        hidden=st.sampled_from([(4,), (5, 4)]),
        n_components=st.just(2),
        pretrain_epochs=st.just(1),
        max_epochs=st.just(1),
    ),
    st.builds(GraphSplitter, n_subclasses=st.just(2)),
    st.builds(ICASplitter, n_subclasses=st.just(2), max_iter=st.just(5000)),
    st.builds(RandomSplitter, n_subclasses=st.integers(1, 3), random_state=st.integers(0, 9)),
    st.builds(UniformSplitter, n_subclasses=st.integers(1, 3)),
    st.builds(
        EnsembleSplitter,
        st.just([("a", LELPProjector(n_subclasses=2)), ("b", UniformSplitter(n_subclasses=2))]),
    ),
)
WEIGHTS = st.floats(0, 1)
LELPS = st.builds(
    LELP,
    projector=st.none() | SPLITTERS,
    temperature=st.floats(0.5, 4),
    alpha=WEIGHTS,
    subclass_weight=WEIGHTS | st.tuples(WEIGHTS, WEIGHTS),
)
OF_ANSWERS = st.one_of(
    st.builds(KD, temperature=st.floats(0.5, 8), alpha=WEIGHTS),
    st.builds(DKD),
    st.builds(DIST),
    st.builds(CrossEntropy, n_subclasses=st.sampled_from([1, 2])),
)
SINGLE = st.one_of(
    OF_ANSWERS,
    LELPS,
    st.builds(DiSK),
    st.builds(SimKD, projector=st.sampled_from(["linear", "orthogonal", "mlp"])),
)
OF_EMBEDDINGS = st.one_of(  # which leave the head untrained by themselves
    st.builds(RKD),
    st.builds(EmbeddingMatching),
    st.builds(CompRess, kind=st.sampled_from(["1q", "2q"])),
    st.builds(CRD, memory=st.sampled_from(["batch", "bank"])),
)
SUMS = st.builds(
    lambda one, weight, other: one + weight * other, OF_ANSWERS, WEIGHTS, OF_EMBEDDINGS
)
STAGED = st.builds(
    lambda first, then, frozen: Stages(
        [("first", Stage(first, max_epochs=1, lr=0.1)), ("then", Stage(then, frozen=frozen))]
    ),
    st.builds(EmbeddingMatching),
    LELPS | st.builds(KD),
    st.sampled_from([[], ["body"]]),
)
OBJECTIVES = st.none() | SINGLE | SUMS | STAGED
BODIES = {
    "numbers": [
        {"module": None},
        {"module": Linear},
        {"module": MLP, "module__hidden": 4},
        {"module": MLP, "module__hidden": (5, 4), "module__dropout": 0.2},
    ],
    "sparse": [
        {"module": BagOfNgrams, "module__dim": 4},
        {"module": BagOfNgrams, "module__dim": 4, "module__mode": "mean", "module__hidden": 3},
    ],
    "table": [
        {"module": TabularMLP, "module__hidden": 6, "module__n_bins": 3},
        {"module": TabularMLP, "inputs": TableInputs(numeric="quantile", categorical=["job"])},
    ],
    "texts": [
        {"module": StaticText, "module__dim": 4},
        {"module": StaticText, "inputs": TokenInputs(vocab_size=30, max_length=4)},
        {"module": TextCNN, "module__channels": 2, "module__dim": 4},
    ],
}
TRAINING = st.fixed_dictionaries(
    {},
    optional={
        "optimizer": st.sampled_from([torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop]),
        "lr": st.floats(1e-4, 0.02),
        "schedule": st.sampled_from(["cosine", None]),
        "batch_size": st.integers(20, 80),
        "class_weight": st.just("balanced"),
        "validation_fraction": st.just(0.2),
        "n_threads": st.none(),
        "bf16": st.just(True),
    },
)


@st.composite
def students(draw, kind, objectives=OBJECTIVES):
    """A student of rows of a kind, unfitted, of any of the classes."""
    params = {**draw(TRAINING), **draw(st.sampled_from(BODIES[kind]))}
    params |= {"max_epochs": draw(st.integers(1, 2)), "random_state": draw(st.integers(0, 2**31))}
    cls = draw(st.sampled_from([StudentClassifier, LELPStudentClassifier]))
    if cls is StudentClassifier:
        if params["module"] in (None, Linear):  # has no embedding of its own to shape
            objectives = OF_ANSWERS | LELPS
        return cls(**params, objective=draw(objectives))
    subclass_weight = draw(WEIGHTS | st.tuples(WEIGHTS, WEIGHTS))
    return cls(**params, projector=draw(st.none() | SPLITTERS), subclass_weight=subclass_weight)


@st.composite
def teachers(draw, kind):
    params = {**draw(TRAINING), **draw(st.sampled_from(BODIES[kind]))}
    params.pop("bf16", None)  # which it does not take
    counts = draw(st.integers(1, 3))
    return SubclassTeacher(**params, n_subclasses=counts, max_epochs=1, random_state=0)


@st.composite
def piped(draw, kind):
    """A student after steps of scikit-learn's, some of which are written by skops."""
    if kind == "texts":
        steps = [TfidfVectorizer(ngram_range=(1, draw(st.integers(1, 2))))]
    elif kind == "table":
        numbers = (StandardScaler(), ["age", "member"])
        words = (OneHotEncoder(handle_unknown="ignore"), ["job"])
        parts = [("numbers", *numbers), ("words", *words)][: draw(st.integers(1, 2))]
        steps = [ColumnTransformer(parts, sparse_threshold=draw(st.sampled_from([0, 1])))]
    elif kind == "sparse":
        steps = [StandardScaler(with_mean=False)]
    else:
        steps = draw(
            st.sampled_from(
                [
                    [StandardScaler()],
                    [MinMaxScaler(), StandardScaler()],
                    [make_union(StandardScaler(), MinMaxScaler())],
                    [ColumnTransformer([("some", StandardScaler(), [0, 3])], remainder="drop")],
                ]
            )
        )
    mapped = {"texts": "sparse", "table": "numbers"}.get(kind, kind)
    if kind == "table" and isinstance(steps[0], ColumnTransformer):
        mapped = "sparse" if len(parts) == 2 and steps[0].sparse_threshold else "numbers"
    return make_pipeline(*steps, draw(students(mapped)))


@st.composite
def distilled(draw, kind):
    cv = draw(st.sampled_from(["prefit", 2]))
    student = draw(students(kind) | piped(kind))
    return DistilledClassifier(Knows(), student, cv=cv)


@st.composite
def retrieving(draw, kind):
    weight = draw(st.sampled_from([0.0, 0.4, 1.0]))
    objectives = SINGLE | SUMS
    return RetrievalAugmentedClassifier(
        draw(students(kind, objectives)),
        retrieval_weight=weight,
        n_neighbors=draw(st.integers(1, 80)),
        projection=draw(st.sampled_from(["pca", "supcon", None])),
        n_components=draw(st.integers(1, 8)),
        max_entries=draw(st.sampled_from([None, 20])),
        index=draw(st.sampled_from(["auto", "exact"])),
        random_state=draw(st.integers(0, 9)),
    )


KINDS = (students, students, piped, distilled, retrieving, teachers)


@st.composite
def fitted_estimators(draw):
    """An estimator of any kind, fitted, and its rows."""
    kind = draw(st.sampled_from([*BODIES]))
    labels = draw(st.sampled_from(LABELS))
    rows = Rows(kind, labels[: draw(st.integers(2, len(labels)))], draw(st.booleans()))
    model = draw(draw(st.sampled_from(KINDS))(kind))
    note(f"{model} on {kind}, labels {labels}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of terms that two classes do without, say
        return fit(model, rows), rows


def last(model):
    """The student that answers."""
    model = getattr(model, "student_", getattr(model, "student", model))
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def fit(model, rows):
    if isinstance(model, DistilledClassifier):
        model.teacher.fit(rows.X, rows.y)
    if isinstance(model, DistilledClassifier | SubclassTeacher):
        return model.fit(rows.X, rows.y)
    prefix = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    on_labels = isinstance(getattr(last(model), "objective", None), CrossEntropy)
    arrays = {} if on_labels else rows.arrays
    return model.fit(rows.X, rows.y, **{prefix + name: value for name, value in arrays.items()})


def through_file(model, folder):
    save(model, folder / "model.lelp")
    return load(folder / "model.lelp")


ANSWERS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
INSIDE = ("predict_subclass_proba", "transform", "get_feature_names_out")


def assert_same(one, other):
    """Equal to the last bit, and of the same type."""
    assert type(one) is type(other)
    if hasattr(one, "toarray"):
        one, other = one.toarray(), other.toarray()
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    else:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def assert_equal(model, again, X):
    assert type(again) is type(model)
    for name in ANSWERS + INSIDE:
        if hasattr(model, name):
            given = () if name == "get_feature_names_out" else (X,)
            assert_same(getattr(model, name)(*given), getattr(again, name)(*given))
    if isinstance(model, ClassifierMixin | Pipeline):
        assert_same(model.classes_, again.classes_)
    assert hasattr(model, "feature_names_in_") == hasattr(again, "feature_names_in_")
    if hasattr(model, "feature_names_in_"):
        assert_same(model.feature_names_in_, again.feature_names_in_)
    assert getattr(model, "n_features_in_", None) == getattr(again, "n_features_in_", None)
    assert getattr(model, "history_", None) == getattr(again, "history_", None)
    left = ("teacher", "cache", "memory")
    params, found = (
        {k: v for k, v in one.get_params().items() if not k.split("__")[0].startswith(left)}
        for one in (model, again)
    )
    assert repr(found) == repr(params)


@settings(max_examples=min(settings.default.max_examples, 200))
@given(fitted_estimators(), st.sampled_from([None, "pandas"]))
def test_estimators_of_any_kind_come_back(tmp_path_factory, drawn, output):
    model, rows = drawn
    if output:
        last(model).set_output(transform=output)
    assert_equal(model, through_file(model, tmp_path_factory.mktemp("any")), rows.X)


@given(SPLITTERS | st.just(CCASplitter(n_subclasses=2)) | st.just(OracleSplitter()))
def test_splitters_of_any_kind_come_back(tmp_path_factory, splitter):
    rows = Rows("numbers", LABELS[0], named=False)
    H = np.arange(N)[:, None] % 7 if isinstance(splitter, OracleSplitter) else rows.H
    assert isinstance(splitter, SubclassSplitter)
    arrays = {"student_inputs": rows.X} if isinstance(splitter, CCASplitter) else {}
    if not isinstance(splitter, RandomSplitter | UniformSplitter | OracleSplitter):
        arrays["teacher_proba"] = rows.arrays["teacher_proba"]
    splitter.fit(H, rows.y, **arrays)
    assert_equal(splitter, through_file(splitter, tmp_path_factory.mktemp("any")), H)
