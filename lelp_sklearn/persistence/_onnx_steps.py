"""The steps of a Pipeline, and which of them it is that means something else in ONNX."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline

from lelp_sklearn._compat import safe_indexing
from lelp_sklearn.distillation import DistilledClassifier
from lelp_sklearn.persistence._onnx_graph import Graph

_IGNORE = "OneHotEncoder(handle_unknown='ignore') without min_frequency and max_categories"
# What to use in the place of a step, by the name of its class.
_INSTEAD = {
    "OneHotEncoder": f"use {_IGNORE}, on columns that are strings or whole numbers",
    "OrdinalEncoder": f"use {_IGNORE}",
    "TargetEncoder": f"use {_IGNORE}",
    "SimpleImputer": "use SimpleImputer without add_indicator, on columns of floats; where it "
    "fills in strings, do that before the Pipeline, by fillna('missing')",
    "KNNImputer": "use SimpleImputer() without add_indicator",
    "IterativeImputer": "use SimpleImputer() without add_indicator",
    "MissingIndicator": "use SimpleImputer() without add_indicator",
    "PowerTransformer": "use StandardScaler()",
    "QuantileTransformer": "use QuantileTransformer(output_distribution='uniform')",
    "KBinsDiscretizer": "use StandardScaler()",
    "SplineTransformer": "use PolynomialFeatures(degree=2)",
    "FunctionTransformer": "apply its function to the rows before the Pipeline",
    "TfidfTransformer": "use TfidfVectorizer in the place of it and of the CountVectorizer",
    "TableVectorizer": "use a ColumnTransformer of OneHotEncoder(handle_unknown='ignore') and "
    "StandardScaler",
}
_KEEP = (
    "apply it to the rows before the Pipeline, or leave it out. lelp_sklearn.save keeps Pipelines "
    "of scikit-learn's steps"
)


class Step(NamedTuple):
    """A transformer that is no composition of others."""

    where: str  # as set_params names it
    transformer: Any
    rows: Any  # that reach it
    columns: list[Any] | None  # of the rows of the model, where it is these that reach it

    @property
    def instead(self) -> str:
        """What a user can do without it."""
        known = _INSTEAD.get(type(self.transformer).__name__)
        return f"{known}, or {_KEEP}" if known else _KEEP

    def __str__(self) -> str:
        return f"the step {self.where}, a {type(self.transformer).__name__},"


def steps(model: Any, rows: Any) -> Iterator[Step]:
    """Fitted transformers, in the order in which the rows go through them."""
    names = getattr(rows, "columns", None)
    if names is None:
        shape: tuple = getattr(rows, "shape", ())
        names = range(shape[1]) if len(shape) == 2 else [None]
    return _steps(model, rows, "", list(names))


def _steps(model: Any, rows: Any, where: str, columns: list[Any] | None) -> Iterator[Step]:
    if isinstance(model, FrozenEstimator):
        model = model.estimator
    if isinstance(model, Pipeline):
        for name, step in model.steps:
            if step in (None, "passthrough"):
                continue
            yield from _steps(step, rows, f"{where}{name}__", columns)
            if step is model.steps[-1][1]:
                return
            before, rows = rows, step.transform(rows)
            same = getattr(rows, "shape", None) == getattr(before, "shape", ())
            columns = columns if same else None
    elif isinstance(model, ColumnTransformer):
        for name, step, chosen in model.transformers_:
            if isinstance(step, str) or _none_of(chosen):
                continue
            part = safe_indexing(rows, chosen, axis=1)
            yield from _steps(step, part, f"{where}{name}__", _names(rows, chosen, columns))
    elif isinstance(model, FeatureUnion):
        for name, step in model.transformer_list:
            if not isinstance(step, str):
                yield from _steps(step, rows, f"{where}{name}__", columns)
    elif hasattr(model, "transform") and not hasattr(model, "predict_proba"):
        yield Step(where.removesuffix("__") or type(model).__name__, model, rows, columns)


def _none_of(chosen: Any) -> bool:
    """Whether a ColumnTransformer's choice is empty."""
    if isinstance(chosen, str | int | slice):
        return False
    chosen = np.asarray(chosen)
    return not chosen.any() if chosen.dtype == bool else chosen.size == 0


def _names(rows: Any, chosen: Any, columns: list[Any] | None) -> list[Any] | None:
    """Which of the model's columns a ColumnTransformer chooses."""
    ends = (chosen.start, chosen.stop) if isinstance(chosen, slice) else ()
    if columns is None or any(isinstance(end, str) for end in ends):
        return None
    places = np.arange(len(columns))
    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, list | np.ndarray) and len(chosen) and isinstance(chosen[0], str):
        return list(chosen)
    return [columns[i] for i in np.atleast_1d(places[chosen])]


def as_skl2onnx_knows(model: Any) -> Any:
    """A fitted composition without frozen steps and those that do nothing, and without teachers.

    The model itself where it has none.
    """
    if isinstance(model, FrozenEstimator):
        return as_skl2onnx_knows(model.estimator)
    if isinstance(model, DistilledClassifier):
        return as_skl2onnx_knows(model.student_)
    if isinstance(model, Pipeline):
        named = [(n, step) for n, step in model.steps if step not in (None, "passthrough")]
        steps = [(name, as_skl2onnx_knows(step)) for name, step in named]
        if len(steps) == 1:
            return steps[0][1]
        return model if _same(steps, model.steps) else Pipeline(steps)
    name = {ColumnTransformer: "transformers_", FeatureUnion: "transformer_list"}.get(type(model))
    if name is None:
        return model
    parts = [
        (name, step if isinstance(step, str) else as_skl2onnx_knows(step), *chosen)
        for name, step, *chosen in getattr(model, name)
    ]
    if _same(parts, getattr(model, name)):
        return model
    plain = copy.copy(model)
    setattr(plain, name, parts)
    return plain


def _same(steps: list[tuple], others: list[tuple]) -> bool:
    return len(steps) == len(others) and all(
        step[1] is other[1] for step, other in zip(steps, others, strict=True)
    )


def convert_normalizer(scope: Any, operator: Any, container: Any) -> None:
    """Rows of length 1, but for rows of zeros, as skl2onnx calls a converter."""
    from skl2onnx.common.data_types import guess_proto_type

    graph, norm = Graph(scope, container), operator.raw_operator.norm
    output = operator.outputs[0]
    kind = guess_proto_type(output.type)
    rows = graph.node("Cast", operator.inputs[0].full_name, to=kind)
    columns = graph.constant(np.array([1]))
    if norm == "max":
        length = graph.node("ReduceMax", graph.node("Abs", rows), columns)
    else:
        length = graph.node(f"Reduce{norm.upper()}", rows, columns)
    zero, one = (graph.node("Cast", graph.constant(np.array([v])), to=kind) for v in (0, 1))
    length = graph.node("Where", graph.node("Equal", length, zero), one, length)
    graph.add("Div", [rows, length], [output.full_name])


def convert_selection(scope: Any, operator: Any, container: Any) -> None:
    """The columns that a selector keeps; skl2onnx fails where that is the first one alone."""
    graph = Graph(scope, container)
    kept = graph.constant(operator.raw_operator.get_support(indices=True).astype(np.int64))
    output = operator.outputs[0].full_name
    graph.add("Gather", [operator.inputs[0].full_name, kept], [output], axis=1)


def find_step(
    model: Any, batches: list[Any], problem: Callable[[Any, Any], str | None]
) -> tuple[Step, str] | None:
    """The first step that fails by itself, and how; None where it is none.

    Parameters
    ----------
    model : estimator
        Fitted.
    batches : list
        Rows of the model, the sample first.
    problem : callable
        What is wrong with a transformer for rows that reach it.
    """
    for rows in batches:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for step in steps(model, rows):
                    found = problem(step.transformer, step.rows)
                    if found is not None:
                        return step, found
        except Exception:  # of a step that does not take made-up rows
            continue
    return None
