"""torch's devices, threads, random numbers and memory, used without leaving a trace."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, ExitStack, contextmanager
from threading import Lock, RLock, local
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def resolve_device(device: str) -> torch.device:
    """The device of a name; "auto" is cuda, mps or cpu, whichever is there first.

    Raises
    ------
    ValueError
        If a device is named that this machine does not have: never a quiet fall-back.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here ({error}). device='auto' takes what there is."
        ) from error
    return torch.device(device)


class _OfTheProcess:
    """A setting that all threads of the process share, held at a value while any thread needs it.

    What the first of them found is what it is afterwards: a thread that comes in beside another
    would find the other's value, and leave that behind.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None]):
        self.read, self.write = read, write
        self.lock = Lock()
        self.n_inside = 0
        self.before: Any = None
        self.own = local()  # what this thread holds it at, the innermost last

    def enter(self, value: Any) -> None:
        with self.lock:
            if not self.n_inside:
                self.before = self.read()
            self.n_inside += 1
            self.own.held = [*getattr(self.own, "held", ()), value]
            if self.read() != value:
                self.write(value)

    def leave(self, *, at_once: bool) -> None:
        """Give it back when the last has left, or ``at_once`` to this thread's own share of it."""
        with self.lock:
            self.n_inside -= 1
            *outer, _ = self.own.held
            self.own.held = outer
            value = outer[-1] if outer else self.before
            if (at_once or not self.n_inside) and self.read() != value:
                self.write(value)


_default_dtype = _OfTheProcess(torch.get_default_dtype, torch.set_default_dtype)
# Each thread has a number of its own too, and takes the process's when it first asks torch.
_n_threads = _OfTheProcess(torch.get_num_threads, torch.set_num_threads)


class UsualSettings(ContextDecorator):
    """torch's and numpy's settings as they are in a fresh interpreter, inside; then as before.

    Those that the surrounding program may have changed for models of its own: the default dtype
    and device, autocast, whether gradients are recorded, and what numpy does about floating-point
    errors. Public methods that compute with torch enter it, so that they give what they give
    elsewhere. Entering costs 3 microseconds where all is as usual.
    """

    def _recreate_cm(self) -> UsualSettings:
        return UsualSettings()  # one for each call of what it decorates

    def __enter__(self) -> None:
        self.errstate = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
        self.errstate.__enter__()
        _default_dtype.enter(torch.float32)
        self.stack: ExitStack | None = None
        probe = torch.empty(0)
        inference = probe.is_inference()
        if (
            inference
            or probe.device.type != "cpu"
            or not torch.is_grad_enabled()
            or torch.is_autocast_enabled("cpu")
            or torch.is_autocast_enabled("cuda")
        ):
            self.stack = ExitStack()
            if inference:
                self.stack.enter_context(torch.inference_mode(False))
            self.stack.enter_context(torch.enable_grad())
            self.stack.enter_context(torch.device("cpu"))
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    # Its cache would keep the weights of earlier steps, for an autocast of ours.
                    self.stack.enter_context(
                        torch.autocast(device, enabled=False, cache_enabled=False)
                    )

    def __exit__(self, *exception: Any) -> None:
        try:
            if self.stack is not None:
                self.stack.__exit__(*exception)
        finally:
            _default_dtype.leave(at_once=False)
            self.errstate.__exit__(*exception)


@contextmanager
def torch_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use so many threads inside; None leaves its number as it is."""
    if n_threads is None:
        yield
        return
    _n_threads.enter(int(n_threads))
    try:
        yield
    finally:
        _n_threads.leave(at_once=True)


_turn = RLock()  # of a fit, as all threads draw from the same generator


def _free_turn() -> None:
    global _turn  # the thread that had it is not there in a process that was forked meanwhile
    _turn = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_turn)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside, and give its generators back as they were; fits in threads take turns."""
    devices = [device] if device.type == "cuda" else []
    with _turn, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Have torch use no algorithm whose result varies, where that is wanted; then as before.

    On the CPU the students have none. On a GPU sums over rows of a table are such ones, and torch
    demands the environment variable ``CUBLAS_WORKSPACE_CONFIG=:4096:8``, set before its first use.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # it chooses by time
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark


def as_tensor(values: NDArray | Tensor) -> Tensor:
    """A tensor on the same memory; read-only arrays too, as nothing here writes to rows."""
    if isinstance(values, Tensor):
        return values
    if values.flags.writeable:
        return torch.from_numpy(values)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(values)
