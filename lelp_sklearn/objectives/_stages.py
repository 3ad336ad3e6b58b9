"""One objective after the other on the same student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from lelp_sklearn._compat import Interval
from lelp_sklearn.objectives._base import Loss, Objective
from lelp_sklearn.objectives._named import NamedObjectives
from lelp_sklearn.outputs import StudentOutputs

FREEZABLE = ("body", "head")


class Stage(BaseEstimator):
    """One stage of :class:`Stages`: an objective, and how long and how fast it trains what.

    Parameters
    ----------
    objective : Objective
        What this stage trains on.
    max_epochs : int, default=None
        Its passes over the rows; None is the student's.
    lr : float, default=None
        Its learning rate; None is the student's.
    frozen : sequence of {"body", "head"}, default=()
        Parts of the student that this stage leaves as they are.
    split_noise : float, default=None
        Where given, the logits of a class are copies of one until this stage, which starts them
        apart: noise of this share of the head's standard deviation is added, so that predictions
        go on from where they were. It warm-starts LELP from plain distillation,
        ``[("kd", Stage(KD())), ("lelp", Stage(LELP(), split_noise=0.01))]``.

    See Also
    --------
    Stages : A sequence of them.

    Examples
    --------
    >>> from lelp_sklearn import KD, Stage
    >>> Stage(KD(), max_epochs=5, frozen=["body"])
    Stage(frozen=['body'], max_epochs=5, objective=KD())
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "objective": [Objective],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "lr": [Interval(Real, 0, None, closed="neither"), None],
        "frozen": [list, tuple],
        "split_noise": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        objective: Objective,
        *,
        max_epochs: int | None = None,
        lr: float | None = None,
        frozen: Sequence[str] = (),
        split_noise: float | None = None,
    ):
        self.objective = objective
        self.max_epochs = max_epochs
        self.lr = lr
        self.frozen = frozen
        self.split_noise = split_noise

    def check(self) -> None:
        """Check the parameters."""
        self._validate_params()
        unknown = set(self.frozen) - set(FREEZABLE)
        if unknown:
            raise ValueError(f"frozen={list(self.frozen)}: expected some of {list(FREEZABLE)}.")


class Stages(NamedObjectives):
    """Train on one objective after the other, each with its own epochs, rate and frozen parts.

    Hints first and probabilities second (FitNets, TinyBERT), the reverse, plain distillation that
    ends early and goes on with labels (ESKD), an embedding first and a head on it. Optimizer and
    schedule start anew in each stage, and early stopping watches the stage's own held-out loss.
    ``history_`` has the name of each epoch's ``stage``. A teacher assistant is another student: a
    fitted :class:`DistilledClassifier` is a teacher itself.

    Parameters
    ----------
    stages : list of (str, Stage)
        Names and stages. A grid says ``hint__max_epochs`` or ``hint__objective__alpha``.

    Attributes
    ----------
    objectives_ : list of (str, Objective)
        Fitted.

    See Also
    --------
    WeightedSum : All at once.

    References
    ----------
    Romero et al. (2015), FitNets, arXiv:1412.6550, section 2; Cho and Hariharan (2019), On the
    Efficacy of Knowledge Distillation, ICCV; Mirzadeh et al. (2020), Improved Knowledge
    Distillation via Teacher Assistant, AAAI.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from lelp_sklearn import KD, CrossEntropy, Stage, Stages, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = KNeighborsClassifier(10).fit(X, y)
    >>> objective = Stages([
    ...     ("teacher", Stage(KD(), max_epochs=5)),
    ...     ("labels", Stage(CrossEntropy(), max_epochs=3, lr=0.001)),
    ... ])
    >>> student = StudentClassifier(objective=objective, random_state=0)
    >>> student = student.fit(X, y, teacher_proba=teacher.predict_proba(X))
    >>> [row["stage"] for row in student.history_][3:6]
    ['teacher', 'teacher', 'labels']
    """

    _parameter_constraints: dict = {"stages": [list]}  # noqa: RUF012

    def __init__(self, stages: list[tuple[str, Stage]]):
        self.stages = stages

    def _given(self) -> list[tuple[str, Objective]]:
        for name, stage in self.stages:
            if not isinstance(stage, Stage):
                raise TypeError(f"stage {name!r} is a {type(stage).__name__}: expected a Stage.")
            stage.check()
        return [(name, stage.objective) for name, stage in self.stages]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the stages by name.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the stages and their parameters.

        Returns
        -------
        params : dict of str to any
        """
        return self._get_params("stages", deep=deep)

    def set_params(self, **params: Any) -> Stages:
        """Set parameters; a stage can be replaced by its name.

        Parameters
        ----------
        **params : dict
            Parameters.

        Returns
        -------
        self
        """
        self._set_params("stages", **params)
        return self

    @property
    def trains_head(self) -> bool:  # type: ignore[override]
        """Whether any of the stages does that leaves the head free."""
        self._named()
        return any(
            stage.objective.trains_head and "head" not in stage.frozen for _, stage in self.stages
        )

    def head(self, width: int) -> nn.Module:
        """The head; the logits of a class are copies of one where a stage will split them."""
        head = super().head(width)
        if any(stage.split_noise for _, stage in self.stages):
            tie(head, self.n_subclasses_)
        return head

    def enter(self, stage: int, head: Any) -> Stage:
        """Make a stage's loss this objective's, and split the head for it; returns the stage."""
        self._current = stage
        entered = self.stages[stage][1]
        if entered.split_noise:
            with torch.no_grad():
                scale = entered.split_noise * head.weight.std()
                head.weight += scale * torch.randn_like(head.weight)
        return entered

    def loss(self, outputs: StudentOutputs, targets: Mapping[str, Tensor], progress: float) -> Loss:
        """The present stage's loss; the last one's after training."""
        name, part = self.objectives_[getattr(self, "_current", -1)]
        return self._loss_of(name, part, outputs, targets, progress)


def tie(head: Any, n_subclasses: Sequence[int]) -> None:
    """Make a class's logits copies of its first.

    They have the same gradients under any loss of folded logits, and stay copies.
    """
    counts = torch.tensor(n_subclasses)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)
    with torch.no_grad():
        head.weight.copy_(head.weight[first])
        # So that S copies fold to what the one would be.
        head.bias.copy_(head.bias[first] - counts.log().repeat_interleave(counts))
