"""The student this package exists for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lelp_sklearn._compat import StrOptions
from lelp_sklearn.inputs import Inputs
from lelp_sklearn.objectives import LELP, Objective
from lelp_sklearn.objectives._base import Weight
from lelp_sklearn.objectives._lelp import default_projector
from lelp_sklearn.students._base import BaseStudentClassifier
from lelp_sklearn.students._checking import Ahead
from lelp_sklearn.students._inputs import TrainingRows
from lelp_sklearn.students._tuning import subclass_weight_scores
from lelp_sklearn.subclasses import SubclassSplitter


class LELPStudentClassifier(BaseStudentClassifier):
    """A small neural network trained on soft pseudo-subclasses of the teacher's embeddings.

    It is the :class:`StudentClassifier` whose objective is :class:`LELP`, with that objective's
    parameters as its own, so that grids say ``projector__n_subclasses`` and ``subclass_weight``.

    Parameters
    ----------
    module : nn.Module class or instance, default=None
        The student's body: it maps a batch (B, n_features) to embeddings (B, width), and knows
        nothing of subclasses. None is a linear student. See :class:`StudentClassifier`.
    inputs : Inputs, default=None
        What reads the rows for the body; None is what the body names. See
        :class:`StudentClassifier`.
    projector : SubclassSplitter, default=None
        Splits each class by the teacher's embeddings. None is
        ``ClusterSplitter(n_subclasses="auto")``, k-means.
    temperature : float, default=1.0
        tau above 0, of the class probabilities.
    alpha : float, default=0.5
        Share of the labels' cross-entropy, from 0 to 1, on labelled rows. 0 where the labels are
        noisier than the teacher.
    subclass_weight : float, pair of float, "auto" or callable, default=(0.3, 0.0)
        Weight of what subclasses add to classes: 1 is the paper, 0 plain distillation with a wide
        head. A pair is the first epoch's and the last one's; a callable gets the progress of
        training, 0 to 1. "auto" chooses from 0, 0.03, 0.1, 0.3 and 1; see the notes.
    optimizer : torch.optim.Optimizer class, default=torch.optim.AdamW
        Further arguments by ``optimizer__`` parameters.
    lr : float, default=0.01
        Learning rate, the peak of the schedule.
    schedule : {"one_cycle", "cosine"} or None, default="one_cycle"
        Course of the learning rate over the batches of a fit.
    max_epochs : int, default=40
        Passes over the rows.
    batch_size : int, default=128
        Rows a step.
    device : str, default="auto"
        "auto" is cuda, mps or cpu, whichever there is. A device that is named and missing is an
        error.
    validation_fraction : float, default=0.0
        Share of the rows held out, stratified, for ``valid_loss`` and ``valid_acc`` in
        ``history_``.
    patience : int, default=None
        Stop after so many epochs without a lower ``valid_loss``, and restore the best weights.
        Needs ``validation_fraction``.
    callbacks : list of skorch callbacks, default=None
        Their scores see class numbers 0..C-1, whatever the labels.
    max_grad_norm : float, default=None
        Gradients are scaled down so that their common norm is at most this; 1.0 often tames a
        loss that jumps.
    on_oom : {"raise", "halve"}, default="raise"
        What to do when a GPU has no memory for a batch: "halve" takes batches in 2, 4, 8, … parts
        from there on, with the gradients of the whole batch for every objective. Batch
        normalisation sees the parts.
    bf16 : bool, default=False
        Whether the network multiplies in bfloat16 in training, by torch's autocast; weights and
        losses stay float32, and predictions are made in it. Faster for wide layers where the
        device has such a unit, slower elsewhere.
    deterministic : bool, default=False
        Whether torch may only use algorithms whose result does not vary, inside fit. It matters on
        a GPU, which is slower then and needs ``CUBLAS_WORKSPACE_CONFIG=:4096:8`` in the
        environment; the CPU gives the same bits anyway.
    class_weight : mapping of label to float, "balanced" or None, default=None
        Weights of the classes, times ``sample_weight``; an unlabelled row counts for the class that
        the teacher predicts.
    warm_start : bool, default=False
        Whether a further fit goes on from the weights, and the subclasses, of the last.
    n_threads : int or None, default=1
        torch threads in fit and predict, given back afterwards. None leaves torch's number.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches, held-out rows and of a projector without its own. The global
        seeds stay as they are.
    verbose : int, default=0
        1 shows a progress bar.
    **skorch_params
        ``module__``, ``optimizer__``, ``callbacks__``, ``iterator_train__`` and
        ``iterator_valid__`` parameters, as in skorch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    projector_ : SubclassSplitter
        The fitted projector.
    net_ : DistillationNet
        The skorch net; ``net_.module_`` is the torch module.
    objective_ : LELP
        The fitted objective.
    subclass_weight_ : float, pair of float or callable
        The weight trained with: what "auto" chose, else ``subclass_weight``.
    subclass_weight_scores_ : dict of float to float
        Held-out log-loss of each weight; only with "auto".
    history_ : list of dict
        One record an epoch.
    inputs_ : Inputs
        What reads the rows, fitted.
    n_features_in_ : int
        Columns of X, where it has columns.

    Warns
    -----
    UserWarning
        If fit gets no teacher arrays: it then trains on the labels alone.

    See Also
    --------
    StudentClassifier : With any other objective.
    LELPProjector : The paper's projector.
    ClusterSplitter : The default one.
    DistilledClassifier : Asks the teacher itself.

    Notes
    -----
    The paper's own setting is ``projector=LELPProjector(), subclass_weight=1.0, alpha=0.0``. The
    default was chosen on the tasks of ``benchmarks/splitters.py``, from other training rows.

    ``subclass_weight="auto"`` holds out a fifth of each class's labelled rows, trains the student
    on all others with each of five weights, takes the weight of the lowest held-out log-loss of the
    labels (the smallest in a tie) and trains with it on all rows. That is six fits instead of one.
    It goes by the log-loss because accuracies on so few rows are often equal. Unlabelled rows are
    trained on and never scored; row and class weights count in the score as in training. A class
    with a single labelled row keeps it for training. A further fit with ``warm_start``, and
    ``partial_fit`` after a fit, keep the weight; a first ``partial_fit`` is an error.

    References
    ----------
    Loo, Iliopoulos, Hu and Vee (2024), Linear Projections of Teacher Embeddings for Few-Class
    Distillation, arXiv:2409.20449.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from lelp_sklearn import MLP, CrossEntropy, LELPStudentClassifier, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = StudentClassifier(MLP, objective=CrossEntropy(), random_state=0).fit(X, y)
    >>> student = LELPStudentClassifier(subclass_weight=0.1, random_state=0).fit(
    ...     X, y, teacher_proba=teacher.predict_proba(X), teacher_embeddings=teacher.transform(X)
    ... )
    >>> student.score(X, y) > 0.96
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseStudentClassifier._parameter_constraints,
        **LELP._parameter_constraints,
        "subclass_weight": [*LELP._parameter_constraints["subclass_weight"], StrOptions({"auto"})],
    }

    def __init__(
        self,
        module: type[nn.Module] | nn.Module | None = None,
        *,
        inputs: Inputs | None = None,
        projector: SubclassSplitter | None = None,
        temperature: float = 1.0,
        alpha: float = 0.5,
        subclass_weight: Weight | str = (0.3, 0.0),
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        lr: float = 0.01,
        schedule: str | None = "one_cycle",
        max_epochs: int = 40,
        batch_size: int = 128,
        device: str = "auto",
        validation_fraction: float = 0.0,
        patience: int | None = None,
        callbacks: list[Any] | None = None,
        max_grad_norm: float | None = None,
        on_oom: str = "raise",
        bf16: bool = False,
        deterministic: bool = False,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
        n_threads: int | None = 1,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        **skorch_params: Any,
    ):
        self.module = module
        self.inputs = inputs
        self.projector = projector
        self.temperature = temperature
        self.alpha = alpha
        self.subclass_weight = subclass_weight
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.device = device
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.max_grad_norm = max_grad_norm
        self.on_oom = on_oom
        self.bf16 = bf16
        self.deterministic = deterministic
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self._keep(skorch_params)

    @property
    def projector_(self) -> SubclassSplitter:
        """The fitted projector; absent where the student was trained on labels alone."""
        return self.objective_.projector_

    @property
    def subclass_weight_(self) -> Weight:
        """The weight trained with; absent where the student was trained on labels alone."""
        return self.objective_.subclass_weight

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {**super()._default_objects(), "projector": default_projector}

    def _make_objective(self) -> Objective:
        return LELP(
            projector=self.projector,
            temperature=self.temperature,
            alpha=self.alpha,
            subclass_weight=self.subclass_weight,  # type: ignore[arg-type]  # "auto" is resolved
        )

    def _check_ahead(self, ahead: Ahead) -> None:
        super()._check_ahead(ahead)
        fresh = not hasattr(self, "net_")
        if ahead.partial and fresh and isinstance(self.subclass_weight, str):
            self._refuse_auto()

    def _refuse_auto(self) -> None:
        raise ValueError(
            "subclass_weight='auto' cannot be chosen by partial_fit, which sees only a part of "
            "the rows: give a number, such as 0.1, or call fit first."
        )

    def _tuned(
        self,
        objective: Objective,
        rows: TrainingRows,
        classes: NDArray,
        seed: int,
        partial: bool,
    ) -> Objective:
        if not isinstance(objective, LELP) or objective.subclass_weight != "auto":
            return objective
        if partial:
            self._refuse_auto()
        scores = subclass_weight_scores(self, rows, classes, seed)
        self.subclass_weight_scores_ = scores
        return objective.set_params(subclass_weight=min(scores, key=scores.__getitem__))
