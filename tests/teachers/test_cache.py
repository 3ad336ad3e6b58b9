"""The cache gives what the teacher gives, asks for each row once, and outlives a kill -9."""

import copy
import errno
import multiprocessing
import os
import pickle
import random
import re
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from lelp_sklearn import teacher_outputs
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers import TeacherCache, _gathering
from lelp_sklearn.teachers._disk_store import DiskStore
from lelp_sklearn.teachers._fingerprint import fingerprint
from lelp_sklearn.teachers._keys import row_keys
from tests.profile import NIGHTLY

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
WIDTH = 8


class Counting:
    """Answers by a formula, and notes in a file the rows it is asked for: safe across processes."""

    classes_ = np.array(["no", "yes"])
    interrupted_at = None

    def __init__(self, log, weight=1.0, pause=0.0):
        self.log, self.weight, self.pause = str(log), weight, pause

    def __fingerprint__(self):
        return f"counting {self.weight}"

    def predict_proba(self, X):
        time.sleep(self.pause)
        if self.interrupted_at in X[:, 0]:
            raise KeyboardInterrupt
        with open(self.log, "ab") as f:
            f.write(np.ascontiguousarray(X[:, 0], np.float64).tobytes())
        yes = (X[:, :1] % 7) / 8
        return np.concatenate([1 - yes, yes], axis=1).astype(np.float32)

    def transform(self, X):
        return (self.weight * X + np.arange(X.shape[1])).astype(np.float32)

    def asked(self):
        return sorted(np.fromfile(self.log)) if os.path.exists(self.log) else []


@pytest.fixture
def teacher(tmp_path):
    return Counting(tmp_path / "asked")


@pytest.fixture(params=["memory", "disk"])
def cache(request, tmp_path):
    return TeacherCache(None if request.param == "memory" else tmp_path / "cache", batch_size=16)


def rows(n, first=0):
    """Rows told apart by their first value."""
    return np.arange(first, first + n, dtype=np.float64)[:, None] * np.ones(WIDTH)


def check(cache, teacher, X, classes=None):
    """The cache's answers are the teacher's."""
    got = cache.outputs(teacher, X, classes)
    silent = Counting(os.devnull, teacher.weight)
    wanted = teacher_outputs(silent, X, classes)
    assert got.given == wanted.given
    for name in got.given:
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))


def test_shuffles_folds_duplicates_and_new_rows_hit(cache, teacher):
    X = rows(100)
    check(cache, teacher, X)
    shuffled = np.random.default_rng(0).permutation(100)
    for selection in (shuffled, shuffled[:40], np.zeros(50, int), slice(None, None, -3)):
        check(cache, teacher, X[selection])
    assert teacher.asked() == list(range(100))
    check(cache, teacher, rows(130, first=-10))
    assert teacher.asked() == list(range(-10, 120))
    assert cache.info()["entries"] == cache.info()["misses"] == 130
    assert cache.info()["hits"] == 40 + 50 + 34 + 100 + 100


def test_duplicates_among_new_rows_are_asked_for_once(cache, teacher):
    check(cache, teacher, np.repeat(rows(50), 3, axis=0))
    check(cache, teacher, np.tile(rows(70), (3, 1)))
    assert teacher.asked() == list(range(70))
    assert cache.info()["hits"] == 360 - 70


def test_the_teacher_gets_full_batches(cache, teacher, monkeypatch):
    check(cache, teacher, rows(200)[::2])
    sizes = []
    ask = _gathering.teacher_outputs
    monkeypatch.setattr(
        _gathering, "teacher_outputs", lambda t, X: sizes.append(len(X)) or ask(t, X)
    )
    check(cache, teacher, rows(200))
    assert sizes == [16] * 6 + [4]


def test_a_changed_teacher_misses_and_a_reloaded_one_hits(cache, tmp_path):
    first, again, other = (Counting(tmp_path / "asked", weight) for weight in (1.0, 1.0, 2.0))
    for teacher in (first, again):
        check(cache, teacher, rows(30))
    assert len(first.asked()) == 30
    check(cache, other, rows(30))
    check(cache, first, rows(30))
    assert len(first.asked()) == 60


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_values_are_rounded_once_and_returned_in_float32(tmp_path, dtype):
    X, y = load_iris(return_X_y=True)
    teacher = LinearDiscriminantAnalysis().fit(X, y)
    cache = TeacherCache(tmp_path / "cache", dtype=dtype)
    wanted = teacher_outputs(teacher, X)
    for _ in range(2):
        got = cache.outputs(teacher, X)
        for name in ("proba", "embeddings"):
            assert getattr(got, name).dtype == np.float32
            rounded = getattr(wanted, name).astype(dtype)
            # a batch of another size may differ in the last bits of float64
            np.testing.assert_allclose(
                getattr(got, name), rounded, rtol=1e-3 if "16" in dtype else 1e-6
            )
    sizes = cache.info()["bytes"]
    assert sizes < 149 * (16 + 8 + 5 * np.dtype(dtype).itemsize + 8 + 32)


def test_two_dtypes_do_not_mix(tmp_path, teacher):
    for dtype in ("float32", "float16", "float32"):
        check(TeacherCache(tmp_path / "cache", dtype=dtype), teacher, rows(20))
    assert len(teacher.asked()) == 40


def test_what_float16_cannot_hold_is_an_error(teacher):
    with pytest.raises(ValueError, match=r"embeddings reach 7e\+04.*float16"):
        TeacherCache(dtype="float16").outputs(teacher, rows(1, first=70_000))


def test_columns_are_aligned_by_label(cache, teacher):
    for classes in (None, ["yes", "no"], ["no", "yes"]):
        check(cache, teacher, rows(30), classes)
    assert len(teacher.asked()) == 30
    with pytest.raises(ValueError, match="both must have the same"):
        cache.outputs(teacher, rows(3), ["no", "maybe"])


@pytest.mark.parametrize("kind", ["text", "frame", "sparse"])
def test_other_rows(cache, kind):
    y = np.arange(40) % 2
    numbers = np.random.default_rng(0).normal(size=(40, 5)) + y[:, None]
    X = {
        "text": [f"word{i % 20} label{i % 2}" for i in range(40)],
        "frame": pd.DataFrame(numbers, columns=list("abcde")),
        "sparse": sparse.random_array((40, 5), density=0.5, rng=0, format="csc"),
    }[kind]
    first = [TfidfVectorizer()] if kind == "text" else []
    teacher = make_pipeline(*first, LogisticRegression()).fit(X, y)
    order = np.random.default_rng(1).permutation(40)
    shuffled = {"text": lambda: [X[i] for i in order], "frame": lambda: X.iloc[order]}
    if kind == "text":  # its embeddings are sparse, which no cache keeps
        teacher = _ProbaOnly(teacher)
    cache.outputs(teacher, X)
    got = cache.outputs(teacher, shuffled.get(kind, lambda: X.tocsr()[order])())
    np.testing.assert_allclose(got.proba, teacher.predict_proba(X)[order], rtol=1e-6)
    assert cache.info()["misses"] == (20 if kind == "text" else 40)


@dataclass
class _ProbaOnly:
    teacher: object

    def predict_proba(self, X):
        return self.teacher.predict_proba(X)


def test_rows_of_many_segments_come_back_in_their_order(cache, teacher):
    cache._store._segment_bytes = 600  # a few rows a segment, so that a batch reads from several
    X = rows(300)
    check(cache, teacher, X)
    rng = np.random.default_rng(0)
    for _ in range(20):
        check(cache, teacher, X[rng.permutation(300)[:40]])
    # A batch whose first and last rows are as far apart as it is long, read segment by segment.
    for start in range(0, 280, 4):
        order = np.arange(start, start + 16)
        order[1:-1] = order[1:-1][::-1]
        check(cache, teacher, X[order])
    assert cache.info()["misses"] == 300


def test_fields_of_any_shape(cache, teacher, monkeypatch):
    @dataclass(frozen=True)
    class More(TeacherOutputs):
        attention: np.ndarray | None = None

    def ask(teacher, X):
        return More(X[:, :2], attention=X[:, :6].reshape(-1, 3, 2))

    monkeypatch.setattr(_gathering, "teacher_outputs", ask)
    monkeypatch.setattr(_gathering, "TeacherOutputs", More)
    for X in (rows(40), rows(40)[::-1]):
        got = cache.outputs(teacher, X)
        assert got.given == ["proba", "attention"]
        np.testing.assert_array_equal(got.attention, X[:, :6].reshape(-1, 3, 2))
    assert cache.info()["misses"] == 40


def test_another_shape_of_the_same_teacher_is_an_error(cache, teacher, monkeypatch):
    check(cache, teacher, rows(5))
    monkeypatch.setattr(
        _gathering, "teacher_outputs", lambda t, X: TeacherOutputs(np.ones((len(X), 5)))
    )
    with pytest.raises(ValueError, match="must all have the same fields and shapes"):
        cache.outputs(teacher, rows(5, first=9))
    monkeypatch.setattr(_gathering, "teacher_outputs", lambda t, X: TeacherOutputs(np.ones((3, 2))))
    with pytest.raises(ValueError, match="gave 3 rows of proba for 5 rows of X"):
        cache.outputs(teacher, rows(5, first=9))
    check(cache, teacher, rows(5))


def test_clear_forgets(cache, teacher):
    for _ in range(2):
        check(cache, teacher, rows(20))
        cache.clear()
        assert cache.info()["entries"] == cache.info()["hits"] == cache.info()["bytes"] == 0
    assert len(teacher.asked()) == 40


@pytest.mark.parametrize("batch_size", [16, 1000])
def test_the_cap_drops_the_oldest_first(tmp_path, teacher, batch_size):
    for path in (None, tmp_path / "cache"):
        cache = TeacherCache(path, max_bytes=20_000, batch_size=batch_size)
        check(cache, teacher, rows(400))
        assert 10_000 < cache.info()["bytes"] <= 20_000
        n, asked = cache.info()["entries"], len(teacher.asked())
        newest = rows(n, first=400 - n)
        check(cache, teacher, newest)
        assert len(teacher.asked()) == asked
        check(cache, teacher, rows(10))
        assert len(teacher.asked()) == asked + 10
        if path:
            on_disk = sum(file.stat().st_size for file in path.glob("*.rows"))
            assert on_disk <= 20_000
    with pytest.raises(ValueError, match="max_bytes=50 is less than one row"):
        TeacherCache(max_bytes=50).outputs(teacher, rows(3))


def test_eviction_leaves_readers_right(tmp_path, teacher):
    reader = TeacherCache(tmp_path / "cache", batch_size=16)
    writer = TeacherCache(tmp_path / "cache", batch_size=16, max_bytes=20_000)
    for first in range(0, 1000, 100):
        check(writer, teacher, rows(100, first))
        check(reader, teacher, rows(150, max(first - 50, 0)))


def test_clones_share_it_and_processes_reopen_it(tmp_path, teacher):
    for path in (None, tmp_path / "cache"):
        cache = TeacherCache(path, dtype="float16", max_bytes=10**6, batch_size=7)
        assert copy.deepcopy(cache) is cache
        assert clone(_Student(teacher, cache)).cache is cache
        check(cache, teacher, rows(20))
        other = pickle.loads(pickle.dumps(cache))
        assert vars(other).keys() == vars(cache).keys()
        assert (other.dtype, other.max_bytes, other.batch_size) == ("float16", 10**6, 7)
        assert other.info()["entries"] == (20 if path else 0)
        check(other, teacher, rows(20))
    assert len(teacher.asked()) == 20 + 20 + 20


def test_threads_share_it(cache, teacher):
    teacher.pause = 0.005
    workers = [threading.Thread(target=check, args=(cache, teacher, rows(200))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert teacher.asked() == list(range(200))


class _Student(ClassifierMixin, BaseEstimator):
    def __init__(self, teacher=None, cache=None, alpha=0):
        self.teacher, self.cache, self.alpha = teacher, cache, alpha

    def fit(self, X, y):
        check(self.cache, self.teacher, X)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def __sklearn_clone__(self):
        return _Student(self.teacher, clone(self.cache, safe=False), self.alpha)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_asks_for_each_row_once_and_a_second_search_for_none(tmp_path, n_jobs):
    teacher = Counting(tmp_path / "asked", pause=0.002)
    X, y = rows(300), np.arange(300) % 2
    for _ in range(2):
        cache = TeacherCache(tmp_path / "cache", batch_size=32)
        student = _Student(teacher, cache)
        search = GridSearchCV(student, {"alpha": list(range(6))}, cv=3, n_jobs=n_jobs)
        search.set_params(error_score="raise").fit(X, y)
        assert teacher.asked() == list(range(300))


def _fill(path, log, seed, barrier=None):
    cache, teacher = TeacherCache(path, batch_size=8), Counting(log, pause=0.001)
    if barrier is not None:
        barrier.wait()
    check(cache, teacher, np.random.default_rng(seed).permutation(rows(400)))


@FORK
def test_two_processes_fill_the_same_rows_at_once(tmp_path):
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(2)
    args = [(tmp_path / "cache", tmp_path / "asked", seed, barrier) for seed in (0, 1)]
    workers = [fork.Process(target=_fill, args=a) for a in args]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert Counting(tmp_path / "asked").asked() == list(range(400))


def _fill_for_ever(path, seed, max_bytes):
    cache, teacher = TeacherCache(path, batch_size=8, max_bytes=max_bytes), Counting(os.devnull)
    generator = np.random.default_rng(seed)
    while True:
        X = rows(2000)[generator.integers(0, 2000, 100)]
        cache.outputs(teacher, X)
        if generator.random() < 0.02:
            cache.clear()


@FORK
@pytest.mark.parametrize("max_bytes", [None, 40_000])
def test_kill_9_at_any_point(tmp_path, max_bytes):
    """However often the filling process is killed, every readable value is the teacher's."""
    path, chance = tmp_path / "cache", random.Random(0)
    fork = multiprocessing.get_context("fork")
    reader, teacher, n_read = TeacherCache(path, batch_size=64), Counting(tmp_path / "asked"), 0
    n_kills = 25 if NIGHTLY else 4
    for seed in range(200):
        if seed >= n_kills and n_read:  # on a slow machine it takes some to have anything to read
            break
        worker = fork.Process(target=_fill_for_ever, args=(path, seed, max_bytes))
        worker.start()
        time.sleep(chance.uniform(0.005, 0.12))
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        fresh = TeacherCache(path, batch_size=64)
        for cache in (reader, fresh):
            n_read += _check_readable(cache, teacher)
    assert n_read
    assert teacher.asked() == []
    check(fresh, teacher, rows(2000))


def _check_readable(cache, teacher):
    """Compare what can be read without asking the teacher; returns how many rows."""
    X, store = rows(2000), cache._store
    keys = row_keys(X, store.secret)
    space = f"{fingerprint(teacher)} float32"
    layout = store.layout(space)
    if layout is None:
        return 0
    there, records = store.read(space, layout, keys, store.find(space, keys))
    wanted = teacher_outputs(Counting(os.devnull), X[there])
    np.testing.assert_array_equal(records["proba"], wanted.proba)
    np.testing.assert_array_equal(records["embeddings"], wanted.embeddings)
    return len(there)


@FORK
def test_a_dead_process_leaves_no_lock(tmp_path):
    def hold():
        with TeacherCache(tmp_path / "cache")._store.lock("a teacher"):
            (tmp_path / "held").touch()
            time.sleep(60)

    worker = multiprocessing.get_context("fork").Process(target=hold)
    worker.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    taken = threading.Event()

    def take():
        with TeacherCache(tmp_path / "cache")._store.lock("a teacher"):
            taken.set()

    threading.Thread(target=take, daemon=True).start()
    assert taken.wait(10)


@FORK
def test_a_forked_process_uses_its_own_connection(tmp_path, teacher):
    cache = TeacherCache(tmp_path / "cache", batch_size=16)
    check(cache, teacher, rows(50))
    worker = multiprocessing.get_context("fork").Process(
        target=check, args=(cache, teacher, rows(100))
    )
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    check(cache, teacher, rows(100))
    assert teacher.asked() == list(range(100))


def test_an_interrupted_fill_keeps_what_was_answered(cache, teacher):
    teacher.interrupted_at = 40
    with pytest.raises(KeyboardInterrupt):
        cache.outputs(teacher, rows(100))
    teacher.interrupted_at = None
    assert teacher.asked() == list(range(32))
    check(cache, teacher, rows(100))
    assert teacher.asked() == list(range(100))


def filled(path, teacher, n=300):
    check(TeacherCache(path, batch_size=16), teacher, rows(n))
    return path


def _settle(path):
    """All of the database in its one file, as after a checkpoint."""
    db = sqlite3.connect(path / "index.sqlite")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@pytest.mark.parametrize("kept", [0, 1, 100, 4096, 8192, 12288])
def test_a_truncated_index_is_an_error(tmp_path, teacher, kept):
    path = filled(tmp_path / "cache", teacher, 1500)
    _settle(path)
    index = path / "index.sqlite"
    assert index.stat().st_size > kept
    os.truncate(index, kept)
    for side in ("index.sqlite-wal", "index.sqlite-shm"):
        (path / side).unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"index\.sqlite is damaged.*Delete the folder"):
        check(TeacherCache(path), teacher, rows(1500))


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_truncated_rows_are_an_error(tmp_path, teacher, share):
    path = filled(tmp_path / "cache", teacher)
    (segment,) = path.glob("*.rows")
    os.truncate(segment, int(segment.stat().st_size * share))
    for wanted in (rows(300), rows(10, first=900)):  # read, and written to
        with pytest.raises(ValueError, match="is damaged"):
            TeacherCache(path).outputs(teacher, wanted)


def test_a_changed_byte_is_an_error_or_unseen(tmp_path, teacher):
    chance = random.Random(0)
    n_errors = 0
    whole = filled(tmp_path / "whole", teacher, 60)
    _settle(whole)
    for i in range(40):
        path = shutil.copytree(whole, tmp_path / str(i))
        file = next(path.glob("*.rows")) if i % 2 else path / "index.sqlite"
        content = bytearray(file.read_bytes())
        for _ in range(3):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        try:
            check(TeacherCache(path), teacher, rows(60))
        except (ValueError, sqlite3.DatabaseError):
            n_errors += 1
    assert n_errors >= 20


def test_a_swapped_index_never_gives_another_rows_answer(tmp_path, teacher):
    path = filled(tmp_path / "cache", teacher, 60)
    db = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    addresses = db.execute("SELECT key, address FROM records ORDER BY key").fetchall()
    moved = [(a, k) for (k, _), (_, a) in zip(addresses, addresses[::-1], strict=True)]
    db.executemany("UPDATE records SET address = ? WHERE key = ?", moved)
    db.close()
    check(TeacherCache(path), teacher, rows(60))
    assert len(teacher.asked()) == 120


def test_missing_rows_files_are_asked_for_anew_or_an_error(tmp_path, teacher):
    path = filled(tmp_path / "cache", teacher)
    next(path.glob("*.rows")).unlink()
    with pytest.raises(ValueError, match="is missing or shorter"):
        TeacherCache(path).outputs(teacher, rows(300))


@pytest.mark.parametrize("content", [b"not a database" * 100, b"PK\3\4" + bytes(5000)])
def test_a_foreign_file_is_an_error_and_stays_as_it_is(tmp_path, teacher, content):
    index = tmp_path / "index.sqlite"
    index.write_bytes(content)
    with pytest.raises(ValueError, match="not a teacher cache"):
        TeacherCache(tmp_path).outputs(teacher, rows(3))
    assert index.read_bytes() == content
    with pytest.raises(ValueError, match="is a file: a teacher cache is a folder"):
        TeacherCache(index).outputs(teacher, rows(3))


def test_a_foreign_database_and_another_format_are_errors(tmp_path, teacher):
    db = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    db.execute("CREATE TABLE mine (a)")
    with pytest.raises(ValueError, match="but not a teacher cache"):
        TeacherCache(tmp_path).info()
    db.close()
    path = filled(tmp_path / "cache", teacher)
    db = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ValueError, match="has format 99 and this lelp_sklearn reads"):
        TeacherCache(path).info()


def test_nothing_is_pickled(tmp_path, teacher, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("pickled")

    for name in ("dumps", "loads", "dump", "load"):
        monkeypatch.setattr(pickle, name, refuse)
    filled(tmp_path / "cache", teacher)
    filled(tmp_path / "cache", teacher)


@pytest.mark.parametrize("warm", [False, True])
def test_memory_stays_under_two_batches_beyond_the_arrays(tmp_path, warm):
    class Wide(Counting):
        def transform(self, X):
            return np.repeat(X[:, :1].astype(np.float32), 384, axis=1)

    teacher = Wide(os.devnull)
    X = rows(20_000)
    if warm:
        TeacherCache(tmp_path / "cache").outputs(teacher, X)
    cache = TeacherCache(tmp_path / "cache")
    cache.info()
    tracemalloc.start()
    try:
        got = cache.outputs(teacher, X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    batch = 1024 * 386 * 4
    own = 0 if warm else batch  # what the teacher itself gives
    assert peak - got.proba.nbytes - got.embeddings.nbytes < 2 * batch + own


def test_a_progress_bar_on_demand(teacher, capsys):
    TeacherCache(verbose=1).outputs(teacher, rows(20))
    assert "20/20" in capsys.readouterr().err
    TeacherCache().outputs(teacher, rows(20))
    assert capsys.readouterr().err == ""


def test_no_rows_and_wrong_parameters(teacher):
    assert TeacherCache().outputs(teacher, rows(0)).embeddings.shape == (0, WIDTH)
    for params in ({"dtype": "float64"}, {"batch_size": 0}, {"max_bytes": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(params))}=.*expected"):
            TeacherCache(**params)
    assert repr(TeacherCache()) == "TeacherCache(path=None, dtype='float32')"


@contextmanager
def unwritable(folder):
    """A folder that this process may only read; root gives its rights away for a while."""
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are another matter on Windows")
@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_a_folder_that_cannot_be_written_serves(teacher, open_elsewhere):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "cache"
        writer = TeacherCache(path)
        writer.outputs(teacher, rows(20))
        if not open_elsewhere:
            writer._store._connection.close()
        teacher.log = os.devnull
        with unwritable(path):
            cache = TeacherCache(path)
            check(cache, teacher, rows(20))
            assert cache.info()["misses"] == 0
            with pytest.warns(UserWarning, match="cannot be written .* returned, and from here on"):
                cache.outputs(teacher, rows(30))
            check(cache, teacher, rows(40))  # one warning is enough
            assert cache.info()["entries"] == 20
            with pytest.raises(OSError, match="no teacher cache can be made at"):
                TeacherCache(path / "other").outputs(teacher, rows(3))


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
])  # fmt: skip
def test_a_full_disk_keeps_what_was_got_and_returns_the_rest(tmp_path, teacher, monkeypatch, error):
    cache = TeacherCache(tmp_path / "cache", batch_size=10)
    append, n_left = DiskStore._append, iter([True, True])

    def until_full(*args):
        if not next(n_left, False):
            raise error
        append(*args)

    monkeypatch.setattr(DiskStore, "_append", until_full)
    with pytest.warns(UserWarning, match=re.escape(f"{tmp_path / 'cache'} cannot be written")):
        outputs = cache.outputs(teacher, rows(50))
    np.testing.assert_array_equal(outputs.proba, teacher.predict_proba(rows(50)))
    monkeypatch.undo()
    assert TeacherCache(tmp_path / "cache").info()["entries"] == 20
    check(cache, teacher, rows(50))
    assert TeacherCache(tmp_path / "cache").info()["entries"] == 50


def test_another_failure_to_write_is_an_error(tmp_path, teacher, monkeypatch):
    def broken(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(DiskStore, "_append", broken)
    with pytest.raises(OSError, match="Input/output"):
        TeacherCache(tmp_path / "cache").outputs(teacher, rows(5))


def test_a_fingerprint_given_by_the_user(cache):
    class Unhashable:
        classes_ = np.array([0, 1])

        def __init__(self):
            self.client = iter(x for x in "ab")
            self.asked = 0

        def predict_proba(self, X):
            self.asked += len(X)
            return np.tile([0.25, 0.75], (len(X), 1))

    teacher = Unhashable()
    with pytest.raises(TypeError, match="fingerprint="):
        cache.outputs(teacher, rows(5))
    with pytest.raises(TypeError, match="fingerprint is a int"):
        cache.outputs(teacher, rows(5), fingerprint=3)
    for name, asked in (("v1", 5), ("v1", 5), ("v2", 10)):
        cache.outputs(teacher, rows(5), fingerprint=name)
        assert teacher.asked == asked


def test_keys_cannot_be_aimed_at(tmp_path):
    """Two caches give a row different keys, and one cache always the same."""
    keys = {
        name: row_keys(rows(3), TeacherCache(tmp_path / name)._store.secret) for name in ("a", "b")
    }
    assert (keys["a"] != keys["b"]).any(axis=1).all()
    again = row_keys(rows(3), TeacherCache(tmp_path / "a")._store.secret)
    np.testing.assert_array_equal(again, keys["a"])


def test_rows_of_signs_are_asked_for_once(cache):
    class Signs:
        classes_ = np.array([0, 1])
        __fingerprint__ = "signs"
        asked = 0

        def predict_proba(self, X):
            self.asked += len(X)
            return np.tile([0.25, 0.75], (len(X), 1))

    X = np.random.default_rng(0).choice([-1.0, 1.0], (3000, 64))
    teacher = Signs()
    for _ in range(2):
        cache.outputs(teacher, X)
        assert teacher.asked == len(X)
