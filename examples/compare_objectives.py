"""
Many ways to teach one student
==============================

A network of 128 hidden units teaches one of 16 whether a digit is even or odd, by each family of
objectives. The data, the student and its epochs are the same; only ``objective=`` changes.
"""

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lelp_sklearn import (
    CKA,
    CRD,
    KD,
    LELP,
    RKD,
    CompRess,
    CrossEntropy,
    EmbeddingMatching,
    SimKD,
    Stage,
    Stages,
    StudentClassifier,
    SubclassDistillation,
    SubclassTeacher,
    UniformSplitter,
    WeightedSum,
)
from lelp_sklearn.networks import MLP

parser = argparse.ArgumentParser(description="Objectives side by side on digits.")
parser.add_argument("--seeds", type=int, default=3, help="number of splits")
parser.add_argument("--picture", default="compare_objectives.png", help="where it goes")
args, _ = parser.parse_known_args()

# %%
# The objectives
# --------------
# Those on embeddings say nothing of classes, and are added to KD; ``+`` and ``*`` do that. The
# weights are round numbers: a grid over ``objective__rkd__...`` would choose better ones.
WIDE = LELP(projector=UniformSplitter(n_subclasses=16), subclass_weight=0.0)
HINT = EmbeddingMatching()
OBJECTIVES = {
    "labels": CrossEntropy(),
    "KD": KD(),
    "wide head": WIDE,
    "LELP": LELP(),
    "FitNets": KD() + HINT,
    "FitNets, learned weights": WeightedSum([("kd", KD()), ("hint", HINT)], weights="liebel"),
    "FitNets, then KD": Stages([("hint", Stage(HINT, max_epochs=10)), ("kd", Stage(KD()))]),
    "CKA": KD() + CKA(),
    "SimKD": SimKD(),
    "RKD": KD() + RKD(),
    "CompRess": KD() + 0.3 * CompRess(),
    "CRD": KD() + 0.3 * CRD(),
    "Subclass Distillation": SubclassDistillation(temperature=1.0),
}

# %%
# The comparison
# --------------
# Subclass Distillation has a teacher of its own, of the same size, which is trained to invent
# subclasses; all others read the embeddings of the plain one.
X, digit = load_digits(return_X_y=True)
X, y = (X / 16).astype(np.float32), digit % 2
scores = {name: [] for name in ["teacher", "its SubclassTeacher", *OBJECTIVES]}
seconds = dict.fromkeys(OBJECTIVES, 0.0)
for seed in range(args.seeds):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.4, stratify=digit, random_state=seed
    )
    net = {"module__hidden": 128, "lr": 0.03, "random_state": seed}
    plain = StudentClassifier(MLP, objective=CrossEntropy(), **net).fit(X_train, y_train)
    inventive = SubclassTeacher(MLP, **net).fit(X_train, y_train)
    scores["teacher"].append(plain.score(X_test, y_test))
    scores["its SubclassTeacher"].append(inventive.score(X_test, y_test))
    for name, objective in OBJECTIVES.items():
        teacher = inventive if name == "Subclass Distillation" else plain
        told = {
            "teacher_proba": teacher.predict_proba(X_train),
            "teacher_embeddings": teacher.transform(X_train),
        }
        student = StudentClassifier(
            MLP, module__hidden=16, objective=objective, max_epochs=30, random_state=seed
        )
        start = time.perf_counter()
        student.fit(X_train, y_train, **({} if name == "labels" else told))
        seconds[name] += time.perf_counter() - start
        scores[name].append(student.score(X_test, y_test))

for name, values in scores.items():
    took = f"{seconds[name] / args.seeds:6.1f} s" if name in seconds else ""
    print(f"{name:26s}{100 * np.mean(values):6.2f} ± {100 * np.std(values):.2f} {took}")

# %%
# The picture
# -----------
figure, axis = plt.subplots(figsize=(8, 5), layout="constrained")
means, spread = [[100 * f(scores[name]) for name in OBJECTIVES] for f in (np.mean, np.std)]
axis.barh(list(OBJECTIVES), means, xerr=spread, color="tab:blue")
axis.axvline(100 * np.mean(scores["teacher"]), color="k", linestyle=":", label="teacher")
axis.set(xlim=(min(means) - 2, 100), xlabel="test accuracy (%), mean and deviation over splits")
axis.invert_yaxis()
axis.legend(loc="lower left")
figure.savefig(args.picture, dpi=100)
