"""The search for entries: exact, and by the libraries of approximate graphs, where installed."""

import pickle
import sys

import numpy as np
import pytest

from lelp_sklearn import RetrievalAugmentedClassifier, StudentClassifier
from lelp_sklearn.students import _knowledge_base
from lelp_sklearn.students._knowledge_base import KnowledgeBase
from tests.data import digits

RNG = np.random.default_rng(0)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


# Groups on a sphere, as embeddings have them.
CENTRES = RNG.normal(size=(20, 24))
ENTRIES, QUERIES = (
    unit(CENTRES[RNG.integers(20, size=n)] + 0.7 * RNG.normal(size=(n, 24))) for n in (800, 200)
)


def base(n=800, **params):
    return KnowledgeBase(
        ENTRIES[:n],
        np.eye(2, dtype=np.float32)[np.arange(n) % 2],
        (np.arange(n) % 2).astype(np.int32),
        np.arange(n),
        np.arange(n) * 7,
        **params,
    )


NONE = np.full(200, -1)


@pytest.fixture(params=["hnswlib", "faiss"])
def library(request, monkeypatch):
    pytest.importorskip(request.param)
    monkeypatch.setattr(_knowledge_base, "_LIBRARIES", (request.param,))
    return request.param


def recall(found, expected):
    pairs = zip(found, expected, strict=True)
    return np.mean([len(set(a) & set(b)) for a, b in pairs]) / expected.shape[1]


def test_exact_search_is_all_cosines_sorted():
    cosine, entries = base(index="exact").search(QUERIES, 16, NONE)
    expected = QUERIES @ ENTRIES.T
    order = np.argsort(-expected, axis=1)[:, :16]
    np.testing.assert_array_equal(entries, order)
    np.testing.assert_allclose(cosine, np.take_along_axis(expected, order, 1), atol=1e-6)


def test_a_graph_finds_nearly_all_that_exact_search_finds(library):
    exact, graph = base(index="exact"), base(index="hnsw", seed=3)
    cosine, entries = graph.search(QUERIES, 16, NONE)
    assert recall(entries, exact.search(QUERIES, 16, NONE)[1]) > 0.97
    own_cosine = np.einsum("ij,ikj->ik", QUERIES, ENTRIES[entries])
    np.testing.assert_allclose(cosine, own_cosine, atol=1e-5)
    assert (np.diff(cosine, axis=1) <= 0).all()
    votes = [b.vote(QUERIES, 16, 0.1, NONE)[0] for b in (exact, graph)]
    np.testing.assert_allclose(*votes, atol=0.1)
    assert np.abs(votes[0] - votes[1]).mean() < 0.005


def test_a_graph_leaves_out_what_is_a_rows_own(library):
    own = np.arange(200)
    cosine, entries = base(index="hnsw").search(ENTRIES[:200], 16, own)
    assert entries.shape == (200, 16)
    assert not (entries == own[:, None]).any()
    exact = base(index="exact").search(ENTRIES[:200], 16, own)
    assert recall(entries, exact[1]) > 0.97
    assert np.isfinite(cosine).all()


def test_a_graph_of_few_entries_finds_all(library):
    for n in (1, 3):
        cosine, entries = base(n, index="hnsw").search(QUERIES, 16, NONE)
        np.testing.assert_array_equal(np.sort(entries, axis=1), np.tile(np.arange(n), (200, 1)))
        assert np.isfinite(cosine).all()
    # More neighbours than the graph would look at by itself.
    _, entries = base(300, index="hnsw").search(QUERIES, 150, NONE)
    assert recall(entries, base(300).search(QUERIES, 150, NONE)[1]) > 0.95


def test_a_graph_is_not_pickled_and_is_made_again(library):
    graph = base(index="hnsw")
    before = graph.search(QUERIES, 4, NONE)[1]
    again = pickle.loads(pickle.dumps(graph))
    assert again._search is None
    assert recall(again.search(QUERIES, 4, NONE)[1], before) > 0.97
    assert graph.nbytes == again.nbytes


def test_the_estimator_looks_up_by_a_graph(library):
    rows = digits(300)
    student = StudentClassifier(max_epochs=6, lr=0.02, batch_size=32, device="cpu")
    model = RetrievalAugmentedClassifier(student, retrieval_weight=0.5, random_state=0)
    told = {"teacher_proba": rows.proba[:200], "teacher_embeddings": rows.embeddings[:200]}
    exact, graph = (
        model.set_params(index=index).fit(rows.X[:200], rows.y[:200], **told).predict_proba(rows.X)
        for index in ("exact", "hnsw")
    )
    np.testing.assert_allclose(exact, graph, atol=1e-4)


def test_auto_is_a_graph_above_a_size(library, monkeypatch):
    made = []
    make = getattr(_knowledge_base, f"_{library}")
    monkeypatch.setattr(
        _knowledge_base, f"_{library}", lambda *given: made.append(1) or make(*given)
    )
    base().search(QUERIES, 16, NONE)
    assert not made
    monkeypatch.setattr(_knowledge_base, "EXACT_UP_TO", 799)
    large = base()
    large.search(QUERIES, 16, NONE)
    large.search(QUERIES, 16, NONE)
    assert len(made) == 1
    base(index="exact").search(QUERIES, 16, NONE)
    assert len(made) == 1


def test_without_a_library_auto_is_exact_and_hnsw_says_what_to_install(monkeypatch):
    for name in ("hnswlib", "faiss"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(_knowledge_base, "EXACT_UP_TO", 1)
    cosine, entries = base().search(QUERIES, 16, NONE)
    exact = base(index="exact").search(QUERIES, 16, NONE)
    np.testing.assert_array_equal(entries, exact[1])
    np.testing.assert_array_equal(cosine, exact[0])
    with pytest.raises(ImportError, match=r"needs hnswlib or faiss.*pip install faiss-cpu"):
        base(index="hnsw").search(QUERIES, 16, NONE)
    with pytest.raises(ImportError, match="needs hnswlib or faiss"):  # before it trains
        RetrievalAugmentedClassifier(index="hnsw").fit(np.eye(4), [0, 1, 0, 1])


def test_what_a_graph_did_not_find_has_no_vote():
    few = base()
    near = np.array([[0, 2, -1], [-1, -1, -1]])  # faiss's number for none
    few._search = lambda queries, k: (np.array([[0.9, 0.5, -1e9], [-1e9] * 3]), near)
    votes, found = few.vote(QUERIES[:2], 3, 0.1, np.full(2, -1))
    np.testing.assert_array_equal(found, [True, False])
    np.testing.assert_allclose(votes, [[1, 0], [0, 0]])
