"""The small valid case that every call begins with."""

import numpy as np
import pandas as pd

from tests.fuzz.mutations.labels import WORDS

N, C = 36, 3
_rng = np.random.default_rng(0)
Y = np.arange(N) % C
# Eighths and 64ths, which are the same numbers in every type down to float16.
X = np.round((_rng.standard_normal((N, 4)) + Y[:, None]) * 8) / 8
H = np.round((_rng.standard_normal((N, 5)) + 2 * np.eye(C, 5)[Y]) * 8) / 8
_shift = _rng.integers(0, 9, N)
PROBA = (8 + (40 - _shift)[:, None] * np.eye(C)[Y]) / 64
PROBA[np.arange(N), (Y + 1) % C] += _shift / 64
OTHER_PROBA = PROBA[:, [0, 2, 1]]
WEIGHT = 0.5 + np.arange(N) % 4 / 2
LABELED = np.arange(N) % 5 < 4
COEF = np.round(_rng.standard_normal((C, 5)) * 8) / 8
HIDDEN = np.stack([H, H[:, ::-1]], axis=1)
TABLE = pd.DataFrame(X, columns=list("abcd")).assign(d=WORDS[Y])
_KINDS = np.array(["dull", "fine", "odd"])
_NAMES = np.array(["film", "day", "story", "joke"])
# Three words each, which are the tokens.
TEXTS = np.array([f"{_KINDS[y]} {_NAMES[i % 4]} {i % 7}" for i, y in enumerate(Y)], dtype=object)
# By the names of arguments.
VALUES = {
    "X": X,
    "H": H,
    "y": Y,
    "sample_weight": WEIGHT,
    "labeled": LABELED,
    "teacher_proba": PROBA,
    "teacher_embeddings": H,
    "teacher_coef": COEF,
    "teacher_hidden": HIDDEN,
}
# Epochs, rows of a batch and the rest of a fit that takes no time.
QUICK = {"max_epochs": 1, "batch_size": 16, "device": "cpu", "random_state": 0}
