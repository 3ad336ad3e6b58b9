"""Where a teacher's structure pays: rows, capacity, pre-training, label noise, unlabelled rows.

python benchmarks/when.py --data DIR --embeddings FOLDER --scores FILE [--figure FILE]

Plain distillation, a wide head and the default LELP student, with the labels' half of the loss and
without, on the tasks of ``_tasks.py``, one circumstance varied at a time. What is drawn and printed
last is what they add to plain distillation, in points of accuracy, averaged over sets; errors are
standard errors over seeds of that mean.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from _common import machine, print_columns
from _tasks import TEXTS, resumable, task

from lelp_sklearn import MLP, BagOfNgrams, LELPProjector, LELPStudentClassifier, StudentClassifier

SETS = ["letter", "pendigits", "mnist", "banking77"]
ABOVE = ["wide head", "LELP", "LELP, no labels", "teacher"]
BASE = {"rows": 2000, "hidden": 0}
VARIED = {
    "rows": [100, 300, 1000, 3000, 10_000],
    "hidden": [0, 8, 32, 128],
    "pretrained": [False, True],
    "noise": [0.0, 0.1, 0.2],
    "unlabelled": [0.0, 0.5, 0.9],
}
LABELS = {
    "rows": "training rows",
    "hidden": "hidden units (0: linear)",
    "pretrained": "teacher of more than these rows",
    "noise": "share of labels turned over",
    "unlabelled": "share of rows without labels",
}


def scores_of(args, varied, value, name, seed):
    """Accuracies of the three students in one circumstance."""
    said = BASE | {varied: value}
    rows = task(
        args.data,
        name,
        seed,
        rows=said["rows"],
        embeddings=args.embeddings,
        pretrained=said.get("pretrained"),
        noise=said.get("noise", 0.0),
        labelled=round(said["rows"] * (1 - said.get("unlabelled", 0.0))),
    )
    body = {"module": BagOfNgrams} if name in TEXTS else {}
    if said["hidden"]:
        hidden = {"module__hidden": said["hidden"]}
        body = {"module": MLP, **hidden} if name not in TEXTS else body | hidden
    params = {"random_state": seed, **body, **rows.settings}
    steps = said["rows"] * params["max_epochs"] / params["batch_size"]
    # As many steps for a few rows as for 2,000.
    least = BASE["rows"] * params["max_epochs"] / params["batch_size"]
    params["max_epochs"] = round(params["max_epochs"] * max(1, least / steps))
    wide = LELPStudentClassifier(
        projector=LELPProjector(n_subclasses=args.wide), subclass_weight=0.0, **params
    )
    return {
        "teacher": rows.teacher_score,
        "KD": rows.score(StudentClassifier(**params)),
        "wide head": rows.score(wide),
        "LELP": rows.score(LELPStudentClassifier(**params)),
        "LELP, no labels": rows.score(LELPStudentClassifier(alpha=0.0, **params)),
    }


def gains(lines):
    """Points above plain distillation: mean over sets, and its standard error over seeds."""
    table = lines.pivot(index=["varied", "value", "set", "seed"], columns="row", values="score")
    above = 100 * table[ABOVE].sub(table["KD"], axis=0)
    by_seed = above.groupby(level=["varied", "value", "seed"]).mean()
    return by_seed.groupby(level=["varied", "value"]).agg(["mean", "sem"])


def draw(table, file):
    """One panel a circumstance."""
    figure, axes = plt.subplots(1, len(VARIED), figsize=(15, 3.2), sharey=True, layout="tight")
    for axis, (varied, values) in zip(axes, VARIED.items(), strict=True):
        part = table.loc[varied].loc[[str(value) for value in values]]
        for row in ABOVE[:-1]:
            axis.errorbar(
                range(len(values)), part[row]["mean"], part[row]["sem"], marker="o", label=row
            )
        axis.axhline(0, color="0.6", lw=1)
        axis.set_xticks(range(len(values)), [str(value) for value in values])
        axis.set_xlabel(LABELS[varied])
    axes[0].set_ylabel("points above plain distillation")
    axes[0].legend()
    figure.savefig(file, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--embeddings", type=Path, help="folder for embeddings of texts")
    parser.add_argument("--scores", type=Path, required=True, help="CSV file that keeps the scores")
    parser.add_argument("--figure", type=Path, help="picture to write")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wide", type=int, default=24, help="logits a class of the wide head")
    args = parser.parse_args()
    print(machine(), flush=True)
    jobs = [
        (varied, value, name, seed)
        for seed in range(args.seeds)
        for varied, values in VARIED.items()
        for value in values
        for name in args.sets
    ]
    lines = resumable(
        args.scores, jobs, lambda *job: scores_of(args, *job), ["varied", "value", "set", "seed"]
    )
    for varied, values in VARIED.items():
        part = lines[lines["varied"] == varied]
        shown = part.groupby(["row", "value", "set"])["score"].mean().mul(100).unstack("set")
        print(f"\n{LABELS[varied]}")
        for value in values:
            own = shown.xs(str(value), level="value")
            own.index = [f"{value}: {row}" for row in own.index]
            print_columns({name: own[name].map("{:.2f}".format) for name in args.sets})
    table = gains(lines)
    print("\npoints above plain distillation, mean of the sets")
    order = [(varied, str(value)) for varied, values in VARIED.items() for value in values]
    shown = table.loc[order].map("{:.2f}".format)
    shown.index = [f"{LABELS[varied]}: {value}" for varied, value in order]
    print_columns({row: shown[row]["mean"] + " ± " + shown[row]["sem"] for row in ABOVE})
    if args.figure:
        draw(table, args.figure)


if __name__ == "__main__":
    main()
