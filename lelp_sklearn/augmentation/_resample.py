"""Rows with some of their values taken from other rows."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn._compat import Interval
from lelp_sklearn.augmentation._base import Augmenter, in_turns
from lelp_sklearn.augmentation._tables import as_table, assemble, first_of_group


class Resample(Augmenter):
    """New rows are given ones with some values drawn from the same column of other rows.

    Every value was seen in its column, and each column keeps its distribution on average; how the
    columns go together is lost in part.

    Parameters
    ----------
    share : float, default=0.3
        From 0 to 1, the probability that a feature is replaced; 1 makes all columns independent.
    groups : sequence of sequences, default=()
        Columns of one feature, such as those of a one-hot code, by name in a data frame and by
        position in an array: they are taken together, from one row.
    random_state : int, RandomState or None, default=None
        Seed of the rows.

    Raises
    ------
    ValueError
        If groups name a column twice, or one that is not there.

    See Also
    --------
    Munge : Takes from the nearest row, and adds noise.
    Mixup : Between rows.

    Notes
    -----
    Any column will do: numbers, categories, dates, missing values.

    References
    ----------
    Bahri, Jiang, Tay and Metzler (2022), SCARF: self-supervised contrastive learning using random
    feature corruption, ICLR: draws from the empirical marginals. Fakoor et al. (2020), Fast,
    accurate, and simple models for tabular data via augmented distillation, NeurIPS: a teacher
    that labels such rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from lelp_sklearn import Resample
    >>> X = pd.DataFrame({"colour": ["red", "green", "green"], "size": [1, 2, 3]})
    >>> new = Resample(share=0.5, random_state=0).fit(X).sample(4)
    >>> sorted(set(new["colour"]) - {"red", "green"}), new["size"].dtype
    ([], dtype('int64'))
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **Augmenter._parameter_constraints,
        "share": [Interval(Real, 0, 1, closed="both")],
        "groups": ["array-like"],
    }

    def __init__(
        self,
        *,
        share: float = 0.3,
        groups: Sequence[Sequence[Any]] = (),
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(random_state=random_state)
        self.share = share
        self.groups = groups

    def learn(self, X: Any, y: NDArray | None) -> None:
        """Find the features."""
        self.X_ = as_table(X)
        self.feature_ = first_of_group(self.X_, self.groups)

    def draw(self, n_samples: int, rng: np.random.RandomState) -> Any:
        """Each row in turn, with values of others."""
        n, p = self.X_.shape
        own = in_turns(n, n_samples, rng)[:, None]
        replaced = rng.random_sample((n_samples, p)) < self.share
        other = rng.randint(n, size=(n_samples, p))
        # Each column does as the first of its group.
        return assemble(self.X_, np.where(replaced, other, own)[:, self.feature_])
