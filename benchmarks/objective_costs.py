"""What an epoch of each objective costs beside plain distillation: time, and memory at its peak.

python benchmarks/objective_costs.py
python benchmarks/objective_costs.py --memory

6,000 made-up rows of 384 numbers (20,000 for memory), teacher embeddings of 384, two students with
a hidden layer of 512 or 1,024 units below one of 384, batches of 256, one torch thread. Times are
processor seconds of an epoch: medians of pairs taken in turn, this objective and KD, with
quartiles. Loops written by hand, of KD and of KD with a linear regressor, do the same arithmetic
and nothing else. Memory is what one epoch's fit takes at its peak beyond what lies there before it
(X and the teacher's arrays), each objective in a process of its own; Linux only. Objectives in
stages cost what their stages do.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _common import machine, print_columns
from objectives import on_embeddings, on_logits
from skorch.callbacks import Callback
from torch import nn

from lelp_sklearn import KD, MLP, Stages, StudentClassifier

EPOCHS, BATCH, WIDTH = 1, 256, 384


def rows(n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, WIDTH), dtype=np.float32)
    H = X @ rng.standard_normal((WIDTH, WIDTH), dtype=np.float32)
    H += rng.standard_normal((n, WIDTH), dtype=np.float32)
    odds = H[:, :8].sum(axis=1) / 8
    proba = np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
    y = (odds > 0).astype(int)
    return {"X": X, "y": y, "teacher_proba": proba, "teacher_embeddings": H}


class Clock(Callback):
    """Processor seconds of each epoch, which other programs disturb less than the clock's."""

    def on_epoch_begin(self, net, **kwargs):
        self.start = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        net.history.record("seconds", time.process_time() - self.start)


def student(objective, hidden, epochs=EPOCHS):
    return StudentClassifier(
        MLP,
        module__hidden=(hidden, WIDTH),
        objective=objective,
        max_epochs=epochs,
        batch_size=BATCH,
        callbacks=[Clock()],
        n_threads=1,
        device="cpu",
        random_state=0,
    )


def all_objectives():
    """One candidate of each row of benchmarks/objectives.py."""
    every = on_logits() | on_embeddings(8)
    return {
        name: several[0] for name, several in every.items() if not isinstance(several[0], Stages)
    }


def seconds(objective, hidden, arrays):
    """Of the epoch alone: targets are made once, whatever the epochs."""
    fitted = student(objective, hidden).fit(**arrays)
    return sum(epoch["seconds"] for epoch in fitted.history_)


def seconds_by_hand(regressor, hidden, arrays):
    """The same of a loop that knows no objectives, row weights or callbacks."""
    X, y, proba, H = (torch.as_tensor(array) for array in arrays.values())
    proba = proba.float()
    body = nn.Sequential(
        nn.Linear(WIDTH, hidden), nn.ReLU(), nn.Linear(hidden, WIDTH), nn.ReLU()
    )  # fmt: skip
    parts = nn.ModuleList([body, nn.Linear(WIDTH, 2), nn.Linear(WIDTH, WIDTH)][: 2 + regressor])
    optimizer = torch.optim.AdamW(parts.parameters(), lr=0.01, fused=True)
    start = time.process_time()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(X)).split(BATCH):
            optimizer.zero_grad()
            embedding = body(X.index_select(0, batch))
            logits = parts[1](embedding)
            labels = nn.functional.cross_entropy(logits, y.index_select(0, batch))
            log_p, target = logits.log_softmax(dim=1), proba.index_select(0, batch)
            loss = 0.5 * labels + 0.5 * nn.functional.kl_div(log_p, target, reduction="batchmean")
            if regressor:
                target = H.index_select(0, batch)
                loss = loss + nn.functional.mse_loss(parts[2](embedding), target)
            loss.backward()
            optimizer.step()
    return time.process_time() - start


def time_table(pairs):
    arrays = rows(6_000)
    seconds(KD(), 512, arrays)
    columns = {}
    for hidden in (512, 1024):
        measures = {
            "KD by hand": partial(seconds_by_hand, False),
            "KD and a linear regressor by hand": partial(seconds_by_hand, True),
        }
        measures |= {name: partial(seconds, part) for name, part in all_objectives().items()}
        table = {}
        for name, measure in measures.items():
            found = [measure(hidden, arrays) / seconds(KD(), hidden, arrays) for _ in range(pairs)]
            low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
            table[name] = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            print(hidden, name, table[name], flush=True)
        columns[f"time with {hidden} units, KD = 1"] = pd.Series(table)
    print_columns(columns)


def status(field):
    """Megabytes of a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"this system says nothing of {field}.")


def measure_peak(name, folder):
    """Print what a fit of one objective takes at its peak, in a process that has done little."""
    arrays = {file.stem: np.load(file) for file in folder.glob("*.npy")}
    student(KD(), 512, epochs=1).fit(**{key: values[:512] for key, values in arrays.items()})
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    student(all_objectives()[name], 512, epochs=1).fit(**arrays)
    print(json.dumps(status("VmHWM") - before))


def peak(name, folder):
    """Freed memory goes back to the system at once, so that the peak is of what is in use."""
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, __file__, "--measure", name, folder]
    found = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def memory_table():
    with tempfile.TemporaryDirectory() as folder:
        for key, values in rows(20_000).items():
            np.save(Path(folder, key), values)
        table = {}
        for name in all_objectives():
            table[name] = peak(name, folder)
            print(name, f"{table[name]:.0f}", flush=True)
    beyond = pd.Series(table) - table["KD"]
    print(f"\nKD: {table['KD']:.0f} MB beyond X and the teacher's arrays")
    print_columns({"MB beyond KD": beyond.map("{:.0f}".format)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if args.measure:
        name, folder = args.measure
        measure_peak(name, Path(folder))
        return
    print(machine(), flush=True)
    if args.memory:
        memory_table()
    else:
        time_table(args.pairs)


if __name__ == "__main__":
    main()
