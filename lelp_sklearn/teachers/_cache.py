"""What a teacher said of a row, kept by the row's content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lelp_sklearn._rows import n_rows
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.teachers._disk_store import DiskStore
from lelp_sklearn.teachers._fingerprint import fingerprint as content_digest
from lelp_sklearn.teachers._gathering import DTYPES, Gathering
from lelp_sklearn.teachers._keys import sliceable
from lelp_sklearn.teachers._memory_store import MemoryStore
from lelp_sklearn.teachers._out_of_fold import Ask
from lelp_sklearn.teachers._outputs import align_proba, teacher_outputs
from lelp_sklearn.teachers._store import Store


class TeacherCache:
    """Teacher outputs by (content of the teacher, content of the row), in memory or on disk.

    A row is asked for once, whatever the order, fold, duplication or table it comes in, by however
    many processes. A teacher with the same weights, parameters and code of the user's own is the
    same teacher, also after reloading; one changed weight, hook or helper makes it another.

    Parameters
    ----------
    path : str or path-like, default=None
        A folder, made where it is missing; processes may share it. None keeps the outputs in the
        memory of this process.
    dtype : {"float32", "float16"}, default="float32"
        What the values are stored in. They are returned in float32 in any case, and rounded to
        ``dtype`` in the first call as in later ones.
    max_bytes : int, default=None
        Size cap, at which the rows written first are dropped, an eighth of the cap at a time.
        Each process keeps to its own cap when it writes.
    batch_size : int, default=1024
        Rows the teacher gets at a time; each batch is kept as soon as it is answered. Memory stays
        below two batches of outputs beside the arrays returned.
    verbose : int, default=0
        1 shows a progress bar over the rows.

    Raises
    ------
    ValueError
        If the path holds anything but a teacher cache, or a damaged one.

    Notes
    -----
    Copies share one cache: ``copy.deepcopy`` and scikit-learn's ``clone`` return the cache itself.
    A pickled cache with a path is opened anew by whoever unpickles it; one without a path arrives
    empty in another process, so give a path where ``n_jobs`` is above 1.

    Equal values in another dtype or container are another row: the teacher may treat them
    differently. Values that a process did not finish writing when it was killed are not there;
    each value carries its key and a checksum, and a damaged one is an error, not an answer. While
    a process asks the teacher, others that miss rows of the same teacher wait, and then find the
    rows. The folder must lie on a local disk.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import TeacherCache
    >>> X, y = load_iris(return_X_y=True)
    >>> teacher = LinearDiscriminantAnalysis().fit(X, y)
    >>> cache = TeacherCache()
    >>> outputs = cache.outputs(teacher, X[:100])
    >>> outputs.proba.shape, outputs.embeddings.shape
    ((100, 3), (100, 2))
    >>> outputs = cache.outputs(teacher, X[::-1])
    >>> cache.info()["hits"], cache.info()["misses"]  # one flower is there twice
    (101, 149)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        dtype: str = "float32",
        max_bytes: int | None = None,
        batch_size: int = 1024,
        verbose: int = 0,
    ):
        if dtype not in DTYPES:
            raise ValueError(f"dtype={dtype!r}: expected one of {sorted(DTYPES)}.")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected at least 1.")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes={max_bytes}: expected at least 1, or None for no cap.")
        self.path = None if path is None else os.fspath(path)
        self.dtype = dtype
        self.max_bytes = max_bytes
        self.batch_size = int(batch_size)
        self.verbose = verbose
        self._open()

    def outputs(
        self,
        teacher: Any,
        X: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        fingerprint: str | None = None,
    ) -> TeacherOutputs:
        """What the teacher says of each row; only rows that are not here reach it.

        Parameters
        ----------
        teacher : estimator
            As for :func:`teacher_outputs`, and a function of the row alone.
        X : array-like
            An array, a SciPy sparse matrix, a pandas or polars DataFrame, or a list of strings.
            The teacher gets some of the rows, in the same container (a sparse matrix in CSR form).
        classes : array-like, optional
            Order of the columns of ``proba``; None is the teacher's own. They are kept in the
            teacher's order, so one cache serves any.
        fingerprint : str, optional
            What the teacher is known by, in place of its content: for one whose content cannot be
            hashed. The user answers for it that equal strings are equal teachers.

        Returns
        -------
        TeacherOutputs
            float32 arrays.

        Raises
        ------
        TypeError
            If the rows or the teacher have no content that could be hashed, or ``fingerprint`` is
            no string.
        OSError
            If the folder is not there and cannot be made.
        ValueError
            If the classes are not the teacher's, its outputs do not fit into ``dtype``, or its
            batches differ in shape.

        Warns
        -----
        UserWarning
            If the folder cannot be written, for want of room or of the right to: it serves what it
            holds, and further answers are returned and not kept.
        """
        if fingerprint is not None and not isinstance(fingerprint, str):
            raise TypeError(
                f"fingerprint is a {type(fingerprint).__name__}; expected a string that names the "
                "teacher's content, such as 'gpt-judge 2026-11, prompt 3'."
            )
        order = None
        if classes is not None:
            own = np.asarray(teacher.classes_)
            order = align_proba(np.arange(len(own))[None], own, np.asarray(classes))[0]
        X = sliceable(X)
        if n_rows(X) == 0:
            return teacher_outputs(teacher, X, classes)
        # A content's digest holds no space, so that no given name can be taken for one.
        name = content_digest(teacher) if fingerprint is None else f"named {fingerprint}"
        space = f"{name} {self.dtype}"
        return Gathering(self, space, teacher, X, order).run()

    def info(self) -> dict[str, Any]:
        """What the cache holds, and how it has served this process.

        Returns
        -------
        dict
            ``path``; ``entries``, rows of all teachers; ``bytes``, the values and about what their
            keys take; ``hits`` and ``misses``, rows that were found and rows that a teacher was
            asked for, by this object.
        """
        entries, size = self._store.size()
        return {
            "path": self.path,
            "entries": entries,
            "bytes": size,
            "hits": self._hits,
            "misses": self._misses,
        }

    def clear(self) -> None:
        """Forget all teachers and rows, and start counting anew."""
        self._store.clear()
        self._hits = self._misses = 0

    def _open(self) -> None:
        self._store: Store = (
            MemoryStore(self.max_bytes)
            if self.path is None
            else DiskStore(Path(self.path), self.max_bytes)
        )
        self._hits = self._misses = 0

    def __deepcopy__(self, memo: dict) -> TeacherCache:
        return self

    def __getstate__(self) -> dict[str, Any]:
        names = ("path", "dtype", "max_bytes", "batch_size", "verbose")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def __fingerprint__(self) -> str:
        """No part of what a teacher says that holds a cache."""
        return "TeacherCache"

    def __repr__(self) -> str:
        return f"TeacherCache(path={self.path!r}, dtype={self.dtype!r})"


def asker(cache: TeacherCache | str | os.PathLike[str] | None) -> Ask:
    """How to ask a teacher: straight, or through a cache."""
    if cache is None:
        return teacher_outputs
    kept = cache if isinstance(cache, TeacherCache) else TeacherCache(cache)

    def ask(teacher: Any, X: Any, classes: NDArray, y: NDArray | None) -> TeacherOutputs:
        if getattr(teacher, "reads_labels", False):
            raise ValueError(
                f"the answers of {type(teacher).__name__} depend on the rows' labels, and a cache "
                "knows rows only: set cache=None."
            )
        return kept.outputs(teacher, X, classes)

    return ask
