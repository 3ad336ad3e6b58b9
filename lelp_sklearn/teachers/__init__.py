"""Whatever the user has, as a teacher: predict_proba, and transform for embeddings."""

from lelp_sklearn.teachers._cache import TeacherCache
from lelp_sklearn.teachers._composite import CompositeTeacher
from lelp_sklearn.teachers._dispatch import as_teacher, check_teacher, fitted_teacher
from lelp_sklearn.teachers._ensemble import TeacherEnsemble
from lelp_sklearn.teachers._outputs import align_proba, teacher_outputs
from lelp_sklearn.teachers._sklearn import SklearnTeacher
from lelp_sklearn.teachers._skorch import SkorchTeacher
from lelp_sklearn.teachers._text import SentenceTransformerTeacher
from lelp_sklearn.teachers._token_vectors import token_vectors
from lelp_sklearn.teachers._torch import TorchTeacher
from lelp_sklearn.teachers._transformers import TransformersTeacher

__all__ = [
    "CompositeTeacher",
    "SentenceTransformerTeacher",
    "SklearnTeacher",
    "SkorchTeacher",
    "TeacherCache",
    "TeacherEnsemble",
    "TorchTeacher",
    "TransformersTeacher",
    "align_proba",
    "as_teacher",
    "check_teacher",
    "fitted_teacher",
    "teacher_outputs",
    "token_vectors",
]
