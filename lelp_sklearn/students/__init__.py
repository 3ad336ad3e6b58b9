"""Students: scikit-learn classifiers around small torch networks."""

from lelp_sklearn.students._classifier import StudentClassifier
from lelp_sklearn.students._lelp import LELPStudentClassifier
from lelp_sklearn.students._retrieval import RetrievalAugmentedClassifier
from lelp_sklearn.students._subclass_teacher import SubclassTeacher

__all__ = [
    "LELPStudentClassifier",
    "RetrievalAugmentedClassifier",
    "StudentClassifier",
    "SubclassTeacher",
]
