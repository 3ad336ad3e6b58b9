"""What each trick that a comment gives a figure for buys: the work with it against without it."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import torch
from _pairs import paired
from predict import student
from scipy import sparse
from sklearn.utils.validation import validate_data
from skorch.callbacks import Callback
from training import ALPHA, WEIGHT, Work

from lelp_sklearn import LELP, MLP, BagOfNgrams
from lelp_sklearn._torch import torch_threads
from lelp_sklearn.losses import fold, label_loss, subclass_kl
from lelp_sklearn.students._net import class_probabilities
from lelp_sklearn.students._optimizers import _summed_by_row
from lelp_sklearn.subclasses._blocks import block_softmax


class Listener(Callback):
    """Reads records of batches, for which skorch's own loop comes back."""

    def on_batch_end(self, net, **kwargs):
        """Do nothing with them."""


class UnpreparedLELP(LELP):
    """The loss as the paper writes it, put together batch by batch."""

    def prepare(self, targets):
        """Probabilities of classes, and of subclasses within them."""
        within = targets["joint"] / np.repeat(targets["class"], self.n_subclasses_, axis=1)
        return {**targets, "joint": within}

    def loss(self, outputs, targets, progress):
        """Labels' and teacher's terms, weighted row by row."""
        n, weight = self.n_subclasses_, targets["weight"]
        kept = subclass_kl(outputs.logits, targets["class"], targets["joint"], n, 1.0, WEIGHT)
        labels = label_loss(fold(outputs.logits, n), targets["y"]) * targets["labeled"]
        values = self.alpha * labels + (1 - self.alpha) * kept
        return (values * weight).sum() / weight.sum()


def rows(args):
    """Name, no bar, and measured ratio of each trick."""
    yield from of_a_step(args.pairs)
    yield from of_predictions(args.pairs)
    yield from of_tensors(args.pairs)


def of_a_step(pairs):
    work = Work(100_000, 50, 64, 256, epochs=3)

    def without(name, value):
        def fit():
            with patch(f"lelp_sklearn.students.{name}", value):
                work.lelp()

        return fit

    def unprepared():
        work.fit(UnpreparedLELP(projector=work.projector(), subclass_weight=WEIGHT, alpha=ALPHA))

    yield (
        "rows fetched 4 MB at a time",
        "",
        paired(work.lelp, without("_batches._BLOCK", 1), pairs),
    )
    yield (
        "AdamW: its variant for sparse gradients",
        "",
        paired(work.lelp, without("_net.gives_sparse_gradients", lambda module: True), pairs),
    )
    yield (
        "epochs without records of batches",
        "",
        paired(work.lelp, lambda: work.lelp(callbacks=[Listener()]), pairs),
    )
    yield "targets prepared for the loss", "", paired(work.lelp, unprepared, pairs)
    yield (
        "guard against NaN (costs)",
        "",
        paired(work.lelp, without("_net.StepGuard.check", lambda self, loss: None), pairs),
    )


def of_predictions(pairs):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1_000_000, 50), dtype=np.float32)
    dense = student(X[:2000], (X[:2000, 0] > 0).astype(int), MLP)
    module, chunks = dense.net_.module_.eval(), torch.from_numpy(X).split(4096)

    @torch.inference_mode()
    def named():
        with torch_threads(1):
            parts = []
            for chunk in chunks:
                outputs = module(chunk, for_loss=False)
                parts.append(class_probabilities(outputs.logits, (10, 10)))
            return torch.cat(parts).numpy()

    yield (
        "outputs without a name, 1M rows",
        "",
        paired(lambda: dense.predict_proba(X), named, pairs),
    )
    logits = torch.randn(4096, 20)
    many = range(500)
    yield (
        "class probabilities: fold and soft-max",
        "",
        paired(
            lambda: [class_probabilities(logits, (10, 10)) for _ in many],
            lambda: [fold(logits, (10, 10)).softmax(dim=1) for _ in many],
            pairs,
        ),
    )
    row = X[:1]

    def checked():
        with patch("lelp_sklearn.inputs._arrays._is_ready", lambda X, student: False):
            for _ in many:
                dense.predict_proba(row)

    yield (
        "500 single rows, one sum: scikit-learn's checks",
        "",
        paired(lambda: [dense.predict_proba(row) for _ in many], checked, pairs),
    )

    words = sparse.random(2000, 5000, 0.01, "csr", np.float32, random_state=0)
    reader = student(words, np.arange(2000) % 2, BagOfNgrams)
    few = words[:1]
    yield (
        "1,000 checks of a sparse row: scikit-learn's",
        "",
        paired(
            lambda: [reader.inputs_.check(reader, few, reset=False) for _ in range(1000)],
            lambda: [
                validate_data(reader, few, accept_sparse="csr", dtype=np.float32, reset=False)
                for _ in range(1000)
            ],
            pairs,
        ),
    )


def of_tensors(pairs):
    values, index = torch.randn(100_000, 50), torch.randint(0, 100_000, (256,))
    many = range(1000)
    yield (
        "1,000 times 256 rows, index_select: values[index]",
        "",
        paired(
            lambda: [values.index_select(0, index) for _ in many],
            lambda: [values[index] for _ in many],
            pairs,
        ),
    )
    ids = torch.randint(0, 20_000, (1, 256 * 30))
    gradient = torch.sparse_coo_tensor(ids, torch.randn(ids.shape[1], 64), (100_000, 64))
    yield (
        "100 sparse gradients summed by row: coalesce",
        "",
        paired(
            lambda: [_summed_by_row(gradient) for _ in range(100)],
            lambda: [gradient.clone().coalesce() for _ in range(100)],
            pairs,
        ),
    )
    scores, counts = np.random.default_rng(0).random((100_000, 60), np.float32), np.full(10, 6)

    def along_rows():
        blocks = scores.reshape(-1, 10, 6)
        weight = np.exp(blocks - blocks.max(axis=2, keepdims=True))
        return weight / weight.sum(axis=2, keepdims=True)

    yield (
        "soft-max of ten blocks of six, rows as columns: as rows",
        "",
        paired(lambda: block_softmax(scores, counts), along_rows, pairs),
    )
