"""A student with any objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from lelp_sklearn.inputs import Inputs
from lelp_sklearn.objectives import KD, Objective
from lelp_sklearn.students._base import BaseStudentClassifier


class StudentClassifier(BaseStudentClassifier):
    """A small neural network trained on what a teacher says of the training rows.

    Parameters
    ----------
    module : nn.Module class or instance, default=None
        The student's body: it maps a batch of B rows to embeddings (B, width), and a linear
        head of the right size is put on it. A class is built with the ``module__`` parameters,
        and with ``n_features`` where its ``__init__`` takes it; of an instance a copy is trained.
        None is a linear student.
    inputs : Inputs, default=None
        What reads the rows for the body. None is what the body names in ``reads``, or else
        :class:`~lelp_sklearn.inputs.ArrayInputs`, which standardises dense numbers.
    objective : Objective, default=None
        What to train on. None is ``KD()``, whose parameters are set as ``objective__alpha``.
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
        Whether a further fit goes on from the weights of the last.
    n_threads : int or None, default=1
        torch threads in fit and predict, given back afterwards. None leaves torch's number. More
        than 1 rarely helps small networks and can be very slow on a busy machine.
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
    net_ : DistillationNet
        The skorch net; ``net_.module_`` is the torch module.
    objective_ : Objective
        The fitted objective.
    history_ : list of dict
        One record an epoch.
    inputs_ : Inputs
        What reads the rows, fitted.
    n_features_in_ : int
        Columns of X, where it has columns.

    Warns
    -----
    UserWarning
        If the objective needs a teacher and fit gets no teacher arrays: it then trains on the
        labels alone.

    See Also
    --------
    LELPStudentClassifier : The same with the LELP objective's parameters at hand.
    DistilledClassifier : Asks the teacher itself.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from lelp_sklearn import KD, MLP, StudentClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, y = X / 16, digit % 2
    >>> teacher = KNeighborsClassifier(10).fit(X, y)
    >>> student = StudentClassifier(MLP, module__hidden=32, objective=KD(), random_state=0)
    >>> student.fit(X, y, teacher_proba=teacher.predict_proba(X)).score(X, y) > 0.97
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseStudentClassifier._parameter_constraints,
        "objective": [Objective, None],
    }

    def __init__(
        self,
        module: type[nn.Module] | nn.Module | None = None,
        *,
        inputs: Inputs | None = None,
        objective: Objective | None = None,
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
        self.objective = objective
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

    def _make_objective(self) -> Objective:
        return clone(self._or_default("objective"))

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {**super()._default_objects(), "objective": KD}
