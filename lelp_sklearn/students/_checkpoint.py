"""A training that can be killed and go on, to the same weights bit for bit."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from datetime import timedelta
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback
from skorch.history import History

from lelp_sklearn.students._fit_facts import Facts, differences, parameter_facts
from lelp_sklearn.students._state_file import NotANumberError, pack, read_state, write_state

logger = logging.getLogger(__name__)

_FORMAT = 2  # since the inputs are standardised
_CACHES = ("y_trues_", "y_preds_")  # of skorch's scoring, for the time of one epoch


class Checkpoint(Callback):
    """Write the whole state of a training at the ends of epochs, and go on from it.

    Parameters
    ----------
    path : str or PathLike
        A file, there or not, in a folder that is there.
    every : int or timedelta
        Epochs, or the least time, between two writings.
    seed : int
        What to start from if there is no file; else ``seed`` is the file's.
    facts : Facts
        What the result depends on. A file with other facts is an error.

    Raises
    ------
    ValueError
        If the file is of another fit.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int | timedelta, seed: int, facts: Facts
    ):
        self.path = Path(path)
        self.every = every
        self.facts = facts
        self.seed = seed
        self.saved: dict[str, Any] | None = None
        check_place(path, every)
        if self.path.exists():
            self.saved = read_state(self.path)
            _check_same(path, self.saved, facts)
            self.seed = self.saved["seed"]
            logger.info(
                "goes on from %s, after %d epochs", self.path, len(self.saved["net"]["history"])
            )

    @property
    def stage(self) -> int:
        """The stage to go on with."""
        return 0 if self.saved is None else self.saved["net"]["stage"]

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Bring the net to where the file left it; the last callback to be told."""
        self.written_at = time.monotonic()
        if self.saved is not None:
            restore(net, self.saved["net"])
            self.saved = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write, where it is time to."""
        if isinstance(self.every, timedelta):
            due = time.monotonic() - self.written_at >= self.every.total_seconds()
        else:
            due = (len(net.history) - net.started_at) % self.every == 0
        if due:
            facts = {name: list(fact) for name, fact in self.facts.items()}
            state = {"format": _FORMAT, "facts": facts, "seed": self.seed, "net": state_of(net)}
            write_state(self.path, state)
            self.written_at = time.monotonic()

    def finish(self) -> None:
        """Remove the file, of which a whole fit has no need."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def check_checkpoint(path: str | os.PathLike[str], every: int | timedelta, student: Any) -> None:
    """Check what is known of a checkpoint before there are rows: its place and parameters."""
    check_place(path, every)
    if Path(path).exists():
        saved = read_state(Path(path))
        _check_same(path, saved, parameter_facts(student), all_facts=False)


def _check_same(
    path: str | os.PathLike[str], saved: Any, facts: Facts, *, all_facts: bool = True
) -> None:
    """Raise ValueError for a file of another fit, by all facts or by those that are given."""
    name = os.fspath(path)
    if not isinstance(saved, dict) or saved.get("format") != _FORMAT:
        raise ValueError(f"checkpoint={name!r} is not a checkpoint that this version reads.")
    there = {key: tuple(fact) for key, fact in saved["facts"].items() if all_facts or key in facts}
    if found := differences(there, facts):
        raise ValueError(
            f"checkpoint={name!r} is of another fit, which differs in {'; '.join(found)}. To start "
            "anew, delete the file or name another one; each fit needs one of its own."
        )


def check_place(path: str | os.PathLike[str], every: int | timedelta) -> None:
    """Raise ValueError if no checkpoint can be written there, or so often."""
    least: Any = timedelta(0) if isinstance(every, timedelta) else 1
    if not isinstance(every, Integral | timedelta) or every < least:
        raise ValueError(
            f"checkpoint_every={every!r}: expected a number of epochs, from 1, or a timedelta."
        )
    place = Path(path)
    if not place.parent.is_dir():
        raise ValueError(f"checkpoint={str(path)!r}: there is no folder {place.parent}.")
    if place.is_dir():
        raise ValueError(f"checkpoint={str(path)!r} is a folder: name a file in it.")
    there = place if place.exists() else place.parent
    if not os.access(there, os.W_OK):
        raise ValueError(f"checkpoint={str(path)!r}: {there} may not be written to.")


def state_of(net: Any) -> dict[str, Any]:
    """All that the further course of a training depends on."""
    cuda = torch.device(net.device).type == "cuda"
    return {
        "module": dict(net.module_.state_dict()),
        "optimizer": net.optimizer_.state_dict(),
        "callbacks": {
            name: _callback_state(callback)
            for name, callback in net.callbacks_
            if not isinstance(callback, Checkpoint)
        },
        "history": [{k: v for k, v in row.items() if k != "batches"} for row in net.history],
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state(net.device) if cuda else None,
        "stage": net.stage,
        "started_at": net.started_at,
        "epochs_before": net.epochs_before,
        "n_parts": net.n_parts,
    }


def restore(net: Any, state: dict[str, Any]) -> None:
    """Bring a net, built by the same fit, to a state."""
    net.module_.load_state_dict(state["module"])
    net.history = History([{**row, "batches": []} for row in state["history"]])
    net.n_whole = len(net.history)
    for name in ("started_at", "epochs_before", "n_parts"):
        setattr(net, name, state[name])
    for name, callback in net.callbacks_:
        _restore_callback(callback, state["callbacks"].get(name, {}))
    net.optimizer_.load_state_dict(state["optimizer"])  # after schedules, which set its rates
    torch.set_rng_state(state["random"])
    if state["cuda_random"] is not None and torch.device(net.device).type == "cuda":
        torch.cuda.set_rng_state(state["cuda_random"], net.device)


def _callback_state(callback: Any) -> dict[str, Any]:
    """Attributes that are numbers or tensors, and the states of those that have one."""
    if hasattr(callback, "state_dict"):
        return callback.state_dict()
    state = {}
    for name, value in vars(callback).items():
        if name in _CACHES:
            continue
        if hasattr(value, "state_dict") and not isinstance(value, type):
            value = {"state_dict": value.state_dict()}
        with contextlib.suppress(NotANumberError):
            pack(value, {})
            state[name] = value
    return state


def _restore_callback(callback: Any, state: dict[str, Any]) -> None:
    if hasattr(callback, "load_state_dict"):
        callback.load_state_dict(state)
        return
    for name, value in state.items():
        own = vars(callback).get(name)
        if hasattr(own, "load_state_dict") and not isinstance(own, type):
            own.load_state_dict(value["state_dict"])
        else:
            setattr(callback, name, value)
