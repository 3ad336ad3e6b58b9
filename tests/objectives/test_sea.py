"""SEA: a reduced embedding, and then a head."""

import pickle
import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA, KernelPCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import scale

from lelp_sklearn import KD, MLP, EmbeddingApproximation, Stage, Stages, StudentClassifier
from lelp_sklearn.outputs import TeacherOutputs
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
OUTPUTS = TeacherOutputs(proba=ROWS.proba, embeddings=ROWS.embeddings)
Z = scale(ROWS.embeddings)


def fit(objective, teacher=TEACHER, **params):
    settings = {"max_epochs": 10, "random_state": 0, "device": "cpu", "lr": 0.02} | params
    student = StudentClassifier(settings.pop("module", MLP), objective=objective, **settings)
    return student.fit(ROWS.X, ROWS.y, **teacher)


def alone(**params):
    """The objective, fitted without a student."""
    return EmbeddingApproximation(**params).fit(OUTPUTS, ROWS.y, np.array([0, 1]), 0)


def targets(**params):
    return alone(**params).targets(OUTPUTS)["embedding"]


def test_an_embedding_first_and_a_head_on_it():
    objective = Stages(
        [
            ("embedding", Stage(EmbeddingApproximation(n_components=6), max_epochs=40)),
            ("head", Stage(KD(), frozen=["body"], max_epochs=20)),
        ]
    )
    student = fit(objective)
    losses = [row["train_loss"] for row in student.history_ if row["stage"] == "embedding"]
    assert losses[-1] < 0.5 * losses[0]
    first = fit(EmbeddingApproximation(n_components=6), max_epochs=40)
    np.testing.assert_array_equal(student.transform(ROWS.X), first.transform(ROWS.X))
    assert student.score(ROWS.X, ROWS.y) > 0.75
    copy = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(copy.predict_proba(ROWS.X), student.predict_proba(ROWS.X))


def test_beside_the_classes():
    student = fit(KD() + EmbeddingApproximation())
    assert student.score(ROWS.X, ROWS.y) > 0.75
    projector = student.net_.module_.learned
    assert {id(p) for p in projector.parameters()} <= {
        id(p) for p in student.net_.module_.parameters()
    }


def test_components_are_principal_and_at_most_what_there_is():
    expected = PCA(3).fit_transform(Z)
    found = targets(n_components=3)
    np.testing.assert_allclose(
        np.abs(found), np.abs(expected) / np.sqrt(expected.var(axis=0).mean()), atol=1e-4
    )
    assert targets(n_components=500).shape == (400, 10)
    assert found.dtype == np.float32


def test_whitening():
    plain, white = targets(n_components=5), targets(n_components=5, whiten=True)
    np.testing.assert_allclose(white.var(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(plain.var(axis=0).mean(), 1, rtol=1e-4)
    assert np.ptp(plain.var(axis=0)) > 0.1


def test_no_reducer_keeps_the_columns():
    np.testing.assert_allclose(targets(reducer=None), Z, atol=1e-5)


def test_any_transformer():
    reducer = KernelPCA(4, kernel="rbf")
    found = targets(reducer=reducer)
    assert found.shape == (400, 4)
    assert not hasattr(reducer, "eigenvectors_")
    seeded = alone(reducer=PCA(4, svd_solver="randomized")).reducer_
    assert seeded.random_state == 0


def test_random_rows():
    objective = alone(sample_size=50)
    assert len(np.unique(objective.sample_)) == 50
    reducer = PCA(10).fit(Z[objective.sample_])
    np.testing.assert_allclose(
        np.abs(objective.reducer_.components_), np.abs(reducer.components_), atol=1e-5
    )
    np.testing.assert_array_equal(alone(sample_size=50).sample_, objective.sample_)
    assert len(alone(sample_size=4000).sample_) == 400
    assert len(alone().sample_) == 400


def test_informed_rows_are_those_of_large_entropy():
    entropy = -(ROWS.proba * np.log(ROWS.proba)).sum(axis=1)
    rows = alone(sampler="informed", sample_size=100).sample_
    assert len(np.unique(rows)) == 100
    assert entropy[rows].mean() > 1.2 * entropy.mean()
    sure = OUTPUTS.__class__(proba=np.eye(2)[ROWS.y], embeddings=ROWS.embeddings)
    objective = EmbeddingApproximation(sampler="informed", sample_size=100)
    assert len(objective.fit(sure, ROWS.y, np.array([0, 1]), 0).sample_) == 100


def test_diverse_rows_hold_what_is_rare():
    rare = np.random.default_rng(0).standard_normal((5, 10)) * 20
    outputs = TeacherOutputs(embeddings=np.vstack([rare, ROWS.embeddings]))
    found = {}
    for sampler in ("k-means++", "k-center", "k-dpp", "random"):
        objective = EmbeddingApproximation(sampler=sampler, sample_size=10)
        rows = objective.fit(outputs, np.zeros(405), np.array([0, 1]), 0).sample_
        found[sampler] = (rows < 5).sum()
    assert found == {"k-means++": 5, "k-center": 5, "k-dpp": 5, "random": 0}


def test_what_it_needs():
    only = {"teacher_embeddings": ROWS.embeddings}
    fit(EmbeddingApproximation(), teacher=only, max_epochs=1)
    with pytest.raises(ValueError, match="needs teacher_proba"):
        fit(EmbeddingApproximation(sampler="informed"), teacher=only)
    with pytest.raises(ValueError, match="needs teacher_embeddings"):
        fit(EmbeddingApproximation(), teacher={"teacher_proba": ROWS.proba})
    with pytest.raises(ValueError, match="nothing to train"):
        fit(EmbeddingApproximation(), module=None)


def test_projectors():
    student = fit(EmbeddingApproximation(n_components=6, projector=None), module__hidden=6)
    assert student.history_[-1]["train_loss"] < student.history_[0]["train_loss"]
    with pytest.raises(ValueError, match="module__hidden=6"):
        fit(EmbeddingApproximation(n_components=6, projector=None))
    head = fit(EmbeddingApproximation(projector="mlp"), max_epochs=1).net_.module_.learned
    assert len(head) == 3


def test_later_rows_are_reduced_as_the_first():
    student = fit(EmbeddingApproximation(n_components=4))
    components = student.objective_.reducer_.components_.copy()
    rows = {name: values[:3] for name, values in TEACHER.items()}
    student.partial_fit(ROWS.X[:3], ROWS.y[:3], **rows)
    np.testing.assert_array_equal(student.objective_.reducer_.components_, components)


def test_row_weights_count():
    weight = np.where(np.arange(400) < 200, 1.0, 1e-6)
    light = fit(EmbeddingApproximation(), teacher={**TEACHER, "sample_weight": weight})
    heavy = fit(EmbeddingApproximation())
    assert np.abs(light.transform(ROWS.X) - heavy.transform(ROWS.X)).max() > 1e-2


@pytest.mark.parametrize(
    "bad",
    [
        {"reducer": "tsne"},
        {"n_components": 0},
        {"sampler": "diverse"},
        {"sample_size": 1},
        {"whiten": "yes"},
        {"projector": "x"},
    ],
)
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        fit(EmbeddingApproximation(**bad))


def test_parameters_are_searchable():
    objective = KD() + EmbeddingApproximation()
    objective.set_params(embeddingapproximation__n_components=5)
    assert clone(objective).objectives[1][1].n_components == 5


def test_umap_is_asked_for_global_structure(monkeypatch):
    class UMAP(PCA):
        def __init__(self, n_components, n_neighbors, min_dist, random_state, n_jobs):
            super().__init__(n_components)
            self.n_neighbors, self.min_dist, self.random_state = n_neighbors, min_dist, random_state
            self.n_jobs = n_jobs
            asked.append((n_components, n_neighbors, min_dist, n_jobs))

    asked = []
    module = ModuleType("umap")
    module.UMAP = UMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    assert targets(reducer="umap", n_components=3).shape == (400, 3)
    targets(reducer="umap", n_components=3, sample_size=20)
    assert asked == [(3, 50, 0.9, 1), (3, 19, 0.9, 1)]


def test_umap_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        targets(reducer="umap")


@pytest.mark.skipif(find_spec("umap") is None, reason="needs umap-learn")
def test_umap_itself():
    objective = alone(reducer="umap", n_components=2, sample_size=100)
    assert objective.reducer_.embedding_.shape == (100, 2)
    found = objective.targets(OUTPUTS)["embedding"]
    assert found.shape == (400, 2)
    np.testing.assert_array_equal(found, targets(reducer="umap", n_components=2, sample_size=100))
    # Rows that are near in the embedding stay near.
    near = NearestNeighbors(n_neighbors=1).fit(Z).kneighbors(return_distance=False)[:, 0]
    apart = np.linalg.norm(found - found[near], axis=1).mean()
    assert apart < 0.7 * np.linalg.norm(found - found[::-1], axis=1).mean()
