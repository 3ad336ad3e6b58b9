"""What is public is documented, with an example, and checked by scikit-learn."""

import inspect
import subprocess
import sys

import pytest
from sklearn.base import BaseEstimator

import lelp_sklearn
from lelp_sklearn import (
    augmentation,
    inputs,
    inspection,
    losses,
    metrics,
    networks,
    objectives,
    persistence,
    students,
    subclasses,
    teachers,
)
from tests.expected_failures import NOT_CHECKED
from tests.test_common import ESTIMATORS

MODULES = [
    lelp_sklearn,
    augmentation,
    inputs,
    inspection,
    losses,
    metrics,
    networks,
    objectives,
    persistence,
    students,
    subclasses,
    teachers,
]
PUBLIC = sorted({(m.__name__, name) for m in MODULES for name in m.__all__})


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_has_a_docstring_with_an_example(module, name):
    doc = inspect.getdoc(getattr(sys.modules[module], name))
    assert "Examples\n--------" in doc
    assert ">>>" in doc


def test_scikit_learn_checks_every_public_estimator():
    public = {
        value
        for module, name in PUBLIC
        if inspect.isclass(value := getattr(sys.modules[module], name))
        and issubclass(value, BaseEstimator)
        and not issubclass(
            value,
            lelp_sklearn.Objective | lelp_sklearn.Stage | inputs.Inputs | lelp_sklearn.Augmenter,
        )  # parts of other estimators
        and not inspect.isabstract(value)
    }
    not_checked = {getattr(lelp_sklearn, name) for name in NOT_CHECKED}
    assert public - {lelp_sklearn.SubclassSplitter} - not_checked == {type(e) for e in ESTIMATORS}


def test_heavy_modules_are_imported_only_when_used():
    code = (
        "import sys, lelp_sklearn;"
        "print([m for m in ('matplotlib', 'sentence_transformers', 'tokenizers', 'dask', 'onnx',"
        " 'skrub', 'lelp_sklearn.subclasses._dec') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_names_are_imported_when_they_are_first_used():
    code = (
        "import sys, lelp_sklearn;"
        "assert 'torch' not in sys.modules;"
        "assert set(lelp_sklearn.__all__) < set(dir(lelp_sklearn));"
        "from lelp_sklearn import *;"
        "assert KD is lelp_sklearn.objectives.KD;"
        "print(lelp_sklearn.__version__, hasattr(lelp_sklearn, 'nothing'))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"{lelp_sklearn.__version__} False"
