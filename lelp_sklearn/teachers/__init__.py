"""Whatever the user has, as a teacher: predict_proba, and transform for embeddings."""

from lelp_sklearn.teachers._outputs import teacher_outputs

__all__ = ["teacher_outputs"]
