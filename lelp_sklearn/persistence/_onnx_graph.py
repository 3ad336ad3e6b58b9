"""The graph that skl2onnx builds, and a student's network as nodes of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lelp_sklearn.networks import MLP, BagOfNgrams, Linear
from lelp_sklearn.objectives._regressors import Orthogonal
from lelp_sklearn.objectives._simkd import ReusedClassifier

OPSET = 18


class NotInOnnx(TypeError):  # noqa: N818
    """What is asked for has no form in ONNX, whatever the types of the inputs."""


class Graph:
    """A graph in the making, whose tensors are known by their names."""

    def __init__(self, scope: Any, container: Any):
        self.scope = scope
        self.container = container

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return its name."""
        output = self.name(op.lower())
        self.add(op, list(inputs), [output], domain, **attributes)
        return output

    def name(self, like: str) -> str:
        """A name that no other tensor has."""
        return self.scope.get_unique_variable_name(like)

    def add(
        self, op: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any
    ) -> None:
        """Add a node whose outputs have names already."""
        self.container.add_node(
            op,
            inputs,
            outputs,
            op_domain=domain,
            op_version=1 if domain else self.container.target_opset,
            name=self.scope.get_unique_operator_name(op),
            **attributes,
        )

    def constant(self, values: NDArray | Tensor) -> str:
        """Add an array of numbers or strings, and return its name."""
        import onnx

        name = self.name("constant")
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        if array.dtype.kind in "OU":
            strings = [str(value).encode() for value in array]
            self.container.add_initializer(name, onnx.TensorProto.STRING, array.shape, strings)
        else:
            tensor = onnx.numpy_helper.from_array(np.ascontiguousarray(array))
            self.container.add_initializer(name, tensor.data_type, None, tensor)
        return name


def add_module(graph: Graph, module: nn.Module, X: str, example: Tensor) -> str:
    """Add a module applied to rows of numbers, and return the name of its output.

    Parameters
    ----------
    graph : Graph
        Gets the nodes.
    module : nn.Module
        In evaluation mode, on the CPU. What is not known here goes through torch's own exporter.
    X : str
        Rows, float32.
    example : Tensor
        Some rows of that width.
    """
    # By what a module computes, so that a subclass with a forward of its own is not mistaken.
    add = _MODULES.get(type(module).forward, _exported)
    return add(graph, module, X, example)


def _linear(graph: Graph, module: Any, X: str, example: Tensor) -> str:
    weights = [module.weight] if module.bias is None else [module.weight, module.bias]
    return graph.node("Gemm", X, *map(graph.constant, weights), transB=1)


def _relu(graph: Graph, module: nn.Module, X: str, example: Tensor) -> str:
    return graph.node("Relu", X)


def _as_it_is(graph: Graph, module: nn.Module, X: str, example: Tensor) -> str:
    return X


def _sequential(graph: Graph, module: Any, X: str, example: Tensor) -> str:
    for layer in module:
        X = add_module(graph, layer, X, example)
        example = layer(example)
    return X


def _mlp(graph: Graph, module: Any, X: str, example: Tensor) -> str:
    return _sequential(graph, module.layers, X, example)


def _bag_of_n_grams(graph: Graph, module: Any, X: str, example: Tensor) -> str:
    """Dense rows: a sum of weighted vectors is a product of matrices."""
    embedding = graph.node("MatMul", X, graph.constant(module.table.weight))
    if module.mode == "mean":
        total = graph.node("ReduceL1", X, graph.constant(np.array([1])))
        none = graph.node("Equal", total, graph.constant(np.zeros(1, np.float32)))
        one = graph.constant(np.ones(1, np.float32))
        embedding = graph.node("Div", embedding, graph.node("Where", none, one, total))
    embedding = graph.node("Add", embedding, graph.constant(module.bias))
    if module.layers is None:
        return embedding
    example = example.new_zeros(2, module.table.embedding_dim)
    return add_module(graph, module.layers, graph.node("Relu", embedding), example)


def _reused_classifier(graph: Graph, module: Any, X: str, example: Tensor) -> str:
    return _linear(graph, module, add_module(graph, module.projector, X, example), example)


_MODULES: dict[Any, Callable[..., str]] = {
    Linear.forward: _as_it_is,
    nn.Identity.forward: _as_it_is,
    nn.Dropout.forward: _as_it_is,
    nn.ReLU.forward: _relu,
    nn.Linear.forward: _linear,
    Orthogonal.forward: _linear,
    nn.Sequential.forward: _sequential,
    MLP.forward: _mlp,
    BagOfNgrams.forward: _bag_of_n_grams,
    ReusedClassifier.forward: _reused_classifier,
}


def _exported(graph: Graph, module: nn.Module, X: str, example: Tensor) -> str:
    """A user's own module, through torch's exporter."""
    import onnx

    nodes = _export(module, example)
    names = {nodes.input[0].name: X}

    def renamed(name: str) -> str:
        if name and name not in names:  # "" is an input that is left out
            names[name] = graph.name(name)
        return names.get(name, "")

    for tensor in nodes.initializer:
        graph.container.add_initializer(renamed(tensor.name), tensor.data_type, None, tensor)
    for node in nodes.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        graph.add(
            node.op_type,
            [renamed(name) for name in node.input],
            [renamed(name) for name in node.output],
            node.domain,
            **attributes,
        )
    return renamed(nodes.output[0].name)


def _export(module: nn.Module, example: Tensor) -> Any:
    """The graph that torch makes of a module."""
    name = type(module).__name__
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"the module {name} is exported by torch, which needs onnxscript: install it by "
            '`pip install "lelp-sklearn[onnx]"`.'
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what its parts will change one day
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("rows")},),
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise NotInOnnx(f"torch cannot export the module {name} to ONNX: {error}") from error
    assert program is not None
    return program.model_proto.graph
