"""What the benchmark scripts share: the rows of a comparison, and how its table is printed."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.model_selection import train_test_split

from lelp_sklearn import (
    KD,
    CrossEntropy,
    LELPProjector,
    LELPStudentClassifier,
    OracleSplitter,
    StudentClassifier,
)

LABELS, TEACHER, FINE = "labels", "teacher", "fine"  # what a row of the table is told


def arguments(description: str | None, seeds: int) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=seeds, help="number of seeds")
    parser.add_argument("--only", nargs="*", help="rows of the table; all of them otherwise")
    return parser.parse_args()


def students(
    n_subclasses: int, temperature: float, **settings: Any
) -> dict[str, tuple[str, Callable[[int], Any]]]:
    """The seven rows of every comparison, and the true subclasses: name to (input, maker)."""

    def labels(n: int) -> Callable[[int], Any]:
        return lambda seed: StudentClassifier(
            objective=CrossEntropy(n_subclasses=n), random_state=seed, **settings
        )

    def lelp(**params: Any) -> Callable[[int], Any]:
        def make(seed: int) -> Any:
            projector = LELPProjector(n_subclasses=n_subclasses, subclass_temperature=temperature)
            student = LELPStudentClassifier(
                projector=projector, subclass_weight=1.0, alpha=0.0, random_state=seed, **settings
            )
            return student.set_params(**params)

        return make

    return {
        "labels only": (LABELS, labels(1)),
        "KD": (
            TEACHER,
            lambda seed: StudentClassifier(objective=KD(alpha=0.0), random_state=seed, **settings),
        ),
        "wide head, labels": (LABELS, labels(n_subclasses)),
        "wide head, KD": (TEACHER, lelp(subclass_weight=0.0)),
        "LELP, random directions": (TEACHER, lelp(projector__directions="random")),
        "LELP": (TEACHER, lelp()),
        "LELP, subclass_weight 0.1": (TEACHER, lelp(subclass_weight=0.1)),
        "LELP, signed_pca": (TEACHER, lelp(projector__directions="signed_pca")),
        "LELP, signed_pca, subclass_weight 0.1": (
            TEACHER,
            lelp(projector__directions="signed_pca", subclass_weight=0.1),
        ),
        "LELP as it comes": (
            TEACHER,
            lambda seed: LELPStudentClassifier(random_state=seed, **settings),
        ),
        "true subclasses": (FINE, lelp(projector=OracleSplitter())),
        "true subclasses, subclass_weight 0.1": (
            FINE,
            lelp(projector=OracleSplitter(), subclass_weight=0.1),
        ),
    }


def compare(
    rows: dict[str, tuple[str, Callable[[int], Any]]],
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    fine: np.ndarray,
    teacher_of: Callable[[int], Any],
    seeds: int,
) -> None:
    """Train every row once a seed, and print accuracies as a Markdown table."""
    scores: dict[str, list[float]] = {"teacher": []} | {name: [] for name in rows}
    seconds: dict[str, list[float]] = {name: [] for name in scores}
    for seed in range(seeds):
        teacher = teacher_of(seed)
        scores["teacher"].append(teacher.score(*test))
        seconds["teacher"].append(np.nan)
        proba = teacher.predict_proba(train[0])
        arrays: dict[str, dict[str, np.ndarray]] = {
            LABELS: {},
            TEACHER: {"teacher_proba": proba, "teacher_embeddings": teacher.transform(train[0])},
            FINE: {"teacher_proba": proba, "teacher_embeddings": fine[:, None]},
        }
        for name, (told, make) in rows.items():
            start = time.perf_counter()
            student = make(seed).fit(*train, **arrays[told])
            seconds[name].append(time.perf_counter() - start)
            scores[name].append(student.score(*test))
            print(f"seed {seed}: {name}: {100 * scores[name][-1]:.2f}", flush=True)
    print_table(scores, seconds)


def print_table(scores: dict[str, list[float]], seconds: dict[str, list[float]]) -> None:
    """Mean and standard error of accuracies in per cent, and the median seconds of a fit."""
    print(f"\n{machine()}\n")
    print("| | accuracy % | standard error | seconds a fit |")
    print("|---|---|---|---|")
    for name, values in scores.items():
        percent = 100 * np.array(values)
        error = percent.std(ddof=1) / len(percent) ** 0.5 if len(percent) > 1 else float("nan")
        took = f"{np.median(seconds[name]):.1f}" if np.isfinite(seconds[name]).all() else ""
        print(f"| {name} | {percent.mean():.2f} | {error:.2f} | {took} |")


def train_and_test(folder: Path, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A set's own split, or a stratified quarter for testing where it has none."""
    files = {file.stem: pd.read_parquet(file) for file in (folder / name).glob("*.parquet")}
    if "all" not in files:
        return files["train"], files["test"]
    train, test = train_test_split(
        files["all"], test_size=0.25, stratify=files["all"]["label"], random_state=seed
    )
    return train, test


def print_columns(columns: dict[str, pd.Series[str]]) -> None:
    """Print columns with the same rows as a Markdown table."""
    table = pd.DataFrame(columns)
    print("\n| | " + " | ".join(table) + " |\n|" + "---|" * (len(columns) + 1))
    for name, row in table.iterrows():
        print(f"| {name} | " + " | ".join(row) + " |")


def mean_and_error(scores: pd.DataFrame) -> pd.Series[str]:
    """Means and standard errors of shares, in per cent."""
    percent, error = 100 * scores.mean(), 100 * scores.sem()
    return percent.map("{:.2f}".format) + " ± " + error.map("{:.2f}".format)


def machine() -> str:
    """The machine and versions a figure was measured on."""
    cores = os.cpu_count()
    return (
        f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, torch "
        f"{torch.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}"
    )
