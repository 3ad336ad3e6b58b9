"""compare_splitters: what it trains, on which rows, and what it measures."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import (
    BagOfNgrams,
    CCASplitter,
    LELPProjector,
    LELPStudentClassifier,
    OracleSplitter,
    RandomSplitter,
    SplitterComparison,
    StudentClassifier,
    TeacherOutputs,
    TokenInputs,
    UniformSplitter,
    compare_splitters,
)
from lelp_sklearn.inputs import ArrayInputs
from lelp_sklearn.inspection._measures import (
    fine_agreement,
    linear_features,
    own_subclasses,
    predictability,
    subclass_shares,
)
from lelp_sklearn.networks import StaticText
from tests.data import digits

ROWS = digits(240)
OUTPUTS = TeacherOutputs(ROWS.proba, ROWS.embeddings)
FINE = load_digits().target[:240]
SPLITTERS = {
    "pca": LELPProjector(n_subclasses=5, directions="pca"),
    "random": RandomSplitter(n_subclasses={0: 1, 1: 6}),
}


def student(**params):
    return LELPStudentClassifier(**{"max_epochs": 2, "device": "cpu", "n_threads": 1, **params})


def compare(*args, **params):
    return compare_splitters(*args, **{"cv": 2, "random_state": 0, **params})


@pytest.fixture(scope="module")
def comparison():
    return compare(
        OUTPUTS, ROWS.X, ROWS.y, student(), SPLITTERS, cv=3, fine=FINE, scoring=["roc_auc"]
    )


def test_controls_come_first_and_every_measure_is_there(comparison):
    frame = comparison.frame
    assert frame.index.tolist() == ["KD", "wide head", "pca", "random"]
    assert frame.columns.tolist() == [
        *("accuracy", "accuracy_se", "log_loss", "log_loss_se", "roc_auc", "roc_auc_se"),
        *("splitter_seconds", "student_seconds", "n_subclasses", "smallest_share"),
        *("largest_share", "predictability", "majority_rate", "nmi"),
    ]
    assert frame["n_subclasses"].tolist() == [2, 11, 10, 7]
    assert len(comparison.folds) == 12
    accuracy = [f["accuracy"] for f in comparison.folds if f["splitter"] == "pca"]
    assert frame.loc["pca", "accuracy"] == pytest.approx(np.mean(accuracy))
    assert frame.loc["pca", "accuracy_se"] == pytest.approx(np.std(accuracy, ddof=1) / 3**0.5)
    assert (frame[["splitter_seconds", "student_seconds"]] > 0).all(axis=None)


def test_structure_is_told_from_chance(comparison):
    frame = comparison.frame
    pca, chance = frame.loc["pca"], frame.loc["random"]
    assert pca["nmi"] > 0.3 > chance["nmi"]
    assert frame.loc["KD", "nmi"] == frame.loc["wide head", "nmi"] == 0
    assert pca["predictability"] > pca["majority_rate"] + 0.1
    assert abs(chance["predictability"] - chance["majority_rate"]) < 0.2
    assert np.isnan(frame.loc[["KD", "wide head"], "predictability"]).all()
    assert frame.loc["KD", "smallest_share"] == 1
    assert frame.loc["wide head", "smallest_share"] == pytest.approx(1 / 6)
    assert chance["smallest_share"] < 0.2 < chance["largest_share"] == 1


def test_each_fold_is_the_fit_that_one_would_make_oneself():
    cv = KFold(2)
    found = compare(OUTPUTS, ROWS.X, ROWS.y, student(subclass_weight=0.1), SPLITTERS, cv=cv)
    train, test = next(cv.split(ROWS.X))
    seed = np.random.RandomState(0).randint(2**31 - 1)
    taught = OUTPUTS.take(train)
    arrays = {"teacher_proba": taught.proba, "teacher_embeddings": taught.embeddings}
    # Only splitters with a seed of their own are the same outside.
    for name, projector, weight in [
        ("pca", SPLITTERS["pca"], 0.1),
        ("KD", UniformSplitter(n_subclasses=1), 0),
        ("wide head", UniformSplitter(n_subclasses={0: 5, 1: 6}), 0),
    ]:
        s = student(projector=projector, subclass_weight=weight, random_state=seed)
        s.fit(ROWS.X[train], ROWS.y[train], **arrays)
        record = next(f for f in found.folds if f["splitter"] == name)
        assert record["accuracy"] == s.score(ROWS.X[test], ROWS.y[test])


def test_the_seed_repeats_the_comparison_and_nothing_given_is_fitted(comparison):
    measured = ["accuracy", "log_loss", "predictability", "nmi"]
    first = compare(OUTPUTS, ROWS.X, ROWS.y, student(), SPLITTERS, fine=FINE).frame[measured]
    again = compare(OUTPUTS, ROWS.X, ROWS.y, student(), SPLITTERS, fine=FINE).frame[measured]
    pd.testing.assert_frame_equal(first, again)
    other = compare(OUTPUTS, ROWS.X, ROWS.y, student(), SPLITTERS, fine=FINE, random_state=1)
    assert not first.equals(other.frame[measured])
    assert not hasattr(SPLITTERS["pca"], "classes_")


def test_a_pipelines_earlier_steps_come_before_predictability_and_labels_may_be_words():
    labels = np.array(["even", "odd"])[ROWS.y]
    splitters = {"pca": SPLITTERS["pca"]}
    scaled = make_pipeline(StandardScaler(), student())
    frame = compare(OUTPUTS, ROWS.X, labels, scaled, splitters).frame
    assert frame.loc["pca", "predictability"] > frame.loc["pca", "majority_rate"]
    reader = make_pipeline(student(module=BagOfNgrams))
    alone = compare(OUTPUTS, sparse.csr_array(ROWS.X), labels, reader, splitters)
    assert alone.frame.loc["pca", "predictability"] > frame.loc["pca", "majority_rate"]


def test_the_oracle_gets_the_fine_labels_words_too():
    words = np.array(list("jihgfedcba"))[FINE]
    splitters = {"oracle": OracleSplitter(), "pca": SPLITTERS["pca"]}
    settings = {"cv": KFold(2), "fine": words}
    found = compare(OUTPUTS, ROWS.X, ROWS.y, student(), splitters, **settings)
    frame = found.frame
    assert frame.loc["oracle", "nmi"] == pytest.approx(1)
    assert frame.loc["oracle", "n_subclasses"] == 10
    assert frame.loc["pca", "nmi"] < 0.99
    train, test = next(KFold(2).split(ROWS.X))
    seed = np.random.RandomState(0).randint(2**31 - 1)
    column = np.unique(words, return_inverse=True)[1][train, None]
    s = student(projector=OracleSplitter(), random_state=seed)
    s.fit(ROWS.X[train], ROWS.y[train], teacher_proba=ROWS.proba[train], teacher_embeddings=column)
    record = next(f for f in found.folds if f["splitter"] == "oracle")
    assert record["accuracy"] == s.score(ROWS.X[test], ROWS.y[test])


class Spy(CCASplitter):
    """Remembers the inputs that it was given."""

    seen: list = []  # noqa: RUF012

    def fit(self, H, y, *, student_inputs=None, teacher_proba=None):
        self.seen.append(student_inputs)
        return super().fit(H, y, student_inputs=student_inputs, teacher_proba=teacher_proba)


def test_splitters_that_take_the_students_inputs_get_them():
    Spy.seen.clear()
    splitters = {"cca": Spy(n_subclasses=3), "pca": SPLITTERS["pca"]}
    compare(OUTPUTS, ROWS.X, ROWS.y, student(), splitters, cv=KFold(2))
    (train, _), (again, _) = KFold(2).split(ROWS.X)
    for seen, rows in zip(Spy.seen, (train, again), strict=True):
        np.testing.assert_array_equal(seen, ArrayInputs().fit(ROWS.X[rows]).matrix(ROWS.X[rows]))
    Spy.seen.clear()
    compare(
        OUTPUTS, ROWS.X, ROWS.y, make_pipeline(StandardScaler(), student()), splitters, cv=KFold(2)
    )
    scaled = StandardScaler().fit_transform(ROWS.X[train])
    np.testing.assert_allclose(Spy.seen[0], scaled, atol=1e-6)


def test_a_view_reads_texts():
    texts = [f"digit {'abcdefghij'[d]}" * 3 for d in FINE]
    reader = student(module=StaticText, inputs=TokenInputs(vocab_size=50), max_epochs=1)
    splitters = {"cca": CCASplitter(n_subclasses=5, view=TfidfVectorizer())}
    frame = compare(OUTPUTS, texts, ROWS.y, reader, splitters, fine=FINE).frame
    assert frame.loc["cca", "nmi"] > 0.4


def test_texts_and_data_frames():
    texts = [f"digit {'abcdefghij'[d]}" * 3 for d in FINE]
    reader = student(module=StaticText, inputs=TokenInputs(vocab_size=50), max_epochs=1)
    frame = compare(OUTPUTS, texts, ROWS.y, reader, {"pca": SPLITTERS["pca"]}).frame
    assert frame.loc["pca", "predictability"] > frame.loc["pca", "majority_rate"] + 0.2
    mixed = pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]})
    assert linear_features(mixed, mixed) is None
    missing = np.array([[np.nan], [1.0]])
    assert linear_features(missing, missing) is None


def test_auto_weights_are_chosen_for_splitters_and_not_for_controls(monkeypatch):
    chosen = []
    monkeypatch.setattr(
        "lelp_sklearn.students._lelp.subclass_weight_scores",
        lambda student, *rows: chosen.append(type(student.projector.estimator)) or {0.1: 1.0},
    )
    compare(OUTPUTS, ROWS.X, ROWS.y, student(subclass_weight="auto"), SPLITTERS)
    assert chosen == [LELPProjector, RandomSplitter] * 2


def test_measures_by_hand():
    split = np.array([[1, 0.9, 0.1], [1, 0.2, 0.8], [1, 0.4, 0.6], [1, 0.0, 1.0]])
    y, sizes = np.array([0, 1, 1, 1]), np.array([1, 2])
    assert own_subclasses(split, y, sizes).tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(subclass_shares(split, y, sizes), [1, 0.2, 0.8])
    # A class of two fine labels that are found, and one of a single subclass.
    y = np.repeat([0, 1], [4, 12])
    fine, subclass = np.arange(16) % 2, np.r_[[0, 1, 0, 1], np.zeros(12, int)]
    assert fine_agreement(subclass, fine, y) == pytest.approx(0.25)
    X = np.tile([[0.0], [1.0], [1.0]], (20, 1))
    subclass, y = X[:, 0].astype(int), np.zeros(60, int)
    assert predictability((X, X), (subclass, subclass), (y, y), 0) == (1.0, pytest.approx(2 / 3))


def test_plot_draws_every_splitter_where_it_is_told(comparison):
    _, ax = plt.subplots()
    assert comparison.plot(metric="log_loss", ax=ax).ax_ is ax
    assert [t.get_text() for t in ax.get_yticklabels()] == ["KD", "wide head", "pca", "random"]
    np.testing.assert_allclose(ax.lines[0].get_xdata(), comparison.frame["log_loss"])
    assert comparison.plot(metric="nmi").figure_ is not ax.figure
    with pytest.raises(ValueError, match="metric='f1' is not among"):
        comparison.plot(metric="f1")
    plt.close("all")


def test_it_prints_as_a_table_and_says_where_pandas_is_missing(comparison, monkeypatch):
    assert "wide head" in str(comparison)
    assert "<table" in comparison._repr_html_()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="install pandas"):
        SplitterComparison([]).frame  # noqa: B018


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"teacher_outputs": TeacherOutputs(ROWS.proba)}, ValueError, r"holds \['proba'\]"),
        ({"student": StudentClassifier()}, TypeError, "student is a StudentClassifier"),
        ({"splitters": {}}, ValueError, r"splitters holds \[\]"),
        ({"splitters": {"KD": OracleSplitter()}}, ValueError, "names other than KD and wide head"),
        ({"splitters": {"o": OracleSplitter()}}, ValueError, r"\['o'\] are OracleSplitters"),
        ({"y": ROWS.y[:-1]}, ValueError, "inconsistent numbers of samples"),
        ({"fine": FINE[:-1]}, ValueError, "inconsistent numbers of samples"),
    ],
)
def test_what_does_not_fit_is_refused(changed, error, message):
    given = {
        "teacher_outputs": OUTPUTS,
        "X": ROWS.X,
        "y": ROWS.y,
        "student": student(),
        "splitters": SPLITTERS,
    }
    with pytest.raises(error, match=message):
        compare_splitters(**{**given, **changed})
