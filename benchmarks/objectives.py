"""Every objective on the same students, its weight or temperature chosen on held-out rows.

python benchmarks/objectives.py --data DIR --embeddings FOLDER --scores FILE

Tasks are those of ``_tasks.py``. Each objective has three candidates (those with nothing to tune
have one), of which a quarter of the labelled training rows chooses by accuracy, then log-loss; the
chosen one is trained on all rows, for as many epochs as all others. Feature, relation and
contrastive objectives are added to KD, half of which are the labels (``alpha=0.5``). A linear
student of numbers has its inputs for an embedding, so those objectives do not apply to it. The
teacher of Subclass Distillation is a ``SubclassTeacher`` on the frozen embeddings of the others'
teacher; its accuracy is in the table.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns
from _tasks import NUMBERS, Task, resumable, task
from scipy.stats import wilcoxon
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from lelp_sklearn import (
    CKA,
    CRD,
    DIST,
    DKD,
    KD,
    LELP,
    PKT,
    RKD,
    SP,
    VID,
    CompRess,
    CrossEntropy,
    DiSK,
    EmbeddingApproximation,
    EmbeddingMatching,
    LELPProjector,
    RelationalAlignment,
    SimKD,
    Stage,
    Stages,
    StudentClassifier,
    SubclassDistillation,
    SubclassTeacher,
    UniformSplitter,
    WeightedSum,
)

SETS = ["letter", "pendigits", "mnist", "nsl_kdd", "mr", "trec"]
FALLING = (0.3, 0.0)


def added(part, *weights):
    """KD and an objective, one sum a weight."""
    return [KD() + weight * part for weight in weights]


def on_logits():
    """Objectives for students of any body."""
    wide = UniformSplitter(n_subclasses=16)
    return {
        "labels": [CrossEntropy()],
        "KD": [KD(temperature=t) for t in (1.0, 2.0, 4.0)],
        "KD, mse": [KD(kind="mse", alpha=a) for a in (0.0, 0.5, 0.9)],
        "KD, standardized": [KD(standardize=True, temperature=t) for t in (1.0, 2.0, 4.0)],
        "DKD": [CrossEntropy() + DKD(temperature=t) for t in (1.0, 2.0, 4.0)],
        "DIST": [CrossEntropy() + w * DIST() for w in (0.3, 1.0, 3.0)],
        "DiSK": [DiSK(budget=b) for b in (0.03, 0.1, 0.3)],
        "wide head": [LELP(projector=wide, subclass_weight=0.0)],
        "LELP": [LELP(subclass_weight=w) for w in (FALLING, 0.1, 1.0)],
        "LELP, the paper's splits": [
            LELP(projector=LELPProjector(n_subclasses=16), subclass_weight=w)
            for w in (FALLING, 0.1, 1.0)
        ],
    }


def on_embeddings(epochs):
    """Objectives that need an embedding which is trained."""
    mse = EmbeddingMatching()
    return {
        "FitNets": added(mse, 0.1, 1.0, 10.0),
        "FitNets, then KD": [
            Stages(
                [
                    ("hint", Stage(mse, max_epochs=n)),
                    ("kd", Stage(KD(), max_epochs=epochs - n)),
                ]
            )
            for n in (epochs // 4, epochs // 2)
        ],
        "FitNets, learned weights": [
            WeightedSum([("kd", KD()), ("hint", mse)], weights=kind)
            for kind in ("uncertainty", "liebel")
        ],
        "cosine": added(EmbeddingMatching(kind="cosine"), 0.1, 1.0, 10.0),
        "log sum": added(EmbeddingMatching(kind="log_sum"), 0.03, 0.3, 3.0),
        "VID": added(VID(), 0.03, 0.3, 1.0),
        "CKA": added(CKA(), 0.1, 1.0, 10.0),
        "SimKD": [SimKD(projector=p) for p in ("linear", "mlp")],
        "SEA": [
            Stages(
                [
                    ("embedding", Stage(EmbeddingApproximation(), max_epochs=n)),
                    ("head", Stage(KD(), frozen=["body"], max_epochs=epochs - n)),
                ]
            )
            for n in (epochs // 2, 3 * epochs // 4)
        ],
        "RKD": added(RKD(), 0.1, 1.0, 10.0),
        "SP": added(SP(), 1.0, 10.0, 100.0),
        "PKT": added(PKT(), 1.0, 10.0, 100.0),
        "CompRess, 1q": added(CompRess(), 0.03, 0.3, 1.0),
        "CompRess, 2q": added(CompRess(kind="2q"), 0.03, 0.3, 1.0),
        "relational alignment": added(RelationalAlignment(), 0.1, 1.0, 10.0),
        "CRD": added(CRD(), 0.03, 0.3, 1.0),
        "CRD, bank": added(CRD(memory="bank", negatives="class"), 0.03, 0.3, 1.0),
    }


def chosen(candidates, rows, make):
    """The candidate that does best on a quarter of the labelled rows."""
    if len(candidates) == 1:
        return candidates[0]
    labelled = np.flatnonzero(rows.labeled)
    _, held = train_test_split(labelled, test_size=0.25, stratify=rows.y[labelled], random_state=0)
    kept = np.setdiff1d(np.arange(len(rows.y)), held)
    arrays = {name: values[kept] for name, values in rows.arguments().items()}
    found = []
    for candidate in candidates:
        student = make(candidate).fit(rows.X[kept], rows.y[kept], **arrays)
        proba = student.predict_proba(rows.X[held]).astype(float)
        proba /= proba.sum(axis=1, keepdims=True)
        accuracy = np.mean(student.classes_[proba.argmax(axis=1)] == rows.y[held])
        found.append((accuracy, -log_loss(rows.y[held], proba, labels=student.classes_)))
    return candidates[max(range(len(found)), key=found.__getitem__)]


def with_subclass_teacher(rows, seed):
    """The same rows, told by a head of subclasses on the frozen embeddings; and its accuracy."""
    H, known = rows.teacher_embeddings, rows.labeled
    teacher = SubclassTeacher(random_state=seed, max_epochs=15, lr=0.02, batch_size=256)
    teacher.fit(H[known], rows.y[known])
    told = Task(**vars(rows) | {
        "teacher_proba": teacher.predict_proba(H).astype(float),
        "teacher_embeddings": teacher.transform(H),
    })  # fmt: skip
    return told, teacher.score(rows.teacher_embeddings_test, rows.y_test)


def scores_of(args, name, seed):
    """Accuracies of all objectives on one split."""
    rows = task(
        args.data,
        name,
        seed,
        rows=None if name == "mnist" else args.rows,
        embeddings=args.embeddings,
    )
    told, accuracy = with_subclass_teacher(rows, seed)
    found = {"teacher": rows.teacher_score, "SubclassTeacher": accuracy}
    for body, params in rows.bodies.items():

        def make(objective, params=params):
            return StudentClassifier(
                objective=objective, random_state=seed, **params, **rows.settings
            )

        objectives = on_logits()
        if params:
            objectives |= on_embeddings(rows.settings["max_epochs"])
        for row, candidates in objectives.items():
            found[f"{body}: {row}"] = rows.score(make(chosen(candidates, rows, make)))
        subclasses = [
            SubclassDistillation(temperature=t, alpha=a) for t, a in ((4, 0.5), (4, 0), (1, 0))
        ]
        best = chosen(subclasses, told, make)
        found[f"{body}: Subclass Distillation"] = told.score(make(best))
    return found


def ranked(table, body, names):
    """Mean rank over sets and seeds, mean difference to KD, and its Holm-corrected p."""
    own = table.loc[names, table.columns.str.startswith(f"{body}: ")].dropna(axis=1)
    own.columns = own.columns.str.removeprefix(f"{body}: ")
    ranks = own.rank(axis=1, ascending=False).groupby(level=0).mean().mean()
    others = own.columns.drop("KD")
    p = pd.Series(
        {row: wilcoxon(own[row], own["KD"], zero_method="zsplit").pvalue for row in others}
    )
    order = p.sort_values().index
    corrected = (p[order] * np.arange(len(p), 0, -1)).cummax().clip(upper=1)
    above = 100 * own.sub(own["KD"], axis=0).mean()
    return pd.DataFrame({"mean rank": ranks, "above KD": above, "p against KD": corrected})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--embeddings", type=Path, help="folder for embeddings of texts")
    parser.add_argument("--scores", type=Path, required=True, help="CSV file that keeps the scores")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--rows", type=int, default=3000, help="training rows at most; 10,000 of mnist"
    )
    args = parser.parse_args()
    print(machine(), flush=True)
    # Said once: of two classes, and of the row that is meant to use labels alone.
    warnings.filterwarnings("ignore", message=".*(DKD|DIST|two classes|is not used).*")
    jobs = [(name, seed) for seed in range(args.seeds) for name in args.sets]
    lines = resumable(args.scores, jobs, lambda *job: scores_of(args, *job), ["set", "seed"])
    table = lines.pivot(index=["set", "seed"], columns="row", values="score")
    print_columns(
        {name: mean_and_error(table.loc[name]).replace("nan ± nan", "") for name in args.sets}
    )
    texts = [name for name in args.sets if name not in NUMBERS]
    for title, body, names in (
        ("linear, all sets", "linear", args.sets),
        ("linear, texts", "linear", texts),
        ("MLP 32, all sets", "MLP 32", args.sets),
    ):
        if names:
            shown = ranked(table, body, names).sort_values("mean rank")
            print(f"\n{title}")
            print_columns({column: shown[column].map("{:.3f}".format) for column in shown})


if __name__ == "__main__":
    main()
