"""A torch teacher's weights go to parallel workers once, and not with every task."""

import copy
import pickle

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import nn

from lelp_sklearn.teachers import TorchTeacher
from lelp_sklearn.teachers._sharing import _ARRAYS

X = np.random.default_rng(0).standard_normal((5, 400)).astype("f")


def network():
    torch.manual_seed(0)
    first = nn.Linear(400, 800)  # over the megabyte from which joblib maps arrays
    tied = nn.Linear(800, 800)
    again = nn.Linear(800, 800)
    again.weight = tied.weight
    scale = nn.Parameter(torch.ones(3, dtype=torch.bfloat16), requires_grad=False)
    net = nn.Sequential(first, nn.BatchNorm1d(800), tied, again, nn.Linear(800, 2))
    net[1].register_parameter("scale", scale)
    return net


def teacher():
    return TorchTeacher(network(), classes=[0, 1], device="cpu")


def test_round_trip():
    before = teacher()
    for after in (pickle.loads(pickle.dumps(before)), copy.deepcopy(before)):
        np.testing.assert_array_equal(after.predict_proba(X), before.predict_proba(X))
        assert after.module[2].weight is after.module[3].weight
        assert after.module[1].scale.dtype == torch.bfloat16
        assert not after.module[1].scale.requires_grad
        with torch.no_grad():
            after.module[0].weight.zero_()
        assert before.module[0].weight.any()


def test_the_same_arrays_every_time_until_the_weights_move():
    one = teacher()
    (_, first), (_, second) = one.__getstate__()["_weights"][0], one.__getstate__()["_weights"][0]
    assert all(first[name] is second[name] for name in first)
    assert len(pickle.dumps(one.__getstate__()["module"])) < 20_000
    one.module[0].weight.data = torch.ones_like(one.module[0].weight)
    (_, third) = one.__getstate__()["_weights"][0]
    assert third["0.weight"] is not first["0.weight"]
    assert third["4.weight"] is first["4.weight"]


def _seen(given):
    array = _ARRAYS[given.module]["0.weight"]
    return type(array).__name__, getattr(array, "filename", None), given.predict_proba(X)


def test_workers_map_one_file():
    one = teacher()
    answers = Parallel(n_jobs=2)(delayed(_seen)(one) for _ in range(4))
    kinds, files, proba = zip(*answers, strict=True)
    assert set(kinds) == {"memmap"}
    assert len(set(map(str, files))) == 1
    for p in proba:
        np.testing.assert_allclose(p, one.predict_proba(X), rtol=1e-5)
