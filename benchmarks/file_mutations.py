"""Load files that chance or malice has changed, and watch what the process does meanwhile.

    python benchmarks/file_mutations.py --files 1000

*Damaged* files have bits flipped, are cut, or hold members of another file or in another's place:
each has to load to equal predictions or raise ModelFileError. *Forged* files have one value, array
or tensor replaced and all hashes made anew, as someone would who knows the format: they may load as
another model, and otherwise have to raise ModelFileError. While a file is loaded, no code may be
executed or unpickled, no process started and no file but its own opened (by Python's audit
events); one second and 200 MB are what it may take.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import platform
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from lelp_sklearn import (
    MLP,
    BagOfNgrams,
    LELPStudentClassifier,
    RetrievalAugmentedClassifier,
    SimKD,
    StaticText,
    StudentClassifier,
    TabularMLP,
    load,
    save,
)
from lelp_sklearn.persistence import ModelFileError

FORBIDDEN = (
    *("exec", "compile", "code.__new__", "marshal", "pickle", "ctypes", "sys.settrace"),
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.putenv", "subprocess"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "shutil", "socket", "urllib"),
)
SECONDS, MEGABYTES = 1.0, 200.0


class Watch:
    """An audit hook, which cannot be taken away again; it counts only while ``file`` is set."""

    def __init__(self) -> None:
        self.file: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.file is None:
            return
        # numpy reads the header of an array in a skops member by ast.literal_eval, whose compiler
        # makes a tree of constants and no code.
        if event == "compile" and _parses_a_literal():
            return
        other = event == "open" and str(args[0]) != self.file
        if other or event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {args!r:.100}")


def _parses_a_literal() -> bool:
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == ast.__file__:
        if frame.f_code.co_name == "literal_eval":
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def models() -> dict[str, tuple[Any, Any]]:
    """Fitted models of every kind of member, and rows to predict."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 8)).astype(np.float32)
    y = np.where(X[:, 0] + 0.5 * rng.standard_normal(60) > 0, "yes", "no")
    proba = np.column_stack([1 / (1 + np.exp(X[:, 0])), 1 / (1 + np.exp(-X[:, 0]))])
    given = {"teacher_proba": proba, "teacher_embeddings": X}
    table = pd.DataFrame({"number": X[:, 0], "kind": np.where(X[:, 1] > 0, "a", "b")})
    texts = [
        f"{label} and {'high' if row[1] > 0 else 'low'}" for label, row in zip(y, X, strict=True)
    ]
    small: dict[str, Any] = {"max_epochs": 2, "random_state": 0}
    lelp = LELPStudentClassifier(MLP, module__hidden=5, **small).fit(X, y, **given)
    retrieval = RetrievalAugmentedClassifier(
        StudentClassifier(MLP, module__hidden=5, objective=SimKD(), **small),
        retrieval_weight=0.5,
        random_state=0,
    ).fit(X, y, **given)
    tabular = StudentClassifier(TabularMLP, module__hidden=5, **small)
    static = StudentClassifier(StaticText, module__dim=4, **small)
    bag = StudentClassifier(BagOfNgrams, module__dim=4, **small)
    pipeline = make_pipeline(TfidfVectorizer(), Normalizer(), bag)
    return {
        "LELP student": (lelp, X),
        "retrieval": (retrieval, X),
        "table": (tabular.fit(table, y, teacher_proba=proba), table),
        "texts": (static.fit(texts, y, teacher_proba=proba), texts),
        "pipeline with skops": (
            pipeline.fit(texts, y, studentclassifier__teacher_proba=proba),
            texts,
        ),
    }


def damaged(data: bytes, other: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """What happens to files on their way."""
    kind = str(rng.choice(["bits", "cut", "hole", "members swapped", "member of another"]))
    changed = bytearray(data)
    if kind == "bits":
        for place in rng.integers(len(data), size=rng.integers(1, 9)):
            changed[place] ^= 1 << rng.integers(8)
        return kind, bytes(changed)
    if kind == "cut":
        return kind, data[: rng.integers(len(data))]
    if kind == "hole":
        start, length = rng.integers(len(data)), rng.integers(1, 500)
        del changed[start : start + length]
        return kind, bytes(changed)
    members, others = unpacked(data), unpacked(other)
    names = [name for name in members if name != "manifest.json"]
    if kind == "members swapped":
        a, b = rng.choice([*names, "manifest.json"], 2, replace=False)
        members[a], members[b] = members[b], members[a]
    else:
        shared = [name for name in names if name in others]
        name = str(rng.choice(shared))
        members[name] = others[name]
    return kind, packed(members)


def forged(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """What someone does who knows the format: all hashes fit."""
    members = unpacked(data)
    name = str(rng.choice([name for name in members if name != "manifest.json"]))
    if name == "model.json":
        tree = json.loads(members[name])
        places = list(leaves(tree))
        holder, key = places[rng.integers(len(places))]
        donor, donor_key = places[rng.integers(len(places))]
        values = [
            None,
            -1,
            0,
            10**12,
            1e308,
            True,
            "x" * 1000,
            "os.system",
            [],
            {},
            {"kind": "exec"},
        ]
        values += [
            copy.deepcopy(donor[donor_key]),
            {"kind": "reference", "name": "os.system"},
            [[[]]] * 9,
        ]
        holder[key] = values[rng.integers(len(values))]
        members[name] = json.dumps(tree).encode()
    else:
        changed = bytearray(members[name])
        reach = min(len(changed), 400) if rng.random() < 0.5 else len(changed)  # often the header
        for place in rng.integers(reach, size=rng.integers(1, 5)):
            changed[place] = rng.integers(256)
        members[name] = bytes(changed)
    return name.partition("/")[0], sealed(members)


def leaves(tree: Any) -> Any:
    """Holder and key of every value."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from leaves(value)


def unpacked(data: bytes) -> dict[str, bytes]:
    """Members of a file."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        with zipfile.ZipFile(file) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def packed(members: dict[str, bytes]) -> bytes:
    """A file of members."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        file.seek(0)
        return file.read()


def sealed(members: dict[str, bytes]) -> bytes:
    """A file of members whose manifest fits them."""
    manifest = json.loads(members["manifest.json"])
    manifest["sha256"] = {
        name: sha256(data).hexdigest() for name, data in members.items() if name != "manifest.json"
    }
    return packed({**members, "manifest.json": json.dumps(manifest).encode()})


def peak_megabytes() -> float:
    """The largest memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(n_files: int, seed: int) -> list[str]:
    """Load so many damaged and so many forged files; return what went wrong."""
    rng, watch, problems = np.random.default_rng(seed), Watch(), []
    counts: Counter[tuple[str, str, str]] = Counter()
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path, fitted, files, expected = Path(folder, "changed.lelp"), models(), {}, {}
        for name, (model, X) in fitted.items():
            save(model, path)
            files[name] = path.read_bytes()
            expected[name] = load(path).predict_proba(X)  # what is imported late is imported here
            assert (expected[name] == model.predict_proba(X)).all()
        before = peak_megabytes()
        for i in range(2 * n_files):
            name, other = rng.choice(list(files), 2, replace=False)
            how = "damaged" if i < n_files else "forged"
            kind, data = (
                damaged(files[name], files[other], rng)
                if how == "damaged"
                else forged(files[name], rng)
            )
            path.write_bytes(data)
            model, outcome, start = None, "loads", time.process_time()
            watch.file = str(path)
            try:
                model = load(path)
            except ModelFileError:
                outcome = "ModelFileError"
            except BaseException as error:
                outcome = f"{type(error).__name__}: {error}"
            watch.file = None
            seconds = time.process_time() - start
            longest = max(longest, seconds)
            if how == "damaged" and model is not None:
                equal = (model.predict_proba(fitted[name][1]) == expected[name]).all()
                outcome = "loads equal" if equal else "loads another model"
            counts[how, kind, outcome] += 1
            label = f"{how} file {i} ({name}, {kind})"
            if outcome not in ("loads", "loads equal", "ModelFileError"):
                problems.append(f"{label}: {outcome}")
            if watch.seen:
                problems.append(f"{label}: {watch.seen}")
                watch.seen.clear()
            if seconds > SECONDS:
                problems.append(f"{label} took {seconds:.1f} s")
        grown = peak_megabytes() - before
    if grown > MEGABYTES:
        problems.append(f"memory grew by {grown:.0f} MB")
    print(f"{platform.machine()}, Python {platform.python_version()}, seed {seed}\n")
    print("| file | change | outcome | files |\n|---|---|---|---|")
    for (how, kind, outcome), count in sorted(counts.items()):
        print(f"| {how} | {kind} | {outcome} | {count} |")
    print(f"\nLongest load {longest:.3f} s; all together raised the peak memory by {grown:.0f} MB.")
    return problems


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1000, help="damaged files, and as many forged")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    problems = run(arguments.files, arguments.seed)
    print("\n".join(problems) or "Nothing was executed, opened or unpickled.")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
