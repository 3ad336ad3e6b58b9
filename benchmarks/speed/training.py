"""Training: a student's whole fit against the loop one would write by hand.

The loop does the same work on the same rows: it fits the same projector, takes batches by
``index_select`` from tensors, steps the fused AdamW, and has LELP's loss in as few operations as
we know. skorch as shipped brings its DataLoader and its callbacks. One torch thread for all.
"""

from __future__ import annotations

import numpy as np
import torch
from _pairs import paired
from skorch import NeuralNetClassifier
from torch import nn

from lelp_sklearn import KD, LELP, MLP, LELPProjector, StudentClassifier
from lelp_sklearn._torch import torch_threads
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs

WEIGHT, ALPHA = 0.3, 0.5


class Work:
    """Made-up rows with a teacher, and one way a method to train on them."""

    def __init__(self, n_rows, n_features, hidden, batch_size, epochs, n_subclasses=10):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
        self.H = self.X @ rng.standard_normal((n_features, 64), dtype=np.float32)
        odds = self.H[:, :8].sum(axis=1) / n_features**0.5
        self.proba = np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
        self.y = (odds > 0).astype(int)
        self.hidden, self.batch_size, self.epochs = hidden, batch_size, epochs
        self.n_subclasses = n_subclasses

    def projector(self):
        return LELPProjector(n_subclasses=self.n_subclasses)

    def fit(self, objective, **params):
        student = StudentClassifier(
            MLP,
            module__hidden=self.hidden,
            objective=objective,
            max_epochs=self.epochs,
            batch_size=self.batch_size,
            random_state=0,
            **{"schedule": None, "device": "cpu", **params},
        )
        return student.fit(self.X, self.y, teacher_proba=self.proba, teacher_embeddings=self.H)

    def lelp(self, **params):
        objective = LELP(projector=self.projector(), subclass_weight=WEIGHT, alpha=ALPHA)
        self.fit(objective, **params)

    def kd(self):
        self.fit(KD(alpha=ALPHA))

    def targets(self):
        """What LELP's loss is linear in: a weight of every class's and subclass's log-probability.

        Constants of the divergences are left out: they have no gradient.
        """
        projector = self.projector().fit(self.H, self.y, teacher_proba=self.proba)
        proba = self.proba.astype(np.float32)
        in_class = ALPHA * np.eye(2, dtype=np.float32)[self.y]
        in_class += (1 - ALPHA) * (1 - WEIGHT) * proba
        joint = np.repeat(proba, self.n_subclasses, axis=1) * projector.transform(self.H)
        joint *= (1 - ALPHA) * WEIGHT
        return torch.from_numpy(in_class), torch.from_numpy(joint)

    def network(self):
        hidden = nn.Linear(self.X.shape[1], self.hidden)
        return nn.Sequential(hidden, nn.ReLU(), nn.Linear(self.hidden, 2 * self.n_subclasses))

    def loss(self, logits, in_class, joint):
        log_joint = logits.log_softmax(dim=1)
        log_class = log_joint.view(-1, 2, self.n_subclasses).logsumexp(dim=2)
        return -((in_class * log_class).sum() + (joint * log_joint).sum()) / len(logits)

    def by_hand(self):
        with torch_threads(1):
            X, (in_class, joint) = torch.from_numpy(self.X), self.targets()
            network = self.network()
            optimizer = torch.optim.AdamW(network.parameters(), fused=True)
            for _ in range(self.epochs):
                for rows in torch.randperm(len(X)).split(self.batch_size):
                    optimizer.zero_grad()
                    loss = self.loss(
                        network(X.index_select(0, rows)),
                        in_class.index_select(0, rows),
                        joint.index_select(0, rows),
                    )
                    loss.backward()
                    optimizer.step()

    def by_hand_on_our_loss(self):
        """The same loop on the objective's own targets and loss, weights and labels included."""
        objective = LELP(projector=self.projector(), subclass_weight=WEIGHT, alpha=ALPHA)
        teacher = TeacherOutputs(self.proba, self.H)
        with torch_threads(1):
            objective.fit(teacher, self.y, np.arange(2), 0)
            ones = np.ones(len(self.y), np.float32)
            arrays = {"y": self.y, "labeled": ones, "weight": ones, **objective.targets(teacher)}
            arrays = objective.prepare(arrays)
            targets = {name: torch.from_numpy(values) for name, values in arrays.items()}
            X, network = torch.from_numpy(self.X), self.network()
            optimizer = torch.optim.AdamW(network.parameters(), fused=True)
            for epoch in range(self.epochs):
                for rows in torch.randperm(len(X)).split(self.batch_size):
                    optimizer.zero_grad()
                    batch = X.index_select(0, rows)
                    told = {name: values.index_select(0, rows) for name, values in targets.items()}
                    outputs = StudentOutputs(network(batch), batch)
                    objective.loss(outputs, told, epoch / self.epochs).backward()
                    optimizer.step()

    def skorch(self, **params):
        work = self

        class Net(NeuralNetClassifier):
            def get_loss(self, y_pred, y_true, *args, **kwargs):
                return work.loss(y_pred, y_true[:, :2], y_true[:, 2:])

        with torch_threads(1):
            net = Net(
                self.network,
                criterion=nn.CrossEntropyLoss,
                optimizer=torch.optim.AdamW,
                max_epochs=self.epochs,
                batch_size=self.batch_size,
                train_split=None,
                iterator_train__shuffle=True,
                verbose=0,
                **params,
            )
            net.fit(self.X, torch.cat(self.targets(), dim=1).numpy())


def rows(args):
    """Name, bar and measured ratio of each comparison."""
    small = Work(100_000, 50, 64, 256, epochs=5)
    yield (
        "LELP: by hand (100k x 50, MLP 64)",
        "<= 1.10",
        paired(small.lelp, small.by_hand, args.pairs),
    )
    yield (
        "LELP: by hand on our loss, same rows",
        "<= 1.10",
        paired(small.lelp, small.by_hand_on_our_loss, args.pairs),
    )
    yield (
        "LELP: skorch as shipped, same rows",
        "<= 0.40",
        paired(small.lelp, small.skorch, args.pairs),
    )
    yield "LELP: KD, same rows", "<= 1.10", paired(small.lelp, small.kd, args.pairs)
    wide = Work(100_000, 384, 512, 1024, epochs=2)
    yield "LELP: KD (100k x 384, MLP 512)", "<= 1.10", paired(wide.lelp, wide.kd, args.pairs)
    yield (
        "LELP: by hand (100k x 384, MLP 512)",
        "<= 1.05",
        paired(wide.lelp, wide.by_hand, args.pairs),
    )
