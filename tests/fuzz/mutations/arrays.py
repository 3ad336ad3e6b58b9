"""Arrays of numbers, as embeddings are: containers, types, shapes and contents."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars
from scipy import sparse

from tests.fuzz.mutations.changes import BAD, FORM, ODD, array, of, put


def read_only(given, at):
    rows = array(given)
    rows.flags.writeable = False
    return rows


def non_contiguous(given, at):
    rows = array(given)
    return np.repeat(rows, 2, axis=0)[::2]


def backwards(given, at):
    return array(given)[::-1].copy()[::-1]


def memory_map(given, at):
    rows = array(given)
    if not hasattr(memory_map, "folder"):
        memory_map.folder = tempfile.TemporaryDirectory()
    path = Path(memory_map.folder.name) / f"{abs(hash(rows.tobytes()))}.npy"
    if not path.exists():
        np.save(path, rows)
    return np.load(path, mmap_mode="r")


def frame(given, at):
    return pd.DataFrame(array(given), columns=[f"c{i}" for i in range(array(given).shape[1])])


def swapped_bytes(given, at):
    rows = array(given)
    return rows.astype(rows.dtype.newbyteorder())


def doubled_column(given, at):
    rows = array(given)
    return np.hstack([rows, rows[:, :1]])


def same_names(given, at):
    return pd.DataFrame(array(given)).set_axis(["a"] * array(given).shape[1], axis=1)


def mixed_names(given, at):
    names = ["a", *range(1, array(given).shape[1])]
    return pd.DataFrame(array(given)).set_axis(names, axis=1)


ARRAY_FORMS = of(
    FORM,
    read_only=read_only,
    non_contiguous=non_contiguous,
    backwards=backwards,
    memory_map=memory_map,
    swapped_bytes=swapped_bytes,
    lists=lambda given, at: array(given).tolist(),
)
NUMBER_FORMS = of(
    FORM,
    fortran=lambda given, at: np.asfortranarray(array(given)),
    tuples=lambda given, at: tuple(map(tuple, array(given).tolist())),
    float16=lambda given, at: array(given).astype(np.float16),
    float32=lambda given, at: array(given).astype(np.float32),
    long_double=lambda given, at: array(given).astype(np.longdouble),
    objects=lambda given, at: array(given).astype(object),
)
FRAME_FORMS = of(
    FORM, frame=frame, polars_frame=lambda given, at: polars.from_pandas(frame(given, at))
)
LENGTHS = of(
    BAD,
    row_short=lambda given, at: array(given)[:-1],
    row_long=lambda given, at: np.concatenate([array(given), array(given)[:1]]),
    no_rows=lambda given, at: array(given)[:0],
    one_row=lambda given, at: array(given)[:1],
    scalar=lambda given, at: 3.0,
    word=lambda given, at: "word",
)
NOT_NUMBERS = of(
    BAD,
    nan=put(np.nan),
    inf=put(np.inf),
    minus_inf=put(-np.inf),
    none_inside=put(None),
    word_inside=put("word"),
    pandas_na=put(pd.NA),
    list_inside=lambda given, at: [[1.0, 2.0], [3.0], *array(given).tolist()],
    complex_numbers=lambda given, at: array(given) + 1j,
    words=lambda given, at: np.full(array(given).shape, "word"),
    bytes_inside=put(b"word"),
    one_dimension=lambda given, at: array(given)[..., 0],
    no_columns=lambda given, at: array(given)[:, :0],
)
SIZES = of(
    ODD,
    huge=put(1e300),
    huge_single=put(3e38),
    dates=lambda given, at: np.full(array(given).shape, np.datetime64("2026-01-01")),
    large=lambda given, at: array(given) * 1e18,
    all_huge=lambda given, at: array(given) * 1e37,
    all_huge_double=lambda given, at: array(given) * 1e200,
    denormal=lambda given, at: array(given) * 1e-310,
    denormal_single=lambda given, at: (array(given) * 1e-40).astype(np.float32),
    zeros=lambda given, at: array(given) * 0,
    constant_column=lambda given, at: array(given) * (np.arange(array(given).shape[-1]) > 0),
    whole_numbers=lambda given, at: array(given).astype(int),
    small_whole_numbers=lambda given, at: array(given).astype(np.int8),
    booleans=lambda given, at: array(given) > 0.5,
    masked=lambda given, at: np.ma.masked_array(array(given), array(given) > 0.5),
)
WIDTHS = of(
    ODD,
    doubled_column=doubled_column,
    column_short=lambda given, at: array(given)[:, :-1],
    one_column=lambda given, at: array(given)[:, :1],
)
CONTAINERS = of(
    ODD,
    csr=lambda given, at: sparse.csr_array(array(given)),
    csr_matrix=lambda given, at: sparse.csr_matrix(array(given)),
    csc=lambda given, at: sparse.csc_array(array(given)),
    coo=lambda given, at: sparse.coo_array(array(given)),
    dok=lambda given, at: sparse.dok_array(array(given)),
    three_dimensions=lambda given, at: array(given)[:, :, None],
    same_names=same_names,
    mixed_names=mixed_names,
    categories=lambda given, at: frame(given, at).astype("category"),
    nullable_frame=lambda given, at: frame(given, at).astype("Float64"),
)
NAMES = of(
    ODD,
    frame=frame,
    polars_frame=lambda given, at: polars.from_pandas(frame(given, at)),
    columns_swapped=lambda given, at: frame(given, at).iloc[:, ::-1],
    series=lambda given, at: frame(given, at).iloc[:, 0],
    absent=lambda given, at: None,
)

NUMBERS = ARRAY_FORMS + NUMBER_FORMS + LENGTHS + NOT_NUMBERS + CONTAINERS
EMBEDDINGS = NUMBERS + FRAME_FORMS + SIZES + WIDTHS
