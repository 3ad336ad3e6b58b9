"""Letters A-M against N-Z: a linear student of an MLP teacher, each class hiding 13 letters."""

import numpy as np
import pandas as pd
from _common import arguments, compare, students
from sklearn.preprocessing import StandardScaler

from lelp_sklearn import MLP, CrossEntropy, StudentClassifier


def load(folder):
    """The official split: 16,000 rows to train on, 4,000 to test; 16 features, standardised."""
    train, test = (pd.read_parquet(folder / "letter" / f"{s}.parquet") for s in ("train", "test"))
    features = [name for name in train.columns if name not in ("label", "fine")]
    scaler = StandardScaler().fit(train[features])
    fine = pd.factorize(train["fine"], sort=True)[0].astype(np.float32)
    return (
        (scaler.transform(train[features]).astype(np.float32), train["label"].to_numpy(str)),
        (scaler.transform(test[features]).astype(np.float32), test["label"].to_numpy(str)),
        fine,
    )


if __name__ == "__main__":
    args = arguments(__doc__, seeds=5)
    train, test, fine = load(args.data)

    def teacher(seed):
        return StudentClassifier(
            MLP,
            module__hidden=256,
            objective=CrossEntropy(),
            max_epochs=40,
            lr=0.02,
            random_state=seed,
        ).fit(*train)

    rows = students(n_subclasses=12, temperature=0.1, max_epochs=40, batch_size=64, lr=0.01)
    rows = {name: rows[name] for name in args.only or rows}
    compare(rows, train, test, fine, teacher, args.seeds)
