"""kill -9 at random points of a fit, of a save and of a cache's filling: what is left of each.

python benchmarks/kill_and_resume.py --points 30
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lelp_sklearn import (
    CRD,
    KD,
    LELP,
    MLP,
    CrossEntropy,
    LELPProjector,
    Stage,
    Stages,
    StudentClassifier,
    TeacherCache,
)
from lelp_sklearn.students._state_file import read_state

FORK = multiprocessing.get_context("fork")
WIDTH = 64


def rows(n=600):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, WIDTH), dtype=np.float32)
    H = X @ rng.standard_normal((WIDTH, 32), dtype=np.float32)
    odds = H[:, :4].sum(axis=1) / 8
    proba = np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
    return X, (odds > 0).astype(int), {"teacher_proba": proba, "teacher_embeddings": H}


LELP_TERM = LELP(projector=LELPProjector(n_subclasses=5))
FITS = {
    "LELP, early stopping": {
        "objective": LELP_TERM,
        "validation_fraction": 0.2,
        "patience": 30,
        "max_epochs": 40,
    },
    "KD + CRD's bank, SGD": {
        "objective": KD() + 0.1 * CRD(memory="bank", corruption=0.2),
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "max_epochs": 20,
    },
    "three stages": {
        "objective": Stages(
            [
                ("kd", Stage(KD(), max_epochs=10)),
                ("lelp", Stage(LELP_TERM, max_epochs=10, split_noise=0.01)),
                ("labels", Stage(CrossEntropy(), max_epochs=10, frozen=["body"])),
            ]
        ),
    },
}


def fit(params, checkpoint=None):
    X, y, teacher = rows()
    student = StudentClassifier(
        MLP, module__hidden=64, module__dropout=0.1, device="cpu", random_state=0, **params
    )
    return student.fit(X, y, **teacher, checkpoint=checkpoint)


def kill_after(seconds, target, *args):
    """Run a function in a process of its own, and kill that; returns whether it came to an end."""
    worker = FORK.Process(target=target, args=args)
    worker.start()
    worker.join(seconds)
    ended = worker.exitcode is not None
    if not ended:
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    return ended


def same_weights(a, b):
    states = a.net_.module_.state_dict(), b.net_.module_.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def killed_fits(folder, points, chance):
    for name, params in FITS.items():
        whole = fit(params)
        start = time.perf_counter()
        fit(params, folder / "timed.ckpt")
        wall = time.perf_counter() - start
        equal = resumed = 0
        for point in range(points):
            path = folder / f"{point}.ckpt"
            kill_after(chance.uniform(0, wall), fit, params, path)
            if path.exists():
                resumed += len(read_state(path)["net"]["history"]) > 0  # raises if it is torn
            equal += same_weights(fit(params, path), whole)
        report(f"fit, {name}", points, f"{equal} of {points} end with the same bits")
        print(f"    {resumed} of them went on from a file")


def save_for_ever(path, students):
    from lelp_sklearn.persistence import save

    while True:
        for student in students:
            save(student, path)


def killed_saves(folder, points, chance):
    try:
        from lelp_sklearn.persistence import load, save
    except ImportError:
        print("save: lelp_sklearn.persistence is not there")
        return
    X, _, _ = rows()
    students = [fit({"max_epochs": epochs, "lr": 0.01}) for epochs in (1, 2)]
    answers = [student.predict_proba(X) for student in students]
    path = folder / "student.lelp"
    save(students[0], path)
    intact = 0
    for _ in range(points):
        kill_after(chance.uniform(0.005, 0.3), save_for_ever, path, students)
        found = load(path).predict_proba(X)
        intact += any(np.array_equal(found, answer) for answer in answers)
    report("save", points, f"{intact} of {points} files are the old or the new one")


class Teacher:
    classes_ = np.array([0, 1])

    def __fingerprint__(self):
        return "kill"

    def predict_proba(self, X):
        yes = X[:, :1] % 7 / 8
        return np.hstack([1 - yes, yes])

    def transform(self, X):
        return 2 * X


def fill_for_ever(path, seed):
    X, rng = numbered(5000), np.random.default_rng(seed)
    while True:
        TeacherCache(path, batch_size=64).outputs(Teacher(), rng.permutation(X)[:500])


def numbered(n):
    return np.repeat(np.arange(n, dtype=np.float64)[:, None], 16, axis=1)


def killed_fills(folder, points, chance):
    path, right = folder / "cache", 0
    X = numbered(5000)
    for seed in range(points):
        kill_after(chance.uniform(0.005, 0.3), fill_for_ever, path, seed)
        found = TeacherCache(path).outputs(Teacher(), X)
        right += np.array_equal(found.proba, Teacher().predict_proba(X).astype(np.float32))
        if seed % 5 == 4:
            TeacherCache(path).clear()
    report("cache fill", points, f"{right} of {points} caches answer rightly")


def report(what, points, outcome):
    print(f"{what}: {points} kills, {outcome}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=30, help="kills of each")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"torch {torch.__version__}, seed {args.seed}"
    )
    chance = random.Random(args.seed)
    for killed in (killed_fits, killed_saves, killed_fills):
        with tempfile.TemporaryDirectory() as folder:
            killed(Path(folder), args.points, chance)


if __name__ == "__main__":
    if not hasattr(os, "fork"):
        sys.exit("this kills forked processes, which this system has none of")
    main()
