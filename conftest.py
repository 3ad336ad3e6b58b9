"""Settings that all tests and doctests share."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any test imports a hub client
# Before any library starts threads, which on small data cost twice the processor time and more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import matplotlib
import numpy as np
import torch

# Two threads on a busy machine spin at every barrier: a hundred times slower for small networks.
torch.set_num_threads(1)
matplotlib.use("agg")

hypothesis.settings.register_profile("default", deadline=None, max_examples=10)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_runtest_setup() -> None:
    """Start every test alike, whatever ran before: what has no seed of its own draws from these."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
