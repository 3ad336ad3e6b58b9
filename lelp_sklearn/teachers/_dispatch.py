"""Whatever the user has: the adapter that makes it a teacher, or the sentence that says why not."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.model_selection._search import BaseSearchCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from skorch import NeuralNet
from torch import nn

from lelp_sklearn.teachers._fitting import gives_proba, is_fitted
from lelp_sklearn.teachers._sklearn import SklearnTeacher
from lelp_sklearn.teachers._skorch import SkorchTeacher
from lelp_sklearn.teachers._torch import TorchTeacher


def as_teacher(estimator: Any, X: Any = None) -> Any:
    """Find the adapter that gives a model ``predict_proba``, ``transform`` and ``classes_``.

    Parameters
    ----------
    estimator : object
        What has these itself (a fitted student, LinearDiscriminantAnalysis, a class of the
        user's) is returned as it is; scikit-learn's classifiers and those with their interface
        become a SklearnTeacher, skorch nets a SkorchTeacher, torch modules a TorchTeacher. Fitted
        or not.
    X : array-like, default=None
        Rows, with labels or without, for adapters of *fitted* models that have to learn the
        reduction of their embeddings (tree ensembles, sparse columns). The model is not fitted.

    Returns
    -------
    teacher : estimator

    Raises
    ------
    TypeError
        If there is no adapter, saying what is missing.

    See Also
    --------
    check_teacher : Says in a sentence what a teacher lacks.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from lelp_sklearn.teachers import as_teacher
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(n_estimators=10, random_state=0).fit(X, y)
    >>> as_teacher(forest, X).transform(X).shape
    (150, 64)
    """
    if problem := of_another_kind(estimator):
        raise TypeError(problem)
    if hasattr(estimator, "predict_proba") and hasattr(estimator, "transform"):
        return estimator
    if isinstance(estimator, NeuralNet):
        return SkorchTeacher(estimator)
    if isinstance(estimator, nn.Module):
        return _module_teacher(estimator)
    if problem := _not_a_classifier(estimator):
        raise TypeError(problem)
    teacher = SklearnTeacher(estimator)
    return teacher if X is None else teacher.fit_embedding(X)


def check_teacher(teacher: Any) -> None:
    """Say in one sentence what a teacher lacks; None if nothing.

    Parameters
    ----------
    teacher : object
        A fitted teacher.

    Raises
    ------
    TypeError
        If it lacks ``predict_proba``, ``transform`` or ``classes_``, or is a class.
    NotFittedError
        If it is not fitted.
    ValueError
        If ``classes_`` does not hold two or more different labels.

    See Also
    --------
    as_teacher : The adapter that adds what is missing.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lelp_sklearn.teachers import as_teacher, check_teacher
    >>> teacher = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
    >>> check_teacher(as_teacher(teacher))
    >>> check_teacher(teacher)
    Traceback (most recent call last):
    ...
    TypeError: LogisticRegression has no transform, which gives the embeddings: wrap it ...
    """
    name = type(teacher).__name__
    if isinstance(teacher, type):
        raise TypeError(f"{teacher.__name__} is a class: pass a fitted instance of it.")
    # Some methods of an unfitted meta-estimator only appear with the fit.
    if not is_fitted(teacher):
        raise NotFittedError(f"the teacher {name} is not fitted: call its fit first.")
    if not hasattr(teacher, "predict_proba") and not isinstance(teacher, nn.Module):
        raise TypeError(_not_a_classifier(teacher) or f"{name} has no predict_proba.")
    for method, gives in (("predict_proba", "class probabilities"), ("transform", "embeddings")):
        if not callable(getattr(teacher, method, None)):
            raise TypeError(
                f"{name} has no {method}, which gives the {gives}: wrap it by as_teacher, or give "
                f"it a method {method}(X) -> (n, {'C' if method == 'predict_proba' else 'D'})."
            )
    classes = getattr(teacher, "classes_", None)
    if classes is None:
        raise TypeError(
            f"{name} has no classes_, which names the columns of predict_proba: set it to the "
            "sorted labels."
        )
    labels = list(classes)
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(
            f"{name}.classes_ is {labels}; expected two or more different labels, one for each "
            "column of predict_proba."
        )


def fitted_teacher(teacher: Any, X: Any) -> Any:
    """A fitted model as a teacher; one that cannot be fitted speaks for itself.

    Parameters
    ----------
    teacher : object
        Fitted.
    X : array-like
        Rows, for embeddings that have to be reduced.

    Returns
    -------
    teacher : estimator

    Raises
    ------
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from lelp_sklearn.teachers import fitted_teacher
    >>> X, y = load_iris(return_X_y=True)
    >>> fitted_teacher(KNeighborsClassifier().fit(X, y), X).transform(X).shape
    (150, 4)
    """
    if not is_fitted(teacher):
        raise NotFittedError(
            f"the teacher {type(teacher).__name__} is not fitted and cv='prefit': fit it first, or "
            "set cv=5 to have it fitted here, with out-of-fold probabilities for the student."
        )
    speaks = hasattr(teacher, "predict_proba") and not hasattr(teacher, "fit")
    return teacher if speaks else as_teacher(teacher, X)


def possible_fields(teacher: Any) -> list[str] | None:
    """What a teacher may give at most, before it is asked; None where only asking tells.

    Parameters
    ----------
    teacher : estimator
        From :func:`as_teacher`, fitted or not.
    """
    if not hasattr(teacher, "outputs"):
        return ["proba", "embeddings"] if hasattr(teacher, "transform") else ["proba"]
    if not type(teacher).__module__.startswith("lelp_sklearn."):
        return None
    more = {"hidden": "hidden_states", "attention": "attention"}
    return ["proba", "embeddings", *(f for f, name in more.items() if getattr(teacher, name, None))]


def _module_teacher(module: nn.Module) -> TorchTeacher:
    name = type(module).__name__
    if hasattr(module, "encode"):
        raise TypeError(
            f"{name} has no classes: use SentenceTransformerTeacher(encoder, head).fit(texts, y), "
            "or CompositeTeacher(answers, encoder)."
        )
    if hasattr(module, "config") and hasattr(module.config, "num_labels"):
        raise TypeError(f"{name} needs its tokenizer: use TransformersTeacher(model, tokenizer).")
    return TorchTeacher(module)


_KINDS = {
    "regressor": "a regressor, whose numbers are no class probabilities: give a classifier, or "
    "what turns its numbers into probabilities as CompositeTeacher(function, embeddings)",
    "clusterer": "a clusterer, and knows no classes: give a classifier",
    "outlier_detector": "an outlier detector, and knows no classes: give a classifier",
    "density_estimator": "a density estimator, and knows no classes: give a classifier",
}


def of_another_kind(estimator: Any) -> str | None:
    """Why scikit-learn's word for an estimator keeps it from being a teacher, if it does."""
    if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator):
        return None
    try:
        tags = get_tags(estimator)
    except (AttributeError, TypeError, ValueError):  # of a part that is not there
        return None
    name = type(estimator).__name__
    if tags.estimator_type in _KINDS:
        return f"{name} is {_KINDS[tags.estimator_type]}."
    if isinstance(estimator, BaseSearchCV) and estimator.refit is False:
        return (
            f"{name} has refit=False, which keeps no classifier that could answer: set refit=True, "
            "or to the metric that decides."
        )
    if _several_outputs(estimator):
        return (
            f"{name} predicts several outputs a row, and a teacher has one: distil each output by "
            "itself, by MultiOutputClassifier(DistilledClassifier(teacher, student, cv=5))."
        )
    return None


def _several_outputs(estimator: Any) -> bool:
    """Whether a classifier, or what it holds, is of several outputs, or was fitted to such."""
    while estimator is not None and not isinstance(estimator, type):
        if isinstance(estimator, MultiOutputClassifier | ClassifierChain):
            return True
        several = isinstance(getattr(estimator, "classes_", None), list)
        if several or getattr(estimator, "multilabel_", False):
            return True
        if isinstance(estimator, MLPClassifier) and hasattr(estimator, "n_outputs_"):
            return estimator.out_activation_ == "logistic" and estimator.n_outputs_ > 1
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        else:
            held = getattr(estimator, "estimator", None)
            estimator = getattr(estimator, "best_estimator_", held)
    return False


def _not_a_classifier(estimator: Any) -> str | None:
    name = type(estimator).__name__
    if isinstance(estimator, type):
        return f"{estimator.__name__} is a class: pass an instance of it."
    if hasattr(estimator, "fit") and gives_proba(estimator):
        return None
    if hasattr(estimator, "predict_proba"):
        return f"{name} has predict_proba and no transform: add one, or use CompositeTeacher."
    if hasattr(estimator, "predict"):
        return (
            f"{name} has no predict_proba, which gives the class probabilities: wrap it in "
            "scikit-learn's CalibratedClassifierCV."
        )
    return (
        f"{name} has no predict_proba, which gives the class probabilities: expected a classifier, "
        "a torch module, a skorch net, or a class with predict_proba and transform; answers held "
        "as an array belong in CompositeTeacher."
    )
