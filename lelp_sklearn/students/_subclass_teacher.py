"""A teacher that invents subclasses while it learns the classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from lelp_sklearn._compat import Interval
from lelp_sklearn.inputs import Inputs
from lelp_sklearn.objectives import CrossEntropy, Objective, SubclassSpread, WeightedSum
from lelp_sklearn.students._base import BaseStudentClassifier


class SubclassTeacher(BaseStudentClassifier):
    """A network with several logits a class, trained to use all of them: Subclass Distillation.

    It is trained on labels, as a :class:`StudentClassifier` would be on ``CrossEntropy(
    n_subclasses=S) + spread_weight * SubclassSpread(n_subclasses=S)``. Its embeddings are its
    subclass logits, which a student with the objective :class:`SubclassDistillation` copies.

    Parameters
    ----------
    module : nn.Module class or instance, default=None
        The body; None is linear. See :class:`StudentClassifier`.
    inputs : Inputs, default=None
        What reads the rows for the body; None is what the body names.
    n_subclasses : int or mapping of label to int, default=5
        S, logits a class.
    spread_weight : float, default=0.3
        Weight of the auxiliary loss. Too much of it costs accuracy where steps are few: the
        authors have 1 for the thousands of MNIST. 0 is the same network on labels alone.
    spread_temperature : float, default=1.0
        T above 0 of the auxiliary loss; below 1 near rows are pushed apart harder.
    optimizer : torch.optim.Optimizer class, default=torch.optim.AdamW
        Further arguments by ``optimizer__`` parameters.
    lr : float, default=0.01
        Learning rate, the peak of the schedule.
    schedule : {"one_cycle", "cosine"} or None, default="one_cycle"
        Course of the learning rate over the batches of a fit.
    max_epochs : int, default=40
        Passes over the rows.
    batch_size : int, default=128
        Rows a step; the auxiliary loss compares the rows of a batch, and wants more of them than
        there are subclasses.
    device : str, default="auto"
        "auto" is cuda, mps or cpu.
    validation_fraction : float, default=0.0
        Share of the rows held out, stratified.
    patience : int, default=None
        Stop after so many epochs without a lower ``valid_loss``, and restore the best weights.
    callbacks : list of skorch callbacks, default=None
        Their scores see class numbers.
    class_weight : mapping of label to float, "balanced" or None, default=None
        Weights of the classes, times ``sample_weight``.
    warm_start : bool, default=False
        Whether a further fit goes on from the weights of the last.
    n_threads : int or None, default=1
        torch threads in fit and predict.
    random_state : int, RandomState or None, default=None
        Seed. Which subclass is which differs with it.
    verbose : int, default=0
        1 shows a progress bar.
    **skorch_params
        ``module__``, ``optimizer__``, ``callbacks__``, ``iterator_train__`` and
        ``iterator_valid__`` parameters, as in skorch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    net_ : DistillationNet
        The skorch net; ``net_.module_`` is the torch module.
    objective_ : WeightedSum
        The fitted objective.
    history_ : list of dict
        One record an epoch; ``train_crossentropy`` and ``train_subclassspread`` are the two terms.
    inputs_ : Inputs
        What reads the rows, fitted.
    n_features_in_ : int
        Columns of X, where it has columns.

    See Also
    --------
    SubclassDistillation : The student's objective.
    LELP : Needs no such teacher, and works on the embeddings of any.

    Notes
    -----
    The cheap form leaves a trained model as it is and learns a head of subclasses on its frozen
    embeddings: ``make_pipeline(FrozenEstimator(teacher), SubclassTeacher())``, with scikit-learn's
    FrozenEstimator, is a teacher as well.

    A comparison of methods has to say how good their teachers are. The same network on the same
    budget without the auxiliary loss has ``spread_weight=0``; see the example.

    References
    ----------
    Mueller, Kornblith and Hinton (2020), Subclass Distillation, arXiv:2002.03936.

    Examples
    --------
    >>> from sklearn.base import clone
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from lelp_sklearn import MLP, SubclassTeacher
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X / 16, digit % 2, random_state=0)
    >>> teacher = SubclassTeacher(MLP, max_epochs=10, random_state=0)
    >>> with_it = teacher.fit(X, y).score(X_test, y_test)
    >>> without = clone(teacher).set_params(spread_weight=0).fit(X, y).score(X_test, y_test)
    >>> abs(with_it - without) < 0.02
    True
    >>> teacher.transform(X).shape
    (1347, 10)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseStudentClassifier._parameter_constraints,
        "n_subclasses": [Interval(Integral, 1, None, closed="left"), Mapping],
        "spread_weight": [Interval(Real, 0, None, closed="left")],
        "spread_temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        module: type[nn.Module] | nn.Module | None = None,
        *,
        inputs: Inputs | None = None,
        n_subclasses: int | Mapping[Any, int] = 5,
        spread_weight: float = 0.3,
        spread_temperature: float = 1.0,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        lr: float = 0.01,
        schedule: str | None = "one_cycle",
        max_epochs: int = 40,
        batch_size: int = 128,
        device: str = "auto",
        validation_fraction: float = 0.0,
        patience: int | None = None,
        callbacks: list[Any] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
        n_threads: int | None = 1,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        **skorch_params: Any,
    ):
        self.module = module
        self.inputs = inputs
        self.n_subclasses = n_subclasses
        self.spread_weight = spread_weight
        self.spread_temperature = spread_temperature
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.device = device
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self._keep(skorch_params)

    def transform(self, X: ArrayLike) -> NDArray:
        """Subclass logits, class after class: what a student copies.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.

        Returns
        -------
        logits : ndarray of shape (n_rows, sum of the classes' subclasses), float32
        """
        return self._forward(X, lambda outputs: outputs.logits)

    @property
    def teacher_coef_(self) -> NDArray:
        """Missing: class logits are no linear function of subclass logits."""
        raise AttributeError("a SubclassTeacher's classes are not linear in its embeddings.")

    @property
    def _n_features_out(self) -> int:
        return sum(self.objective_.n_subclasses_)

    def _make_objective(self) -> Objective:
        classes = CrossEntropy(n_subclasses=self.n_subclasses)
        spread = SubclassSpread(n_subclasses=self.n_subclasses, temperature=self.spread_temperature)
        parts: list[tuple[str, Objective]] = [("crossentropy", classes), ("subclassspread", spread)]
        return WeightedSum(parts, weights=[1.0, self.spread_weight])
