"""ONNX models answer as their estimators do, and are served without torch."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn

import lelp_sklearn
from lelp_sklearn import (
    KD,
    MLP,
    BagOfNgrams,
    CrossEntropy,
    DistilledClassifier,
    HiddenLayers,
    LELPStudentClassifier,
    OnnxStudent,
    RetrievalAugmentedClassifier,
    SimKD,
    StaticText,
    StudentClassifier,
    SubclassTeacher,
    TabularMLP,
    TextTransformer,
    to_onnx,
)
from tests.data import digits

pytest.importorskip("skl2onnx", reason="the extra onnx is not installed")

ASCII = r"[a-zA-Z0-9_]+"
TEXTS = [
    "a fine film",
    "A DULL film",
    "what a joy, what a joy",
    "don't e-mail U.S. bores",
    "",
    "!!! ...",
    "naïve café 日本語 x² Ünïcode",
    "a  b\tc\nd",
] * 3
LIKED = ["good", "bad"] * 12


def student(module=None, **params):
    return StudentClassifier(
        module, objective=CrossEntropy(), max_epochs=2, random_state=0, **params
    )


def served(estimator, sample, **params):
    return OnnxStudent(to_onnx(estimator, sample, **params).SerializeToString())


@pytest.fixture(scope="module")
def scaled():
    rows = digits()
    student = LELPStudentClassifier(MLP, module__hidden=(16, 8), max_epochs=2, random_state=0)
    return make_pipeline(StandardScaler(), student).fit(
        rows.X,
        np.where(rows.y, "odd", "even"),
        lelpstudentclassifier__teacher_proba=rows.proba,
        lelpstudentclassifier__teacher_embeddings=rows.embeddings,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_subclasses_are_folded_and_the_file_answers_as_the_pipeline(scaled, tmp_path, dtype):
    X = digits().X.astype(dtype)
    model = to_onnx(scaled, X, tmp_path / "student.onnx")
    found = OnnxStudent(tmp_path / "student.onnx", n_threads=2)
    np.testing.assert_allclose(found.predict_proba(X), scaled.predict_proba(X), atol=1e-6)
    assert (found.predict(X) == scaled.predict(X)).all()
    assert [output.name for output in model.graph.output] == ["label", "probabilities"]
    assert (
        found.session_.get_inputs()[0].type
        == {4: "tensor(float)", 8: "tensor(double)"}[np.dtype(dtype).itemsize]
    )
    assert found.session_.get_session_options().intra_op_num_threads == 2
    assert os.listdir(tmp_path) == ["student.onnx"]
    assert found.export_["rows"] == len(X)
    assert found.export_["max_difference"] < 1e-6
    assert found.export_["label_agreement"] == 1
    assert not found.export_["quantized"]


@pytest.mark.parametrize(
    "labels",
    [[0, 1], [7, -2], [False, True], [0.0, 1.0], ["no", "yes"], np.array([3, 4], np.uint8)],
    ids=str,
)
def test_labels_keep_their_type(labels):
    X = np.eye(4, dtype=np.float32)
    y = np.array(labels)[[0, 1, 0, 1]]
    model = student().fit(X, y)
    found = served(model, X)
    assert found.predict(X).tolist() == model.predict(X).tolist()
    assert found.predict(X).dtype.kind == {"u": "i"}.get(y.dtype.kind, y.dtype.kind)
    assert found.classes_.tolist() == model.classes_.tolist()


def test_three_classes_with_different_numbers_of_subclasses():
    X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = np.arange(60) % 3
    projector = lelp_sklearn.LELPProjector(n_subclasses={0: 2, 1: 1, 2: 3}, null_space=False)
    model = LELPStudentClassifier(projector=projector, max_epochs=2, random_state=0)
    model.fit(X, y, teacher_proba=np.eye(3)[y] * 0.7 + 0.1, teacher_embeddings=X)
    assert served(model, X).predict(X).tolist() == model.predict(X).tolist()


def test_distilled_classifiers_and_searches_give_their_student():
    rows = digits(100)
    search = GridSearchCV(student(MLP), {"module__hidden": [4]}, cv=2)
    for model in (
        DistilledClassifier(GaussianNB(var_smoothing=0.1).fit(rows.X, rows.y), student(MLP)),
        search,
    ):
        if model is not search:
            model.student.set_params(objective=lelp_sklearn.KD())
        model.fit(rows.X, rows.y)
        found = served(model, rows.X)
        np.testing.assert_allclose(
            found.predict_proba(rows.X), model.predict_proba(rows.X), atol=1e-6
        )


@pytest.mark.parametrize("projector", ["linear", "orthogonal", "mlp"])
def test_a_reused_classifier_is_exported_with_its_projector(projector):
    rows = digits(100)
    model = StudentClassifier(
        MLP, module__hidden=4, objective=SimKD(projector=projector), max_epochs=1, random_state=0
    ).fit(rows.X, rows.y, teacher_proba=rows.proba, teacher_embeddings=rows.embeddings)
    assert served(model, rows.X).export_["max_difference"] < 1e-6


def test_a_subclass_teacher_is_a_student_whose_subclasses_are_folded():
    rows = digits(100)
    y = np.where(rows.y, "odd", "even")
    model = SubclassTeacher(MLP, n_subclasses={"odd": 2, "even": 3}, max_epochs=2, random_state=0)
    assert served(model.fit(rows.X, y), rows.X).export_["max_difference"] < 1e-6


def retrieving(module=MLP, y=None, **params):
    """Fitted to the first 200 of 300 rows."""
    rows, first = digits(300), slice(200)
    params = {"retrieval_weight": 0.4, "random_state": 0} | params
    student = StudentClassifier(module, max_epochs=2, random_state=0)
    arrays = {"teacher_proba": rows.proba[first], "teacher_embeddings": rows.embeddings[first]}
    y = rows.y if y is None else y
    model = RetrievalAugmentedClassifier(student, **params).fit(rows.X[first], y[first], **arrays)
    return model, rows.X[200:], rows.X[first]


@pytest.mark.parametrize("module", [None, MLP])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"retrieval_weight": 0.0},
        {"retrieval_weight": 1.0, "n_neighbors": 1},
        {"n_neighbors": 1000, "max_entries": 30, "temperature": 0.5, "projection": None},
    ],
    ids=str,
)
def test_neighbours_are_looked_up(module, params):
    model, X, _ = retrieving(module, np.array(["even", "odd"])[digits(300).y], **params)
    found = served(model, X)
    np.testing.assert_allclose(found.predict_proba(X), model.predict_proba(X), atol=1e-6)
    assert found.predict(X).tolist() == model.predict(X).tolist()
    for row in (X[:1], X[7:8]):
        np.testing.assert_allclose(found.predict_proba(row), model.predict_proba(row), atol=1e-6)


@pytest.mark.filterwarnings("ignore:StudentClassifier got no teacher arrays")
def test_neighbours_of_a_student_of_labels_within_others():
    rows = digits(150)
    X, y = rows.X[:100], rows.y[:100]
    looking_up = RetrievalAugmentedClassifier(student(MLP), retrieval_weight=0.5)
    model = make_pipeline(StandardScaler(), looking_up).fit(X, y)
    assert looking_up.knowledge_base_.n_entries == 100
    assert served(model, rows.X[100:]).export_["max_difference"] < 1e-6
    of_texts = StudentClassifier(StaticText, inputs=lelp_sklearn.TokenInputs(vocab_size=60))
    looking_up.set_params(student=of_texts.set_params(objective=CrossEntropy(), max_epochs=2))
    with pytest.raises(TypeError, match="TokenInputs, which has no form in ONNX"):
        to_onnx(looking_up.fit(TEXTS, LIKED), TEXTS)


def test_a_row_that_was_trained_on_finds_itself_in_onnx_and_is_refused(tmp_path):
    model, X, trained_on = retrieving()
    with pytest.raises(ValueError, match=r"in ONNX[\s\S]*Nothing was written\. In ONNX a row of"):
        to_onnx(model, np.vstack([X, trained_on]), tmp_path / "model.onnx")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("apart", "agrees"), [(0, True), (1e-7, False)])
def test_entries_that_rounding_puts_in_another_order(apart, agrees):
    model, X, _ = retrieving(n_neighbors=7)
    entries = model.knowledge_base_.embeddings
    noise = np.random.default_rng(0).normal(size=entries.shape)
    entries[:] = entries[:1] + apart * noise
    entries /= np.linalg.norm(entries, axis=1, keepdims=True)
    if agrees:  # of equal ones both take the first
        assert served(model, X).export_["max_difference"] < 1e-6
    else:
        with pytest.raises(ValueError, match="of entries equally near others may vote"):
            to_onnx(model, X)


def frame(n=80):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "visits": rng.integers(0, 9, n),
            "member": rng.random(n) > 0.5,
            "job": rng.choice(["cook", "smith"], n),
        }
    )
    return X, np.where(X["age"] + X["visits"] > 44, "yes", "no")


@pytest.mark.parametrize(
    "steps", [[StandardScaler()], [SimpleImputer(), StandardScaler()]], ids=len
)
def test_data_frames_of_several_types_have_an_input_a_column(steps):
    X, y = frame()
    numbers = make_column_selector(dtype_include=["number", "bool"])
    columns = make_column_transformer(
        (make_pipeline(*steps), numbers), (OneHotEncoder(handle_unknown="ignore"), ["job"])
    )
    model = make_pipeline(columns, student(BagOfNgrams)).fit(X, y)
    found = served(model, X)
    expected = model.predict_proba(X)
    assert found.feature_names_in_.tolist() == list(X)
    for same in (X, pl.from_pandas(X), X[["job", "member", "visits", "age"]]):
        np.testing.assert_allclose(found.predict_proba(same), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"lacks the columns \['age'\]"):
        found.predict(X.drop(columns="age"))
    with pytest.raises(TypeError, match="exported with a data frame of the columns"):
        found.predict(X.to_numpy())
    with pytest.raises(TypeError, match="job holds float"):
        found.predict(X.assign(job=np.nan))
    with pytest.raises(TypeError, match="job holds float"):
        to_onnx(model, X.assign(job=[np.nan, *X["job"][1:]]))


def test_a_data_frame_of_numbers_is_one_input_with_names():
    X, y = frame()
    X = X[["age", "visits"]]
    model = make_pipeline(StandardScaler(), student()).fit(X, y)
    found = served(model, X)
    assert [i.name for i in found.session_.get_inputs()] == ["X"]
    np.testing.assert_allclose(
        found.predict_proba(X[["visits", "age"]]), model.predict_proba(X), atol=1e-6
    )


@pytest.mark.parametrize(
    "vectorizer",
    [
        TfidfVectorizer(token_pattern=ASCII),
        TfidfVectorizer(lowercase=False, norm="l1"),
        TfidfVectorizer(token_pattern=ASCII, ngram_range=(1, 2), sublinear_tf=True, max_features=9),
        TfidfVectorizer(token_pattern=r"[a-z'-]{2,}", ngram_range=(2, 3), norm=None, binary=True),
        TfidfVectorizer(token_pattern=ASCII, use_idf=False, stop_words=["film"]),
        CountVectorizer(token_pattern=ASCII, binary=True),
        CountVectorizer(token_pattern=ASCII, ngram_range=(1, 2)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("params", [{}, {"module__mode": "mean", "module__hidden": 4}], ids=str)
def test_words_are_counted_and_weighted_as_scikit_learn_does(vectorizer, params):
    model = make_pipeline(vectorizer, student(BagOfNgrams, **params)).fit(TEXTS, LIKED)
    found = served(model, TEXTS)
    assert found.export_["max_difference"] < 1e-6
    for text in TEXTS[:8]:  # one by one, as batches are padded
        np.testing.assert_allclose(
            found.predict_proba([text]), model.predict_proba([text]), atol=1e-6
        )
    assert found.predict(np.array(TEXTS)).tolist() == model.predict(TEXTS).tolist()


@pytest.fixture(scope="module")
def of_unicode_words():
    model = make_pipeline(TfidfVectorizer(lowercase=False), student(BagOfNgrams)).fit(TEXTS, LIKED)
    return model, served(model, TEXTS)


@given(
    st.lists(st.text(alphabet="aé日_ ²'-\tIfilm\u0301.😀Σ", max_size=12), min_size=1, max_size=4)
)
@settings(max_examples=20)
def test_the_default_words_are_found_in_any_text(of_unicode_words, texts):
    model, found = of_unicode_words
    np.testing.assert_allclose(found.predict_proba(texts), model.predict_proba(texts), atol=1e-6)


@pytest.mark.parametrize(
    ("vectorizer", "named"),
    [
        (TfidfVectorizer(), "token_pattern="),
        (TfidfVectorizer(token_pattern=r"\w+"), "token_pattern="),
        (TfidfVectorizer(token_pattern=r"[^ ]+"), "token_pattern="),
        (CountVectorizer(analyzer="char"), "analyzer='char'"),
        (TfidfVectorizer(token_pattern=ASCII, strip_accents="ascii"), "strip_accents='ascii'"),
        (TfidfVectorizer(token_pattern=ASCII, preprocessor=str.upper), "preprocessor="),
        (TfidfVectorizer(token_pattern=None, tokenizer=str.split), "tokenizer="),
        (
            TfidfVectorizer(token_pattern=ASCII, stop_words=["a"], ngram_range=(1, 2)),
            "stop_words=",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_that_onnx_would_find_otherwise_are_refused(vectorizer, named, tmp_path):
    model = make_pipeline(make_union(vectorizer), student(BagOfNgrams)).fit(TEXTS, LIKED)
    with pytest.raises(TypeError, match=named) as error:
        to_onnx(model, TEXTS, tmp_path / "student.onnx")
    assert "such as r'[a-zA-Z0-9_]+'" in str(error.value)
    assert not os.listdir(tmp_path)


def test_hashed_words_are_refused():
    model = make_pipeline(HashingVectorizer(n_features=64), student(BagOfNgrams)).fit(TEXTS, LIKED)
    with pytest.raises(TypeError, match="ONNX has no such hash: use TfidfVectorizer"):
        to_onnx(model, TEXTS)


def test_sparse_rows_are_made_dense():
    X = sparse.random_array((40, 5), density=0.5, rng=0, format="csr", dtype=np.float32)
    model = student(BagOfNgrams).fit(X, np.arange(40) % 2)
    found = served(model, X)
    for same in (X, X.toarray(), X.tocoo()):
        np.testing.assert_allclose(found.predict_proba(same), model.predict_proba(X), atol=1e-6)


def test_rows_that_onnx_cannot_read_are_refused():
    X, y = frame()
    with pytest.raises(TypeError, match="TableInputs, which has no form in ONNX: encode"):
        to_onnx(student(TabularMLP).fit(X, y), X)
    texts = student(StaticText, inputs=lelp_sklearn.TokenInputs(vocab_size=60)).fit(TEXTS, LIKED)
    with pytest.raises(TypeError, match="TokenInputs, which has no form in ONNX: use Tfidf"):
        to_onnx(texts, TEXTS)
    same = lelp_sklearn.TokenizerInputs(texts.inputs_.tokenizer_)
    texts = student(TextTransformer, inputs=same, module__width=8).fit(TEXTS, LIKED)
    with pytest.raises(TypeError, match="TokenizerInputs, which has no form in ONNX: use Tfidf"):
        to_onnx(texts, TEXTS)


def test_what_an_objective_looks_at_in_training_is_not_exported():
    rows = digits(60)
    X, objective = rows.X.astype(np.float32), KD() + HiddenLayers()
    model = StudentClassifier(MLP, module__hidden=(6, 5), objective=objective, max_epochs=2)
    hidden = np.stack([rows.embeddings, rows.embeddings[:, ::-1]], axis=1)
    model.fit(X, rows.y, teacher_proba=rows.proba, teacher_hidden=hidden)
    np.testing.assert_allclose(served(model, X).predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_steps_that_skl2onnx_does_not_know_are_refused(tmp_path):
    X = np.eye(4, dtype=np.float32)
    model = make_pipeline(_Unknown(), student()).fit(X, [0, 1, 0, 1])
    with pytest.raises(TypeError, match="skl2onnx cannot convert Pipeline"):
        to_onnx(model, X, tmp_path / "student.onnx")


class _Unknown(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


class _Gated(nn.Linear):
    """A known layer whose forward is another, of parts that only torch can export."""

    def forward(self, X):
        return nn.functional.gelu(super().forward(X)) * X[:, :1].sigmoid()


def test_a_module_of_ones_own_goes_through_torch():
    pytest.importorskip("onnxscript")
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    module = nn.Sequential(nn.Linear(3, 4), _Gated(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model = student(module).fit(X, np.arange(20) % 2)
    found = served(model, X)
    np.testing.assert_allclose(found.predict_proba(X[:5]), model.predict_proba(X[:5]), atol=1e-6)


def test_a_model_that_answers_otherwise_is_not_written(scaled, tmp_path):
    X = digits().X
    path = tmp_path / "student.onnx"
    path.write_bytes(b"before")
    model = make_pipeline(TfidfVectorizer(token_pattern=ASCII), student(BagOfNgrams))
    model.fit(["a k", "a film"] * 10, LIKED[:20])
    strange = ["a film", "a \u212a"]  # the Kelvin sign, which only Unicode makes a k
    with pytest.raises(
        ValueError, match=r"differs .* in 1 of 2 rows[\s\S]*row 1: \[[\s\S]*Nothing"
    ):
        to_onnx(model, strange, path)
    assert path.read_bytes() == b"before"
    with pytest.raises(ValueError, match="atol=1e-12"):
        to_onnx(scaled, X, path, atol=1e-12)
    assert os.listdir(tmp_path) == ["student.onnx"]


def test_quantized_weights_are_smaller_and_agree(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 64)).astype(np.float32)
    model = student(MLP, module__hidden=256).fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    whole, small = to_onnx(model, X), to_onnx(model, X, quantize=True, min_agreement=0.9)
    assert len(small.SerializeToString()) < 0.4 * len(whole.SerializeToString())
    found = OnnxStudent(small.SerializeToString())
    agreement = (found.predict(X) == model.predict(X)).mean()
    assert found.export_["quantized"]
    assert found.export_["label_agreement"] == pytest.approx(agreement)
    assert agreement >= 0.9
    assert 1e-5 < found.export_["max_difference"] < 0.1
    with pytest.raises(ValueError, match=r"fewer than min_agreement=1\.1"):
        to_onnx(model, X, tmp_path / "small.onnx", quantize=True, min_agreement=1.1)
    assert not os.listdir(tmp_path)


def test_rows_are_run_in_chunks_and_threads_and_columns_are_checked(scaled):
    X = digits().X
    found = served(scaled, X)
    many = np.tile(X, (3, 1))
    np.testing.assert_array_equal(found.predict_proba(many)[:400], found.predict_proba(X))
    assert found.predict(many).shape == (1200,)
    assert found.predict_proba(X[0:0]).shape == (0, 2)
    with pytest.raises(ValueError, match=r"\(400, 63\); the model expects \(n_rows, 64\)"):
        found.predict(X[:, 1:])
    missing = X.copy()
    missing[7, 3] = np.nan
    with pytest.raises(ValueError, match="row 7 are NaN"):
        found.predict(missing)
    with pytest.raises(ValueError, match="n_threads=0"):
        OnnxStudent(b"", n_threads=0)


def test_numbers_that_the_models_type_cannot_hold_are_refused():
    X = np.arange(20).reshape(10, 2)
    found = served(student().fit(X, np.arange(10) % 2), X)
    np.testing.assert_array_equal(found.predict_proba(X.astype(float)), found.predict_proba(X))
    for value in (0.5, np.nan):
        with pytest.raises(ValueError, match=rf"X holds {value}, and the model takes int64"):
            found.predict_proba(np.where(X == 4, value, X))
    X, y = frame()
    numbers = make_column_transformer((StandardScaler(), ["age", "visits"]))
    found = served(make_pipeline(numbers, student()).fit(X, y), X)
    with pytest.raises(ValueError, match=r"visits holds \d\.5"):
        found.predict_proba(X.assign(visits=X["visits"] + 0.5))
    with pytest.raises(ValueError, match="age does not hold real numbers"):
        found.predict_proba(X.assign(age="old"))


@pytest.mark.parametrize("sample", [np.ones((3, 5)), np.full((3, 64), np.nan), "word"], ids=repr)
def test_a_sample_that_the_student_does_not_take_is_refused_by_it(scaled, sample):
    with pytest.raises(ValueError, match=r"features|NaN|convert string"):
        to_onnx(scaled, sample)


def test_other_models_are_not_taken_for_students():
    from skl2onnx import to_onnx as other

    X = np.eye(4, dtype=np.float32)
    model = other(StandardScaler().fit(X), X).SerializeToString()
    with pytest.raises(ValueError, match=r"expected one that lelp_sklearn\.to_onnx wrote"):
        OnnxStudent(model)


def test_skl2onnx_finds_students_within_other_estimators():
    rows = digits(100)
    model = VotingClassifier(
        [("a", student()), ("b", student(MLP))], voting="soft", flatten_transform=False
    )
    model.fit(rows.X, rows.y)
    assert served(model, rows.X).export_["max_difference"] < 1e-6


def test_students_are_served_without_torch_and_scikit_learn(scaled, tmp_path):
    X = digits(20).X
    to_onnx(scaled, X, tmp_path / "student.onnx")
    np.save(tmp_path / "X.npy", X)
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "sklearn", "skorch", "scipy", "pandas", "onnx"):
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, Missing())
import numpy as np
from lelp_sklearn import OnnxStudent
student = OnnxStudent("student.onnx")
np.save("found.npy", student.predict_proba(np.load("X.npy")))
print(student.predict(np.load("X.npy")).tolist())
"""
    root = Path(lelp_sklearn.__file__).parents[1]
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == str(scaled.predict(X).tolist())
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), scaled.predict_proba(X), atol=1e-6)
