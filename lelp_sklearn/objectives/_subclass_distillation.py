"""Subclass Distillation: a teacher that invents subclasses, and a student that copies them."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lelp_sklearn._compat import Interval
from lelp_sklearn.losses import class_kl, subclass_spread
from lelp_sklearn.objectives._base import Objective, soften, weighted_mean
from lelp_sklearn.objectives._kd import mix_labels
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs
from lelp_sklearn.subclasses._base import subclass_counts
from lelp_sklearn.subclasses._blocks import block_softmax, block_starts


class SubclassSpread(Objective):
    """The auxiliary loss of a subclass teacher: rows of a batch differ in their subclass logits.

    It has no class information: it is added to what has, as ``CrossEntropy(n_subclasses=5) +
    SubclassSpread(n_subclasses=5)``, which is what :class:`SubclassTeacher` trains on. It costs a
    product of B x K with K x B numbers a batch.

    Parameters
    ----------
    n_subclasses : int or mapping of label to int, default=5
        Logits a class, as in the other objective.
    temperature : float, default=1.0
        T above 0; below 1 near rows are pushed apart harder.

    See Also
    --------
    SubclassTeacher : A teacher trained with it.
    losses.subclass_spread : The equation.

    References
    ----------
    Mueller, Kornblith and Hinton (2020), Subclass Distillation, arXiv:2002.03936.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import CrossEntropy, StudentClassifier, SubclassSpread
    >>> X, digit = load_digits(return_X_y=True)
    >>> objective = CrossEntropy(n_subclasses=5) + SubclassSpread(n_subclasses=5)
    >>> model = StudentClassifier(objective=objective, max_epochs=10, random_state=0)
    >>> model = model.fit(X / 16, digit % 2)
    >>> model.history_[-1]["train_subclassspread"] < -0.4
    True
    """

    trains_head = False  # it tells subclasses apart, and not the classes
    _parameter_constraints: dict = {  # noqa: RUF012
        "n_subclasses": [Interval(Integral, 1, None, closed="left"), Mapping],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, n_subclasses: int | Mapping[Any, int] = 5, temperature: float = 1.0):
        self.n_subclasses = n_subclasses
        self.temperature = temperature

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> SubclassSpread:
        """Set the width of each class; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        self.n_subclasses_ = tuple(subclass_counts(self.n_subclasses, classes).tolist())
        return self

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Spread of the batch, rows counted by their weights."""
        return subclass_spread(outputs.logits, self.temperature, targets["weight"])


class SubclassDistillation(Objective):
    r"""Distillation of a subclass teacher's subclasses.

    With :math:`z` the teacher's logits of all S C subclasses and :math:`u` the student's,

    .. math::
        \alpha \, CE(y, p^S) + (1 - \alpha) \, \tau^2 KL\big(softmax(z/\tau) \,\|\,
            softmax(u/\tau)\big),

    where a class's probability is the sum over its subclasses. With one subclass a class this is
    :class:`KD`. It is LELP's nearest rival, and needs what LELP does not: a teacher trained for it.

    Parameters
    ----------
    n_subclasses : int, mapping of label to int, or None, default=None
        Subclass logits of each class among the teacher's; None shares them out evenly.
    temperature : float, default=4.0
        tau above 0, of the joint distribution.
    alpha : float, default=0.5
        Share of the labels' cross-entropy, from 0 to 1, on labelled rows.

    See Also
    --------
    SubclassTeacher : Gives the subclass logits as its embeddings.
    LELP : Finds subclasses in any teacher's embeddings.

    Notes
    -----
    ``teacher_embeddings`` are the subclass logits, class after class in the order of the sorted
    labels. The class probabilities are those of ``teacher_proba``: for the same teacher they are
    the soft-max of the logits, and out of fold (``DistilledClassifier(cv=5)``) the subclasses
    share out what the teachers of the folds say.

    References
    ----------
    Mueller, Kornblith and Hinton (2020), Subclass Distillation, arXiv:2002.03936;
    temperature and alpha are those of the authors' example.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import MLP, DistilledClassifier, StudentClassifier
    >>> from lelp_sklearn import SubclassDistillation, SubclassTeacher
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = SubclassTeacher(MLP, max_epochs=10, random_state=0).fit(X, y)
    >>> student = StudentClassifier(objective=SubclassDistillation(), max_epochs=10)
    >>> distilled = DistilledClassifier(teacher, student).fit(X, y)
    >>> distilled.student_.predict_subclass_proba(X).shape, distilled.score(X, y) > 0.85
    ((1797, 10), True)
    """

    needs = ("proba", "embeddings")
    _parameter_constraints: dict = {  # noqa: RUF012
        "n_subclasses": [Interval(Integral, 1, None, closed="left"), Mapping, None],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        *,
        n_subclasses: int | Mapping[Any, int] | None = None,
        temperature: float = 4.0,
        alpha: float = 0.5,
    ):
        self.n_subclasses = n_subclasses
        self.temperature = temperature
        self.alpha = alpha

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> SubclassDistillation:
        """Set the width of each class, and see that the embeddings are logits.

        See :meth:`Objective.fit`.
        """
        super().fit(teacher, y, classes, random_state)
        assert teacher.proba is not None
        assert teacher.embeddings is not None
        width, n_classes = teacher.embeddings.shape[1], len(classes)
        given = width // n_classes if self.n_subclasses is None else self.n_subclasses
        counts = subclass_counts(given, classes)
        if counts.sum() != width or counts.min() < 1:
            raise ValueError(
                f"teacher_embeddings has {width} columns; expected subclass logits, "
                f"{counts.tolist()} for the classes {classes.tolist()}. They are what the "
                "transform of a SubclassTeacher gives; name its n_subclasses where classes differ."
            )
        self.n_subclasses_ = tuple(counts.tolist())
        _check_logits(teacher.embeddings, teacher.proba, counts)
        return self

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """Softened probabilities of all subclasses."""
        assert teacher.proba is not None
        counts = np.array(self.n_subclasses_)
        split = block_softmax(np.array(teacher.embeddings, dtype=np.float64), counts)
        joint = split * np.repeat(teacher.proba, counts, axis=1)
        return {"subclass": soften(joint, self.temperature)}

    def loss(
        self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Mean over the batch of the labels' and the teacher's term."""
        rows = class_kl(outputs.logits, targets["subclass"], self.temperature)
        rows = mix_labels(rows, outputs.logits, self.n_subclasses_, targets, self.alpha)
        return weighted_mean(rows, targets["weight"])


def _check_logits(logits: NDArray, proba: NDArray, counts: NDArray) -> None:
    """Raise for embeddings of another kind: their classes agree with proba's by chance alone."""
    by_class = np.logaddexp.reduceat(logits, block_starts(counts), axis=1)
    first, second = by_class.argmax(axis=1), proba.argmax(axis=1)
    shares = [np.bincount(c, minlength=len(counts)) / len(c) for c in (first, second)]
    by_chance = shares[0] @ shares[1]
    agreement = (first == second).mean()
    if by_chance < 1 and agreement < by_chance + 0.2 * (1 - by_chance):
        raise ValueError(
            f"the classes of teacher_embeddings, taken as subclass logits, agree with those of "
            f"teacher_proba in {agreement:.0%} of the rows, {by_chance:.0%} being chance: are they "
            "embeddings of another kind? Use a SubclassTeacher, or the objective LELP."
        )
