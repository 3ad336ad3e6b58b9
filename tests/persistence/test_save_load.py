"""What is saved comes back equal to the last bit, and what cannot be saved says so."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter
from skorch.exceptions import DeviceWarning
from torch import nn

import lelp_sklearn
from lelp_sklearn import (
    CRD,
    KD,
    LELP,
    MLP,
    AutoencoderSplitter,
    BagOfNgrams,
    CCASplitter,
    ClusterSplitter,
    CompRess,
    CrossEntropy,
    DiSK,
    DistilledClassifier,
    EmbeddingApproximation,
    EmbeddingMatching,
    EnsembleSplitter,
    GraphSplitter,
    HiddenLayers,
    ICASplitter,
    LELPProjector,
    LELPStudentClassifier,
    Linear,
    OracleSplitter,
    RandomSplitter,
    RelationalAlignment,
    RetrievalAugmentedClassifier,
    SimKD,
    SklearnTeacher,
    Stage,
    Stages,
    StaticText,
    StudentClassifier,
    SubclassTeacher,
    TableInputs,
    TabularMLP,
    TextCNN,
    TextTransformer,
    TokenInputs,
    UniformSplitter,
    load,
    save,
)
from lelp_sklearn.inputs import TokenVectors
from lelp_sklearn.persistence import ModelFileError, _saving
from tests.data import digits

ROWS = digits(120)
HIDDEN = np.stack([ROWS.embeddings, ROWS.embeddings[:, ::-1]], axis=1)
TEXTS = [f"row {i % 7} of {'odd' if label else 'even'} ones" for i, label in enumerate(ROWS.y)]
TABLE = pd.DataFrame(
    {
        "age": np.arange(120.0) % 17,
        "job": np.where(ROWS.y, "cook", "baker"),
        "seen": pd.date_range("2020-01-01", periods=120),
    }
)
TABLE.loc[::9, "age"] = np.nan
FIXTURES = Path(__file__).parent / "fixtures"


def student(module=MLP, cls=StudentClassifier, **params):
    if module is MLP:
        params = {"module__hidden": 6} | params
    return cls(module, **{"max_epochs": 2, "random_state": 0} | params)


def fitted(estimator, X=ROWS.X, y=ROWS.y, **arrays):
    return estimator.fit(
        X, y, teacher_proba=ROWS.proba, teacher_embeddings=ROWS.embeddings, **arrays
    )


def through_file(estimator, tmp_path, **options):
    save(estimator, tmp_path / "model.lelp")
    return load(tmp_path / "model.lelp", **options)


def assert_equal(estimator, again, X=ROWS.X):
    assert type(again) is type(estimator)
    for name in ("predict", "predict_proba", "predict_subclass_proba", "transform"):
        if hasattr(estimator, name):
            np.testing.assert_array_equal(getattr(again, name)(X), getattr(estimator, name)(X))


class Halves(nn.Module):
    """A user's body."""

    def __init__(self, n_features, activation=nn.ReLU):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(n_features, 4), activation(), nn.BatchNorm1d(4))

    def forward(self, X):
        return self.layer(X)


@pytest.mark.parametrize(
    "objective",
    [
        None,
        LELP(projector=LELPProjector()),
        LELP(projector=GraphSplitter(n_subclasses=2)),
        CrossEntropy(n_subclasses={0: 2, 1: 3}) + DiSK(),
        SimKD(),
        SimKD(projector="orthogonal"),
        CRD(),
        CRD(memory="bank", corruption=0.2),
        CompRess(),
        CompRess(kind="2q"),
        DiSK(),
        EmbeddingApproximation(n_components=3),
        EmbeddingMatching(),
        RelationalAlignment(projection="supcon"),
        HiddenLayers(),
        KD() + 0.5 * SimKD() + (1.0, 0.0) * CRD(),
        Stages([("hint", Stage(KD(), max_epochs=1)), ("lelp", Stage(LELP(), frozen=["body"]))]),
    ],
    ids=repr,
)
def test_students_of_every_objective_that_learns_something(objective, tmp_path):
    if objective is not None and not objective.trains_head:
        objective = KD() + objective
    model = fitted(student(objective=objective), teacher_hidden=HIDDEN)
    again = through_file(model, tmp_path)
    assert_equal(model, again)
    assert again.history_ == model.history_
    assert repr(again.get_params()) == repr(model.get_params())
    assert again.objective_.n_subclasses_ == model.objective_.n_subclasses_


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (student(None), ROWS.X),
        (student(Linear), ROWS.X),
        (student(module__hidden=(6, 5), module__dropout=0.1), ROWS.X),
        (student(TabularMLP, module__hidden=8, module__n_bins=4), TABLE),
        (student(TabularMLP, inputs=TableInputs(numeric="quantile", categorical=["age"])), TABLE),
        (student(StaticText, module__dim=4), TEXTS),
        (student(StaticText, inputs=TokenInputs(vocab_size=30, max_length=3)), TEXTS),
        (student(TextCNN, module__channels=2, module__dim=4), TEXTS),
        (student(TextTransformer, module__width=8, module__n_layers=1), TEXTS),
        (make_pipeline(TfidfVectorizer(), student(BagOfNgrams, module__hidden=4)), TEXTS),
        (make_pipeline(Normalizer(), student()), ROWS.X),  # by skops
        (make_pipeline(make_union(StandardScaler(), Normalizer()), student()), ROWS.X),
        (make_pipeline(ColumnTransformer([("a", StandardScaler(), [0, 3])]), student()), ROWS.X),
        (SubclassTeacher(MLP, max_epochs=1), ROWS.X),
    ],
)
def test_students_of_every_body_and_input(model, X, tmp_path):
    if isinstance(model, SubclassTeacher):
        model.fit(X, ROWS.y)
    else:
        last = model.steps[-1][0] + "__" if hasattr(model, "steps") else ""
        model.fit(X, ROWS.y, **{f"{last}teacher_proba": ROWS.proba})
    assert_equal(model, through_file(model, tmp_path), X)


@pytest.mark.parametrize(
    "splitter",
    [
        AutoencoderSplitter(n_subclasses=2, pretrain_epochs=1, max_epochs=1),
        ClusterSplitter(),
        ClusterSplitter(reduce=3, n_subclasses={0: 1, 1: 3}, null_space=False),
        ClusterSplitter(GaussianMixture(), n_subclasses=2),  # by skops
        EnsembleSplitter([("a", LELPProjector()), ("b", ClusterSplitter(n_subclasses=2))]),
        GraphSplitter(n_subclasses=3),
        ICASplitter(n_subclasses=2, max_iter=5000),
        LELPProjector(directions="varimax"),
        LELPProjector(null_space=False, random_state=np.random.RandomState(3)),
        RandomSplitter(random_state=0),
        UniformSplitter(),
    ],
    ids=repr,
)
def test_every_splitter(splitter, tmp_path):
    takes = has_fit_parameter(splitter, "teacher_proba")
    arrays = {"teacher_proba": ROWS.proba} if takes else {}
    splitter.fit(ROWS.embeddings, ROWS.y, **arrays)
    again = through_file(splitter, tmp_path)
    for X in (ROWS.embeddings, ROWS.embeddings.astype(np.float32)):
        np.testing.assert_array_equal(again.transform(X), splitter.transform(X))


def test_splitters_of_other_arrays(tmp_path):
    oracle = OracleSplitter().fit(np.arange(120)[:, None] % 7, ROWS.y)
    again = through_file(oracle, tmp_path)
    fine = np.arange(9)[:, None]
    np.testing.assert_array_equal(again.transform(fine), oracle.transform(fine))
    cca = CCASplitter(n_subclasses=2).fit(
        ROWS.embeddings, ROWS.y, student_inputs=ROWS.X, teacher_proba=ROWS.proba
    )
    assert_equal(cca, through_file(cca, tmp_path), ROWS.embeddings)


def test_a_projector_goes_on_from_its_moments(tmp_path):
    first, rest = slice(60), slice(60, None)
    projector = LELPProjector(null_space=False).partial_fit(ROWS.embeddings[first], ROWS.y[first])
    again = through_file(projector, tmp_path)
    for one in (projector, again):
        one.partial_fit(ROWS.embeddings[rest], ROWS.y[rest])
    assert_equal(projector, again, ROWS.embeddings)


def test_equal_estimators_make_equal_files(tmp_path):
    model = fitted(student(cls=LELPStudentClassifier))
    again = through_file(model, tmp_path)
    first = (tmp_path / "model.lelp").read_bytes()
    save(again, tmp_path / "model.lelp")
    assert (tmp_path / "model.lelp").read_bytes() == first


def test_what_auto_chose_comes_back(tmp_path):
    model = fitted(student(cls=LELPStudentClassifier, subclass_weight="auto", max_epochs=1))
    again = through_file(model, tmp_path)
    assert again.subclass_weight_ == model.subclass_weight_
    assert again.subclass_weight_scores_ == model.subclass_weight_scores_
    assert again.projector_.classes_.tolist() == [0, 1]


@pytest.mark.parametrize("objective", [KD(), SimKD(), KD() + CRD(memory="bank"), LELP()], ids=repr)
@pytest.mark.parametrize("partial", [True, False])
def test_further_training_starts_an_optimizer_and_goes_on_from_all_else(
    objective, partial, tmp_path
):
    model = fitted(student(objective=objective, warm_start=True, validation_fraction=0.2))
    again = through_file(model, tmp_path)
    model.net_._initialize_optimizer()
    for one in (model, again):
        train = one.partial_fit if partial else one.fit
        train(ROWS.X, ROWS.y, teacher_proba=ROWS.proba, teacher_embeddings=ROWS.embeddings)
    assert_equal(model, again)
    assert len(again.history_) == (3 if partial else 4)
    assert [e["valid_loss"] for e in again.history_] == [e["valid_loss"] for e in model.history_]


def test_parameters_set_after_fit_change_neither_network_nor_predictions(tmp_path):
    model = fitted(student()).set_params(module__hidden=50, lr=0.5, optimizer=torch.optim.SGD)
    again = through_file(model, tmp_path)
    assert_equal(model, again)
    assert again.module__hidden == 50
    assert again.net_.lr == 0.01


@pytest.mark.parametrize("pickled", [False, True])
def test_token_vectors_of_a_teacher_stay_behind(pickled, tmp_path):
    inputs = TokenInputs(vocab_size=40).fit(TEXTS)
    vectors = TokenVectors(np.ones((inputs.n_tokens_, 5)), inputs.tokenizer_)
    model = student(StaticText, inputs=TokenInputs(vocab_size=40, vectors=vectors))
    model.fit(TEXTS, ROWS.y, teacher_proba=ROWS.proba)
    if pickled:
        joblib.dump(model, tmp_path / "pickle")
        model = joblib.load(tmp_path / "pickle")
    again = through_file(model, tmp_path)
    assert_equal(model, again, TEXTS)
    assert again.inputs.vectors is None


def test_a_distilled_classifier_comes_without_its_teacher(tmp_path):
    teacher = LogisticRegression().fit(ROWS.X, ROWS.y)
    model = DistilledClassifier(teacher, student(), cache=tmp_path / "cache").fit(ROWS.X, ROWS.y)
    again = through_file(model, tmp_path)
    assert_equal(model, again)
    assert again.teacher is None
    assert again.cache is None
    assert not hasattr(again, "teacher_")
    assert again.n_features_in_ == 64
    assert "LogisticRegression" not in (tmp_path / "model.lelp").read_bytes().decode("latin-1")


def test_folders_of_this_machine_stay_behind(tmp_path):
    folder = str(tmp_path / "moments")
    model = fitted(student(cls=LELPStudentClassifier, projector=LELPProjector(memory=folder)))
    again = through_file(make_pipeline(StandardScaler(), memory=folder).fit(ROWS.X), tmp_path)
    assert again.memory is None
    again = through_file(model, tmp_path)
    assert again.projector.memory is None
    assert again.projector_.memory is None
    assert_equal(model, again)
    assert b"moments" not in (tmp_path / "model.lelp").read_bytes()


def test_a_retrieval_augmented_classifier_comes_with_its_entries(tmp_path):
    model = fitted(RetrievalAugmentedClassifier(student(), retrieval_weight=0.5, random_state=0))
    again = through_file(model, tmp_path)
    assert_equal(model, again)
    for one in (model, again):
        one.add(ROWS.X[:5] + 1, ROWS.y[:5])
    assert_equal(model, again)
    assert again.knowledge_base_.n_entries == 125


def test_a_frozen_student_in_a_pipeline(tmp_path):
    first = fitted(student())
    model = make_pipeline(FrozenEstimator(first), StandardScaler(), SubclassTeacher(max_epochs=1))
    model.fit(ROWS.X, ROWS.y)
    assert_equal(model, through_file(model, tmp_path))


def test_a_users_class_is_built_only_if_it_is_allowed(tmp_path):
    model = fitted(student(Halves, module__activation=nn.Tanh))
    with pytest.raises(ModelFileError, match=r"Halves.*allow=\[Halves\]"):
        through_file(model, tmp_path)
    assert_equal(model, load(tmp_path / "model.lelp", allow=[Halves]))
    other = type("Halves", (Halves,), {"forward": lambda self, X: self.layer(X)[:, :3]})
    with pytest.raises(ModelFileError, match=r"weight 'head\.weight.*the body that is allowed"):
        load(tmp_path / "model.lelp", allow=[other])


def test_a_body_of_torch_is_built_only_if_it_is_allowed(tmp_path):
    model = fitted(student(nn.Flatten))
    with pytest.raises(ModelFileError, match=r"torch's Flatten.*allow=\[Flatten\]"):
        through_file(model, tmp_path)
    assert_equal(model, load(tmp_path / "model.lelp", allow=[nn.Flatten]))


def test_a_body_given_as_an_instance_is_allowed_as_one(tmp_path):
    def body():
        return nn.Sequential(nn.Linear(64, 3), nn.ReLU())

    model = fitted(student(body()))
    with pytest.raises(ModelFileError, match=r"allow=\[Sequential\(\.\.\.\)\]"):
        through_file(model, tmp_path)
    assert_equal(model, load(tmp_path / "model.lelp", allow=[body()]))


class Doubled(StandardScaler):
    """A user's step."""

    def transform(self, X):
        return 2 * super().transform(X)


def test_a_users_step_and_objective(tmp_path):
    class Mine(KD):
        """A user's objective."""

    model = make_pipeline(Doubled(), student(objective=Mine()))
    model.fit(ROWS.X, ROWS.y, studentclassifier__teacher_proba=ROWS.proba)
    with pytest.raises(ModelFileError, match="Doubled"):
        through_file(model, tmp_path)
    Mine.__qualname__ = "Mine"
    assert_equal(model, through_file(model, tmp_path, allow=[Doubled, Mine]))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (student(callbacks=[]), r"callbacks\[0\].*callbacks=None"),
        (
            student(objective=LELP(subclass_weight=lambda progress: 1 - progress)),
            r"objective\.subclass_weight is <function",
        ),
        (student(module__hidden=range(3, 4)), r"module__hidden is range"),
        (student(Halves, module__activation=lambda: nn.ReLU()), r"module__activation is <function"),
    ],
)
def test_what_cannot_be_written_is_named_before_anything_is(model, message, tmp_path):
    path = tmp_path / "model.lelp"
    path.write_text("what was there")
    if "range" in message:
        model = fitted(student()).set_params(**model.get_params(deep=False))
    else:
        model = fitted(model)
    if "callbacks" in message:
        model.callbacks = [("mine", print)]
    with pytest.raises(TypeError, match=message):
        save(model, path)
    assert path.read_text() == "what was there"
    assert [file.name for file in tmp_path.iterdir()] == ["model.lelp"]


def test_what_else_is_refused(tmp_path):
    path = tmp_path / "model.lelp"
    with pytest.raises(NotFittedError):
        save(student(), path)
    with pytest.raises(TypeError, match="got a dict"):
        save({}, path)
    teacher = SklearnTeacher(LogisticRegression()).fit(ROWS.X, ROWS.y)
    with pytest.raises(TypeError, match="SklearnTeacher, which is not saved"):
        save(teacher, path)
    search = GridSearchCV(student(max_epochs=1), {"lr": [0.1]}, cv=2)
    with pytest.raises(TypeError, match="best_estimator_"):
        save(fitted(search), path)
    model = fitted(student())
    with torch.no_grad():
        model.net_.module_.head.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"head\.weight.*not finite.*lower lr"):
        save(model, path)
    assert not list(tmp_path.iterdir())
    model = fitted(student())
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing, to write model\.lelp"):
        save(model, tmp_path / "missing" / "model.lelp")
    for folder in (tmp_path, ""):
        with pytest.raises(IsADirectoryError, match="is a folder: name a file in it"):
            save(model, folder)
    for nothing in (None, 3, b"model.lelp"):
        with pytest.raises(TypeError, match=r"path=.*: expected the name of a file"):
            save(model, nothing)
    assert not list(tmp_path.iterdir())


def test_a_scikit_learn_estimator_around_ours_that_is_not_walked(tmp_path):
    from sklearn.multiclass import OneVsRestClassifier

    model = OneVsRestClassifier(student(objective=CrossEntropy())).fit(ROWS.X, ROWS.y)
    with pytest.raises(TypeError, match=r"OneVsRestClassifier, (holds|cannot)"):
        save(model, tmp_path / "model.lelp")


def test_skops_is_asked_for_by_name(tmp_path, monkeypatch):
    model = make_pipeline(Normalizer(), student(objective=CrossEntropy())).fit(ROWS.X, ROWS.y)
    monkeypatch.setitem(sys.modules, "skops", None)
    with pytest.raises(ImportError, match=r"lelp-sklearn\[skops\]"):
        save(model, tmp_path / "model.lelp")


def test_a_device_that_is_missing_is_replaced_with_a_warning(tmp_path):
    model = fitted(student())
    model.device = "cuda:7"
    with pytest.warns(UserWarning, match=r"'cuda:7'.*predicts on the cpu"):
        again = through_file(model, tmp_path)
    assert_equal(model, again)
    with pytest.raises(ValueError, match="cannot be used here"):
        fitted(again)


@pytest.mark.parametrize("objective", [KD(), LELP()], ids=repr)
@pytest.mark.parametrize("package", [pickle, joblib])
def test_a_pickle_from_a_gpu_opens_without_one(objective, package, tmp_path, monkeypatch):
    model = fitted(student(objective=objective))
    proba = model.predict_proba(ROWS.X)
    model.net_.device = "cuda"
    with monkeypatch.context() as patched, open(tmp_path / "model", "wb") as file:
        # As tensors there are marked; those of this test have never been.
        patched.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
        package.dump(model, file)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with open(tmp_path / "model", "rb") as file, pytest.warns(DeviceWarning, match="cpu"):
        again = package.load(file)
    assert str(again.net_.device) == "cpu"
    np.testing.assert_array_equal(again.predict_proba(ROWS.X), proba)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_file_from_a_gpu_loads_without_one(tmp_path):
    model = fitted(student(objective=SimKD() + CRD(memory="bank"), device="cuda"))
    save(model, tmp_path / "model.lelp")
    np.save(tmp_path / "X.npy", ROWS.X)
    code = (
        "import sys, warnings, numpy as np, lelp_sklearn; warnings.simplefilter('ignore');"
        "model = lelp_sklearn.load('model.lelp'); print(model.net_.device);"
        "np.save('proba.npy', model.predict_proba(np.load('X.npy')))"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "cpu"
    np.testing.assert_allclose(
        np.load(tmp_path / "proba.npy"), model.predict_proba(ROWS.X), atol=1e-5
    )


def test_the_global_seeds_stay(tmp_path):
    model = fitted(student(StaticText), TEXTS)
    save(model, tmp_path / "model.lelp")
    state, legacy = torch.get_rng_state(), check_random_state(None).get_state()[1].copy()
    load(tmp_path / "model.lelp")
    assert torch.equal(torch.get_rng_state(), state)
    assert (check_random_state(None).get_state()[1] == legacy).all()


@pytest.mark.parametrize("name", ["student", "table"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_files_of_format_1_load(name):
    model = load(FIXTURES / f"{name}-format-1.lelp")
    expected = json.loads((FIXTURES / f"{name}-format-1.json").read_text())
    X = expected["X"]
    X = pd.DataFrame(X) if isinstance(X, dict) else np.array(X, dtype=np.float32)
    # Another processor may round otherwise.
    np.testing.assert_allclose(model.predict_proba(X), expected["proba"], rtol=1e-5)
    assert model.classes_.tolist() == expected["classes"]
    assert model.bf16 is False  # a parameter that students did not have then


def test_steps_of_another_scikit_learn_say_so(tmp_path, monkeypatch):
    written = {**_saving._versions(), "sklearn": "1.0"}
    monkeypatch.setattr(_saving, "_versions", lambda: written)
    through_file(fitted(student()), tmp_path)  # has no steps
    model = make_pipeline(StandardScaler(), student(objective=CrossEntropy())).fit(ROWS.X, ROWS.y)
    with pytest.warns(InconsistentVersionWarning, match=r"from version 1\.0"):
        through_file(model, tmp_path)


def test_the_public_names():
    assert lelp_sklearn.save is save
    assert lelp_sklearn.persistence.load is load


def test_neighbours_with_names_of_columns(tmp_path):
    X = TABLE[["age"]].fillna(0)
    model = make_pipeline(KNeighborsClassifier(3)).fit(X, ROWS.y)
    assert_equal(model, through_file(model, tmp_path), X)
    both = KNeighborsClassifier(3).fit(X, np.column_stack([ROWS.y, ROWS.y]))
    with pytest.raises(TypeError, match="_tree is"):
        save(both, tmp_path / "model.lelp")
