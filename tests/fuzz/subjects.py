"""What is called: the public surface, each with a small valid case to begin with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import lelp_sklearn as lelp
from lelp_sklearn import metrics
from lelp_sklearn.students._faults import NonFiniteError
from tests.fuzz import mutations as m
from tests.fuzz.judging import check_proba

N, C = 36, 3
_rng = np.random.default_rng(0)
Y = np.arange(N) % C
# Eighths and 64ths, which are the same numbers in every type down to float16.
X = np.round((_rng.standard_normal((N, 4)) + Y[:, None]) * 8) / 8
H = np.round((_rng.standard_normal((N, 5)) + 2 * np.eye(C, 5)[Y]) * 8) / 8
_shift = _rng.integers(0, 9, N)
PROBA = (8 + (40 - _shift)[:, None] * np.eye(C)[Y]) / 64
PROBA[np.arange(N), (Y + 1) % C] += _shift / 64
OTHER_PROBA = PROBA[:, [0, 2, 1]]
WEIGHT = 0.5 + np.arange(N) % 4 / 2
LABELED = np.arange(N) % 5 < 4
COEF = np.round(_rng.standard_normal((C, 5)) * 8) / 8
HIDDEN = np.stack([H, H[:, ::-1]], axis=1)


@dataclass
class Subject:
    """One call: its arguments, the kinds of change for each, and what a result has to be."""

    call: Callable[..., Any]
    arguments: dict[str, Any]
    changes: dict[str, list[m.Mutation]]
    check: Callable[[Any, dict[str, Any]], None]
    aligned: tuple[str, ...] = ()  # arguments that share the rows
    also: tuple[str, ...] = ()  # packages whose refusals are the user's estimator's
    atol: float = 1e-5


class Refit:
    """An estimator that is fitted again and again; a failed fit has to leave it as it was."""

    def __init__(self, estimator, arguments, answer, method="fit"):
        self.estimator, self.arguments = estimator, arguments
        self.answer, self.method = answer, method
        self.fitted = None

    def __call__(self, **arguments):
        if self.fitted is None or self.method == "partial_fit":
            fitted = clone(self.estimator)
            getattr(fitted, self.method)(**self.arguments)
            self.before = self.answer(fitted, **self.arguments)
            self.fitted = fitted
        try:
            getattr(self.fitted, self.method)(**arguments)
        except NonFiniteError:  # says so, and keeps the weights of the step before
            self.fitted = None
            raise
        except Exception:
            now = self.answer(self.fitted, **self.arguments)
            np.testing.assert_array_equal(now, self.before, "another answer after a failed fit")
            raise
        fitted, self.fitted = self.fitted, None
        return self.answer(fitted, **arguments)


def finite(result, arguments):
    assert np.isfinite(np.asarray(result, dtype=float)).all()


def is_proba(result, arguments):
    check_proba(result, len(result), result.shape[1])
    assert result.shape[1] >= 2


def _number_of_rows(rows):
    return rows.shape[0] if hasattr(rows, "shape") else len(rows)


def one_a_row(result, arguments):
    is_proba(result, arguments)
    assert len(result) == _number_of_rows(arguments["X"])


def splits(result, arguments):
    assert np.isfinite(result).all()
    assert (result >= 0).all()
    totals = result.sum(axis=1)
    np.testing.assert_allclose(totals, np.round(totals[0]), rtol=1e-3)
    assert len(result) == _number_of_rows(arguments["H"])


QUICK = {"max_epochs": 1, "batch_size": 16, "device": "cpu", "random_state": 0}
STUDENT = {"X": m.ROWS, "y": m.LABELS, "sample_weight": m.WEIGHTS, "labeled": m.MASK}
# What is one class here has been another before.
PARTIAL = {**STUDENT, "y": m.LATER_LABELS, "labeled": m.LATER_MASK}
PROBA_OF = {"teacher_proba": m.PROBA + m.OPTIONAL}
EMBEDDINGS_OF = {"teacher_embeddings": m.EMBEDDINGS + m.OPTIONAL}
VALUES = {
    "X": X,
    "H": H,
    "y": Y,
    "sample_weight": WEIGHT,
    "labeled": LABELED,
    "teacher_proba": PROBA,
    "teacher_embeddings": H,
    "teacher_coef": COEF,
    "teacher_hidden": HIDDEN,
}
NOT_ALIGNED = ("teacher_coef", "classes")


def _asked(estimator, X, **_):
    return estimator.predict_proba(X)


def _fit(estimator, changes, answer=_asked, check=one_a_row, method="fit", **more):
    values = more.pop("values", {})
    arguments = {name: values.get(name, VALUES.get(name)) for name in changes}
    return Subject(
        Refit(estimator, arguments, answer, method),
        arguments,
        changes,
        check,
        tuple(n for n in changes if n not in NOT_ALIGNED and arguments[n] is not None),
        **{"atol": 1e-3, **more},
    )


def _student(objective, *fields, **params):
    changes = {**STUDENT, **PROBA_OF, **dict.fromkeys(fields, m.EMBEDDINGS + m.OPTIONAL)}
    student = lelp.StudentClassifier(
        lelp.MLP, module__hidden=6, objective=objective, **QUICK, **params
    )
    return _fit(student, changes)


def students():
    hidden = [
        c
        for c in m.EMBEDDINGS
        if c.name
        not in (
            "frame",
            "polars_frame",
            "three_dimensions",
            "same_names",
            "mixed_names",
            "categories",
            "nullable_frame",
            "tuples",
        )
        and c not in m.SPARSE
    ]
    projector = lelp.LELPProjector(n_subclasses=2, random_state=0)
    lelp_student = lelp.LELPStudentClassifier(projector=projector, **QUICK)
    all_of = {**STUDENT, **PROBA_OF, **EMBEDDINGS_OF}
    table = pd.DataFrame(X, columns=list("abcd")).assign(d=WORDS_OF)
    tables = [c for c in m.LENGTHS if c.name in ("scalar", "word")] + FRAMES
    return {
        "fit without a teacher": _fit(
            lelp.StudentClassifier(lelp.MLP, objective=lelp.CrossEntropy(), **QUICK), STUDENT
        ),
        "fit KD": _student(lelp.KD()),
        "fit KD, standardized": _student(
            lelp.KD(standardize=True, kind="mse"), class_weight="balanced"
        ),
        "fit DKD": _student(lelp.DKD()),
        "fit DIST": _student(lelp.DIST(), validation_fraction=0.2),
        "fit LELP": _fit(lelp_student, {**all_of, "teacher_coef": m.COEF}),
        "fit LELP, auto": _fit(
            lelp.LELPStudentClassifier(
                projector=lelp.LELPProjector(n_subclasses="auto", null_space=False), **QUICK
            ),
            all_of,
        ),
        "fit LELP on clusters": _fit(
            lelp.LELPStudentClassifier(
                projector=lelp.ClusterSplitter(n_subclasses=2, null_space=False), **QUICK
            ),
            all_of,
        ),
        "fit RKD + PKT": _student(lelp.KD() + lelp.RKD() + lelp.PKT(), "teacher_embeddings"),
        "fit SP + CKA": _student(lelp.SP() + lelp.CKA(), "teacher_embeddings"),
        "fit VID + EmbeddingMatching": _student(
            lelp.VID() + lelp.EmbeddingMatching(), "teacher_embeddings"
        ),
        "fit CRD": _student(lelp.CRD(), "teacher_embeddings"),
        "fit SimKD": _fit(
            lelp.StudentClassifier(objective=lelp.SimKD(), **QUICK),
            {**all_of, "teacher_coef": m.COEF},
        ),
        "fit CompRess": _student(lelp.KD() + lelp.CompRess(), "teacher_embeddings"),
        "fit EmbeddingApproximation": _student(
            lelp.EmbeddingApproximation(n_components=3), "teacher_embeddings"
        ),
        "fit RelationalAlignment": _student(
            lelp.KD() + lelp.RelationalAlignment(), "teacher_embeddings"
        ),
        "fit HiddenLayers": _fit(
            lelp.StudentClassifier(
                lelp.MLP, module__hidden=[6, 5], objective=lelp.KD() + lelp.HiddenLayers(), **QUICK
            ),
            {**STUDENT, **PROBA_OF, "teacher_hidden": hidden},
        ),
        "fit SubclassTeacher": _fit(lelp.SubclassTeacher(n_subclasses=2, **QUICK), STUDENT),
        "fit BagOfNgrams": _fit(
            lelp.StudentClassifier(lelp.BagOfNgrams, objective=lelp.KD(), **QUICK),
            {**STUDENT, **PROBA_OF, "X": m.SPARSE_ROWS},
            values={"X": sparse.csr_array(X)},
        ),
        "fit TabularMLP": _fit(
            lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **QUICK),
            {**STUDENT, **PROBA_OF, "X": tables},
            values={"X": table},
        ),
        "fit TabularMLP on numbers": _fit(
            lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **QUICK),
            {**STUDENT, **PROBA_OF, "X": m._renamed(m.ROWS, m.ODD, *MISSING)},
        ),
        "partial_fit KD": _fit(
            lelp.StudentClassifier(objective=lelp.KD(), **QUICK),
            {**PARTIAL, **PROBA_OF, "classes": m.CLASSES},
            method="partial_fit",
            values={"classes": np.arange(C)},
        ),
        "partial_fit LELP": _fit(lelp_student, {**all_of, **PARTIAL}, method="partial_fit"),
    }


WORDS_OF = m.WORDS[Y]


def _table(change):
    return lambda given, at: change(given.copy(), at)


FRAMES = m._of(
    m.BAD,
    no_rows=lambda given, at: given.iloc[:0],
    row_short=lambda given, at: given.iloc[:-1],
    inf=lambda given, at: given.assign(a=np.inf),
) + m._of(
    m.ODD,
    no_columns=lambda given, at: given.iloc[:, :0],
    column_short=lambda given, at: given.iloc[:, 1:],
    same_names=lambda given, at: given.set_axis(["a", "a", "b", "c"], axis=1),
    mixed_names=lambda given, at: given.set_axis(["a", 1, "b", "c"], axis=1),
    words_for_numbers=lambda given, at: given.assign(a="word"),
    mixed_column=lambda given, at: given.assign(a=[1.0, *["word"] * (len(given) - 1)]),
    missing=lambda given, at: given.where(given["a"] > 0),
    all_missing=lambda given, at: given.assign(a=np.nan),
    all_none=lambda given, at: given.assign(d=None),
    categories=lambda given, at: given.astype({"d": "category"}),
    numbers_for_words=lambda given, at: given.assign(d=1.0),
    lists=lambda given, at: given.assign(d=[[1, 2]] * len(given)),
    dates=lambda given, at: given.assign(a=pd.Timestamp("2026-01-01")),
    booleans=lambda given, at: given.assign(a=given["a"] > 0),
    nullable=lambda given, at: given.astype({"a": "Float64"}),
    huge=lambda given, at: given.assign(a=given["a"] * 1e300),
    denormal=lambda given, at: given.assign(a=given["a"] * 1e-310),
    constant=lambda given, at: given.assign(a=1.0),
    complex_numbers=lambda given, at: given.assign(a=given["a"] + 1j),
    strange_index=lambda given, at: given.set_axis([3] * len(given), axis=0),
    words=lambda given, at: given.to_numpy(),
    absent=lambda given, at: None,
)
# A missing number is one more value to a table.
MISSING = ("nan", "none_inside", "pandas_na")


@cache
def _fitted(kind):
    arrays = {"teacher_proba": PROBA, "teacher_embeddings": H}
    projector = lelp.LELPProjector(n_subclasses=2, random_state=0)
    if kind == "lelp":
        return lelp.LELPStudentClassifier(projector=projector, **QUICK).fit(X, Y, **arrays)
    if kind == "frame":
        rows = pd.DataFrame(X, columns=[f"c{i}" for i in range(4)])
        return lelp.StudentClassifier(objective=lelp.KD(), **QUICK).fit(
            rows, Y, teacher_proba=PROBA
        )
    if kind == "sparse":
        s = lelp.StudentClassifier(lelp.BagOfNgrams, objective=lelp.KD(), **QUICK)
        return s.fit(sparse.csr_array(X), Y, teacher_proba=PROBA)
    if kind == "table":
        s = lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **QUICK)
        return s.fit(
            pd.DataFrame(X, columns=list("abcd")).assign(d=WORDS_OF), Y, teacher_proba=PROBA
        )
    if kind == "retrieval":
        s = lelp.StudentClassifier(objective=lelp.KD(), **QUICK)
        s = lelp.RetrievalAugmentedClassifier(s, retrieval_weight=0.5, random_state=0)
        return s.fit(X, Y, **arrays)
    if kind == "projector":
        return lelp.LELPProjector(n_subclasses=2, null_space=False, random_state=0).fit(H, Y)
    if kind == "onnx":
        import logging

        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        return lelp.OnnxStudent(lelp.to_onnx(_fitted("lelp"), X.astype("f")).SerializeToString())
    return LogisticRegression().fit(X, Y)


def _method(kind, name):
    def call(**arguments):
        return getattr(_fitted(kind), name)(*arguments.values())

    return call


def asked():
    """Methods of fitted models."""
    of_rows = {"X": m.ASKED}
    found = {}
    for name in (
        "predict_proba",
        "predict",
        "predict_log_proba",
        "decision_function",
        "predict_subclass_proba",
        "transform",
    ):
        check = is_proba if name.endswith("proba") and "log" not in name else finite
        found[name] = Subject(_method("lelp", name), {"X": X}, of_rows, check)
    table = pd.DataFrame(X, columns=list("abcd")).assign(d=WORDS_OF)
    frames = [c._replace(expected=m.ODD) if c.name == "row_short" else c for c in FRAMES]
    found |= {
        "predict of a frame": Subject(
            _method("frame", "predict_proba"), {"X": X}, of_rows, is_proba
        ),
        "predict of sparse rows": Subject(
            _method("sparse", "predict_proba"),
            {"X": sparse.csr_array(X)},
            {"X": m.ASKED},
            is_proba,
        ),
        "predict of a table": Subject(
            _method("table", "predict_proba"), {"X": table}, {"X": frames}, is_proba
        ),
        "predict with retrieval": Subject(
            _method("retrieval", "predict_proba"), {"X": X}, of_rows, is_proba
        ),
        "predict by onnx": Subject(
            _method("onnx", "predict_proba"), {"X": X}, {"X": m.SERVED}, is_proba
        ),
        "split": Subject(
            _method("projector", "transform"),
            {"H": H},
            {"H": m.ASKED},
            splits,
        ),
        "representatives": Subject(
            lambda H, k, y: _fitted("projector").representatives(H, k, y=y),
            {"H": H, "k": 3, "y": Y},
            {"H": m.ASKED_WITH_Y, "k": m.COUNTS, "y": m.SHOWN},
            finite,
            ("H", "y"),
        ),
        "joint": Subject(
            lambda split, proba: _fitted("projector").joint(split, proba),
            {"split": np.tile([0.25, 0.75], (N, C)), "proba": PROBA},
            {"split": m.JOINED, "proba": m.PROBA},
            finite,
            ("split", "proba"),
        ),
    }
    return found


def splitters():
    quick = {"n_subclasses": 2, "random_state": 0}
    by_proba = {"H": m.EMBEDDINGS + m.NOT_OPTIONAL, "y": m.LABELS, **PROBA_OF}
    in_parts = {**by_proba, "y": m.LATER_LABELS}

    def answer(splitter, H, **_):
        return splitter.transform(H)

    split = partial(_fit, answer=answer, check=splits)
    own = {
        "LELPProjector": lelp.LELPProjector(**quick),
        "LELPProjector, varimax": lelp.LELPProjector(directions="varimax", **quick),
        "LELPProjector, auto": lelp.LELPProjector(n_subclasses="auto", random_state=0),
    }
    user = {
        "ClusterSplitter": lelp.ClusterSplitter(**quick),
        "ICASplitter": lelp.ICASplitter(max_iter=20, **quick),
        "GraphSplitter": lelp.GraphSplitter(**quick),
        "AutoencoderSplitter": lelp.AutoencoderSplitter(pretrain_epochs=1, max_epochs=1, **quick),
        "EnsembleSplitter": lelp.EnsembleSplitter([("a", lelp.LELPProjector(**quick))]),
    }
    with_coef = {**by_proba, "teacher_coef": m.SPLIT_COEF}
    found = {f"{n} fit": split(s, with_coef) for n, s in own.items()}
    found |= {f"{n} fit": split(s, with_coef) for n, s in user.items()}
    found["CCASplitter fit"] = split(
        lelp.CCASplitter(**quick),
        {**by_proba, "student_inputs": m.EMBEDDINGS},
        values={"student_inputs": X},
    )
    for name, s in {
        "UniformSplitter": lelp.UniformSplitter(n_subclasses=2),
        "RandomSplitter": lelp.RandomSplitter(**quick),
        "OracleSplitter": None,
    }.items():
        if s is not None:
            found[f"{name} fit"] = split(s, {"H": m.EMBEDDINGS + m.NOT_OPTIONAL, "y": m.LABELS})
    found["LELPProjector partial_fit"] = split(own["LELPProjector"], in_parts, method="partial_fit")

    def merge(H, y, teacher_proba):
        one, other = (lelp.LELPProjector(**quick) for _ in range(2))
        one.fit(VALUES["H"], Y, teacher_proba=PROBA)
        before = one.transform(VALUES["H"])
        other.partial_fit(H, y, teacher_proba=teacher_proba)
        try:
            one.merge(other)
        except Exception:
            np.testing.assert_array_equal(one.transform(VALUES["H"]), before)
            raise
        return one.transform(H)

    aligned = ("H", "y", "teacher_proba")
    found["merge"] = Subject(
        merge, {n: VALUES[n] for n in aligned}, in_parts, splits, aligned, atol=1e-3
    )
    return found


def of_metrics():
    pair = {"teacher_proba": PROBA, "student_proba": OTHER_PROBA, "sample_weight": WEIGHT}
    pair_changes = {
        "teacher_proba": m.PROBA + m.NOT_OPTIONAL,
        "student_proba": m.PROBA + m.NOT_OPTIONAL,
        "sample_weight": m.WEIGHTS,
    }
    labels = {"y": Y, "proba": PROBA, "classes": None, "sample_weight": WEIGHT}
    label_changes = {
        "y": m.SCORED,
        "proba": m.PROBA + m.NOT_OPTIONAL,
        "classes": m.CLASSES,
        "sample_weight": m.WEIGHTS,
    }
    labels["classes"] = np.arange(C)
    found = {}

    def share(function):
        def call(**arguments):
            return np.nan_to_num(function(**arguments).share)

        return call

    for name in ("top1_agreement", "predictive_kl", "jensen_shannon"):
        found[name] = Subject(getattr(metrics, name), pair, pair_changes, finite, tuple(pair))
    found["agreement_by_confidence"] = Subject(
        share(metrics.agreement_by_confidence),
        {**pair, "n_bins": 5},
        {**pair_changes, "n_bins": m.COUNTS},
        finite,
        tuple(pair),
    )
    aligned = ("y", "proba", "sample_weight")
    for name in ("brier_score", "expected_calibration_error", "log_loss"):
        found[name] = Subject(getattr(metrics, name), labels, label_changes, finite, aligned)
    found["reliability_bins"] = Subject(
        share(metrics.reliability_bins),
        {**labels, "n_bins": 5},
        {**label_changes, "n_bins": m.COUNTS},
        finite,
        aligned,
    )
    found["cka"] = Subject(
        lambda **a: metrics.cka(**a) + metrics.cka(**a, unbiased=True),
        {"teacher_embeddings": H, "student_embeddings": X},
        dict.fromkeys(("teacher_embeddings", "student_embeddings"), m.EMBEDDINGS + m.NOT_OPTIONAL),
        finite,
        ("teacher_embeddings", "student_embeddings"),
        atol=1e-2,
    )
    return found


def of_rows():
    """Rows chosen, made up, or smoothed."""

    def select(strategy):
        def call(X, n, proba):
            rows = lelp.select_rows(X, n, strategy=strategy, proba=proba, random_state=0)
            assert len(np.unique(rows)) == n
            return rows

        return call

    def make(augmenter):
        def call(X, y, n_samples):
            return lelp.inputs._columns.as_numbers(clone(augmenter).fit(X, y).sample(n_samples))

        return call

    def made(result, arguments):
        assert not np.isinf(result).any()
        assert result.shape == (arguments["n_samples"], _n_columns(arguments["X"]))

    found = {}
    for strategy in ("random", "entropy", "margin", "informed", "k-means++", "k-center", "k-dpp"):
        reads_proba = strategy in ("entropy", "margin", "informed")
        found[f"select_rows {strategy}"] = Subject(
            select(strategy),
            {"X": X, "n": 3, "proba": PROBA},
            {
                "X": m.ANY_ROWS if strategy == "random" or reads_proba else m.CHOSEN,
                "n": m.COUNTS,
                "proba": m.PROBA + (m.NOT_OPTIONAL if reads_proba else m.OPTIONAL),
            },
            finite,
            ("X", "proba"),
        )
    for name, augmenter in {
        "Mixup": lelp.Mixup(random_state=0),
        "Munge": lelp.Munge(random_state=0),
        "Resample": lelp.Resample(random_state=0),
        "Smote": lelp.Smote(random_state=0),
        "VAEAugmenter": lelp.VAEAugmenter(max_epochs=1, random_state=0),
        "GANAugmenter": lelp.GANAugmenter(max_epochs=1, random_state=0),
    }.items():
        rows = m.DRAWN_FROM if name in ("Munge", "Resample") else m.MADE_FROM
        found[name] = Subject(
            make(augmenter),
            {"X": X, "y": Y, "n_samples": 7},
            {"X": rows, "y": m.UNREAD, "n_samples": m.COUNTS},
            made,
            ("X", "y"),
            atol=0.1,
        )
    found["propagate_labels"] = Subject(
        lambda proba, H: lelp.propagate_labels(proba, H, n_neighbors=3, n_iter=5),
        {"proba": PROBA, "H": H},
        {"proba": m.SMOOTHED, "H": m.EMBEDDINGS + m.NOT_OPTIONAL},
        finite,
        ("proba", "H"),
        atol=1e-2,
    )
    return found


def _n_columns(rows):
    return rows.shape[1] if hasattr(rows, "shape") else len(rows[0])


def teachers():
    found = {}
    one, other = LogisticRegression(), LogisticRegression(C=0.1)
    rows = m._without(m.ROWS, "dates")  # scikit-learn takes them, and fails later
    fit = {"X": rows, "y": m.LABELS, "sample_weight": m.WEIGHTS}
    user = {"also": ("sklearn",)}
    found["SklearnTeacher fit"] = _fit(lelp.SklearnTeacher(one), fit, **user)
    for combine in ("mean_proba", "mean_logits", "entropy", "ca_mkd", "log_loss"):
        ensemble = lelp.TeacherEnsemble([("a", one), ("b", other)], combine=combine, cv=2)
        found[f"TeacherEnsemble {combine}"] = _fit(ensemble, fit, **user)
    answers = {"proba": PROBA, "embeddings": H, "X": X, "y": Y}

    def composite(proba, embeddings, X, y):
        teacher = lelp.CompositeTeacher(proba, embeddings).fit(X, y)
        assert np.isfinite(teacher.transform(X)).all()
        return teacher.predict_proba(X)

    found["CompositeTeacher"] = Subject(
        composite,
        answers,
        {
            "proba": m.ANSWERS + m.NOT_OPTIONAL,
            "embeddings": m.EMBEDDINGS + m.NOT_OPTIONAL,
            "X": m.REMEMBERED,
            "y": m.UNREAD,
        },
        one_a_row,
        tuple(answers),
        atol=1e-2,
    )

    def answers_of(X, proba, embeddings):
        return lelp.teacher_outputs(_Says(proba, embeddings), X, np.arange(C)).proba

    found["teacher_outputs"] = Subject(
        answers_of,
        {"X": X, "proba": PROBA, "embeddings": H},
        {
            "X": m.ANY_ROWS,
            "proba": m.SAID,
            "embeddings": m.SAID_EMBEDDINGS,
        },
        is_proba,
        ("X", "proba", "embeddings"),
    )
    student = lelp.StudentClassifier(objective=lelp.KD(), **QUICK)
    distilled = {
        "prefit": lelp.DistilledClassifier(_fitted("teacher"), student),
        "cross-fitted": lelp.DistilledClassifier(one, student, cv=2),
        "with mixup": lelp.DistilledClassifier(
            _fitted("teacher"), student, augment=lelp.Mixup(random_state=0)
        ),
    }
    for name, estimator in distilled.items():
        found[f"DistilledClassifier {name}"] = _fit(
            estimator,
            {
                **fit,
                "X": m.BESIDE_OTHERS,
                "sample_weight": m.WEIGHTS,
                "X_unlabeled": m.UNLABELED,
            },
            values={"X_unlabeled": X[:7]},
            **user,
        )
        found[f"DistilledClassifier {name}"].aligned = ("X", "y", "sample_weight")
    retrieval = lelp.RetrievalAugmentedClassifier(student, retrieval_weight=0.5, random_state=0)
    found["RetrievalAugmentedClassifier"] = _fit(
        retrieval,
        {**STUDENT, **PROBA_OF, **EMBEDDINGS_OF, "X": m._without(m.ROWS, "all_huge")},
    )
    found["fidelity_report"] = Subject(
        lambda X, y: np.nan_to_num(
            lelp.fidelity_report(
                _fitted("teacher"), _fitted("lelp"), X, y, n_bootstrap=3, random_state=0
            ).to_numpy()
        ),
        {"X": X, "y": Y},
        {"X": m.ASKED_WITH_Y, "y": m.SCORED},
        finite,
        ("X", "y"),
        **user,
    )
    found["FidelityDisplay"] = Subject(
        _drawn,
        {"teacher_proba": PROBA, "student_proba": OTHER_PROBA, "y": Y},
        {
            "teacher_proba": m.PROBA + m.NOT_OPTIONAL,
            "student_proba": m.PROBA + m.NOT_OPTIONAL,
            "y": m.SCORED,
        },
        finite,
        ("teacher_proba", "student_proba", "y"),
    )
    return found


def _drawn(teacher_proba, student_proba, y):
    import matplotlib.pyplot as plt

    display = lelp.FidelityDisplay.from_predictions(
        teacher_proba, student_proba, y, classes=np.arange(C)
    )
    plt.close("all")
    return np.nan_to_num(display.agreement.share)


class _Says:
    """A teacher of the user's, with whatever it says."""

    def __init__(self, proba, embeddings):
        self.proba, self.embeddings, self.classes_ = proba, embeddings, np.arange(C)

    def predict_proba(self, X):
        return self.proba

    def transform(self, X):
        return self.embeddings


def every_subject():
    return {**students(), **asked(), **splitters(), **of_metrics(), **of_rows(), **teachers()}
