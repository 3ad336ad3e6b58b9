"""Mixup: points between two rows."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lelp_sklearn._compat import Interval
from lelp_sklearn.augmentation._base import Augmenter, in_turns
from lelp_sklearn.augmentation._tables import all_numbers, as_table, assemble


class Mixup(Augmenter):
    r"""New rows between two given ones, :math:`\lambda x_i + (1 - \lambda) x_j`, as in mixup.

    :math:`\lambda` is drawn from Beta(alpha, alpha) for each row. Unlike mixup's, the labels are
    not mixed: the teacher says what it makes of the new row.

    Parameters
    ----------
    alpha : float, default=1.0
        Above 0: 1 is any point between the two alike; smaller keeps closer to one of them, larger
        to their middle.
    random_state : int, RandomState or None, default=None
        Seed of the rows.

    Raises
    ------
    TypeError
        If a column holds no numbers.

    See Also
    --------
    Munge, Resample : For tables with categories.
    Smote : Between neighbours of a rare class.

    Notes
    -----
    For numbers on a scale, and embeddings of texts or images. Sparse rows stay sparse, with the
    columns of both. Integer columns are rounded; a value that misses in either row misses. Between
    one-hot codes it makes fractions of categories.

    References
    ----------
    Zhang, Cisse, Dauphin and Lopez-Paz (2018), mixup: beyond empirical risk minimization, ICLR,
    equation 1. Beyer et al. (2022), Knowledge distillation: a good teacher is patient and
    consistent, CVPR: the teacher asked about the mixture.

    Examples
    --------
    >>> import numpy as np
    >>> from lelp_sklearn import Mixup
    >>> X = np.array([[0.0, 0.0], [1.0, 2.0]])
    >>> new = Mixup(random_state=0).fit(X).sample(100)
    >>> bool(np.allclose(new[:, 1], 2 * new[:, 0]))  # all on the line between the two
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **Augmenter._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self, *, alpha: float = 1.0, random_state: int | np.random.RandomState | None = None
    ):
        super().__init__(random_state=random_state)
        self.alpha = alpha

    def learn(self, X: Any, y: NDArray | None) -> None:
        """Read the numbers."""
        if sparse.issparse(X):
            self.X_ = X.tocsr()
            return
        self.X_ = as_table(X)
        self.numbers_ = all_numbers(self.X_, "Mixup")

    def draw(self, n_samples: int, rng: np.random.RandomState) -> Any:
        """Points between pairs of rows, each row in turn with a random other."""
        n = self.X_.shape[0]
        i = in_turns(n, n_samples, rng)
        j = i if n == 1 else (i + rng.randint(1, n, size=n_samples)) % n
        share = rng.beta(self.alpha, self.alpha, size=n_samples)
        if sparse.issparse(self.X_):
            # A product with a diagonal matrix weighs the rows.
            mixed = (
                sparse.diags_array(share) @ self.X_[i]
                + sparse.diags_array(1 - share) @ (self.X_[j])
            )
            return mixed.tocsr().astype(_float(self.X_.dtype))
        weight = share[:, None]
        mixed = weight * self.numbers_[i] + (1 - weight) * self.numbers_[j]
        p = self.X_.shape[1]
        return assemble(self.X_, np.tile(i[:, None], p), mixed, np.ones(p, bool))


def _float(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)
