"""How many subclasses a class is worth, by its variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.subclasses._directions import n_basis_directions
from lelp_sklearn.subclasses._moments import ClassMoments
from lelp_sklearn.subclasses._null_space import restricted

_EXPLAINED = 0.9
_MOST = 24
_ROWS_EACH = 10


def auto_counts(moments: ClassMoments, outside: NDArray | None, kind: str) -> NDArray:
    """Subclasses of each class, for directions in the span of ``outside`` (D, n_left).

    None is the whole space. Enough for the principal directions that explain 90 % of the class's
    variance, from 2 to 24, and 1 where there are fewer than 10 rows a subclass for two, or no
    variance.
    """
    each = 2 // n_basis_directions(2, kind)  # subclasses a direction
    counts = np.ones(len(moments.classes), dtype=np.int64)
    for c, n_rows in enumerate(moments.count):
        scatter = restricted(moments.scatter[c], outside)
        room = min(_MOST, int(n_rows) // _ROWS_EACH, each * len(scatter))
        if room < 2 or moments.is_constant(c, scatter):
            continue
        explained = np.cumsum(np.linalg.eigvalsh(scatter)[::-1]) / np.trace(scatter)
        n_directions = 1 + int(np.sum(explained < _EXPLAINED - 1e-9))
        counts[c] = min(max(each * n_directions, 2), room - room % each)
    return counts
