"""Students and Pipelines as ONNX models, checked row by row before they are written."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils.validation import check_is_fitted

from lelp_sklearn._buffers import is_buffer, write_to
from lelp_sklearn._writing import write_whole
from lelp_sklearn.distillation import DistilledClassifier
from lelp_sklearn.inputs._columns import is_frame
from lelp_sklearn.persistence._onnx_check import check_answers, differences
from lelp_sklearn.persistence._onnx_graph import OPSET
from lelp_sklearn.persistence._onnx_student import check_inputs, register_students
from lelp_sklearn.persistence._onnx_text import check_text_steps, convert_text
from lelp_sklearn.serving import OnnxStudent
from lelp_sklearn.students import RetrievalAugmentedClassifier
from lelp_sklearn.students._base import BaseStudentClassifier

if TYPE_CHECKING:
    from onnx import ModelProto

logger = logging.getLogger(__name__)


def to_onnx(
    estimator: Any,
    sample: ArrayLike,
    path: str | os.PathLike[str] | IO[bytes] | None = None,
    *,
    atol: float = 1e-5,
    quantize: bool = False,
    min_agreement: float = 0.99,
) -> ModelProto:
    """Make an ONNX model of a fitted student, or of a Pipeline that ends in one.

    The model maps rows to ``label`` and ``probabilities``, of classes: subclasses are folded. It
    answers for the sample as the estimator does, or nothing is written.

    Parameters
    ----------
    estimator : estimator
        A student, SubclassTeacher or RetrievalAugmentedClassifier with a body of dense or sparse
        rows, a Pipeline of steps that skl2onnx knows and one of these, a DistilledClassifier or a
        search with one of them.
    sample : array-like of shape (n_rows, n_features), data frame, or sequence of str
        Rows as ``predict_proba`` takes them, to compare the answers on; a few thousand typical ones
        say most. They also set the types of the model's inputs: float64 rows make a model that
        scales them in float64, as scikit-learn does, and is fed float64. A data frame makes one
        input a column, or a single one where all columns are numbers and no ColumnTransformer asks
        for their names; sparse rows make a dense input.
    path : path or binary file, optional
        The file to write, or one that is open for writing bytes, as ``io.BytesIO()`` is.
    atol : float, default=1e-5
        Largest difference of a probability from the estimator's.
    quantize : bool, default=False
        Whether the weights are stored as 8-bit integers, which makes the file of a large student
        about four times smaller and its probabilities less exact.
    min_agreement : float, default=0.99
        Least share of the sample's rows for which a quantized model names the same class.

    Returns
    -------
    onnx.ModelProto
        The model. Its metadata name the classes and what was measured; see
        :attr:`OnnxStudent.export_`.

    Raises
    ------
    ImportError
        Without onnx, skl2onnx and onnxruntime, or onnxscript for a body that is not this package's.
    TypeError
        If a step, or what reads the student's rows, has no exact form in ONNX. TF-IDF has one if
        its ``token_pattern`` is one class of ASCII characters, such as ``r"[a-zA-Z0-9_]+"``.
    ValueError
        If probabilities or labels differ from the estimator's; the message shows the rows.

    See Also
    --------
    OnnxStudent : Serves the file without torch and scikit-learn.

    Notes
    -----
    A label may differ where the two most probable classes are within ``atol``. With ``lowercase``,
    ONNX leaves letters outside ASCII as they are, which no ``token_pattern`` of ASCII characters
    sees, but for the Kelvin sign and the dotted capital I, whose lower-case forms are ASCII. TF-IDF
    rows are dense in ONNX: with 20,000 words, 80 kB a row.

    A RetrievalAugmentedClassifier compares with all entries, exactly, for 4 bytes an entry and row,
    whatever its ``index``. A row that it was trained on finds its own entry there, too: sample rows
    that it was not trained on. The file holds the entries, made of training rows.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from lelp_sklearn import BagOfNgrams, CrossEntropy, StudentClassifier, to_onnx
    >>> texts = ["a fine film", "a dull film", "what a joy", "what a bore"]
    >>> classifier = make_pipeline(
    ...     TfidfVectorizer(token_pattern=r"[a-zA-Z0-9_]+"),
    ...     StudentClassifier(BagOfNgrams, objective=CrossEntropy(), random_state=0),
    ... ).fit(texts, ["good", "bad", "good", "bad"])
    >>> [output.name for output in to_onnx(classifier, texts).graph.output]
    ['label', 'probabilities']
    """
    to_buffer = path is not None and is_buffer(path, "write")
    check_is_fitted(estimator)
    model = _innermost(estimator)
    check_text_steps(model)
    if isinstance(model, BaseStudentClassifier | RetrievalAugmentedClassifier):
        check_inputs(model)
    expected = model.predict_proba(sample), model.predict(sample)
    proto = _converted(model, sample)
    known = {"classes": np.asarray(model.classes_).tolist(), **_columns(sample, proto)}
    try:
        served = _served(proto, known, {})
    except Exception:  # onnxruntime knows some steps of scikit-learn in float32 only
        proto = _converted(model, sample, narrow=True)
        served = _served(proto, known, {})
    measured = check_answers(
        served, sample, expected, atol, _holds(model, RetrievalAugmentedClassifier)
    )
    if quantize:
        proto = _quantized(proto)
        measured = differences(_served(proto, known, {}), sample, expected)[0]
        if measured["label_agreement"] < min_agreement:
            raise ValueError(
                f"the quantized model names the same class for {measured['label_agreement']:.2%} "
                f"of the {measured['rows']} rows of the sample, fewer than min_agreement="
                f"{min_agreement}: export it without quantize."
            )
    measured["quantized"] = quantize
    _served(proto, known, measured)
    logger.info("ONNX model against its estimator: %s", measured)
    if to_buffer:
        write_to(path, proto.SerializeToString())
    elif path is not None:
        write_whole(path, proto.SerializeToString())
    return proto


def _innermost(estimator: Any) -> Any:
    """What predicts, out of distillation and search."""
    while True:
        if isinstance(estimator, DistilledClassifier):
            estimator = estimator.student_
        elif isinstance(estimator, BaseSearchCV):
            estimator = estimator.best_estimator_
        else:
            return estimator


def _converted(model: Any, sample: Any, narrow: bool = False) -> ModelProto:
    try:
        from skl2onnx import convert_sklearn
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx, skl2onnx and onnxruntime: install them by "
            '`pip install "lelp-sklearn[onnx]"`.'
        ) from error
    register_students()
    try:
        return convert_sklearn(
            model,
            "lelp_sklearn",
            initial_types=_input_types(model, sample, narrow),
            options={id(model): {"zipmap": False}},
            target_opset={"": OPSET, "ai.onnx.ml": 3},
            custom_conversion_functions={
                CountVectorizer: convert_text,
                TfidfVectorizer: convert_text,
            },
        )
    except (RuntimeError, NotImplementedError) as error:
        raise TypeError(
            f"skl2onnx cannot convert {type(model).__name__}: {str(error).strip()}"
        ) from error


def _holds(model: Any, cls: type) -> bool:
    """Whether it, or an estimator that is a parameter of it, is of a class."""
    return any(isinstance(step, cls) for step in (model, *model.get_params(deep=True).values()))


def _input_types(model: Any, sample: Any, narrow: bool) -> list[tuple[str, Any]]:
    """Names and types of the model's inputs; ``narrow`` makes all floats float32."""
    if not is_frame(sample):
        rows = sample if sparse.issparse(sample) else np.asarray(sample)
        width = 1 if rows.ndim == 1 else rows.shape[1]
        return [("X", _tensor_type("X", rows, width, narrow))]
    columns = {str(name): np.asarray(sample[name]) for name in sample.columns}
    by_name = _holds(model, ColumnTransformer)
    if by_name or not {values.dtype.kind for values in columns.values()} <= set("fiub"):
        return [(name, _tensor_type(name, c, 1, narrow)) for name, c in columns.items()]
    rows = np.empty(0, np.result_type(*columns.values()))
    return [("X", _tensor_type("X", rows, len(columns), narrow))]


def _tensor_type(name: str, values: Any, width: int, narrow: bool) -> Any:
    from skl2onnx.common import data_types

    kind, shape = values.dtype.kind, [None, width]
    if kind == "f":
        wide = values.dtype.itemsize > 4 and not narrow
        return (data_types.DoubleTensorType if wide else data_types.FloatTensorType)(shape)
    if kind in "iu":
        return data_types.Int64TensorType(shape)
    if kind == "b":
        return data_types.BooleanTensorType(shape)
    strange = {type(value).__name__ for value in values.ravel() if not isinstance(value, str)}
    if strange:
        raise TypeError(
            f"{name} holds {', '.join(sorted(strange))}; ONNX models take numbers, or strings of "
            "which none is missing: fill those in, and leave other columns out."
        )
    return data_types.StringTensorType(shape)


def _columns(sample: Any, proto: ModelProto) -> dict[str, Any]:
    if is_frame(sample):
        names = [str(name) for name in sample.columns]
        return {"n_features": len(names), "columns": names}
    width = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    return {"n_features": width, "columns": None}


def _served(proto: ModelProto, known: dict[str, Any], export: dict[str, Any]) -> OnnxStudent:
    """Write down what is known of a model, and load it as it will be served."""
    from onnx import helper

    helper.set_model_props(proto, {"lelp_sklearn": json.dumps({**known, "export": export})})
    return OnnxStudent(proto.SerializeToString())


def _quantized(proto: ModelProto) -> ModelProto:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # What its advice to prepare large graphs goes by, which this one has no need of.
    onnx.helper.set_model_props(proto, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.onnx")
        quantize_dynamic(
            proto,
            file,
            weight_type=QuantType.QInt8,
            # The last sum over subclasses: of 0 and 1, and all there is to lose is exactness.
            nodes_to_exclude=[n.name for n in proto.graph.node if "probabilities" in n.output],
        )
        return onnx.load(file)
