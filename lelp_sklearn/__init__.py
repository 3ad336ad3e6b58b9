"""Knowledge distillation for binary and few-class problems, scikit-learn style."""

import logging
from importlib.metadata import version

from lelp_sklearn.distillation import DistilledClassifier
from lelp_sklearn.inputs import TableInputs, TokenInputs
from lelp_sklearn.inspection import (
    HistoryDisplay,
    SplitterComparison,
    SubclassDisplay,
    compare_splitters,
)
from lelp_sklearn.networks import MLP, BagOfNgrams, Linear, StaticText, TabularMLP, TextCNN
from lelp_sklearn.objectives import (
    KD,
    LELP,
    CrossEntropy,
    Objective,
    Stage,
    Stages,
    WeightedSum,
)
from lelp_sklearn.outputs import BodyOutputs, StudentOutputs, TeacherOutputs
from lelp_sklearn.report import DistillationReport
from lelp_sklearn.students import LELPStudentClassifier, StudentClassifier
from lelp_sklearn.subclasses import (
    AutoencoderSplitter,
    ClusterSplitter,
    EnsembleSplitter,
    GraphSplitter,
    ICASplitter,
    LELPProjector,
    OracleSplitter,
    RandomSplitter,
    SubclassSplitter,
    UniformSplitter,
    propagate_labels,
)
from lelp_sklearn.teachers import (
    CompositeTeacher,
    SentenceTransformerTeacher,
    SklearnTeacher,
    SkorchTeacher,
    TeacherCache,
    TeacherEnsemble,
    TorchTeacher,
    TransformersTeacher,
    as_teacher,
    check_teacher,
    teacher_outputs,
    token_vectors,
)

__version__ = version("lelp-sklearn")

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "KD",
    "LELP",
    "MLP",
    "AutoencoderSplitter",
    "BagOfNgrams",
    "BodyOutputs",
    "ClusterSplitter",
    "CompositeTeacher",
    "CrossEntropy",
    "DistillationReport",
    "DistilledClassifier",
    "EnsembleSplitter",
    "GraphSplitter",
    "HistoryDisplay",
    "ICASplitter",
    "LELPProjector",
    "LELPStudentClassifier",
    "Linear",
    "Objective",
    "OracleSplitter",
    "RandomSplitter",
    "SentenceTransformerTeacher",
    "SklearnTeacher",
    "SkorchTeacher",
    "SplitterComparison",
    "Stage",
    "Stages",
    "StaticText",
    "StudentClassifier",
    "StudentOutputs",
    "SubclassDisplay",
    "SubclassSplitter",
    "TableInputs",
    "TabularMLP",
    "TeacherCache",
    "TeacherEnsemble",
    "TeacherOutputs",
    "TextCNN",
    "TokenInputs",
    "TorchTeacher",
    "TransformersTeacher",
    "UniformSplitter",
    "WeightedSum",
    "as_teacher",
    "check_teacher",
    "compare_splitters",
    "propagate_labels",
    "teacher_outputs",
    "token_vectors",
]
