"""Data frames of numbers, categories and dates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.utils import InputTags
from sklearn.utils.validation import validate_data
from torch import Tensor, zeros

from lelp_sklearn._checks import check_reach
from lelp_sklearn._compat import safe_indexing
from lelp_sklearn._torch import as_tensor
from lelp_sklearn.inputs._base import Inputs, refuse_texts
from lelp_sklearn.inputs._columns import (
    as_categories,
    as_numbers,
    columns_of,
    is_frame,
    kind_of,
    missing,
    mixed_types,
    spelling,
)
from lelp_sklearn.inputs._table_rows import Table

_N_QUANTILES = 129  # as many bins as a network may ask for, and one; a student stays small

_MANY, _DISTINCT = 100, 0.9  # rows, and the share of different values that makes an identifier


class TableInputs(Inputs):
    """Data frames of pandas and polars, by the kind of each column, and arrays.

    ===================  ==========================  ============================================
    column               dtype                       becomes
    ===================  ==========================  ============================================
    numeric              integers, floats, booleans  a scaled number; where one is missing, the
                                                     median
    date                 dates and times             their parts, by skrub's ``DatetimeEncoder``,
                                                     as numeric columns
    numeric              strings and objects that    the same; blanks, "nan", "NA", "null" and
                         are all numbers, Decimal    their like are missing
    categorical          other strings and objects,  a code from 1 in the order of the sorted
                         categories, enums           values, or 0 where the value is missing or
                                                     was not seen in fit
    ===================  ==========================  ============================================

    A numeric column in which training rows miss values is followed, behind all others, by a
    column that is 1 where the value is missing. In arrays all columns are numeric but those that
    ``categorical`` names. Numbers with leading zeros, such as zip codes, are categories, and so is
    all that ``categorical`` names. Where training rows hold numbers alone, a word later is an
    error. A student's ``partial_fit`` goes on learning the scales of numbers, and nothing else. An
    unseen category counts as a missing one, as in scikit-learn's
    HistGradientBoostingClassifier.

    Parameters
    ----------
    numeric : {"standard", "quantile"}, default="standard"
        Scaling of numeric columns: to mean 0 and variance 1, or to normal quantiles, which heavy
        tails and outliers do not move. The second does not tell values beyond those of the
        training rows apart.
    categorical : "from_dtype" or list of names or positions, default="from_dtype"
        Columns that are categorical besides those that are so by their dtype, such as codes held
        as integers.

    Attributes
    ----------
    columns_ : ColumnTransformer
        What prepares the columns: "numeric", "datetime" and "categorical", where there are such.
    cardinalities_ : tuple of int
        Number of codes of each categorical column, with 0.
    quantiles_ : ndarray of shape (n_numeric, 129), float32
        Of the numeric columns as prepared, from least to greatest.

    Raises
    ------
    TypeError
        If a column's dtype is none of these.
    ValueError
        If columns differ from those in fit, or hold infinity, or numbers too far from those in fit.
    ImportError
        If there are dates, and no skrub.

    Warns
    -----
    UserWarning
        If a categorical column is mostly numbers, or if nearly each of its values is another one.

    See Also
    --------
    TabularMLP : The body that reads them.
    Table : What it reads.

    Examples
    --------
    >>> import pandas as pd
    >>> from lelp_sklearn import StudentClassifier
    >>> from lelp_sklearn.inputs import TableInputs
    >>> X = pd.DataFrame({"age": [20.0, 30.0, None], "job": ["cook", None, "baker"]})
    >>> inputs = TableInputs()
    >>> X = inputs.check(StudentClassifier(), X, reset=True)
    >>> table = inputs.fit(X).read(X)
    >>> table.numeric
    tensor([[-1.2247,  0.0000],
            [ 1.2247,  0.0000],
            [ 0.0000,  1.0000]])
    >>> table.categories.tolist()
    [[2], [0], [1]]
    """

    def __init__(self, *, numeric: str = "standard", categorical: str | Sequence = "from_dtype"):
        self.numeric = numeric
        self.categorical = categorical

    def check(self, student: Any, X: Any, *, reset: bool) -> Any:
        """Rows as they are, once their columns fit; see :class:`Inputs`."""
        if not is_frame(X):
            try:
                return validate_data(
                    student, X, dtype=None, ensure_all_finite="allow-nan", order="C", reset=reset
                )
            except (TypeError, ValueError) as error:
                refuse_texts(X, error)
                raise
        if 0 in X.shape:
            raise ValueError(
                f"X has shape {tuple(X.shape)}: found a frame with 0 sample(s) or 0 feature(s), "
                "while a minimum of 1 is required."
            )
        names = list(X.columns)
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"X has several columns of the same name: {sorted(twice)}.")
        validate_data(student, X, skip_check_array=True, reset=reset)
        if not reset:
            self._check_categories(X)
        return X

    def fit(self, X: Any) -> TableInputs:
        """Learn scales, missing values, categories and quantiles.

        Parameters
        ----------
        X : DataFrame or ndarray of shape (n_rows, n_columns)
            Rows from :meth:`check`.

        Returns
        -------
        self
        """
        kinds = self._kinds(X)
        self._warn_of_values(X, kinds)
        places = {
            kind: [i for i, k in enumerate(kinds) if k == kind]
            for kind in ("numeric", "datetime", "categorical")
        }
        self.columns_ = ColumnTransformer(
            [(kind, self._steps(kind, len(X)), where) for kind, where in places.items() if where],
            sparse_threshold=0,
        ).set_output(transform="default")
        try:
            with np.errstate(over="raise"):
                prepared = self.columns_.fit_transform(X)
        except FloatingPointError as error:
            raise ValueError(
                "X holds numbers whose squares overflow float64: scale them, or use "
                "TableInputs(numeric='quantile')."
            ) from error
        except TypeError as error:
            mixed = mixed_types(X, places["categorical"]) if is_frame(X) else {}
            if not mixed:
                raise _no_categories(error) from error
            raise TypeError(
                f"categorical columns hold values of several types, {mixed}: convert them to one, "
                "such as by astype(str)."
            ) from error
        columns = list(columns_of(X).values()) if is_frame(X) else []
        self._kinds_in_fit = {
            i: kind_of(columns[i].dtype) for i in places["categorical"] if columns
        }
        self.cardinalities_: tuple[int, ...] = ()
        if places["categorical"]:
            encoder = self.columns_.named_transformers_["categorical"][-1]
            self.cardinalities_ = tuple(
                1 + sum(bool(value == value) for value in values)  # NaN is not equal to itself
                for values in encoder.categories_
            )
        numeric = prepared[:, : self._n_numeric(prepared)]
        at = np.linspace(0, 1, _N_QUANTILES)
        self.quantiles_ = np.quantile(numeric, at, axis=0).T.astype(np.float32)
        return self

    def partial_fit(self, X: Any) -> TableInputs:
        """Go on learning the scales of numbers, of ``numeric="standard"``, from further rows.

        Parameters
        ----------
        X : DataFrame or ndarray of shape (n_rows, n_columns)
            Rows from :meth:`check`.

        Returns
        -------
        self
        """
        if not hasattr(self, "columns_"):
            return self.fit(X)
        self.columns_ = deepcopy(self.columns_)
        for kind, steps, where in self.columns_.transformers_:
            if kind in ("numeric", "datetime"):
                numbers = steps[:-1].transform(safe_indexing(X, where, axis=1))
                imputer, scaler = (step for _, step in steps[-1].transformer_list[0][1].steps)
                if isinstance(scaler, StandardScaler):
                    scaler.partial_fit(imputer.transform(numbers))
        return self

    @property
    def settled(self) -> str:
        """Categories, and quantiles where they are the scale."""
        parts = ["the categories"] * bool(self.cardinalities_)
        parts += ["the quantiles of numbers"] * (self.numeric == "quantile")
        return " and ".join(parts)

    def read(self, X: Any) -> Table:
        """Numbers and codes of checked rows.

        Parameters
        ----------
        X : DataFrame or ndarray of shape (n_rows, n_columns)
            Rows from :meth:`check`.

        Returns
        -------
        Table
        """
        try:
            prepared = self.columns_.transform(X)
        except TypeError as error:
            raise _no_categories(error) from error
        n_numeric = self._n_numeric(prepared)
        with np.errstate(over="ignore"):
            numeric = prepared[:, :n_numeric].astype(np.float32)
        check_reach(numeric, remedy=", or use TableInputs(numeric='quantile')")
        codes = prepared[:, n_numeric:].astype(np.int64) + 1
        return Table(as_tensor(numeric), as_tensor(codes))

    def matrix(self, X: Any) -> sparse.csr_array:
        """Prepared numbers, and one column a category."""
        table = self.read(X)
        places = np.cumsum([0, *self.cardinalities_])
        codes = table.categories.numpy() + places[:-1]
        n, k = codes.shape
        ones = sparse.csr_array(
            (np.ones(n * k, np.float32), codes.ravel(), np.arange(n + 1) * k), (n, places[-1])
        )
        return sparse.csr_array(sparse.hstack([table.numeric.numpy(), ones]))

    def example(self, student: Any) -> Table:
        """Two rows of zeros."""
        numeric: Tensor = zeros(2, len(self.quantiles_))
        return Table(numeric, zeros(2, len(self.cardinalities_)).long())

    def body_params(self, student: Any) -> dict[str, Any]:
        """``n_numeric``, ``cardinalities`` and ``quantiles``, as :class:`TabularMLP` asks for."""
        return {
            "n_numeric": len(self.quantiles_),
            "cardinalities": self.cardinalities_,
            "quantiles": self.quantiles_,
        }

    def input_tags(self) -> InputTags:
        """Numbers, missing ones too, and categories."""
        return InputTags(allow_nan=True, categorical=True, string=True)

    def _n_numeric(self, prepared: Any) -> int:
        return prepared.shape[1] - len(self.cardinalities_)

    def _steps(self, kind: str, n_rows: int) -> Pipeline:
        """What prepares the columns of a kind."""
        if kind == "categorical":
            encoder = OrdinalEncoder(
                handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1
            )
            return make_pipeline(FunctionTransformer(as_categories), encoder)
        if self.numeric == "standard":
            scaler = StandardScaler()
        elif self.numeric == "quantile":
            scaler = QuantileTransformer(
                n_quantiles=min(n_rows, _N_QUANTILES),
                output_distribution="normal",
                random_state=0,
            )
        else:
            raise ValueError(f"numeric={self.numeric!r}: expected 'standard' or 'quantile'.")
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        # Beside the scaled numbers, so that the indicators stay 0 and 1.
        both = make_union(make_pipeline(imputer, scaler), MissingIndicator(error_on_new=False))
        dates = [_datetime_encoder()] if kind == "datetime" else []
        return make_pipeline(*dates, FunctionTransformer(as_numbers), both)

    def _kinds(self, X: Any) -> list[str | None]:
        """Kind of each column, from what the user names and from its dtype."""
        if isinstance(self.categorical, str) and self.categorical != "from_dtype":
            raise ValueError(
                f"categorical={self.categorical!r}: expected 'from_dtype' or a list of names or "
                "positions of columns."
            )
        if is_frame(X):
            dtypes = {name: column.dtype for name, column in columns_of(X).items()}
        else:
            dtypes = dict.fromkeys(range(X.shape[1]), "float64")
        names = list(dtypes)
        named = [] if isinstance(self.categorical, str) else list(self.categorical)
        absent = [c for c in named if c not in names and c not in range(len(names))]
        if absent:
            raise ValueError(f"categorical={absent} is not among the columns {names}.")
        kinds = [
            "categorical" if self._is_named(i, names) else kind_of(dtype)
            for i, dtype in enumerate(dtypes.values())
        ]
        if None in kinds:
            name, dtype = list(dtypes.items())[kinds.index(None)]
            raise TypeError(
                f"column {name!r} has dtype {dtype}, which is neither numeric nor categorical nor "
                "a date: convert it, or leave it out."
            )
        for i, column in enumerate(columns_of(X).values() if is_frame(X) else ()):
            if kinds[i] == "categorical" and not self._is_named(i, names):
                found = spelling(column)
                kinds[i] = "numeric" if found is not None and found.is_numeric else "categorical"
        return kinds

    def _is_named(self, i: int, names: list[Any]) -> bool:
        """Whether the user names a column as categorical, by its name or else its position."""
        named = () if isinstance(self.categorical, str) else self.categorical
        return names[i] in named or (i in named and i not in names)

    def _warn_of_values(self, X: Any, kinds: list[str | None]) -> None:
        """Warn of categories that are numbers but for a few, or as many as there are rows."""
        if not is_frame(X):
            return
        names = list(X.columns)
        for i, (name, column) in enumerate(columns_of(X).items()):
            if kinds[i] != "categorical" or self._is_named(i, names):
                continue
            found = spelling(column)
            if found is None:
                continue
            if not found.codes and 0 < found.words < found.numbers:
                warnings.warn(
                    f"column {name!r} holds {found.numbers} numbers and {found.words} other "
                    f"values, such as {found.word!r}, so each number is a category of its own. If "
                    "they are amounts, make the others missing, by pandas.to_numeric(column, "
                    "errors='coerce'); if they are codes, say so by TableInputs(categorical="
                    f"[{name!r}]).",
                    UserWarning,
                    stacklevel=6,
                )
            elif found.n_values >= _MANY and found.distinct > _DISTINCT * found.n_values:
                warnings.warn(
                    f"column {name!r} holds {found.distinct} different values in "
                    f"{found.n_values} rows, each a category of its own, from which nothing is "
                    "learnt about others. Leave an identifier out; give numbers written like "
                    "'1,234' or '5 %' as numbers, dates as dates, and texts to a vectorizer. "
                    f"TableInputs(categorical=[{name!r}]) says that this is meant.",
                    UserWarning,
                    stacklevel=6,
                )

    def _check_categories(self, X: Any) -> None:
        """Strings that have become numbers would all count as unseen, without a word."""
        columns = list(columns_of(X).items())
        for i, before in self._kinds_in_fit.items():
            name, column = columns[i]
            now = kind_of(column.dtype)
            if now != before and column.dtype != object and not missing(column).all():
                raise ValueError(
                    f"column {name!r} has the {now} dtype {column.dtype} and had a {before} one in "
                    "fit, so that none of its values would be known: convert it."
                )


def _datetime_encoder() -> Any:
    try:
        from skrub import ApplyToCols, DatetimeEncoder
    except ImportError as error:
        raise ImportError(
            "X has columns of dates, which skrub encodes: install it by "
            '`pip install "lelp-sklearn[tables]"`, or leave those columns out.'
        ) from error
    return ApplyToCols(DatetimeEncoder())


def _no_categories(error: TypeError) -> TypeError:
    return TypeError(
        f"a categorical column holds values that are no categories ({error}): convert them, such "
        "as by astype(str)."
    )
