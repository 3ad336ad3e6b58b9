"""What is known of a student's fit before it: its parameters, and a few rows as it would read them.

A teacher is asked, and many students are trained, only after this. Nothing here changes the student
or the random state, and only what would fail on all rows too is refused.
"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_class_weight

from lelp_sklearn._checks import check_names, validate_deep
from lelp_sklearn._compat import safe_indexing
from lelp_sklearn._rows import are_texts
from lelp_sklearn._searches import candidates
from lelp_sklearn._torch import UsualSettings, resolve_device
from lelp_sklearn.networks import Linear
from lelp_sklearn.networks._student import build_body, check_body_params, look_at
from lelp_sklearn.objectives import CrossEntropy
from lelp_sklearn.outputs import TeacherOutputs
from lelp_sklearn.students._batches import SliceIterator
from lelp_sklearn.students._building import make_net
from lelp_sklearn.students._pipelines import check_kind, refuse_samplers
from lelp_sklearn.students._training import check_declared, check_needs

# What skorch and this package call the callbacks that are there anyway.
_CALLBACKS = (
    *("epoch_timer", "train_loss", "valid_loss", "valid_acc", "print_log", "loss_terms"),
    *("schedule", "early_stopping", "best_weights", "progress_bar"),
)
_SAMPLE = 32  # rows, beside two of each class
_CLASSES = 20  # at most, of which the sample has two rows each
_ALL = 20_000  # rows at most that a Pipeline's steps see where the sample was not enough for them
_NO_NUMBERS = ("could not convert string to float", "Expected 2D array")  # of scikit-learn's steps
_WIDE = 100_000  # columns from which the weights of a body are not worth making


@dataclass(frozen=True)
class Ahead:
    """What a fit will be given, as far as that is known.

    Attributes
    ----------
    X : array-like or None
        Rows, unlabelled ones too. None where they are not what the student itself reads.
    y : ndarray
        Their labels; any class for unlabelled ones.
    classes : ndarray of shape (C,)
        All labels.
    unlabeled : bool
        Whether some rows have no label.
    fields : list of str or None
        What the teacher may give at most; None where only asking tells.
    partial : bool
        Whether it is a partial_fit.
    sampled : bool
        Whether X is a sample, so that a failure on it is no failure of the fit yet.
    """

    X: Any
    y: NDArray
    classes: NDArray
    unlabeled: bool = False
    fields: list[str] | None = None
    partial: bool = False
    sampled: bool = False

    def sample(self) -> Ahead:
        """A few rows, with two of each class among them."""
        n = len(self.y)
        rows = set(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(int).tolist())
        for label in self.classes[:_CLASSES]:
            rows |= set(np.flatnonzero(self.y == label)[:2].tolist())
        some = np.array(sorted(rows))
        return replace(self, X=safe_indexing(self.X, some), y=self.y[some], sampled=len(some) < n)


def check_student(student: Any, ahead: Ahead) -> None:
    """Raise what a student's fit would raise, as far as that is known before a teacher is asked.

    Parameters
    ----------
    student : estimator
        A student, a Pipeline that ends in one, or a search over either; it is not changed.
    ahead : Ahead
        What it will be given.
    """
    with _undisturbed(), UsualSettings():
        _check(student, ahead)


def check_parameters(student: Any, ahead: Ahead | None = None) -> None:
    """Check a student's parameters and all theirs, which the fit does first.

    Parameters
    ----------
    student : BaseStudentClassifier
        Not changed.
    ahead : Ahead, optional
        What it will be given.
    """
    if student.patience is not None and not student.validation_fraction:
        raise ValueError(
            f"patience={student.patience} needs held-out rows to watch: set validation_fraction, "
            "such as 0.1."
        )
    _check_skorch_names(student)
    resolve_device(student.device)
    if ahead is None:
        return
    validate_deep(student)
    objective = student._make_objective()
    if getattr(student, "subclass_weight", None) == "auto":
        objective.set_params(subclass_weight=0.0)  # which is a number when it is trained on
    check_declared(objective)
    objective._check(ahead.classes)
    if ahead.fields is not None:
        check_needs(objective, ahead.fields)
    if student.class_weight is not None:
        compute_class_weight(student.class_weight, classes=ahead.classes, y=ahead.y)


def _check_skorch_names(student: Any) -> None:
    """Refuse names behind ``module__`` and its like that nothing takes."""
    given: dict[str, list[str]] = {}
    for name in student._skorch_params:
        prefix, _, inner = name.partition("__")
        given.setdefault(prefix, []).append(inner)
    body = Linear if student.module is None else student.module
    check_body_params(body, given.pop("module", ()))
    callbacks = list(student.callbacks or ())
    for i, callback in enumerate(callbacks):
        own = callback[1] if isinstance(callback, tuple) and len(callback) == 2 else callback
        if not hasattr(own, "on_train_begin"):
            raise TypeError(
                f"callbacks holds {own!r}: expected skorch callbacks, or pairs of a name and one."
            )
        names = callback[0] if own is not callback else getattr(own, "__name__", type(own).__name__)
        callbacks[i] = names
    for name in given.pop("callbacks", ()):
        first = name.partition("__")[0]
        check_names(
            "the training",
            "callbacks__",
            [first],
            {
                *callbacks,
                *_CALLBACKS,
                *(f"{c}_{i + 1}" for c in callbacks for i in range(callbacks.count(c))),
            },
            [*callbacks, *_CALLBACKS],
        )
    for prefix, names in given.items():
        maker = student.optimizer if prefix == "optimizer" else SliceIterator
        taken = inspect.signature(maker).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
            continue
        shown = [name for name in list(taken)[1:] if name != "dataset"]
        names = [name for name in names if (prefix, name) != ("optimizer", "param_groups")]
        check_names(maker.__name__, f"{prefix}__", names, taken, shown)


def probe(student: Any, ahead: Ahead) -> None:
    """Read rows by a student's inputs, and build its network for them.

    Parameters
    ----------
    student : BaseStudentClassifier
        Not changed.
    ahead : Ahead
        What it will be given.
    """
    shell = clone(student)
    inputs = clone(student._named_inputs())
    checked = replace(ahead, X=inputs.check(shell, ahead.X, reset=True))
    few = checked if ahead.sampled else checked.sample()
    try:
        _build(shell, inputs, few)
    except Exception:
        if ahead.sampled or not few.sampled:
            raise
        _build(shell, clone(student._named_inputs()), checked)


def _check(student: Any, ahead: Ahead) -> None:
    refuse_samplers(student)
    if isinstance(student, BaseSearchCV):
        _check_search(student, ahead)
    elif isinstance(student, Pipeline):
        _check_pipeline(student, ahead)
    else:
        check_kind(student)
        if hasattr(student, "_check_ahead"):  # a student of this package
            student._check_ahead(ahead)


def _check_search(search: Any, ahead: Ahead) -> None:
    if ahead.unlabeled:
        raise ValueError(
            "a search as student would score unlabelled rows against labels that are not there: "
            "search over DistilledClassifier instead, with a cache."
        )
    if getattr(search, "refit", True) is False:
        raise ValueError(
            f"the student is a {type(search).__name__} with refit=False, which keeps no student "
            "that could predict: set refit=True, or to the metric that decides."
        )
    # A name that the estimator does not have ends the search, whatever error_score says.
    first = None
    for candidate in candidates(search):
        try:
            _check(candidate, ahead)
        except Exception as error:
            if search.error_score == "raise":
                raise
            first = first or error
        else:
            if search.error_score != "raise":
                return
    if first is not None:
        raise first


def _check_pipeline(pipeline: Pipeline, ahead: Ahead) -> None:
    last = pipeline.steps[-1][1]
    steps = [
        (name, step)
        for name, step in pipeline.steps[:-1]
        # A sampler makes rows and no columns.
        if step not in (None, "passthrough") and not hasattr(step, "fit_resample")
    ]
    if not steps or ahead.X is None:
        _check(last, ahead)
        return
    _check(last, replace(ahead, X=None))
    few = ahead if ahead.sampled else ahead.sample()
    try:
        _check_behind(steps, last, few)
    except Exception as error:
        # Whoever took the sample goes on to all rows; and words are no numbers in any of them.
        if ahead.sampled or not few.sampled or any(words in str(error) for words in _NO_NUMBERS):
            raise
        if len(ahead.y) <= _ALL:
            _check_behind(steps, last, ahead)


def _check_behind(steps: list[tuple[str, Any]], last: Any, ahead: Ahead) -> None:
    """Check a student on what the steps before it make of rows."""
    X, y = ahead.X, ahead.y
    for name, step in steps:
        try:
            copy = clone(step)
            made = copy.fit_transform(X, y) if hasattr(copy, "fit_transform") else None
            X = copy.fit(X, y).transform(X) if made is None else made
        except Exception as error:
            where = f"the student's step {name!r}, {type(step).__name__}"
            if X is ahead.X and are_texts(X):
                raise TypeError(
                    f"X holds texts, and {where}, does not take them ({error}). Put a vectorizer "
                    "first, make_pipeline(TfidfVectorizer(), StudentClassifier(BagOfNgrams)), or "
                    "use a student that reads texts, module=StaticText or TextCNN, without steps."
                ) from error
            error.add_note(f"This was in {where}; the teacher has not been asked yet.")
            raise
    _check(last, replace(ahead, X=X, sampled=True))


@UsualSettings()
def _build(shell: Any, inputs: Any, ahead: Ahead) -> None:
    """Build the network for checked rows, as fit would with another objective's head."""
    shell.inputs_ = inputs.fit(ahead.X)
    inputs.read(ahead.X)
    objective, known = shell._make_objective(), inputs.body_params(shell)
    if known.get("n_features", 0) > _WIDE:
        _build_on_paper(shell, known)
        return
    stand_in = CrossEntropy()
    codes = np.arange(len(ahead.classes))
    stand_in.fit(TeacherOutputs(), codes, ahead.classes, 0)
    net = make_net(shell, stand_in, shell._skorch_params, torch.device("cpu"), 0)
    body = net.module_.body
    body.eval()
    look_at(body, inputs.example(shell), objective)


def _build_on_paper(shell: Any, known: dict[str, Any]) -> None:
    """Build a body without memory for its weights, which may be a gigabyte."""
    params = {
        name.removeprefix("module__"): value
        for name, value in shell._skorch_params.items()
        if name.startswith("module__")
    }
    if not isinstance(shell.module, type):
        return
    try:
        with torch.device("meta"):
            build_body(shell.module, params, known)
    except Exception:  # maybe for want of values: only the real one can tell
        build_body(shell.module, params, known)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave random states alone, and say nothing that the fit will say."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
