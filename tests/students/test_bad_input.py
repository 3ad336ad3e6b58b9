"""What a student refuses, before anything is trained."""

import numpy as np
import pytest

from lelp_sklearn import MLP, LELPStudentClassifier
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


def student(**params):
    return LELPStudentClassifier(**{"max_epochs": 3, "device": "cpu", **params})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"teacher_proba": ROWS.proba[:-1]}, "teacher_proba has 399 rows and X has 400"),
        ({"teacher_embeddings": ROWS.embeddings[:5]}, "teacher_embeddings has 5 rows and X has"),
        ({"teacher_proba": np.full((400, 3), 1 / 3)}, r"3 columns, the student sees 2 .*\[0, 1\]"),
        ({"teacher_proba": ROWS.proba * 2}, "expected probabilities that sum to 1"),
        ({"teacher_proba": ROWS.proba + np.array([0.3, 0.0])}, "sum to 1"),
        ({"teacher_proba": np.array([[2.0, -1.0]] * 400)}, r"row 0 is \[2.0, -1.0\]"),
        ({"teacher_proba": ROWS.proba * np.nan}, "teacher_proba is NaN in all rows"),
        ({"teacher_embeddings": None}, "LELP needs teacher_embeddings; got teacher_proba"),
        ({"teacher_proba": None}, "LELP needs teacher_proba; got teacher_embeddings"),
        ({"teacher_coef": np.ones((2, 3))}, r"teacher_coef has shape \(2, 3\); expected"),
        ({"labeled": np.ones(399, bool)}, r"labeled has shape \(399,\)"),
        ({"labeled": np.ones(400)}, "dtype float64; expected one bool"),
        ({"labeled": np.zeros(400, bool)}, "labeled is False for all rows"),
        ({"sample_weight": np.zeros(400)}, "weight"),
        ({"sample_weight": -np.ones(400)}, "[Nn]egative"),
    ],
)
def test_bad_arrays_are_named_before_anything_is_trained(arrays, message):
    s = student()
    with pytest.raises(ValueError, match=message):
        s.fit(ROWS.X, ROWS.y, **{**TEACHER, **arrays})
    assert not hasattr(s, "net_")


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"patience": 3}, ValueError, "patience=3 needs held-out rows"),
        ({"device": "cuda:99"}, ValueError, "device='cuda:99' cannot be used here"),
        ({"modul__hidden": 3}, TypeError, r"unexpected parameters \['modul__hidden'\]"),
        ({"module__hidden": 3}, TypeError, r"\(module=None\) takes no parameters"),
        ({"module": MLP, "module__hiden": 3}, TypeError, "Was module__hidden meant"),
        ({"optimizer__momentun": 3}, TypeError, "AdamW takes no optimizer__momentun"),
        ({"callbacks": [3]}, TypeError, "callbacks holds 3"),
        ({"lr": 0}, ValueError, "'lr' parameter"),
        ({"temperature": -1.0}, ValueError, "'temperature' parameter"),
        ({"alpha": 1.5}, ValueError, "'alpha' parameter"),
        ({"subclass_weight": "falling"}, ValueError, "'subclass_weight' parameter"),
        ({"schedule": "step"}, ValueError, "'schedule' parameter"),
    ],
)
def test_bad_parameters_are_named_in_fit(params, error, message):
    with pytest.raises(error, match=message):
        student(**params).fit(ROWS.X, ROWS.y, **TEACHER)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"hold only one class, \[1.0\]"):
        student().fit(ROWS.X, np.ones(400), **TEACHER)
