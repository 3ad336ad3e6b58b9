"""The meta-estimator most users start with: a teacher and a student, one fit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
)

from lelp_sklearn._checks import check_class_labels, check_groups, check_magnitude
from lelp_sklearn._compat import (
    HasMethods,
    Interval,
    StrOptions,
    check_sample_weight,
    clone_parameters,
    fit_context,
)
from lelp_sklearn._defaults import DefaultObjects
from lelp_sklearn._rows import n_rows, stack_rows
from lelp_sklearn._seeds import seed_unseeded
from lelp_sklearn._tables import check_same_series
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.report import DistillationReport, report_on
from lelp_sklearn.students import LELPStudentClassifier
from lelp_sklearn.students._all_or_nothing import all_or_nothing
from lelp_sklearn.students._checking import Ahead, check_student
from lelp_sklearn.students._checkpoint import check_checkpoint
from lelp_sklearn.students._inputs import class_codes
from lelp_sklearn.students._pipelines import fit_student, last_step, last_student
from lelp_sklearn.teachers import TeacherCache, align_proba, as_teacher, fitted_teacher
from lelp_sklearn.teachers._cache import asker
from lelp_sklearn.teachers._dispatch import possible_fields
from lelp_sklearn.teachers._fitting import is_fitted
from lelp_sklearn.teachers._out_of_fold import (
    fit_params,
    given,
    mean_proba,
    out_of_fold_proba,
)
from lelp_sklearn.teachers._sklearn import takes_weight

# A fitted teacher that is wrong about so few of so many rows has most likely seen them.
_ENOUGH_TO_TELL = 50
_WRONG_IF_UNKNOWN = 0.005


def _student_has(name: str) -> Callable[[Any], bool]:
    def check(distilled: DistilledClassifier) -> bool:
        return hasattr(distilled._student(), name)

    return check


def _last_step_has(name: str) -> Callable[[Any], bool]:
    def check(distilled: DistilledClassifier) -> bool:
        return hasattr(last_step(distilled._student()), name)

    return check


def _learns_in_parts(distilled: DistilledClassifier) -> bool:
    student = distilled._student()
    if not hasattr(student, "partial_fit"):
        raise AttributeError(
            f"{type(student).__name__} has no partial_fit, so that this {type(distilled).__name__} "
            "has none: use a StudentClassifier or LELPStudentClassifier itself as student, with "
            "what stands before it in a Pipeline done to X beforehand."
        )
    if not (isinstance(distilled.cv, str) or distilled.refit_teacher):
        raise AttributeError(
            "refit_teacher=False leaves no teacher that could be asked about further rows: "
            "partial_fit needs refit_teacher=True, or cv='prefit'."
        )
    return True


class DistilledClassifier(
    DefaultObjects,
    MetaEstimatorMixin,
    ClassifierMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # the student's transform sees to it
):
    """Ask a teacher about the training rows, train a student on the answers, predict with it.

    Parameters
    ----------
    teacher : estimator
        Whatever :func:`as_teacher` can make a teacher of: a scikit-learn classifier or Pipeline,
        a tree ensemble, a torch module, a fitted student; or any object with ``predict_proba``
        and, where the student needs embeddings, ``transform``. A fitted tree ensemble learns its
        embedding from the rows given; ``as_teacher(forest, X)`` fixes it for all folds of a search.
    student : estimator, default=None
        A student of this package, a Pipeline that ends in one, or a search over either. It may
        read other columns than the teacher: both get the raw X. None is
        ``LELPStudentClassifier()``, whose parameters are set as ``student__lr``.
    cv : "prefit", int or splitter, default="prefit"
        "prefit": the teacher is fitted, is not fitted again, and clones of this estimator share
        it; it has to have been fitted on other rows. Otherwise it is cloned and fitted here, and
        each row's probabilities come from a teacher that did not see the row: those of a teacher
        that did are near one-hot. A number makes as many shuffled folds, stratified by class, that
        keep ``groups`` whole; a splitter is used as it is. Rows that no teacher can be asked about
        are learned from their labels alone, with a warning: those in no test fold (as with
        ``TimeSeriesSplit``), and those of a class that the other folds lack.
    cache : TeacherCache, path or None, default=None
        Where the teacher's answers are kept, by content of teacher and row, so that a search asks
        about each row once. A path is a folder. Clones share a cache.
    refit_teacher : bool, default=True
        With ``cv`` other than "prefit": whether the teacher is fitted on all rows too. Embeddings
        come from that one, as the teacher of each fold has a space of its own. Without it there
        are none, no ``teacher_``, and unlabelled rows get the mean of the folds' teachers.
    augment : Augmenter, default=None
        Makes new rows from the training rows, such as ``Mixup(random_state=0)``, by the seed it
        has. They join as unlabelled rows of weight 1: the teacher is asked about them, through the
        cache, and no label is made up for them. Any object with ``fit(X, y)`` and
        ``sample(n_samples)`` will do; it is cloned.
    augment_factor : float, default=1.0
        New rows for each row of X; with 0, none are made.
    random_state : int, RandomState or None, default=None
        Seeds the shuffle of the folds, and all that is random in the teacher fitted here, the
        student and the augmenter and has no seed of its own. None leaves them as they are, and
        shuffles the folds by a fixed seed: parts that are seeded give equal models in each fit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    teacher_ : estimator
        The fitted teacher. Predicting does not need it.
    student_ : estimator
        The fitted student.
    history_ : list of dict
        The student's record of each epoch.
    n_features_in_ : int
        Columns of X, where the student counts them.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had such.

    See Also
    --------
    LELPStudentClassifier, StudentClassifier : Students, for teacher outputs held as arrays.
    TeacherCache : Asks about each row once.
    TeacherEnsemble : Several teachers as one.
    Augmenter, Mixup, Munge, WordAugmenter : New rows to ask the teacher about.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.neural_network import MLPClassifier
    >>> from lelp_sklearn import DistilledClassifier, LELPStudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X / 16, digit % 2, random_state=0)
    >>> teacher = MLPClassifier([64], solver="lbfgs", random_state=0).fit(X, y)
    >>> student = LELPStudentClassifier(subclass_weight=0.1, random_state=0)
    >>> distilled = DistilledClassifier(teacher, student).fit(X, y)
    >>> distilled.score(X_test, y_test) > 0.93
    True
    >>> report = distilled.report(X_test, y_test)
    >>> report.rows["student"]["parameters"] < report.rows["teacher"]["parameters"]
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "teacher": "no_validation",
        "student": [HasMethods(["fit"]), None],
        "cv": ["cv_object", StrOptions({"prefit"})],
        "cache": [TeacherCache, str, os.PathLike, None],
        "refit_teacher": ["boolean"],
        "augment": [HasMethods(["fit", "sample"]), None],
        "augment_factor": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }
    __metadata_request__partial_fit = {"X_unlabeled": True, "groups": True}  # noqa: RUF012
    __metadata_request__fit = {  # noqa: RUF012
        "X_unlabeled": True,
        "groups": True,
        "checkpoint": True,
        "checkpoint_every": True,
    }

    def __init__(
        self,
        teacher: Any,
        student: Any = None,
        *,
        cv: Any = "prefit",
        cache: TeacherCache | str | os.PathLike[str] | None = None,
        refit_teacher: bool = True,
        augment: Any = None,
        augment_factor: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.teacher = teacher
        self.student = student
        self.cv = cv
        self.cache = cache
        self.refit_teacher = refit_teacher
        self.augment = augment
        self.augment_factor = augment_factor
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_unlabeled: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | timedelta = 1,
    ) -> DistilledClassifier:
        """Ask the teacher, and train the student.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows, as teacher and student take them.
        y : array-like of shape (n_rows,)
            Labels.
        sample_weight : array-like of shape (n_rows,), optional
            Weights for the student, and for a teacher that is fitted here and takes them.
        groups : array-like of shape (n_rows,), optional
            Groups of rows that belong together, such as those of one patient. The folds of ``cv``
            keep them whole, or are made of them by a splitter such as ``GroupKFold``, and so does
            what a student holds out, or a teacher whose fit takes ``groups``.
        X_unlabeled : array-like of shape (n_unlabeled, n_features), optional
            Further rows, for which the student learns from the teacher alone.
        checkpoint : str or PathLike, optional
            A file for the state of the student's training, which goes on from it as in
            :meth:`StudentClassifier.fit`. The teacher is fitted and asked again, and a file of
            other answers is an error: it, ``cv`` and ``augment`` need seeds. A cache saves the
            asking.
        checkpoint_every : int or datetime.timedelta, default=1
            Epochs, or the least time, between two writings.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an array is not what is expected, the checkpoint is of another fit, or the student
            takes none: a search trains many, and a Pipeline has other steps. Any error leaves this
            estimator as it was before the call.

        Warns
        -----
        UserWarning
            If rows are left without an answer of the teacher; or if a prefit teacher is right
            about all but every row, as one is that was trained on them.
        """
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        if self.teacher is None:
            raise ValueError(
                "teacher is None, as it is in what load gives: set_params(teacher=...) to a "
                "classifier, fitted if cv='prefit'."
            )
        student = self._to_be_trained()
        saving: dict[str, Any] = {}
        if checkpoint is not None:
            _check_one_fit(student)
            saving = {"checkpoint": checkpoint, "checkpoint_every": checkpoint_every}
        with all_or_nothing(self):
            return self._fit(student, X, y, sample_weight, groups, X_unlabeled, saving)

    def _fit(
        self,
        student: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        X_unlabeled: Any,
        saving: dict[str, Any],
        taught: Any = None,
        partial: bool = False,
        all_classes: Any = None,
    ) -> DistilledClassifier:
        """Ask the teacher, or one that is taught by now; train the student, by an epoch or all."""
        check_consistent_length(X, y)
        check_same_series(y, X, "y")
        check_same_series(sample_weight, X, "sample_weight")
        check_same_series(groups, X, "groups")
        X, X_unlabeled = indexable(X)[0], indexable(X_unlabeled)[0]
        if X_unlabeled is not None and n_rows(X_unlabeled) == 0:
            X_unlabeled = None
        labels = check_class_labels(y)
        classes = np.unique(labels)
        if partial:
            classes = self._classes_of_parts(classes, all_classes, taught)
        weight = None
        if sample_weight is not None:
            weight = check_sample_weight(
                sample_weight, np.empty((len(labels), 1)), ensure_non_negative=True
            )
        group_numbers = check_groups(groups, X)
        self._check_ahead(student, X, labels, classes, weight, X_unlabeled, saving, partial)
        seed = None
        if self.random_state is not None:
            seed = int(check_random_state(self.random_state).randint(2**31 - 2**16))
            if taught is None:
                seed_unseeded(student, seed)
        pool = self._pool(X, labels, X_unlabeled, seed)
        if taught is None:
            outputs = self._ask(X, labels, classes, weight, group_numbers, X_unlabeled, pool, seed)
        else:
            ask, self.teacher_ = asker(self.cache), taught
            outputs = ask(taught, X, classes, labels)
            if pool is not None:
                outputs = outputs.then(ask(taught, pool, classes, None))
        arrays = {f"teacher_{name}": getattr(outputs, name) for name in outputs.given}
        if outputs.embeddings is not None:
            arrays |= given(teacher_coef=getattr(self.teacher_, "teacher_coef_", None))
        if weight is not None:
            arrays["sample_weight"] = weight
        if group_numbers is not None:
            arrays["groups"] = group_numbers
        if pool is not None:
            n_pool = n_rows(pool)
            arrays["labeled"] = np.repeat([True, False], [len(labels), n_pool])
            labels = np.concatenate([labels, np.repeat(classes[:1], n_pool)])  # never read
            if weight is not None:
                arrays["sample_weight"] = np.concatenate([weight, np.ones(n_pool)])
            if group_numbers is not None:  # each a group of its own
                alone = group_numbers.max() + 1 + np.arange(n_pool)
                arrays["groups"] = np.concatenate([group_numbers, alone])
            X = stack_rows(X, pool)
        if partial:
            self.student_ = student.partial_fit(X, labels, classes, **arrays)
        else:
            self.student_ = fit_student(student, X, labels, arrays | saving)
        self.classes_ = self.student_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.student_, name):
                setattr(self, name, getattr(self.student_, name))
        return self

    @available_if(_learns_in_parts)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_unlabeled: ArrayLike | None = None,
    ) -> DistilledClassifier:
        """Ask the teacher about further rows, and train the student on them for one epoch.

        The teacher stays what it is: a prefit one, or the one that an earlier fit or the first
        call fitted. Further rows must be new to it, or its answers are too sure of themselves. A
        first call with ``cv`` fits the teacher on its rows, which is asked out of fold about them.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows, as teacher and student take them.
        y : array-like of shape (n_rows,)
            Labels.
        classes : array-like of shape (n_classes,), optional
            All labels to come; read in the first call. None: those that a prefit teacher knows,
            or else those of y. A teacher that is fitted here needs rows of each in the first call.
        sample_weight, groups : array-like of shape (n_rows,), optional
            Weights and groups, as in :meth:`fit`.
        X_unlabeled : array-like of shape (n_unlabeled, n_features), optional
            Further rows, for which the student learns from the teacher alone.

        Returns
        -------
        self
            After an error it is what it was before the call.
        """
        again = hasattr(self, "student_")
        if y is None or (self.teacher is None and not again):
            return self.fit(X, y)  # which says why it cannot
        if again and not hasattr(self, "teacher_"):
            raise ValueError(
                "there is no teacher_ to ask about further rows, as neither refit_teacher=False "
                "nor a file of save leaves one: set teacher_ to a fitted teacher."
            )
        student = self.student_ if again else clone(self._or_default("student"))
        taught = self.teacher_ if again else None
        with all_or_nothing(self, forget=not again):
            return self._fit(
                student, X, y, sample_weight, groups, X_unlabeled, {}, taught, True, classes
            )

    def _classes_of_parts(self, present: NDArray, given: Any, taught: Any) -> NDArray:
        """All classes of a training in parts, of which some are present, and maybe all given."""
        if taught is not None:
            class_codes(present, self.classes_, np.ones(len(present), dtype=bool))
            return self.classes_
        if isinstance(self.cv, str):
            if given is None:
                given = getattr(as_teacher(self.teacher), "classes_", present)
        elif given is not None and set(np.asarray(given).tolist()) != set(present.tolist()):
            raise ValueError(
                f"classes are {np.asarray(given).tolist()} and the first rows hold "
                f"{present.tolist()}: the teacher is fitted on the first rows, and knows no other "
                "classes. Give rows of each class in the first call, or a fitted teacher and "
                "cv='prefit'."
            )
        else:
            return present
        classes = np.unique(check_class_labels(given, "classes"))
        class_codes(present, classes, np.ones(len(present), dtype=bool))
        return classes

    def _student(self) -> Any:
        """The student, fitted where it is."""
        return self.student_ if hasattr(self, "student_") else self._or_default("student")

    def _to_be_trained(self) -> Any:
        """The student that fit trains: a clone, or where it has ``warm_start`` its last self."""
        student = clone(self._or_default("student"))
        new: Any = student
        old: Any = getattr(self, "student_", None)
        holder: list[Any] = []
        while isinstance(new, Pipeline) and isinstance(old, Pipeline):
            holder, new, old = new.steps, new.steps[-1][1], old.steps[-1][1]
        if type(new) is not type(old) or not getattr(new, "warm_start", False):
            return student
        warm = deepcopy(old).set_params(**new.get_params(deep=False))
        if not holder:
            return warm
        holder[-1] = (holder[-1][0], warm)
        return student

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable class of each row, by the student alone.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_rows,)
        """
        check_is_fitted(self, "student_")
        return self.student_.predict(X)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each class, by the student alone.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
        """
        check_is_fitted(self, "student_")
        return self.student_.predict_proba(X)

    @available_if(_student_has("decision_function"))
    def decision_function(self, X: ArrayLike) -> NDArray:
        """The student's decision function.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        score : ndarray of shape (n_rows,) or (n_rows, n_classes)
        """
        check_is_fitted(self, "student_")
        return self.student_.decision_function(X)

    @available_if(_student_has("predict_log_proba"))
    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Log-probability of each class, by the student alone.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        log_proba : ndarray of shape (n_rows, n_classes)
        """
        check_is_fitted(self, "student_")
        return self.student_.predict_log_proba(X)

    @available_if(_last_step_has("predict_subclass_proba"))
    def predict_subclass_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each subclass of each class, by the student alone.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        proba : ndarray of shape (n_rows, sum of the classes' subclasses)
            See :meth:`StudentClassifier.predict_subclass_proba`.
        """
        check_is_fitted(self, "student_")
        student = getattr(self.student_, "best_estimator_", self.student_)
        while isinstance(student, Pipeline):
            X = student[:-1].transform(X) if len(student) > 1 else X
            student = student.steps[-1][1]
        return student.predict_subclass_proba(X)

    @available_if(_student_has("transform"))
    def transform(self, X: ArrayLike) -> NDArray:
        """The student's embeddings, with which it can teach the next one.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        embeddings : ndarray of shape (n_rows, width of the student's body)
        """
        check_is_fitted(self, "student_")
        return self.student_.transform(X)

    @available_if(_student_has("transform"))
    def fit_transform(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> NDArray:
        """Fit, and give the student's embeddings of the training rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows, as teacher and student take them.
        y : array-like of shape (n_rows,)
            Labels.
        **fit_params : dict
            As in :meth:`fit`.

        Returns
        -------
        embeddings : ndarray of shape (n_rows, width of the student's body)
        """
        return self.fit(X, y, **fit_params).transform(X)

    @available_if(_last_step_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Names of the columns of transform.

        Parameters
        ----------
        input_features : array-like of str, optional
            Only checked against the names seen in fit.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self, "student_")
        student = getattr(self.student_, "best_estimator_", self.student_)
        return student.get_feature_names_out(input_features)

    @available_if(_last_step_has("set_output"))
    def set_output(self, *, transform: str | None = None) -> DistilledClassifier:
        """Say in which container transform gives the embeddings.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            As in scikit-learn; None leaves it as it is.

        Returns
        -------
        self
        """
        self.student = self._or_default("student")
        # Steps before the student go on in the container that they were fitted in.
        for student in (self.student, self._student()):
            last_step(student).set_output(transform=transform)
        return self

    @property
    def history_(self) -> list[dict[str, Any]]:
        """The student's record of each epoch."""
        check_is_fitted(self, "student_")
        return last_student(self.student_).history_

    @property
    def teacher_coef_(self) -> NDArray:
        """Weights of the student's head on its embeddings, for a student that teaches."""
        check_is_fitted(self, "student_")
        return last_student(self.student_).teacher_coef_

    def report(self, X: ArrayLike, y: ArrayLike) -> DistillationReport:
        """Measure teacher and student side by side, on rows that neither was trained on.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.
        y : array-like of shape (n_rows,)
            Labels.

        Returns
        -------
        DistillationReport
            Prints as a table: accuracy, average precision, log-loss, expected calibration error,
            agreement with the teacher, parameters, bytes and rows a second.
        """
        check_is_fitted(self, "student_")
        if not hasattr(self, "teacher_"):
            raise AttributeError(
                "there is no teacher_ to report on: refit_teacher=False leaves none, and neither "
                "does a file of save. For a loaded one, set teacher_ to a fitted teacher."
            )
        check_same_series(y, X, "y")
        return report_on(self.teacher_, self.student_, X, column_or_1d(y), self.classes_)

    def _check_ahead(
        self,
        student: Any,
        X: Any,
        y: NDArray,
        classes: NDArray,
        weight: NDArray | None,
        X_unlabeled: Any,
        saving: dict[str, Any],
        partial: bool,
    ) -> None:
        """Raise what can be known to be wrong before the teacher is asked or fitted."""
        if saving:
            check_checkpoint(saving["checkpoint"], saving["checkpoint_every"], student)
        heavy = classes
        if weight is not None:
            check_magnitude(weight.astype(np.float32), "sample_weight")
            heavy = np.unique(y[weight > 0])
        if len(heavy) < (1 if partial else 2):
            raise ValueError(
                f"{type(self).__name__} needs rows of at least two classes; the labelled rows of "
                f"positive weight hold only one class, {heavy.tolist()}."
                if len(heavy)
                else f"sample_weight is zero in all {len(y)} rows: give some row a positive weight."
            )
        if len(heavy) < len(classes) and not partial:
            raise ValueError(
                f"all rows of the classes {np.setdiff1d(classes, heavy).tolist()} have "
                "sample_weight 0, so that the student would not know them and the teacher would: "
                "leave their rows out, or give some a positive weight."
            )
        prefit = isinstance(self.cv, str)
        teacher = self.teacher_ if partial and hasattr(self, "teacher_") else self.teacher
        if not (prefit and hasattr(teacher, "predict_proba") and not hasattr(teacher, "fit")):
            teacher = as_teacher(teacher)
        if prefit and is_fitted(self.teacher) and hasattr(teacher, "classes_"):
            known = np.asarray(teacher.classes_)
            align_proba(np.eye(len(known)), known, classes)
        fields = possible_fields(teacher)
        if not prefit and not self.refit_teacher:
            fields = ["proba"]
        everything = X if X_unlabeled is None else stack_rows(X, X_unlabeled)
        n_pool = n_rows(everything) - len(y)
        labels = np.concatenate([y, np.repeat(classes[:1], n_pool)])
        made = self.augment is not None and round(self.augment_factor * len(y)) > 0
        check_student(
            student, Ahead(everything, labels, classes, n_pool > 0 or made, fields, partial)
        )

    def _pool(
        self, X: ArrayLike, y: NDArray, X_unlabeled: ArrayLike | None, seed: int | None
    ) -> Any:
        """Rows without a label: those given, then those made."""
        n_new = round(self.augment_factor * len(y))
        if self.augment is None or n_new == 0:
            return X_unlabeled
        augment = clone(self.augment)
        if seed is not None:
            seed_unseeded(augment, seed)
        new = augment.fit(X, y).sample(n_new)
        return new if X_unlabeled is None else stack_rows(X_unlabeled, new)

    def _ask(
        self,
        X: ArrayLike,
        y: NDArray,
        classes: NDArray,
        weight: NDArray | None,
        groups: NDArray | None,
        X_unlabeled: ArrayLike | None,
        pool: ArrayLike | None,
        seed: int | None,
    ) -> TeacherOutputs:
        """Teacher outputs of the labelled rows, then of the pool; sets ``teacher_``."""
        ask = asker(self.cache)
        if isinstance(self.cv, str):
            # An ensemble of trees learns its embedding from the rows given, not from those made:
            # another seed of these is no other teacher.
            everything = X if X_unlabeled is None else stack_rows(X, X_unlabeled)
            self.teacher_ = fitted_teacher(self.teacher, everything)
            outputs = ask(self.teacher_, X, classes, y)
            _warn_if_known(self.teacher_, outputs.proba, np.searchsorted(classes, y))
        else:
            teacher = clone(as_teacher(self.teacher))
            if seed is not None:
                seed_unseeded(teacher, seed)
            weight = weight if takes_weight(teacher) else None
            proba, folds = out_of_fold_proba(
                teacher, X, y, classes, self.cv, weight, ask, groups=groups, seed=seed or 0
            )
            if not self.refit_teacher:
                outputs = TeacherOutputs(proba)
                return (
                    outputs
                    if pool is None
                    else outputs.then(TeacherOutputs(mean_proba(folds, pool, classes, ask)))
                )
            self.teacher_ = teacher.fit(X, y, **fit_params(teacher, weight, groups))
            outputs = replace(ask(self.teacher_, X, classes, y), proba=proba)
        if pool is None:
            return outputs
        return outputs.then(ask(self.teacher_, pool, classes, None))

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {"student": LELPStudentClassifier}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if not hasattr(self, "transform"):
            tags.transformer_tags = None
        elif tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __sklearn_clone__(self) -> DistilledClassifier:
        # A clone of a fitted teacher would be an unfitted one.
        copy = clone_parameters(self)
        if isinstance(self.cv, str):
            copy.teacher = self.teacher
        return copy


def _warn_if_known(teacher: Any, proba: NDArray | None, y: NDArray) -> None:
    """Warn of a fitted teacher that seems to have been trained on the rows it is asked about."""
    if proba is None or len(y) < _ENOUGH_TO_TELL:
        return
    name = type(getattr(teacher, "estimator", teacher)).__name__
    n_wrong = int((proba.argmax(axis=1) != y).sum())
    if n_wrong <= _WRONG_IF_UNKNOWN * len(y):
        warnings.warn(
            f"the fitted teacher {name} is wrong about {n_wrong} of the "
            f"{len(y)} labelled rows. If it was trained on them, its probabilities are too sure "
            "of themselves, and teach the student that: use cv=5, which asks about each row a "
            "teacher that did not see it, or a teacher fitted on other rows. If it was not, "
            "ignore this by warnings.filterwarnings('ignore', 'the fitted teacher').",
            UserWarning,
            stacklevel=7,
        )


def _check_one_fit(student: Any) -> None:
    """Raise ValueError for a student whose fit takes no checkpoint."""
    if not has_fit_parameter(student, "checkpoint"):
        raise ValueError(
            f"a checkpoint belongs to one fit of one student, and {type(student).__name__} takes "
            "none: expected a LELPStudentClassifier or StudentClassifier itself as student, with "
            "what stands before it in a Pipeline done to X beforehand."
        )
