"""How every student is trained: rows checked, targets made once, a skorch net run on slices."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from datetime import timedelta
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lelp_sklearn._compat import Interval, StrOptions, fit_context
from lelp_sklearn._torch import (
    UsualSettings,
    deterministic_algorithms,
    resolve_device,
    seeded,
    torch_threads,
)
from lelp_sklearn.inputs import Inputs
from lelp_sklearn.inputs._arrays import inputs_of
from lelp_sklearn.objectives import Objective
from lelp_sklearn.students._all_or_nothing import trained_or_nothing
from lelp_sklearn.students._building import make_net
from lelp_sklearn.students._checking import Ahead, check_parameters, probe
from lelp_sklearn.students._checkpoint import Checkpoint, check_place
from lelp_sklearn.students._fit_facts import fit_facts
from lelp_sklearn.students._inputs import TrainingRows, check_training_rows, class_codes
from lelp_sklearn.students._parameters import SkorchParameters
from lelp_sklearn.students._prediction import StudentPrediction
from lelp_sklearn.students._training import fitted_objective, train, used_rows, warn_of_few_rows
from lelp_sklearn.students._tuning import ChoiceInterruptedError


class BaseStudentClassifier(
    SkorchParameters, StudentPrediction, ClassifierMixin, TransformerMixin, BaseEstimator
):
    """Fit and partial_fit of a student; a subclass names its objective."""

    _parameter_constraints: dict = {  # noqa: RUF012
        "module": [type, torch.nn.Module, None],
        "inputs": [Inputs, None],
        "optimizer": [callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "schedule": [StrOptions({"one_cycle", "cosine"}), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "callbacks": [list, None],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "on_oom": [StrOptions({"raise", "halve"})],
        "bf16": ["boolean"],
        "deterministic": ["boolean"],
        "class_weight": [Mapping, StrOptions({"balanced"}), None],
        "warm_start": ["boolean"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    # Of students whose __init__ does not take them.
    max_grad_norm: float | None = None
    on_oom: str = "raise"
    bf16: bool = False
    deterministic: bool = False

    _interrupted = False  # by Ctrl-C, in its last training

    # Row-aligned arrays reach a student through searches and pipelines without a set_fit_request.
    __metadata_request__fit = {  # noqa: RUF012
        "labeled": True,
        "groups": True,
        "teacher_proba": True,
        "teacher_embeddings": True,
        "teacher_coef": True,
        "teacher_hidden": True,
        "teacher_attention": True,
    }
    __metadata_request__partial_fit = __metadata_request__fit
    __metadata_request__fit = {  # noqa: RUF012
        **__metadata_request__fit,
        "checkpoint": True,
        "checkpoint_every": True,
    }

    @abstractmethod
    def _make_objective(self) -> Objective:
        """An unfitted objective of the student's own."""

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        labeled: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        teacher_proba: ArrayLike | None = None,
        teacher_embeddings: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
        teacher_hidden: ArrayLike | None = None,
        teacher_attention: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | timedelta = 1,
    ) -> Any:
        """Train on rows and what a teacher says of them.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs; numbers are standardised in float64, and trained on in float32.
        y : array-like of shape (n_rows,)
            Labels of any type. Where ``labeled`` is False, anything.
        sample_weight : array-like of shape (n_rows,), optional
            Non-negative weights of the rows in the loss; rows of weight 0 are left out. A
            projector counts all other rows alike.
        labeled : array-like of bool of shape (n_rows,), optional
            Whether y is known. Unlabelled rows feed the teacher's terms only. None: all are known.
        groups : array-like of shape (n_rows,), optional
            Groups of rows that belong together, such as those of one patient: what
            ``validation_fraction`` or an "auto" parameter holds out are whole groups.
        teacher_proba : array-like of shape (n_rows, n_classes), optional
            The teacher's probabilities, columns in the order of the sorted labels; those of a
            table are found by name, where the names are the labels. Those of rows that the teacher
            was trained on are over-confident. A row of NaN says that no teacher answered: it is
            learned from its label alone.
        teacher_embeddings : array-like of shape (n_rows, D), optional
            The teacher's embeddings.
        teacher_coef : array-like of shape (n_classes, D) or (1, D), optional
            Weights of the teacher's linear last layer on its embeddings, for a projector that
            takes their null space; otherwise it recovers them from ``teacher_proba``, inexactly
            where those are out of fold.
        teacher_hidden : array-like of shape (n_rows, L, D), optional
            Hidden layers of the teacher, one vector each.
        teacher_attention : array-like of shape (n_rows, H, Q, K), optional
            Attention of the teacher's heads; zero rows are padded queries.
        checkpoint : str or PathLike, optional
            A file for the state of this training. If it is there, fit goes on from it, to the
            weights it would have come to without a break, on the CPU bit for bit. A fit that
            comes to its end removes it. Each fit needs one of its own: in a search the second
            fit would find another one's, which is an error.
        checkpoint_every : int or datetime.timedelta, default=1
            Epochs between two writings; or the least time, looked at when an epoch ends.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an array or parameter is not what is expected, the index of one contradicts that of
            X, or the checkpoint is of a fit with other parameters or rows, which are named.
        FloatingPointError
            If the loss or a gradient becomes NaN or infinite. The message names the epoch, the
            batch and the likely cause. The student has the weights of the step before (the best
            ones, with ``patience``) and can predict. After any other error it is what it was
            before the call, except that a ``warm_start`` keeps the steps it has made.
        torch.OutOfMemoryError
            If the device has no memory for it; the message says what to change.

        Warns
        -----
        UserWarning
            If Ctrl-C ends the training: the student keeps the weights of the lowest
            ``valid_loss`` so far, or without ``validation_fraction`` the last ones. While an
            "auto" parameter is chosen, it becomes the best candidate so far.
        """
        again = self.warm_start and hasattr(self, "net_")
        arrays = {
            "sample_weight": sample_weight,
            "labeled": labeled,
            "groups": groups,
            "teacher_proba": teacher_proba,
            "teacher_embeddings": teacher_embeddings,
            "teacher_coef": teacher_coef,
            "teacher_hidden": teacher_hidden,
            "teacher_attention": teacher_attention,
        }
        with UsualSettings(), trained_or_nothing(self, forget=not again):
            return self._train(
                X,
                y,
                arrays,
                int(self.max_epochs),
                fresh=not again,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
            )

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        labeled: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        teacher_proba: ArrayLike | None = None,
        teacher_embeddings: ArrayLike | None = None,
        teacher_coef: ArrayLike | None = None,
        teacher_hidden: ArrayLike | None = None,
        teacher_attention: ArrayLike | None = None,
    ) -> Any:
        """Train for one epoch on further rows, at the constant learning rate ``lr``.

        The subclasses are found on the rows of the first call and stay. Means and scales of
        numbers are those of all rows so far, of fit and of every call, so that the first call may
        be small, and so are scales of tables. Categories, medians and bins of tables, and tokens of
        texts, are those of the first call.

        Parameters
        ----------
        X, y, sample_weight, labeled, groups, teacher_proba, teacher_embeddings
            As in :meth:`fit`.
        teacher_coef, teacher_hidden, teacher_attention
            As in :meth:`fit`.
        classes : array-like of shape (n_classes,), optional
            All labels to come; read in the first call. None: those of its rows.

        Returns
        -------
        self

        Warns
        -----
        UserWarning
            If the first call has few rows, and these settle categories, bins or tokens.
        """
        arrays = {
            "sample_weight": sample_weight,
            "labeled": labeled,
            "groups": groups,
            "teacher_proba": teacher_proba,
            "teacher_embeddings": teacher_embeddings,
            "teacher_coef": teacher_coef,
            "teacher_hidden": teacher_hidden,
            "teacher_attention": teacher_attention,
            "classes": classes,
        }
        fresh = not hasattr(self, "net_")
        with UsualSettings(), trained_or_nothing(self, forget=fresh):
            return self._train(X, y, arrays, 1, fresh=fresh, partial=True)

    def _train(
        self,
        X: ArrayLike,
        y: ArrayLike,
        arrays: dict[str, Any],
        epochs: int,
        *,
        fresh: bool,
        partial: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | timedelta = 1,
    ) -> Any:
        check_parameters(self)
        if checkpoint is not None:
            check_place(checkpoint, checkpoint_every)
        skorch_params = self._skorch_params
        device = resolve_device(self.device)
        if not fresh:
            arrays["classes"] = self.classes_
        inputs = clone(self._named_inputs()) if fresh else self.inputs_
        rows, classes = check_training_rows(
            self, inputs, X, y, class_weight=self.class_weight, reset=fresh, **arrays
        )
        if fresh:
            self._random_state = check_random_state(self.random_state)
        seed = self._random_state.randint(2**31 - 1)
        saved = None
        if checkpoint is not None:
            start = None if fresh else self.net_.module_
            saved = Checkpoint(
                checkpoint, checkpoint_every, seed, fit_facts(self, rows, classes, start)
            )
            seed = saved.seed
        with (
            seeded(seed, device),
            torch_threads(self.n_threads),
            deterministic_algorithms(self.deterministic),
        ):
            if partial and not fresh:
                used = used_rows(self.objective_, rows)
                self.inputs_ = copy(inputs).partial_fit(used.X)  # the old one, if training fails
            if fresh:
                used = used_rows(self._make_objective(), rows)
                self.inputs_ = inputs.fit(used.X)
                if partial:
                    warn_of_few_rows(self, len(used.y))
                try:
                    objective = fitted_objective(self, rows, classes, seed, partial)
                except ChoiceInterruptedError as stop:
                    stop.end(self)
                    return self
                net = make_net(self, objective, skorch_params, device, seed)
                self.classes_, self.objective_, self.net_ = classes, objective, net
            interrupted = train(self, rows, device, epochs, saved, partial)
        self._interrupted = bool(interrupted)
        if interrupted:
            warnings.warn(interrupted, UserWarning, stacklevel=4)
        elif saved is not None:
            saved.finish()
        return self

    def _check_ahead(self, ahead: Ahead) -> None:
        """Raise what fit would raise, as far as that is known; see ``check_student``."""
        check_parameters(self, ahead)
        if ahead.X is None:
            return
        if hasattr(self, "net_"):  # it goes on from what it is
            self.inputs_.check(self, ahead.X, reset=False)
            class_codes(ahead.classes, self.classes_, np.ones(len(ahead.classes), bool))
        else:
            probe(self, ahead)

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        return {"inputs": lambda: inputs_of(self.module)}

    def _named_inputs(self) -> Inputs:
        """What the user names, or else the body."""
        return self._or_default("inputs")

    def _tuned(
        self,
        objective: Objective,
        rows: TrainingRows,
        classes: NDArray,
        seed: int,
        partial: bool,
    ) -> Objective:
        """The objective, its "auto" parameters chosen on the rows; here it has none."""
        return objective

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One record an epoch: losses, learning-rate events, durations."""
        check_is_fitted(self, "net_")
        return [
            {name: value for name, value in epoch.items() if name != "batches"}
            for epoch in self.net_.history
        ]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags = self._named_inputs().input_tags()
        return tags
