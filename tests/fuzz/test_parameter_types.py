"""Every number, flag and word that is a parameter, as one of numpy's: the same result.

All of an estimator's at once; by ``HYPOTHESIS_PROFILE=nightly`` each by itself, too, and as the
smallest type that holds it.
"""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import lelp_sklearn as lelp
from tests.fuzz.mutations.changes import array
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.subject import Refit, predicted
from tests.fuzz.test_fuzz import SUBJECTS
from tests.profile import NIGHTLY

_ROWS = {"X": v.X, "y": v.Y}
_TAUGHT = {**_ROWS, "teacher_proba": v.PROBA, "teacher_embeddings": v.H}
_STAGES = [("one", lelp.Stage(lelp.KD(), max_epochs=2, lr=0.02)), ("two", lelp.Stage(lelp.KD()))]
_OBJECTIVES = [
    lelp.CrossEntropy(), lelp.KD(), lelp.DKD(), lelp.DIST(), lelp.DiSK(), lelp.SimKD(),
    lelp.KD() + lelp.RKD() + lelp.SP() + lelp.PKT() + lelp.CKA(),
    lelp.KD() + lelp.CRD() + lelp.VID() + lelp.CompRess() + lelp.EmbeddingMatching(),
    lelp.KD() + lelp.RelationalAlignment(n_components=3),
    lelp.KD() + lelp.EmbeddingApproximation(n_components=3),
    lelp.Stages(_STAGES),
]  # fmt: skip


def _everything(objective):
    """A student that is given all that it takes."""
    return lelp.StudentClassifier(
        lelp.MLP,
        objective=objective,
        validation_fraction=0.25,
        patience=2,
        max_grad_norm=1.0,
        class_weight={0: 1.0, 1: 2.0, 2: 1.0},
        module__hidden=[6, 5],
        module__dropout=0.1,
        optimizer__weight_decay=0.01,
        optimizer__betas=(0.9, 0.99),
        **{**v.QUICK, "max_epochs": 2},
    )


def _sampled(estimator, X, y):
    return estimator.sample(7)


CASES = {
    f"objective {i}, {type(objective).__name__}": (
        _everything(objective), _TAUGHT if objective.needs else _ROWS, predicted, "fit"
    )
    for i, objective in enumerate(_OBJECTIVES)
} | {
    name: (s.call.estimator, s.call.arguments, s.call.answer, s.call.method)
    for name, s in SUBJECTS.items()
    # Students of each objective are above, and with scikit-learn's parameters it is to say.
    if isinstance(s.call, Refit) and not name.startswith("fit ") and "sklearn" not in s.also
}  # fmt: skip
CASES |= {
    "scheduled LELP": (
        lelp.LELPStudentClassifier(
            projector=lelp.LELPProjector(
                n_subclasses={0: 2, 1: 2, 2: 1}, null_space=False, random_state=0
            ),
            subclass_weight=(0.5, 0.1),
            **v.QUICK,
        ),
        _TAUGHT,
        predicted,
        "fit",
    ),
    "DistilledClassifier": (
        lelp.DistilledClassifier(
            LogisticRegression(),
            lelp.StudentClassifier(objective=lelp.KD(), **v.QUICK),
            cv=2,
            augment=lelp.Mixup(random_state=0),
            augment_factor=0.5,
        ),
        _ROWS,
        predicted,
        "fit",
    ),
    **{
        type(augmenter).__name__: (augmenter, _ROWS, _sampled, "fit")
        for augmenter in (
            lelp.Mixup(random_state=0),
            lelp.Munge(random_state=0),
            lelp.Smote(random_state=0),
            lelp.VAEAugmenter(max_epochs=1, random_state=0),
            lelp.GANAugmenter(max_epochs=1, random_state=0),
        )
    },
}


def of_numpy(value, small):
    """The same in numpy's types; None for what has none."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.uint8(value) if small and 0 <= value < 256 else np.int64(value)
    if isinstance(value, float):
        return (
            np.float16(value) if small and float(np.float16(value)) == value else np.float64(value)
        )
    if isinstance(value, str):
        return np.str_(value)
    if isinstance(value, list) and value and isinstance(value[0], int):
        return np.array(value)
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return tuple(np.float64(item) for item in value)
    if isinstance(value, dict):
        return {np.int64(k): of_numpy(item, small) for k, item in value.items()}
    return None


@pytest.mark.parametrize("small", [False, True] if NIGHTLY else [True])
@pytest.mark.parametrize("name", CASES)
def test_the_same_result(name, small):
    estimator, arguments, answer, method = CASES[name]
    given = {n: of_numpy(value, small) for n, value in estimator.get_params(deep=True).items()}
    of_sklearn = "teacher__"
    given = {n: g for n, g in given.items() if g is not None and not n.startswith(of_sklearn)}
    plain = _answer(estimator, arguments, answer, method)
    for names in [list(given), *([[n] for n in given] if NIGHTLY else [])]:
        numpys = clone(estimator).set_params(**{n: given[n] for n in names})
        result = _answer(numpys, arguments, answer, method)
        np.testing.assert_array_equal(result, plain, str(names))


def _answer(estimator, arguments, answer, method):
    fitted = clone(estimator)
    getattr(fitted, method)(**arguments)
    return array(answer(fitted, **arguments))
