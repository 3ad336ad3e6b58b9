"""What a surrounding program may have set: scikit-learn's, torch's and numpy's settings."""

import os
import random
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from sklearn import config_context, get_config


@contextmanager
def _default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def _deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def _together(frames):
    with ExitStack() as stack:
        stack.enter_context(config_context(transform_output=frames))
        for name in ("float64", "autocast", "inference", "meta device", "errors raised"):
            stack.enter_context(SURROUNDINGS[name]())
        stack.enter_context(config_context(**_OTHER_CONFIG))
        yield


_OTHER_CONFIG = {
    "assume_finite": True,
    "enable_metadata_routing": True,
    "skip_parameter_validation": True,
    "print_changed_only": False,
    "working_memory": 1,
}
FRAMES = {
    "pandas": lambda: config_context(transform_output="pandas"),
    "polars": lambda: config_context(transform_output="polars"),
}
OF_SKLEARN = {
    **FRAMES,
    **{
        name: lambda name=name, value=value: config_context(**{name: value})
        for name, value in _OTHER_CONFIG.items()
    },
    "errors raised": lambda: np.errstate(all="raise"),
    "errors ignored": lambda: np.errstate(all="ignore"),
}
OF_TORCH = {
    "float64": lambda: _default_dtype(torch.float64),
    "float16": lambda: _default_dtype(torch.float16),
    "bfloat16": lambda: _default_dtype(torch.bfloat16),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "no gradients": lambda: torch.set_grad_enabled(False),
    "meta device": lambda: _default_device("meta"),
    "cpu device": lambda: _default_device("cpu"),
    "meta context": lambda: torch.device("meta"),
    "deterministic": _deterministic,
}
TOGETHER = {f"all with {frames}": lambda frames=frames: _together(frames) for frames in FRAMES}
SURROUNDINGS = OF_SKLEARN | OF_TORCH | TOGETHER


def state():
    """What a call is to leave as it was."""
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "inference": torch.is_inference_mode_enabled(),
        "gradients": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast cache": torch.is_autocast_cache_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch's numbers": torch.get_rng_state().numpy().tobytes(),
        "numpy's numbers": np.random.get_state()[1].tobytes(),  # noqa: NPY002
        "Python's numbers": random.getstate(),
        "numpy's errors": np.geterr(),
        # torch notes the folder of its compiler, which it imports with the first optimizer.
        "environment": {n: s for n, s in os.environ.items() if not n.startswith("TORCHINDUCTOR")},
        "scikit-learn": get_config(),
    }
