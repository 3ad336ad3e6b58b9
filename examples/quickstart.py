"""
Quickstart: a linear student that learns from a teacher's embeddings
====================================================================

Are handwritten digits even or odd? Each of the two classes hides five digits, which a linear
student cannot see and a neural teacher has found out. The teacher's probabilities do not say: with
two classes they are one number a row. Its embeddings do.

The same linear student is trained eight ways, for the same number of epochs, on the same five
seeded splits: on labels, on the teacher's probabilities (KD), with a wide head (five logits a
class, summed up) on either, and on pseudo-subclasses: the paper's, and those of the defaults. The
wide heads and random directions are the controls: what subclasses add is what lies beyond them.
"""

# %%
# The students
# ------------
import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lelp_sklearn import MLP, CrossEntropy, LELPProjector, LELPStudentClassifier, StudentClassifier

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("--seeds", type=int, default=5, help="number of splits")
parser.add_argument("--lr", type=float, default=0.01, help="peak learning rate of the students")
parser.add_argument("--picture", default="quickstart.png", help="where the picture goes")
args, _ = parser.parse_known_args()

SETTINGS = {"max_epochs": 40, "batch_size": 64, "lr": args.lr}


def student(seed):  # the paper's; a student's own defaults are the last row
    return LELPStudentClassifier(
        projector=LELPProjector(n_subclasses=5, subclass_temperature=0.1),
        subclass_weight=1.0,
        random_state=seed,
        **SETTINGS,
    )


def labels(seed, n_subclasses=1):
    objective = CrossEntropy(n_subclasses=n_subclasses)
    return StudentClassifier(objective=objective, random_state=seed, **SETTINGS)


STUDENTS = {
    "labels only": labels,
    "KD": lambda seed: StudentClassifier(random_state=seed, **SETTINGS),
    "wide head, labels": lambda seed: labels(seed, n_subclasses=5),
    "wide head, KD": lambda seed: student(seed).set_params(subclass_weight=0.0),
    "LELP, random directions": lambda seed: student(seed).set_params(
        projector__directions="random"
    ),
    "LELP": student,
    "LELP, subclass_weight 0.1": lambda seed: student(seed).set_params(subclass_weight=0.1),
    "LELP as it comes (k-means)": lambda seed: LELPStudentClassifier(random_state=seed, **SETTINGS),
}

# %%
# The comparison
# --------------
# The teacher is a student too: any classifier with ``predict_proba`` and ``transform`` will do.
X, digit = load_digits(return_X_y=True)
X, y = (X / 16).astype(np.float32), digit % 2
teacher_scores, scores = [], {name: [] for name in STUDENTS}
start = time.perf_counter()
for seed in range(args.seeds):
    X_train, X_test, y_train, y_test, _, digit_test = train_test_split(
        X, y, digit, test_size=0.4, stratify=digit, random_state=seed
    )
    teacher = StudentClassifier(
        MLP, module__hidden=128, objective=CrossEntropy(), lr=0.03, batch_size=64, random_state=seed
    ).fit(X_train, y_train)
    teacher_scores.append(teacher.score(X_test, y_test))
    arrays = {
        "teacher_proba": teacher.predict_proba(X_train),
        "teacher_embeddings": teacher.transform(X_train),
    }
    for name, make in STUDENTS.items():
        alone = "labels" in name
        fitted = make(seed).fit(X_train, y_train, **({} if alone else arrays))
        scores[name].append(fitted.score(X_test, y_test))
        if name == "LELP":
            projector = fitted.projector_


def mean_and_error(values):
    values = 100 * np.array(values)
    return values.mean(), values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0


print(f"digits, even or odd: {len(X_train)} training rows, {args.seeds} splits")
print(f"{'':28s}accuracy %   standard error")
print("{:28s}{:10.2f} {:16.2f}".format("teacher (MLP)", *mean_and_error(teacher_scores)))
for name, values in scores.items():
    print("{:28s}{:10.2f} {:16.2f}".format(name, *mean_and_error(values)))
print(f"{time.perf_counter() - start:.0f} seconds")

# %%
# The picture
# -----------
# On the left the table; on the right the rows that lie furthest along each pseudo-subclass of the
# last split: nobody told the projector of digits.
figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 5), width_ratios=[1, 1.1], layout="constrained"
)
means, errors = zip(*(mean_and_error(values) for values in scores.values()), strict=True)
left.barh(list(scores), means, xerr=errors, color=["0.7"] * 5 + ["tab:blue"] * 3)
left.axvline(np.mean(teacher_scores) * 100, color="k", linestyle=":", label="teacher")
left.set(xlim=(min(means) - 2, 100), xlabel="test accuracy (%), mean and standard error")
left.invert_yaxis()
left.legend(loc="upper right")

rows = projector.representatives(teacher.transform(X_test), k=8, y=y_test)
tiles = X_test[rows].reshape(2, 5, 8, 8, 8)
tiles = np.pad(tiles, [(0, 0)] * 3 + [(1, 1)] * 2, constant_values=0.4)
right.imshow(tiles.transpose(0, 1, 3, 2, 4).reshape(100, 80), cmap="gray_r")
names = ["even" if c == 0 else "odd" for c in range(2) for _ in range(5)]
right.set(
    title="rows furthest along each pseudo-subclass",
    xticks=[],
    yticks=np.arange(10) * 10 + 5,
    yticklabels=[f"{name} {i % 5}" for i, name in enumerate(names)],
)
figure.savefig(args.picture, dpi=100)
print(f"picture: {args.picture}")
