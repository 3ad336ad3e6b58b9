"""Students in ONNX: equal answers on 10,000 rows, latency of one row, and what 8 bits lose.

python benchmarks/onnx_speed.py --data DIR

One thread everywhere. Latencies are medians and 99th percentiles of single calls; blocks of calls
take turns.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import torch
from _common import machine
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lelp_sklearn import (
    KD,
    MLP,
    BagOfNgrams,
    CrossEntropy,
    LELPStudentClassifier,
    OnnxStudent,
    StudentClassifier,
    to_onnx,
)

CHECKED = 10_000  # rows
TRAINED = 5_000
EPOCHS = 5
BLOCKS, WARM = 20, 20  # of calls


def adult(folder, rng):
    """A pipeline of typed columns, and rows to check it on."""
    tables = [pd.read_parquet(folder / "adult" / f"{part}.parquet") for part in ("train", "test")]
    (X, y), (X_test, _) = [(t.drop(columns="label"), t["label"].to_numpy(str)) for t in tables]
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    student = LELPStudentClassifier(MLP, max_epochs=EPOCHS, random_state=0)
    X, y = X[:TRAINED], y[:TRAINED]
    return fitted(make_pipeline(columns, student), X, y, rng), X_test[:CHECKED]


def mr(folder, rng):
    """A pipeline of words and pairs."""
    table = pd.read_parquet(folder / "mr" / "all.parquet").sample(CHECKED, random_state=0)
    texts, y = table["text"].to_numpy(object), table["label"].to_numpy(str)
    words = TfidfVectorizer(
        token_pattern=r"[a-zA-Z0-9_]+", ngram_range=(1, 2), sublinear_tf=True, max_features=5000
    )
    student = StudentClassifier(BagOfNgrams, objective=KD(), max_epochs=EPOCHS, random_state=0)
    return fitted(make_pipeline(words, student), texts[:TRAINED], y[:TRAINED], rng), texts


def fitted(pipeline, X, y, rng):
    """Fit on what a made-up teacher says: the labels, and noise as embeddings."""
    classes, codes = np.unique(y, return_inverse=True)
    name = pipeline.steps[-1][0]
    embeddings = rng.standard_normal((len(y), 16)) + codes[:, None]
    return pipeline.fit(
        X,
        y,
        **{
            f"{name}__teacher_proba": 0.9 * np.eye(len(classes))[codes] + 0.05,
            f"{name}__teacher_embeddings": embeddings,
        },
    )


def students(rng):
    """Students of numbers, trained for one epoch: what they learned does not matter here."""
    for n_features, settings in [
        (50, {}),
        (384, {}),
        (50, {"module": MLP, "module__hidden": 64}),
        (384, {"module": MLP, "module__hidden": 512}),
    ]:
        X = rng.standard_normal((2048, n_features)).astype(np.float32)
        y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)
        student = StudentClassifier(
            objective=CrossEntropy(n_subclasses=8), max_epochs=1, random_state=0, **settings
        )
        hidden = f"MLP {n_features}-{settings['module__hidden']}" if settings else None
        yield hidden or f"linear, {n_features} inputs", student.fit(X, y), X


def latencies(ways, calls):
    """Median and 99th percentile of single calls in microseconds, by way; blocks take turns.

    In a block of its own a call finds its code and weights in the cache, as in a busy server.
    """
    times = {name: [] for name in ways}
    for _ in range(BLOCKS):
        for name, way in ways.items():
            for i in range(calls // BLOCKS + WARM):
                start = time.perf_counter()
                way()
                if i >= WARM:
                    times[name].append(1e6 * (time.perf_counter() - start))
    return {name: np.percentile(values, [50, 99]) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--calls", type=int, default=5000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(f"{machine()}, onnxruntime {onnxruntime.__version__}\n")

    print("| | rows | largest difference | labels equal | kB | 8 bits: difference | labels | kB |")
    print("|---|---|---|---|---|---|---|---|")
    for name, make in {"adult": adult, "mr": mr}.items():
        model, rows = make(args.data, rng)
        cells = []
        for quantize in (False, True):
            data = to_onnx(model, rows, quantize=quantize, min_agreement=0).SerializeToString()
            found = OnnxStudent(data).export_
            cells += [
                f"{found['max_difference']:.1e}",
                f"{found['label_agreement']:.2%}",
                f"{len(data) / 1000:.0f}",
            ]
        print(f"| {name} | {found['rows']} | " + " | ".join(cells) + " |", flush=True)

    columns = None
    for name, student, X in students(rng):
        served = OnnxStudent(to_onnx(student, X).SerializeToString())
        network = student.net_.module_.eval()
        for n_rows in (1, 1024):
            rows = X[:n_rows]
            tensor = torch.from_numpy(rows)

            def bare(network=network, tensor=tensor):
                with torch.inference_mode():
                    network(tensor)

            session = served.session_
            ways = {
                "session.run": lambda s=session, r=rows: s.run(["probabilities"], {"X": r}),
                "OnnxStudent": lambda s=served, r=rows: s.predict_proba(r),
                "bare torch network": bare,
                "student": lambda s=student, r=rows: s.predict_proba(r),
            }
            found = latencies(ways, args.calls if n_rows == 1 else args.calls // 10)
            if columns is None:
                columns = list(found)
                print("\n| p50 (p99), us | rows | " + " | ".join(columns) + " |")
                print("|---" * (len(columns) + 2) + "|")
            cells = [f"{p50:.1f} ({p99:.0f})" for p50, p99 in found.values()]
            print(f"| {name} | {n_rows} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
