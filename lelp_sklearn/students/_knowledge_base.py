"""What a retrieval-augmented student looks up: rows in a shared space, and their labels."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.neighbors import NearestNeighbors

from lelp_sklearn.objectives._on_embeddings import slots
from lelp_sklearn.transfer import select_rows

EXACT_UP_TO = 50_000  # entries; beyond, an approximate index is faster by far
_LIBRARIES = ("hnswlib", "faiss")
_LINKS, _EF_CONSTRUCTION, _EF_SEARCH = 16, 200, 64  # of HNSW graphs


class KnowledgeBase:
    """Entries of length 1 in the shared space, with soft labels and labels, searched by cosine.

    Parameters
    ----------
    embeddings : ndarray of shape (n, k), float32
        Rows of length 1.
    proba : ndarray of shape (n, n_classes), float32
        Soft labels.
    labels : ndarray of shape (n,), int32
        Class numbers, -1 where no label is known.
    rows : ndarray of shape (n,), int64
        Numbers of the training rows, -1 for what was added later.
    keys : ndarray of shape (n,), int64
        Keys of the rows' inputs by content.
    index : {"auto", "exact", "hnsw"}, default="auto"
        How it is searched.
    seed : int, default=0
        Seed of an approximate index and of what is left out.
    """

    def __init__(
        self,
        embeddings: NDArray,
        proba: NDArray,
        labels: NDArray,
        rows: NDArray,
        keys: NDArray,
        *,
        index: str = "auto",
        seed: int = 0,
    ):
        self.embeddings, self.proba = embeddings, proba
        self.labels, self.rows, self.keys = labels, rows, keys
        self.index, self.seed = index, seed
        self._search: Any = None  # made when it is first needed
        self._by_key = np.argsort(keys, kind="stable")
        self._by_key = self._by_key[rows[self._by_key] >= 0]

    @property
    def _columns(self) -> tuple[NDArray, ...]:
        return self.embeddings, self.proba, self.labels, self.rows, self.keys

    @property
    def n_entries(self) -> int:
        """Number of entries."""
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """Bytes of the entries, without an approximate index."""
        return sum(column.nbytes for column in (*self._columns, self._by_key))

    def take(self, entries: NDArray) -> KnowledgeBase:
        """Some of the entries."""
        columns = [column[entries] for column in self._columns]
        return KnowledgeBase(*columns, index=self.index, seed=self.seed)

    def thinned(self, n: int) -> KnowledgeBase:
        """At most n of the entries, far from one another."""
        if n >= self.n_entries:
            return self
        if n == 0:
            return self.take(np.arange(0))
        chosen = select_rows(self.embeddings, n, strategy="k-means++", random_state=self.seed)
        return self.take(np.sort(chosen))

    def then(self, other: KnowledgeBase) -> KnowledgeBase:
        """These entries and, after them, another's."""
        pairs = zip(self._columns, other._columns, strict=True)
        return KnowledgeBase(
            *(np.concatenate(pair) for pair in pairs), index=self.index, seed=self.seed
        )

    def own(self, keys: NDArray) -> NDArray:
        """The entry that each row has from training, by its content; -1 for none."""
        if not len(self._by_key):
            return np.full(len(keys), -1)
        position = slots(keys, self.keys[self._by_key])
        return np.where(position >= 0, self._by_key[position], -1)

    def search(self, queries: NDArray, n_neighbors: int, own: NDArray) -> tuple[NDArray, NDArray]:
        """Cosines of the nearest entries, best first, and their numbers.

        The entry in ``own``, where it is not -1, is not found: its cosine is minus infinity where
        there are too few others to take its place.
        """
        if self._search is None:
            self._search = self._make_search()
        k = min(n_neighbors, self.n_entries)
        asked = min(k + 1, self.n_entries) if (own >= 0).any() else k
        cosine, entries = self._search(queries, asked)
        cosine = np.where((entries == own[:, None]) | (entries < 0), -np.inf, cosine)
        order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(cosine, order, 1), np.take_along_axis(entries, order, 1)

    def vote(
        self, queries: NDArray, n_neighbors: int, temperature: float, own: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Soft labels of the nearest entries, by the soft-max of cosines over the temperature.

        Returns also whether any entry was found; where none was, the vote is all zero.
        """
        if not (n_neighbors >= 1 and temperature > 0):  # predictions read them, and not fit alone
            raise ValueError(
                f"n_neighbors={n_neighbors} and temperature={temperature}: expected at least 1 "
                "entry, and a temperature above 0."
            )
        cosine, entries = self.search(queries, n_neighbors, own)
        found = np.isfinite(cosine[:, 0])
        share = np.zeros(cosine.shape)
        share[found] = softmax(cosine[found] / temperature, axis=1)
        return np.einsum("ij,ijc->ic", share, self.proba[entries]), found

    def _make_search(self) -> Any:
        if self.index == "exact" or (self.index == "auto" and self.n_entries <= EXACT_UP_TO):
            return _exact(self.embeddings)
        name = hnsw_library(required=self.index == "hnsw")
        if name is None:
            return _exact(self.embeddings)
        return {"hnswlib": _hnswlib, "faiss": _faiss}[name](self.embeddings, self.seed)

    def __getstate__(self) -> dict[str, Any]:
        # An index does not pickle everywhere, and is made again from the entries.
        return {**self.__dict__, "_search": None}


def hnsw_library(*, required: bool) -> str | None:
    """Name of the library for approximate search, None where neither is installed."""
    for name in _LIBRARIES:
        try:
            import_module(name)
        except ImportError:
            continue
        return name
    if required:
        raise ImportError(
            "index='hnsw' needs hnswlib or faiss, and neither is installed: pip install faiss-cpu, "
            "or use index='exact'."
        )
    return None


def _exact(embeddings: NDArray) -> Any:
    # Squared distances of rows of length 1 are 2 - 2 cos, and have scikit-learn's fastest path.
    index = NearestNeighbors(metric="sqeuclidean", algorithm="brute").fit(embeddings)

    def search(queries: NDArray, k: int) -> tuple[NDArray, NDArray]:
        distance, entries = index.kneighbors(queries, k)
        return 1 - distance / 2, entries

    return search


def _hnswlib(embeddings: NDArray, seed: int) -> Any:
    library = import_module("hnswlib")
    index = library.Index(space="ip", dim=embeddings.shape[1])
    index.init_index(
        max_elements=len(embeddings),
        M=_LINKS,
        ef_construction=_EF_CONSTRUCTION,
        random_seed=seed % 2**31,
    )
    index.add_items(embeddings, np.arange(len(embeddings)))

    def search(queries: NDArray, k: int) -> tuple[NDArray, NDArray]:
        index.set_ef(max(_EF_SEARCH, 2 * k))
        entries, distance = index.knn_query(queries, k=k)  # 1 - cos
        return 1 - distance, entries.astype(np.int64)

    return search


def _faiss(embeddings: NDArray, seed: int) -> Any:
    library = import_module("faiss")
    index = library.IndexHNSWFlat(embeddings.shape[1], _LINKS, library.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = _EF_CONSTRUCTION
    index.add(np.ascontiguousarray(embeddings))

    def search(queries: NDArray, k: int) -> tuple[NDArray, NDArray]:
        index.hnsw.efSearch = max(_EF_SEARCH, 2 * k)
        return index.search(np.ascontiguousarray(queries), k)  # -1 where fewer are found

    return search
