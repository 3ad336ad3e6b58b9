"""Prediction: a student's ``predict_proba`` against its module on tensors."""

from __future__ import annotations

import timeit

import numpy as np
import torch
from _pairs import Ratio, paired
from scipy import sparse

from lelp_sklearn import MLP, BagOfNgrams, CrossEntropy, StudentClassifier
from lelp_sklearn._torch import torch_threads
from lelp_sklearn.students._net import class_probabilities


def student(X, y, module, **params):
    return StudentClassifier(
        module,
        objective=CrossEntropy(n_subclasses=10),
        max_epochs=1,
        batch_size=1024,
        device="cpu",
        random_state=0,
        **params,
    ).fit(X, y)


@torch.inference_mode()
def bare(module, chunks):
    with torch_threads(1):
        return torch.cat([class_probabilities(module(c).logits, (10, 10)) for c in chunks]).numpy()


@torch.inference_mode()
def bag(body, head, X):
    """One EmbeddingBag call and its head, chunk by chunk of a CSR matrix."""
    ids, ends = torch.from_numpy(X.indices), torch.from_numpy(X.indptr)
    values, found = torch.from_numpy(X.data), []
    with torch_threads(1):
        for start in range(0, X.shape[0], 4096):
            part = ends[start : start + 4097]
            inside = slice(part[0], part[-1])
            embedding = torch.nn.functional.embedding_bag(
                ids[inside],
                body.table.weight,
                part - part[0],
                mode="sum",
                per_sample_weights=values[inside],
                include_last_offset=True,
            )
            found.append(class_probabilities(head(embedding + body.bias), (10, 10)))
        return torch.cat(found).numpy()


def rows(args):
    """Name, bar and measured ratio of each comparison."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1_000_000, 50), dtype=np.float32)
    dense = student(X[:2000], (X[:2000, 0] > 0).astype(int), MLP)
    module, chunks = dense.net_.module_.eval(), torch.from_numpy(X).split(4096)
    np.testing.assert_allclose(
        dense.predict_proba(X[:4096]), bare(module, chunks[:1]), rtol=1e-5, atol=1e-6
    )
    yield (
        "predict_proba: module in chunks (1M x 50, MLP 64)",
        "<= 1.10",
        paired(lambda: dense.predict_proba(X), lambda: bare(module, chunks), args.pairs),
    )
    row = X[:1]
    best = np.array(timeit.repeat(lambda: dense.predict_proba(row), number=200, repeat=7)) / 200
    low, middle, high = np.quantile(best, [0.25, 0.5, 0.75]) / 200e-6
    yield (
        "one row: 200 microseconds",
        "<= 1.0",
        Ratio(low, middle, high, middle * 200e-6, 200e-6),
    )
    n, width = 200_000, 100_000
    ids = rng.integers(0, width, 30 * n, dtype=np.int32)
    ends = np.arange(0, 30 * n + 1, 30, dtype=np.int32)
    csr = sparse.csr_array((rng.random(30 * n, dtype=np.float32), ids, ends), shape=(n, width))
    csr.sort_indices()
    words = student(csr[:2000], np.arange(2000) % 2, BagOfNgrams)
    body, head = words.net_.module_.body, words.net_.module_.head
    np.testing.assert_allclose(words.predict_proba(csr), bag(body, head, csr), rtol=1e-5, atol=1e-6)
    yield (
        "predict_proba: EmbeddingBag (200k rows of 30 in CSR)",
        "<= 1.15",
        paired(lambda: words.predict_proba(csr), lambda: bag(body, head, csr), args.pairs),
    )
