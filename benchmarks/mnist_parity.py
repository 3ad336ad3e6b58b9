"""MNIST, even against odd: an MLP 256-256 student of a convolutional teacher, 60,000 rows."""

import numpy as np
import torch
from _common import arguments, compare, students
from torch import nn

from lelp_sklearn import MLP, CrossEntropy, StudentClassifier


class ConvNet(nn.Module):
    """Two convolutions and a hidden layer, with drop-out: about 99.5 % on parity."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(512, 128),
            nn.ReLU(),
        )

    def forward(self, X):
        """Embeddings of width 128."""
        return self.layers(X)


def load(folder):
    """The official split, pixels scaled to [0, 1]; fine is the digit."""
    with np.load(folder / "mnist" / "mnist.npz") as data:
        train, test = (
            (data[f"X_{s}"].reshape(-1, 784).astype(np.float32) / 255, data[f"y_{s}"] % 2)
            for s in ("train", "test")
        )
        return train, test, data["y_train"].astype(np.float32)


if __name__ == "__main__":
    torch.set_num_threads(2)
    args = arguments(__doc__, seeds=3)
    train, test, fine = load(args.data)
    taught = StudentClassifier(
        ConvNet,
        objective=CrossEntropy(),
        max_epochs=8,
        lr=0.003,
        random_state=0,
        n_threads=None,
    ).fit(*train)

    rows = students(
        n_subclasses=5,
        temperature=0.3,
        module=MLP,
        module__hidden=(256, 256),
        max_epochs=20,
        lr=0.002,
    )
    kept = args.only or [
        "labels only",
        "KD",
        "wide head, labels",
        "wide head, KD",
        "LELP, random directions",
        "LELP",
        "LELP, subclass_weight 0.1",
        "LELP as it comes",
        "true subclasses",
    ]
    compare({name: rows[name] for name in kept}, train, test, fine, lambda seed: taught, args.seeds)
