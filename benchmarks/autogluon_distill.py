"""AutoGluon's own distillation on the sets of tabular.py, in an environment of its own.

pip install "autogluon.tabular[lightgbm,catboost]"
python benchmarks/autogluon_distill.py --data DIR

AutoGluon's weighted ensemble of trees is the teacher; ``distill`` trains LightGBM on its answers,
on augmented rows ("spunge", its default). Nothing here imports this project.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor
from sklearn.model_selection import train_test_split

SETS = ["letter", "nsl_kdd", "adult", "covtype_15k", "dry_bean"]
HIDDEN = ["fine", "category"]


def read(folder, name, seed):
    files = {file.stem: pd.read_parquet(file) for file in (folder / name).glob("*.parquet")}
    if "all" in files:
        y = files["all"]["label"]
        parts = train_test_split(files["all"], test_size=0.25, stratify=y, random_state=seed)
    else:
        parts = files["train"], files["test"]
    return [part.drop(columns=HIDDEN, errors="ignore") for part in parts]


def one_seed(folder, name, seed, seconds):
    train, test = read(folder, name, seed)
    with tempfile.TemporaryDirectory() as path:
        predictor = TabularPredictor("label", path=path, verbosity=0).fit(
            train.sample(frac=1, random_state=seed),  # its seed is fixed; the order is not
            time_limit=seconds,
            hyperparameters={"GBM": {}, "CAT": {}, "RF": {}, "XT": {}},
        )
        teacher = predictor.evaluate(test)["accuracy"]
        names = predictor.distill(
            time_limit=seconds, hyperparameters={"GBM": {}}, verbosity=0, teacher_preds="soft"
        )
        start = time.perf_counter()
        student = (predictor.predict(test, model=names[0]) == test["label"]).mean()
        return teacher, student, len(test) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60, help="limit of each training")
    args = parser.parse_args()
    print("| | teacher ensemble | distilled LightGBM | rows/s |\n|---|---|---|---|")
    for name in args.sets:
        runs = [one_seed(args.data, name, seed, args.seconds) for seed in range(args.seeds)]
        teacher, student, rate = (np.array(values) for values in zip(*runs, strict=True))
        cells = [
            f"{100 * values.mean():.2f} ± {100 * values.std(ddof=1) / len(values) ** 0.5:.2f}"
            for values in (teacher, student)
        ]
        print(f"| {name} | {cells[0]} | {cells[1]} | {np.median(rate):.0f} |", flush=True)


if __name__ == "__main__":
    main()
