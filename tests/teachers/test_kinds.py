"""Which estimators are teachers: those whose methods come with fit, and refusals of other kinds."""

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline as SamplingPipeline
from imblearn.pipeline import make_pipeline as make_sampling
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.ensemble import (
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC

from lelp_sklearn import (
    DistilledClassifier,
    LELPStudentClassifier,
    OnnxStudent,
    StudentClassifier,
    TeacherCache,
    TeacherEnsemble,
    as_teacher,
    load,
    model_card,
    save,
    to_onnx,
)
from lelp_sklearn.students._pipelines import without_samplers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = ((X[:, 0] + X[:, 1]) > 0.8).astype(int)


def student():
    return LELPStudentClassifier(max_epochs=1, random_state=0)


def stack():
    return StackingClassifier([("lr", LogisticRegression())], cv=2)


LATE = {
    "stack": stack,
    "pipeline": lambda: make_pipeline(StandardScaler(), stack()),
    "search": lambda: GridSearchCV(stack(), {"passthrough": [False]}, cv=2),
    "pipeline in a search": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), stack()), {"stackingclassifier__passthrough": [True]}, cv=2
    ),
    "self-training": lambda: SelfTrainingClassifier(stack()),
    "vote": lambda: VotingClassifier([("s", stack())], voting="soft"),
    "search that brings it": lambda: GridSearchCV(SGDClassifier(), {"loss": ["log_loss"]}, cv=2),
    "search over steps": lambda: GridSearchCV(
        Pipeline([("last", LinearSVC())]), {"last": [LogisticRegression(), stack()]}, cv=2
    ),
    "ensemble": lambda: TeacherEnsemble([("s", stack()), ("lr", LogisticRegression())]),
}


@pytest.mark.filterwarnings("ignore:y contains no unlabeled samples")
@pytest.mark.parametrize("make", LATE.values(), ids=LATE)
def test_methods_that_come_with_fit(make):
    assert DistilledClassifier(make(), student(), cv=2).fit(X, Y).predict(X).shape == (90,)
    fitted = clone(make()).fit(X, Y)
    assert DistilledClassifier(fitted, student()).fit(X, Y).predict(X).shape == (90,)


@pytest.mark.parametrize(
    "make",
    [
        SVC,
        lambda: make_pipeline(StandardScaler(), SVC()),
        lambda: GridSearchCV(SVC(), {"C": [1.0]}),
        lambda: StackingClassifier([("lr", LogisticRegression())], final_estimator=SVC()),
    ],
)
def test_methods_that_never_come_are_missed_before_a_fit(make):
    with pytest.raises(TypeError, match=r"no predict_proba.*CalibratedClassifierCV"):
        as_teacher(make())


BOTH = np.column_stack([Y, X[:, 2] > 0]).astype(int)
OTHER_KINDS = [
    (RandomForestRegressor(2), "is a regressor.*CompositeTeacher"),
    (make_pipeline(StandardScaler(), LinearRegression()), "is a regressor"),
    (KMeans(2), "is a clusterer"),
    (GaussianMixture(2), "is a density estimator"),
    (IsolationForest(), "is an outlier detector"),
    (MultiOutputClassifier(LogisticRegression()), "several outputs.*MultiOutputClassifier"),
    (ClassifierChain(LogisticRegression()), "several outputs"),
    (RandomForestClassifier(2).fit(X, BOTH), "several outputs"),
    (make_pipeline(StandardScaler(), RandomForestClassifier(2)).fit(X, BOTH), "several outputs"),
    (OneVsRestClassifier(LogisticRegression()).fit(X, BOTH), "several outputs"),
    (MLPClassifier([2], solver="lbfgs", max_iter=2000).fit(X, BOTH), "several outputs"),
    (GridSearchCV(MultiOutputClassifier(LogisticRegression()), {}), "several outputs"),
    (GridSearchCV(LogisticRegression(), {}, refit=False), "refit=False"),
]


@pytest.mark.parametrize(("teacher", "message"), OTHER_KINDS, ids=lambda p: type(p).__name__)
def test_other_kinds_are_refused_in_a_sentence(teacher, message):
    with pytest.raises(TypeError, match=message):
        DistilledClassifier(teacher, student(), cv=2).fit(X, Y)
    with pytest.raises(TypeError, match=message):
        TeacherEnsemble([("a", teacher)]).fit(X, Y)


@pytest.mark.parametrize("make", [np.asarray, list], ids=["array", "list"])
def test_several_outputs_are_distilled_one_by_one(make):
    model = DistilledClassifier(LogisticRegression(), student(), cv=2)
    for fit in (model.fit, student().fit, as_teacher(RandomForestClassifier(2)).fit):
        with pytest.raises(ValueError, match=r"shape \(90, 2\).*MultiOutputClassifier"):
            fit(X, make(BOTH.tolist()))
    assert MultiOutputClassifier(model).fit(X, BOTH).predict(X).shape == (90, 2)


@pytest.mark.parametrize("labels", [[["a"], ["a", "b"]], [("a",), ("b", "a")], [{"a"}, {"b"}]])
def test_several_labels_of_a_row(labels):
    model = DistilledClassifier(LogisticRegression(), student(), cv=2)
    as_objects = np.empty(90, object)
    as_objects[:] = labels * 45
    for y in (labels * 45, as_objects):
        with pytest.raises(ValueError, match=r"labels in row \d.*MultiLabelBinarizer"):
            model.fit(X, y)


SAMPLERS = [RandomOverSampler(random_state=0), RandomUnderSampler(random_state=0), SMOTE()]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("last", [LogisticRegression(), RandomForestClassifier(3, random_state=0)])
def test_a_sampler_before_a_teachers_classifier(sampler, last):
    teacher = make_sampling(StandardScaler(), sampler, last)
    model = DistilledClassifier(teacher, student(), cv=2).fit(X, Y)
    assert len(model.teacher_.transform(X)) == 90  # of the rows asked about, none resampled
    alone = make_sampling(sampler, last).fit(X, Y)
    assert len(as_teacher(alone, X).transform(X)) == 90
    DistilledClassifier(alone, student()).fit(X, Y)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize(
    "around",
    [
        lambda pipe: pipe,
        lambda pipe: GridSearchCV(pipe, {}, cv=2),
        lambda pipe: make_pipeline(StandardScaler(), pipe),
    ],
)
def test_a_sampler_before_the_student_is_refused_before_the_teacher_is_asked(sampler, around):
    class Teacher(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            raise AssertionError("asked")

    pipe = around(make_sampling(StandardScaler(), sampler, student()))
    with pytest.raises(ValueError, match=r"resamples the rows.*make_pipeline"):
        DistilledClassifier(Teacher(), pipe, cv=2).fit(X, Y)


def test_weights_do_not_go_to_the_rows_of_a_sampler():
    weight = np.where(Y == 1, 3.0, 1.0)
    teacher = make_sampling(StandardScaler(), RandomUnderSampler(random_state=0), GaussianNB())
    with pytest.raises(ValueError, match="sample_weight would go to other rows"):
        as_teacher(teacher).fit(X, Y, sample_weight=weight)
    model = DistilledClassifier(teacher, student(), cv=2, random_state=0)
    weighted = model.fit(X, Y, weight).teacher_.predict_proba(X)
    np.testing.assert_array_equal(weighted, model.fit(X, Y).teacher_.predict_proba(X))


def test_a_cache_knows_a_teacher_with_a_sampler():
    teacher = make_sampling(RandomOverSampler(random_state=0), LogisticRegression()).fit(X, Y)
    other = make_sampling(RandomOverSampler(random_state=1), LogisticRegression()).fit(X, Y)
    cache = TeacherCache()
    for asked, new in ((teacher, 90), (clone(teacher).fit(X, Y), 0), (other, 90)):
        before = cache.info()["misses"]
        DistilledClassifier(asked, student(), cache=cache).fit(X, Y)
        assert cache.info()["misses"] - before == new


def test_a_search_as_student_that_keeps_none():
    search = GridSearchCV(student(), {"lr": [0.1]}, cv=2, refit=False)
    with pytest.raises(ValueError, match="refit=False, which keeps no student"):
        DistilledClassifier(LogisticRegression(), search, cv=2).fit(X, Y)


def test_a_sampler_before_both_is_what_the_message_says():
    model = make_sampling(
        RandomOverSampler(random_state=0),
        DistilledClassifier(LogisticRegression(), student(), cv=2),
    ).fit(X, Y)
    assert model.score(X, Y) > 0.5


def test_predicting_needs_no_sampler(tmp_path):
    inner = StudentClassifier(max_epochs=1, random_state=0)
    model = make_sampling(StandardScaler(), RandomOverSampler(random_state=0), inner)
    with pytest.warns(UserWarning, match="got no teacher arrays"):
        model.fit(X, Y)
    plain = without_samplers(model)
    assert type(plain) is Pipeline
    assert len(plain) == 2
    np.testing.assert_array_equal(plain.predict_proba(X), model.predict_proba(X))
    assert without_samplers(plain) is plain
    save(model, tmp_path / "model.lelp")
    loaded = load(tmp_path / "model.lelp")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    rows = X.astype(np.float32)
    served = OnnxStudent(to_onnx(model, rows, tmp_path / "model.onnx"))
    np.testing.assert_allclose(served.predict_proba(rows), model.predict_proba(rows), atol=1e-5)
    assert "StudentClassifier" in str(model_card(model))
    nested = without_samplers(Pipeline([("outer", SamplingPipeline(model.steps))]))
    assert [type(step) for _, step in nested[0].steps] == [StandardScaler, StudentClassifier]


def test_a_pipeline_of_imblearn_inside_is_saved_as_one_of_scikit_learn(tmp_path):
    pipe = make_sampling(StandardScaler(), StudentClassifier(max_epochs=1, random_state=0))
    model = DistilledClassifier(LogisticRegression(), pipe, cv=2).fit(X, Y)
    save(model, tmp_path / "model.lelp")
    loaded = load(tmp_path / "model.lelp")
    assert type(loaded.student_) is Pipeline
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
