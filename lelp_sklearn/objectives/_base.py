"""What every training objective has in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs
from lelp_sklearn.subclasses._base import subclass_counts

if TYPE_CHECKING:
    from lelp_sklearn.objectives._sum import WeightedSum

Weight = float | tuple[float, float] | Callable[[float], float]
Loss = Tensor | tuple[Tensor, dict[str, Tensor]]

RESERVED = ("y", "labeled", "weight")  # targets that are always there


class Objective(BaseEstimator):
    """What a student is trained on: per-row targets, made once, and a loss on a batch of them.

    Objectives add up, ``KD() + 0.5 * RKD()``: see :class:`WeightedSum`.

    An objective is a scikit-learn parameter object. A student clones it, calls :meth:`fit` once and
    :meth:`targets` on its rows, and then :meth:`loss` for every batch with what ``targets`` gave,
    beside the always present ``y``, ``labeled`` (1 or 0) and ``weight``. What it gives is checked
    once: targets are arrays of numbers, one row for each of the teacher's, under other names than
    these three; the loss is a scalar that depends on what is trained; and it reads the logits,
    unless ``trains_head`` is False.

    Attributes
    ----------
    n_subclasses_ : tuple of int
        Logits of each class: the student's head has their sum.
    module_ : nn.Module or None
        What is trained beside the student, such as a regressor on its embedding.

    See Also
    --------
    KD, LELP, CrossEntropy : Objectives to start from.

    Examples
    --------
    An objective of one's own, the squared difference of probabilities:

    >>> from lelp_sklearn import Objective
    >>> class Brier(Objective):
    ...     needs = ("proba",)
    ...
    ...     def targets(self, teacher):
    ...         return {"class": teacher.proba.astype("float32")}
    ...
    ...     def loss(self, outputs, targets, progress):
    ...         difference = outputs.logits.softmax(dim=1) - targets["class"]
    ...         return (targets["weight"] * difference.square().sum(dim=1)).mean()
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from lelp_sklearn import StudentClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> proba = LinearDiscriminantAnalysis().fit(X, y).predict_proba(X)
    >>> student = StudentClassifier(objective=Brier(), lr=0.1, random_state=0)
    >>> student.fit(X, y, teacher_proba=proba).score(X, y) > 0.9
    True
    """

    needs: tuple[str, ...] = ()
    """Fields of :class:`~lelp_sklearn.outputs.TeacherOutputs` that must be given."""

    sees: tuple[str, ...] = ()
    """Fields of :class:`~lelp_sklearn.outputs.BodyOutputs` that the body must give."""

    trains_head: bool = True
    """Whether the loss teaches the student's head to tell the classes; if not, it is a term to be
    added to one that does, or a stage before it."""

    n_subclasses_: tuple[int, ...]
    module_: nn.Module | None = None

    _parameter_constraints: dict = {}  # noqa: RUF012

    @property
    def reads_inputs(self) -> bool:
        """Whether ``fit`` wants the student's inputs."""
        return False

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> Objective:
        """Check the parameters and learn what the targets need: here, one logit a class.

        Parameters
        ----------
        teacher : TeacherOutputs
            Outputs on the training rows.
        y : ndarray of shape (n,)
            Class numbers: the label where it is known, the teacher's prediction elsewhere.
        classes : ndarray of shape (C,)
            Labels of the class numbers.
        random_state : int
            Seed for what is left unseeded.
        student_inputs : array-like or sparse matrix of shape (n, p), optional
            Only given where ``reads_inputs``.

        Returns
        -------
        self
        """
        self._check(classes)
        self.n_subclasses_ = (1,) * len(classes)
        return self

    def _check(self, classes: NDArray) -> None:
        """Check the parameters as far as that needs no teacher."""
        self._validate_params()
        counts = getattr(self, "n_subclasses", None)
        if isinstance(counts, Mapping):
            subclass_counts(counts, classes)

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """Row-aligned targets, float32."""
        return {}

    def prepare(self, targets: dict[str, NDArray]) -> dict[str, NDArray]:
        """Targets as :meth:`loss` takes them, made once a training: here, as they are.

        Parameters
        ----------
        targets : dict of ndarray of shape (n, ...)
            What :meth:`targets` gave, and ``y``, ``labeled`` and ``weight``.

        Returns
        -------
        dict of ndarray of shape (n, ...)
        """
        return targets

    def head(self, width: int) -> nn.Module:
        """The student's head on embeddings of a width: here, one linear logit a subclass."""
        return nn.Linear(width, sum(self.n_subclasses_))

    def build(self, student: StudentOutputs) -> nn.Module | None:
        """Make what is trained beside the student and keep it as ``module_``: here, nothing.

        Parameters
        ----------
        student : StudentOutputs
            Outputs of the untrained student on two made-up rows, for their widths.

        Returns
        -------
        nn.Module or None
            ``module_``, which goes where the student goes: optimizer, device, files.
        """
        self.module_ = None
        return None

    def relink(self, module: nn.Module | None, head: nn.Module) -> None:
        """Take what a network that has been unpickled or copied trains for it.

        Parameters
        ----------
        module : nn.Module or None
            The copy of ``module_``.
        head : nn.Module
            The copy of what :meth:`head` made.
        """
        self.module_ = module

    def __getstate__(self) -> dict[str, Any]:
        # The network holds them: a pickle would have them twice, and on their old device.
        state: dict[str, Any] = super().__getstate__()
        return {name: v for name, v in state.items() if not isinstance(v, nn.Module)}

    def view(self, X: Any) -> Any:
        """Another view of a batch of rows, whose embedding the loss gets: here, none.

        It is made in training only, and costs a second pass through the body.
        """
        return None

    @abstractmethod
    def loss(self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float) -> Loss:
        """Scalar loss of a batch; ``progress`` runs from 0 in the first epoch to 1 in the last.

        With a dictionary of scalars beside it, their means over an epoch are in ``history_``.
        """

    def __add__(self, other: Objective) -> WeightedSum:
        from lelp_sklearn.objectives._sum import add

        return add(self, other)

    def __mul__(self, weight: Weight) -> WeightedSum:
        from lelp_sklearn.objectives._sum import scaled

        return scaled(self, weight)

    __rmul__ = __mul__


def check_fitted(objective: Any, made: Any, n_classes: int) -> Objective:
    """What an objective's ``fit`` returned, if it is an objective fitted to the classes."""
    name = type(objective).__name__
    if not isinstance(made, Objective):
        raise TypeError(f"fit of {name} returned a {type(made).__name__}: expected self.")
    counts = tuple(getattr(made, "n_subclasses_", None) or ())
    right = all(isinstance(n, Integral) and int(n) >= 1 for n in counts)
    if not right or len(counts) != n_classes:
        raise ValueError(
            f"fit of {name} set n_subclasses_ to {counts}: expected a number of logits for each of "
            f"the {n_classes} classes, as super().fit(...) sets."
        )
    made.n_subclasses_ = tuple(int(n) for n in counts)
    return made


def checked_targets(
    objective: Objective, targets: Any, n_rows: int | None, taken: tuple[str, ...] = RESERVED
) -> dict[str, NDArray]:
    """What an objective's ``targets`` or ``prepare`` gave, if that is row-aligned numbers.

    The number of rows is None where only the student knows it, who checks again.

    Raises
    ------
    TypeError, ValueError
        Naming the objective and the target.
    """
    name = type(objective).__name__
    if not isinstance(targets, Mapping) or not all(isinstance(key, str) for key in targets):
        raise TypeError(
            f"targets of {name} gave a {type(targets).__name__}: expected a dictionary of arrays "
            'by name, such as {"class": teacher.proba}.'
        )
    if clash := sorted(set(targets) & set(taken)):
        raise ValueError(
            f"targets of {name} gave {', '.join(map(repr, clash))}, and the student's own targets "
            f"have the names {', '.join(map(repr, taken))}: give them other names."
        )
    checked = {}
    for key, values in targets.items():
        array = values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"the target {key!r} of {name} is of dtype {array.dtype}: expected numbers."
            )
        if array.ndim == 0 or len(array) != (len(array) if n_rows is None else n_rows):
            raise ValueError(
                f"the target {key!r} of {name} has shape {array.shape}: expected one row for each "
                f"of the {n_rows} rows, in the same order."
            )
        checked[key] = array
    return checked


def check_loss(objective: Objective, loss: Any) -> None:
    """Refuse what no gradient can be taken of, in a batch of training.

    Raises
    ------
    TypeError, ValueError
        Naming the objective.
    """
    name = type(objective).__name__
    terms: Any = {}
    if isinstance(loss, tuple):
        if len(loss) != 2 or not isinstance(loss[1], Mapping):
            raise TypeError(
                f"the loss of {name} is a tuple of {len(loss)}: expected a scalar tensor, or a "
                "pair of it and a dictionary of scalar tensors to be logged."
            )
        loss, terms = loss
    for what, value in [("the loss", loss), *((f"the term {k!r}", v) for k, v in terms.items())]:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{what} of {name} is a {type(value).__name__}: expected a scalar tensor."
            )
        if value.numel() != 1:
            raise ValueError(
                f"{what} of {name} has shape {tuple(value.shape)}: expected a scalar, such as the "
                "mean of the rows' losses under their weights."
            )
    if not loss.requires_grad:
        raise ValueError(
            f"the loss of {name} depends on nothing that is trained: was it computed from detached "
            "tensors, by numpy, or from the targets alone?"
        )


def split_loss(loss: Loss) -> tuple[Tensor, dict[str, Tensor]]:
    """A loss, and the scalars to be logged beside it."""
    return loss if isinstance(loss, tuple) else (loss, {})


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of a batch's values under its rows' weights."""
    return (values * weight).sum() / weight.sum().clamp_min(1e-12)


def soften(proba: NDArray, temperature: float) -> NDArray:
    """Probabilities at a temperature, p^(1/tau) renormalised: the soft-max of logits / tau."""
    if temperature == 1:
        return proba.astype(np.float32)
    with np.errstate(divide="ignore"):  # zeros stay zeros
        return softmax(np.log(proba, dtype=np.float64) / temperature, axis=1).astype(np.float32)


def weight_at(weight: Weight, progress: float) -> float:
    """A weight at a point of training: a number, a line from one to another, or a function."""
    if callable(weight):
        return float(weight(progress))
    if isinstance(weight, tuple):
        first, last = weight
        return first + (last - first) * progress
    return float(weight)


def check_weight(weight: Weight, name: str) -> None:
    """Check a weight: a number, a pair of them, or a function."""
    if not (isinstance(weight, Real | tuple) or callable(weight)):
        raise TypeError(
            f"{name} is {weight!r}; expected a number, a pair (first, last) or a function."
        )
    if isinstance(weight, tuple) and not (
        len(weight) == 2 and all(isinstance(w, Real) and w >= 0 for w in weight)
    ):
        raise ValueError(
            f"{name}={weight!r}: expected the first epoch's weight and the last one's, as (0.3, 0)."
        )
