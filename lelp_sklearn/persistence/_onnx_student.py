"""How skl2onnx converts a student, alone or in a Pipeline."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lelp_sklearn.inputs import ArrayInputs, SparseInputs, TableInputs, TokenInputs
from lelp_sklearn.persistence._onnx_graph import Graph, add_module
from lelp_sklearn.students import LELPStudentClassifier, StudentClassifier

_INSTEAD: dict[type, str] = {
    TableInputs: "encode the columns by a ColumnTransformer with OneHotEncoder and StandardScaler "
    "before a student of numbers, such as module=MLP.",
    TokenInputs: "use TfidfVectorizer(token_pattern=r'[a-zA-Z0-9_]+') before a student with "
    "module=BagOfNgrams.",
}


def register_students() -> None:
    """Tell skl2onnx of students, for whatever estimators hold one."""
    from skl2onnx import update_registered_converter

    for student in (StudentClassifier, LELPStudentClassifier):
        update_registered_converter(
            student,
            f"Lelp{student.__name__}",
            _output_types,
            _convert,
            options={"zipmap": [True, False], "output_class_labels": [False, True]},
        )


def check_inputs(student: Any) -> None:
    """Raise TypeError for a student of rows that ONNX cannot read."""
    inputs = student.inputs_
    if type(inputs) in (ArrayInputs, SparseInputs):
        return
    known = (advice for cls, advice in _INSTEAD.items() if isinstance(inputs, cls))
    instead = next(known, "read dense or sparse numbers.")
    raise TypeError(
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
    from onnx import TensorProto

    student, graph = operator.raw_operator, Graph(scope, container)
    check_inputs(student)
    network = copy.deepcopy(student.net_.module_).cpu().eval()
    X = graph.node("Cast", operator.inputs[0].full_name, to=TensorProto.FLOAT)
    example = torch.zeros(2, student.n_features_in_)
    with torch.no_grad():
        embedding = add_module(graph, network.body, X, example)
        example = torch.zeros(2, network.width)
        logits = add_module(graph, network.head, embedding, example)
    label, proba = (output.full_name for output in operator.outputs)
    n_subclasses = student.objective_.n_subclasses_
    if set(n_subclasses) == {1}:
        graph.add("Softmax", [logits], [proba], axis=1)
    else:  # a class's probability is the sum over its block: the same as the fold of the logits
        blocks = np.repeat(np.eye(len(n_subclasses), dtype=np.float32), n_subclasses, axis=0)
        subclasses = graph.node("Softmax", logits, axis=1)
        graph.add("MatMul", [subclasses, graph.constant(blocks)], [proba])
    winner = graph.node("ArgMax", proba, axis=1, keepdims=0)
    classes = graph.constant(_labels(student.classes_))
    graph.add("Gather", [classes, winner], [label], axis=0)


def _labels(classes: NDArray) -> NDArray:
    wide = {"i": np.int64, "u": np.int64, "f": np.float64}
    return classes.astype(wide.get(classes.dtype.kind, classes.dtype))
