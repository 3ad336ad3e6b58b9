"""How skl2onnx converts students and what looks up neighbours, alone or in a Pipeline."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lelp_sklearn.inputs import ArrayInputs, SparseInputs, TableInputs, TokenInputs
from lelp_sklearn.persistence._onnx_graph import Graph, NotInOnnx, add_module
from lelp_sklearn.students import (
    LELPStudentClassifier,
    RetrievalAugmentedClassifier,
    StudentClassifier,
    SubclassTeacher,
)

_NEAR = 8  # scales from 0, at which float32 is off by a millionth of a scale
_INSTEAD: dict[type, str] = {
    TableInputs: "encode the columns by a ColumnTransformer with OneHotEncoder and StandardScaler "
    "before a student of numbers, such as module=MLP.",
    TokenInputs: "use TfidfVectorizer(token_pattern=r'[a-zA-Z0-9_]+') before a student with "
    "module=BagOfNgrams.",
}


def register_students() -> None:
    """Tell skl2onnx of our classifiers, for whatever estimators hold one."""
    from skl2onnx import update_registered_converter

    converters = {
        StudentClassifier: _convert,
        LELPStudentClassifier: _convert,
        SubclassTeacher: _convert,
        RetrievalAugmentedClassifier: _convert_retrieval,
    }
    for cls, convert in converters.items():
        update_registered_converter(
            cls,
            f"Lelp{cls.__name__}",
            _output_types,
            convert,
            options={"zipmap": [True, False], "output_class_labels": [False, True]},
        )


def check_inputs(student: Any) -> None:
    """Raise NotInOnnx for a student of rows that ONNX cannot read."""
    inputs = getattr(student, "student_", student).inputs_
    if type(inputs) in (ArrayInputs, SparseInputs):
        return
    known = (advice for cls, advice in _INSTEAD.items() if isinstance(inputs, cls))
    instead = next(known, "read dense or sparse numbers.")
    raise NotInOnnx(
        f"the student's rows are read by {type(inputs).__name__}, which has no form in ONNX: "
        f"{instead}"
    )


def _output_types(operator: Any) -> None:
    from skl2onnx.common import data_types

    student = operator.raw_operator
    rows = operator.inputs[0].get_first_dimension()
    label = {
        "b": data_types.BooleanTensorType,
        "i": data_types.Int64TensorType,
        "u": data_types.Int64TensorType,
        "f": data_types.DoubleTensorType,
    }.get(student.classes_.dtype.kind, data_types.StringTensorType)
    operator.outputs[0].type = label([rows])
    operator.outputs[1].type = data_types.FloatTensorType([rows, len(student.classes_)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    label, proba = (output.full_name for output in operator.outputs)
    _add_student(graph, operator.raw_operator, operator.inputs[0], proba)
    _add_label(graph, operator.raw_operator, proba, label)


def _convert_retrieval(scope: Any, operator: Any, container: Any) -> None:
    """The student's probabilities and those of the entries nearest to its embeddings."""
    model, graph = operator.raw_operator, Graph(scope, container)
    label, proba = (output.full_name for output in operator.outputs)
    weight = float(model.retrieval_weight_)
    alone = graph.name("alone") if weight else proba
    embedding = _add_student(graph, model.student_, operator.inputs[0], alone)
    if weight:
        shares = [_scaled(graph, alone, 1 - weight)]
        shares += [_scaled(graph, _votes(graph, model, embedding), weight)]
        both = graph.node("Add", *shares)
        total = graph.node("ReduceSum", both, graph.constant(np.array([1])))
        graph.add("Div", [both, total], [proba])
    _add_label(graph, model, proba, label)


def _add_student(graph: Graph, student: Any, rows: Any, proba: str) -> str:
    """Add a student's probabilities under a name, and return the name of its embeddings."""
    from onnx import TensorProto

    check_inputs(student)
    network = copy.deepcopy(student.net_.module_).cpu().eval()
    X = rows.full_name
    if hasattr(student.inputs_, "mean_"):
        X = _standardized(graph, student.inputs_, rows)
    X = graph.node("Cast", X, to=TensorProto.FLOAT)
    example = torch.zeros(2, student.n_features_in_)
    with torch.no_grad():
        embedding = add_module(graph, network.body, X, example)
        example = torch.zeros(2, network.width)
        logits = add_module(graph, network.head, embedding, example)
    if isinstance(student.inputs_, ArrayInputs):
        # Rows that the student refuses, and missing numbers, which a ReLU may take for 0.
        squares = graph.node("ReduceSumSquare", X, graph.constant(np.array([1])))
        logits = graph.node("Add", logits, _scaled(graph, squares, 0.0))  # NaN if infinite
    n_subclasses = student.objective_.n_subclasses_
    if set(n_subclasses) == {1}:
        graph.add("Softmax", [logits], [proba], axis=1)
    else:  # a class's probability is the sum over its block: the same as the fold of the logits
        blocks = np.repeat(np.eye(len(n_subclasses), dtype=np.float32), n_subclasses, axis=0)
        subclasses = graph.node("Softmax", logits, axis=1)
        graph.add("MatMul", [subclasses, graph.constant(blocks)], [proba])
    return embedding


def _standardized(graph: Graph, inputs: ArrayInputs, rows: Any) -> str:
    """Rows less the means, over the scales: in float64, or where float32 is as good in that."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import FloatTensorType

    X, mean, factor = rows.full_name, inputs.mean_, 1 / inputs.scale_
    usual = (factor > 1e-30) & (factor < 1e30)
    near = usual.all() and inputs.largest_offset < _NEAR
    if near and isinstance(rows.type, FloatTensorType):
        mean, factor = mean.astype(np.float32), factor.astype(np.float32)
    else:
        X = graph.node("Cast", X, to=TensorProto.DOUBLE)
    return graph.node("Mul", graph.node("Sub", X, graph.constant(mean)), graph.constant(factor))


def _votes(graph: Graph, model: Any, embedding: str) -> str:
    """Soft labels of the entries nearest by cosine, as :class:`KnowledgeBase` averages them."""
    base, alignment = model.knowledge_base_, model._alignment
    if alignment is None:
        centre = model._centre.astype(np.float32)
        query = graph.node("Sub", embedding, graph.constant(centre))
    else:
        layer = copy.deepcopy(alignment.module_).cpu()
        query = add_module(graph, layer, embedding, torch.zeros(2, layer.in_features))
    length = graph.node("ReduceL2", query, graph.constant(np.array([1])))
    tiny = graph.constant(np.full(1, 1e-12, np.float32))
    query = graph.node("Div", query, graph.node("Max", length, tiny))
    cosine = graph.node("MatMul", query, graph.constant(base.embeddings.T))
    nearest, entries = graph.name("cosines"), graph.name("entries")
    k = graph.constant(np.array([min(model.n_neighbors, base.n_entries)]))
    graph.add("TopK", [cosine, k], [nearest, entries], axis=1)
    share = graph.node("Softmax", _scaled(graph, nearest, 1 / model.temperature), axis=1)
    said = graph.node("Gather", graph.constant(base.proba), entries, axis=0)
    share = graph.node("Unsqueeze", share, graph.constant(np.array([1])))
    votes = graph.node("MatMul", share, said)  # of each row: (1, k) by (k, classes)
    return graph.node("Squeeze", votes, graph.constant(np.array([1])))


def _scaled(graph: Graph, values: str, factor: float) -> str:
    return graph.node("Mul", values, graph.constant(np.full(1, factor, np.float32)))


def _add_label(graph: Graph, model: Any, proba: str, label: str) -> None:
    winner = graph.node("ArgMax", proba, axis=1, keepdims=0)
    graph.add("Gather", [graph.constant(_labels(model.classes_)), winner], [label], axis=0)


def _labels(classes: NDArray) -> NDArray:
    wide = {"i": np.int64, "u": np.int64, "f": np.float64}
    if classes.dtype.kind == "u" and classes.max() > np.iinfo(np.int64).max:
        raise NotInOnnx(
            f"the label {classes.max()} is beyond int64, which ONNX has for labels: make strings "
            "of them, by y.astype(str), before fit."
        )
    return classes.astype(wide.get(classes.dtype.kind, classes.dtype))
