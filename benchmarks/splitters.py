"""Every way of splitting, and the controls: accuracy and rank over ten tables.

python benchmarks/splitters.py --data DIR --embeddings FOLDER --scores FILE

Tasks are those of ``_tasks.py``: two classes, a network of one hidden layer of 256 as teacher of
numbers and logistic regression on MiniLM embeddings as teacher of texts; its probabilities are out
of fold, its embeddings those of the teacher of all rows. FILE keeps the scores, so that a second
call goes on where the first ended. Ranks are over the rows of one body, averaged over sets; p is of
a Wilcoxon test of a row's scores against the wide head's, set by set and seed by seed, corrected by
Holm. A row's number is subclass_weight; without one it falls from 0.3 to 0 over the epochs. Half of
the loss is the labels' (``alpha=0.5``) but where a row says otherwise.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine, mean_and_error, print_columns
from _tasks import NUMBERS, TEXTS, Task, resumable, task
from scipy.stats import wilcoxon
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import has_fit_parameter

from lelp_sklearn import (
    KD,
    LELP,
    AutoencoderSplitter,
    CCASplitter,
    ClusterSplitter,
    CrossEntropy,
    EnsembleSplitter,
    GraphSplitter,
    ICASplitter,
    LELPProjector,
    LELPStudentClassifier,
    OracleSplitter,
    RandomSplitter,
    Stage,
    Stages,
    StudentClassifier,
    UniformSplitter,
)

DEFAULT = "k-means, auto number (the default)"
CONTROLS = ["wide head of 48", "KD"]
MOONSHOT = ["letter", "pendigits", "digits", "mnist"]
ORACLE = {"oracle": (0.3, 0.0), "oracle, 1": 1.0}


def splitters(n: int) -> dict[str, object]:
    """The splitters of the table, unfitted."""
    mixture = GaussianMixture(covariance_type="diag", reg_covar=1e-3)
    rotations = [(f"rotation {i}", LELPProjector(n_subclasses=n)) for i in range(5)]
    means = [(f"means {i}", ClusterSplitter(n_subclasses=n)) for i in range(3)]
    return {
        "uniform": UniformSplitter(n_subclasses=n),
        "random partition": RandomSplitter(n_subclasses=n),
        "random directions": LELPProjector(n_subclasses=n, directions="random"),
        "rotated (the paper)": LELPProjector(n_subclasses=n),
        "signed_pca": LELPProjector(n_subclasses=n, directions="signed_pca"),
        "varimax": LELPProjector(n_subclasses=n, directions="varimax"),
        "ICA": ICASplitter(n_subclasses=n, max_iter=100),
        "CCA": CCASplitter(n_subclasses=n),
        "k-means": ClusterSplitter(n_subclasses=n),
        DEFAULT: ClusterSplitter(n_subclasses="auto"),
        "mixture on 8 components": ClusterSplitter(
            mixture, n_subclasses=n, reduce=8, subclass_temperature=1.0
        ),
        "graph": GraphSplitter(n_subclasses=n, max_rows=2000),
        "autoencoder": AutoencoderSplitter(n_subclasses=n),
        "five rotations": EnsembleSplitter(rotations),
        "three k-means": EnsembleSplitter(means),
    }


def fitted(splitter: object, rows: Task, seed: int) -> FrozenEstimator:
    """A splitter fitted once, for both bodies and all weights."""
    splitter = clone(splitter)
    names = [name for name in splitter.get_params() if name.split("__")[-1] == "random_state"]
    splitter.set_params(**{name: seed + i for i, name in enumerate(names)})
    said = {"student_inputs": rows.X, "teacher_proba": rows.teacher_proba}
    extra = {name: v for name, v in said.items() if has_fit_parameter(splitter, name)}
    return FrozenEstimator(splitter.fit(rows.teacher_embeddings, rows.y, **extra))


def scores_of(args: argparse.Namespace, name: str, seed: int) -> dict[str, float]:
    """Accuracies of all rows of the table on one split."""
    rows = task(args.data, name, seed, rows=args.rows, embeddings=args.embeddings)
    found = {"teacher": rows.teacher_score}
    ready = {
        kind: fitted(splitter, rows, seed) for kind, splitter in splitters(args.subclasses).items()
    }
    for body, params in rows.bodies.items():

        def lelp(projector, weight, params=params, **replaced):
            student = LELPStudentClassifier(
                projector=projector,
                subclass_weight=weight,
                random_state=seed,
                **params,
                **rows.settings,
            )
            return rows.score(student, **replaced)

        labels = CrossEntropy(n_subclasses=24)
        for row, objective in (
            ("labels", CrossEntropy()),
            ("labels, wide head of 24", labels),
            ("KD", KD()),
            ("KD, no labels", KD(alpha=0.0)),
        ):
            student = StudentClassifier(
                objective=objective, random_state=seed, **params, **rows.settings
            )
            found[f"{body}: {row}"] = rows.score(student)
        for n in (24, 48):
            found[f"{body}: wide head of {n}"] = lelp(UniformSplitter(n_subclasses=n), 0.0)
        for row, weight in ORACLE.items():
            found[f"{body}: {row}"] = lelp(
                OracleSplitter(), weight, teacher_embeddings=rows.fine[:, None]
            )
        for kind, splitter in ready.items():
            found[f"{body}: {kind}"] = lelp(splitter, (0.3, 0.0))
        for kind in ("random partition", "rotated (the paper)", "k-means"):
            found[f"{body}: {kind}, 1"] = lelp(ready[kind], 1.0)
        means = ready["k-means"]
        found[f"{body}: k-means, 0.1"] = lelp(means, 0.1)
        split = LELP(projector=means)
        epochs = rows.settings["max_epochs"] // 3
        stages = Stages(
            [
                ("classes", Stage(KD(), max_epochs=epochs)),
                (
                    "subclasses",
                    Stage(split, max_epochs=rows.settings["max_epochs"] - epochs, split_noise=0.01),
                ),
            ]
        )
        student = StudentClassifier(objective=stages, random_state=seed, **params, **rows.settings)
        found[f"{body}: k-means, from a split class head"] = rows.score(student)
    return found


def of_body(table: pd.DataFrame, body: str) -> pd.DataFrame:
    """The rows of one body, under their names alone."""
    own = table.loc[:, table.columns.str.startswith(f"{body}: ")]
    return own.rename(columns=lambda row: row.removeprefix(f"{body}: "))


def corrected_p(own: pd.DataFrame, control: str) -> pd.Series:
    """Each row's p against a control, corrected by Holm."""
    p = pd.Series(
        {
            row: wilcoxon(own[row], own[control], zero_method="zsplit").pvalue
            for row in own.columns.drop(control)
        }
    )
    order = p.sort_values().index
    return (p[order] * np.arange(len(p), 0, -1)).cummax().clip(upper=1)


def ranked(own: pd.DataFrame, controls: list[str]) -> pd.DataFrame:
    """Accuracies by set, mean rank over sets, and p against each control; the best row first."""
    columns = {name: mean_and_error(own.loc[name]) for name in own.index.unique(level=0)}
    ranks = own.rank(axis=1, ascending=False).groupby(level=0).mean().mean().sort_values()
    columns |= {"mean rank": ranks.map("{:.1f}".format)}
    for control in controls:
        columns[f"p against {control}"] = corrected_p(own, control).map("{:.2g}".format)
    return pd.DataFrame(columns).loc[ranks.index].fillna("")


def default_alone(own: pd.DataFrame) -> pd.DataFrame:
    """The default against each control, uncorrected.

    It was chosen on other draws of training rows, but of sets whose test rows are partly the same.
    """
    against = {}
    for control in ("wide head of 24", *CONTROLS, "labels, wide head of 24"):
        above = 100 * (own[DEFAULT] - own[control])
        by_set = above.groupby(level=0).mean()
        ranks = own[[DEFAULT, control]].rank(axis=1, ascending=False)
        against[control] = {
            "points above": f"{above.mean():.2f}",
            "sets above": f"{(by_set > 0).sum()} of {len(by_set)}",
            "mean rank of the two": f"{ranks[DEFAULT].mean():.2f}",
            "p": f"{wilcoxon(above, zero_method='zsplit').pvalue:.2g}",
        }
    return pd.DataFrame(against)


def gap_closed(own: pd.DataFrame) -> pd.DataFrame:
    """Share of the way from KD to the better oracle on the sets that have one, and worst loss."""
    means = 100 * own.groupby(level=0).mean()
    above = means.sub(means["KD"], axis=0)
    oracle = above[list(ORACLE)].max(axis=1)
    sets = [name for name in MOONSHOT if name in above.index]
    shares = above.loc[sets].div(oracle[sets], axis=0).T
    rest = above.index.difference(sets)
    return shares.assign(**{"worst elsewhere against KD": above.loc[rest].min()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--embeddings", type=Path, help="folder for embeddings of texts")
    parser.add_argument("--scores", type=Path, required=True, help="CSV file that keeps the scores")
    parser.add_argument("--sets", nargs="*", default=NUMBERS + TEXTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, help="training rows at most")
    parser.add_argument("--subclasses", type=int, default=16)
    args = parser.parse_args()
    print(machine(), flush=True)
    warnings.filterwarnings("ignore", message=".*is not used")  # by the rows of labels
    warnings.simplefilter("ignore", ConvergenceWarning)  # of ICA, whose last rotation is taken
    jobs = [(name, seed) for seed in range(args.seeds) for name in args.sets]
    lines = resumable(args.scores, jobs, lambda *job: scores_of(args, *job), ["set", "seed"])
    table = lines.pivot(index=["set", "seed"], columns="row", values="score")
    print("teacher:", mean_and_error(table["teacher"].unstack("set")).to_dict())
    for body in ("linear", "MLP 32"):
        own = of_body(table, body)
        print(f"\n{body}")
        print_columns(dict(ranked(own, CONTROLS).items()))
        print(f"\n{body}: the default against each control")
        print_columns(dict(default_alone(own).items()))
        print(f"\n{body}: share of the gap between KD and the oracle")
        print_columns(
            {name: column.map("{:.2f}".format) for name, column in gap_closed(own).items()}
        )


if __name__ == "__main__":
    main()
