"""torch's devices, threads, random numbers and memory, used without leaving a trace."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def torch_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use so many threads inside; None leaves its number as it is."""
    before = torch.get_num_threads()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside, and give its generators back as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
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
