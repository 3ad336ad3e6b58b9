"""What is public is documented, with an example, and checked by scikit-learn."""

import inspect
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
