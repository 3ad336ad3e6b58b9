"""What only a fresh process can show: what is imported when, and hashes without its own salt."""

import json
import subprocess
import sys

import pytest

import lelp_sklearn

TEACHER = """
import numpy as np
from sklearn.naive_bayes import GaussianNB
from lelp_sklearn.teachers._fingerprint import fingerprint
t = GaussianNB().fit(np.arange(8.).reshape(4, 2), list("abab"))
t.extra = {"b", "a", "c"}, {"x": np.str_, "y": 2}
printed = fingerprint(t)
"""
CODE = """
import json, sys, lelp_sklearn
names = ["torch", "matplotlib", "sentence_transformers", "tokenizers", "dask", "onnx", "skrub"]
names += ["lelp_sklearn.subclasses._dec"]
found = {"at once": [name for name in names if name in sys.modules]}
found["listed"] = set(lelp_sklearn.__all__) < set(dir(lelp_sklearn))
from lelp_sklearn import *
found["first used"] = KD is lelp_sklearn.objectives.KD
found["nothing"] = hasattr(lelp_sklearn, "nothing")
found["version"] = lelp_sklearn.__version__
"""


@pytest.fixture(scope="module")
def found():
    """One process for all: importing torch and scikit-learn takes seconds."""
    code = CODE + TEACHER + "found['fingerprint'] = printed\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7"},
    )
    return json.loads(done.stdout)


def test_heavy_modules_are_imported_only_when_used(found):
    assert found["at once"] == []


def test_names_are_imported_when_they_are_first_used(found):
    assert found["listed"]
    assert found["first used"]
    assert not found["nothing"]
    assert found["version"] == lelp_sklearn.__version__


def test_a_fingerprint_is_the_same_in_another_process(found):
    here: dict = {}
    exec(TEACHER, here)
    assert found["fingerprint"] == here["printed"]
