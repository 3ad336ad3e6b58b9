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
from sklearn.feature_selection import (
    SelectFdr,
    SelectFpr,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    VarianceThreshold,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.validation import check_is_fitted

from lelp_sklearn import _buffers
from lelp_sklearn._torch import UsualSettings
from lelp_sklearn.distillation import DistilledClassifier
from lelp_sklearn.inputs._columns import is_frame
from lelp_sklearn.persistence._onnx_check import (
    AnswersOtherwise,
    check_answers,
    check_made_up_rows,
    differences,
    said,
    same_values,
)
from lelp_sklearn.persistence._onnx_graph import OPSET, NotInOnnx
from lelp_sklearn.persistence._onnx_steps import (
    as_skl2onnx_knows,
    convert_normalizer,
    convert_selection,
    find_step,
)
from lelp_sklearn.persistence._onnx_student import check_inputs, register_students
from lelp_sklearn.persistence._onnx_text import check_text_steps, convert_text
from lelp_sklearn.serving import OnnxStudent, as_array
from lelp_sklearn.students import RetrievalAugmentedClassifier
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._pipelines import without_samplers

if TYPE_CHECKING:
    from onnx import ModelProto

logger = logging.getLogger(__name__)
# What to export in the place of a model no step of which is to blame.
_WHOLE = {
    "Pipeline": "A sample whose columns are all of one type, such as float32, may help; or export "
    "the student in it by itself, and apply the rest to rows and answers where it is served",
    "VotingClassifier": "Export one with voting='soft' and flatten_transform=False, or a student "
    "in it by itself",
}
_SELECTORS = (SelectKBest, SelectPercentile, SelectFpr, SelectFdr, SelectFwe, VarianceThreshold)


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
    answers as the estimator does, or nothing is written: for the sample, and for rows made from it
    such as come later, with unseen, rare and empty categories, missing and extreme numbers and
    zeros, and one by one. Rows that the estimator itself refuses are left out.

    Parameters
    ----------
    estimator : estimator
        A student, SubclassTeacher or RetrievalAugmentedClassifier with a body of dense or sparse
        rows, a Pipeline of steps that skl2onnx knows and one of these, a DistilledClassifier or a
        search with one of them.
    sample : array-like of shape (n_rows, n_features), data frame, or sequence of str
        Rows as ``predict_proba`` takes them, to compare the answers on; a few thousand typical ones
        say most. They also set the types of the model's inputs: float64 rows make a model that
        scales them in float64, as scikit-learn does, and is fed float64, as is every model of a
        student whose columns float32 would round by a thousandth of their spread. A data frame
        makes one input a column, or a single one where all columns are numbers and no
        ColumnTransformer asks for their names; sparse rows make a dense input.
    path : path or binary file, optional
        The file to write, or one that is open for writing bytes, as ``io.BytesIO()`` is.
    atol : float, default=1e-5
        Largest difference of a probability from the estimator's; ten times that for rows that are
        made from the sample.
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
        If a step, or what reads the student's rows, has no exact form in ONNX; the message names
        the step, and what to use instead. TF-IDF has one if its ``token_pattern`` is one class of
        ASCII characters, such as ``r"[a-zA-Z0-9_]+"``. If ``path`` is no path, or a file that is
        open for text.
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
    if path is not None:
        _buffers.is_buffer(path, "write")  # raises for a file of text, before anything is done
    check_is_fitted(estimator)
    model = without_samplers(_innermost(estimator))
    check_text_steps(model)
    if isinstance(model, BaseStudentClassifier | RetrievalAugmentedClassifier):
        check_inputs(model)
    if not hasattr(model, "predict_proba"):
        raise TypeError(
            f"{type(model).__name__} has no predict_proba, and the model in ONNX gives "
            "probabilities: export one that has it (voting='soft', say), or a student in it."
        )
    expected = model.predict_proba(sample), model.predict(sample)
    proto, measured = _checked(model, sample, expected, atol)
    known = {"classes": np.asarray(model.classes_).tolist(), **_columns(sample, proto)}
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
    if path is not None:
        _buffers.write(path, proto.SerializeToString())
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


def _checked(
    model: Any, sample: Any, expected: tuple[Any, Any], atol: float
) -> tuple[ModelProto, dict[str, Any]]:
    """The first model, by the types of its inputs, that answers as it should; and its summary."""
    looks_up = _holds(model, RetrievalAugmentedClassifier)
    classes = np.asarray(model.classes_).tolist()
    failures: list[Exception] = []
    for types in _types_to_try(model, sample):
        try:
            proto = _converted(model, types)
            served = _served(proto, {"classes": classes, **_columns(sample, proto)}, {})
            measured = check_answers(served, sample, expected, atol, looks_up)
            check_made_up_rows(served, model, sample, np.inf if looks_up else 10 * atol)
        except (ImportError, NotInOnnx):
            raise
        except Exception as error:  # of any class, by skl2onnx and onnxruntime
            failures.append(error)
        else:
            return proto, measured
    otherwise = (failure for failure in failures if isinstance(failure, AnswersOtherwise))
    cause = next(otherwise, failures[0])
    raise _refusal(model, sample, cause) from cause


def _refusal(model: Any, sample: Any, error: Exception) -> Exception:
    """An error that names the step and a remedy, where it is one step by itself."""
    name = type(model).__name__
    made_up = error.rows if isinstance(error, AnswersOtherwise) else None
    found = find_step(model, [sample] if made_up is None else [sample, made_up], _problem)
    if isinstance(error, AnswersOtherwise):
        if found is None:
            return ValueError(str(error))
        step, problem = found
        cls = ValueError if made_up is None else TypeError
        return cls(f"{error} It is {step} that {problem}: {step.instead}.")
    if found is None:
        return TypeError(
            f"skl2onnx cannot convert {name}, or onnxruntime cannot run what it makes of it: "
            f"{said(error)}. {_WHOLE.get(name, _WHOLE['Pipeline'])}."
        )
    step, problem = found
    return TypeError(f"skl2onnx cannot convert {name}: {step} {problem}. Instead, {step.instead}.")


def _problem(transformer: Any, rows: Any) -> str | None:
    """What is wrong with a step alone, for rows that reach it."""
    expected = transformer.transform(rows)
    problems: dict[int, str] = {}  # the lower, the nearer to an answer
    for types in _types_to_try(transformer, rows):
        try:
            proto = _converted(transformer, types)
        except Exception as error:
            problems.setdefault(2, f"has no form in ONNX that skl2onnx knows ({said(error)})")
            continue
        try:
            served = _served(proto, {"classes": [0], **_columns(rows, proto)}, {})
            found = served._run_chunk(served._columns(rows), None)[0]
        except Exception as error:
            problems.setdefault(1, f"fails in onnxruntime ({said(error)})")
            continue
        if same_values(found, expected):
            return None
        problems.setdefault(0, "gives other values in ONNX")
    return problems[min(problems)]


def _types_to_try(model: Any, sample: Any) -> list[list[tuple[str, Any]]]:
    """Types of the inputs, the most exact first: steps know some mixtures only, or float32 only."""
    tried: list[list[tuple[str, Any]]] = []
    wide = _needs_float64(model)
    for real in (np.float64,) if wide else (np.float64, np.float32):
        for whole, truth in ((np.int64, np.bool_), (np.int64, np.int64), (real, real)):
            dtypes: dict[str, type] = {"f": real, "i": whole, "u": whole, "b": truth}
            dtypes["narrow"] = real if wide else np.float32
            types = _input_types(model, sample, dtypes)
            described = [(name, type(kind)) for name, kind in types]
            if all(described != [(name, type(kind)) for name, kind in other] for other in tried):
                tried.append(types)
    return tried


@UsualSettings()
def _converted(model: Any, types: list[tuple[str, Any]]) -> ModelProto:
    try:
        from skl2onnx import convert_sklearn
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx, skl2onnx and onnxruntime: install them by "
            '`pip install "lelp-sklearn[onnx]"`.'
        ) from error
    register_students()
    model = as_skl2onnx_knows(model)
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    return convert_sklearn(
        model,
        "lelp_sklearn",
        initial_types=types,
        options=options,
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        custom_conversion_functions={
            CountVectorizer: convert_text,
            TfidfVectorizer: convert_text,
            Normalizer: convert_normalizer,
            **dict.fromkeys(_SELECTORS, convert_selection),
        },
    )


def _holds(model: Any, cls: type) -> bool:
    """Whether it, or an estimator that is a parameter of it, is of a class."""
    return any(isinstance(step, cls) for step in (model, *model.get_params(deep=True).values()))


def _input_types(model: Any, sample: Any, dtypes: dict[str, type]) -> list[tuple[str, Any]]:
    """Names and types of the model's inputs, by the kinds of dtype in the sample."""
    if not is_frame(sample):
        rows = sample if sparse.issparse(sample) else as_array(sample)
        width = 1 if rows.ndim == 1 else rows.shape[1]
        return [("X", _tensor_type("X", rows, width, dtypes))]
    columns = {str(name): as_array(sample[name]) for name in sample.columns}
    by_name = _holds(model, ColumnTransformer)
    if by_name or not {values.dtype.kind for values in columns.values()} <= set("fiub"):
        return [(name, _tensor_type(name, c, 1, dtypes)) for name, c in columns.items()]
    rows = np.empty(0, np.result_type(*columns.values()))
    return [("X", _tensor_type("X", rows, len(columns), dtypes))]


def _needs_float64(model: Any) -> bool:
    """Whether float32 cannot hold what the student was trained on."""
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    inputs = getattr(getattr(model, "student_", model), "inputs_", None)
    return getattr(inputs, "needs_float64", False)


def _tensor_type(name: str, values: Any, width: int, dtypes: dict[str, type]) -> Any:
    from skl2onnx.common import data_types

    kind, shape = values.dtype.kind, [None, width]
    if kind in dtypes:
        narrow = kind == "f" and values.dtype.itemsize <= 4
        return {
            np.float64: data_types.DoubleTensorType,
            np.float32: data_types.FloatTensorType,
            np.int64: data_types.Int64TensorType,
            np.bool_: data_types.BooleanTensorType,
        }[dtypes["narrow" if narrow else kind]](shape)
    strange = {type(value).__name__ for value in values.ravel() if not isinstance(value, str)}
    if strange:
        matrix = width > 1 and kind == "O"
        raise NotInOnnx(
            f"{name} holds {', '.join(sorted(strange))}; ONNX models take numbers, or strings of "
            "which none is missing: fill those in, and leave other columns out."
            + (" Fit and export with a data frame, whose columns have types." if matrix else "")
        )
    return data_types.StringTensorType(shape)


def _columns(sample: Any, proto: ModelProto) -> dict[str, Any]:
    """What the served model has to know of its columns."""
    from onnx import TensorProto

    inputs = [one.type.tensor_type for one in proto.graph.input]
    floats = [one.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE) for one in inputs]
    if not is_frame(sample):
        rows = sample if sparse.issparse(sample) else as_array(sample)
        whole = ["X"] if floats[0] and rows.dtype.kind in "iub" else []
        return {"n_features": inputs[0].shape.dim[1].dim_value, "columns": None, "whole": whole}
    names = [str(name) for name in sample.columns]
    floats = floats if len(floats) == len(names) else floats * len(names)
    kinds = [as_array(sample[name]).dtype.kind for name in sample.columns]
    if len(inputs) == 1 and "f" in kinds:
        kinds = ["f"] * len(kinds)  # one matrix, of floats in the sample, too
    whole = [
        n for n, kind, wide in zip(names, kinds, floats, strict=True) if wide and kind in "iub"
    ]
    return {"n_features": len(names), "columns": names, "whole": whole}


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
