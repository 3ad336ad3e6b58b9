"""Parameters from numpy's grids and draws are as good as Python's, wherever they go."""

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

import lelp_sklearn as lelp
from lelp_sklearn import KD, MLP, RKD, StudentClassifier, WeightedSum
from lelp_sklearn.students._net import DistillationNet
from tests.fuzz.subjects import values as v

ANSWERS = {"teacher_proba": v.PROBA, "teacher_embeddings": v.H}


def kill_in_epoch_2(patch):
    step = DistillationNet.train_step_single

    def killed(net, *args, **kwargs):
        if len(net.history) == 2:
            raise InterruptedError
        return step(net, *args, **kwargs)

    patch.setattr(DistillationNet, "train_step_single", killed)


def student(of=lambda value: value, **params):
    return StudentClassifier(
        MLP,
        objective=KD(alpha=of(0.3), temperature=of(2.0)),
        lr=of(0.02),
        max_epochs=of(3),
        batch_size=of(16),
        device=of("cpu"),
        bf16=of(False),
        class_weight={of(0): of(1.0), of(1): of(2.0), of(2): of(1.0)},
        module__hidden=[of(6), of(5)],
        optimizer__betas=(of(0.9), of(0.99)),
        random_state=of(0),
        **params,
    )


def numpys(value):
    return np.asarray(value)[()]


def test_a_grid():
    grids = {"max_epochs": np.arange(1, 3), "lr": np.logspace(-2, -1, 2), "batch_size": [16]}
    plain = {name: np.asarray(values).tolist() for name, values in grids.items()}
    scores = [
        GridSearchCV(student(), grid, cv=2, error_score="raise")
        .fit(v.X, v.Y, teacher_proba=v.PROBA)
        .cv_results_["mean_test_score"]
        for grid in (grids, plain)
    ]
    np.testing.assert_array_equal(*scores)
    for weights in np.array([[1.0, 0.5], [1, 0.1]]):
        sums = [WeightedSum([("a", KD()), ("b", RKD())], weights=weights)]
        sums.append(WeightedSum([("a", KD()), ("b", RKD())], weights=weights.tolist()))
        fits = [student().set_params(objective=o).fit(v.X, v.Y, **ANSWERS) for o in sums]
        np.testing.assert_array_equal(*[fit.predict_proba(v.X) for fit in fits])


def test_draws():
    draws = {
        "max_epochs": stats.randint(1, 3),
        "lr": stats.loguniform(1e-3, 1e-1),
        "module__hidden": stats.randint(3, 6),
        "objective__alpha": stats.uniform(),
        "validation_fraction": stats.uniform(0.3, 0.1),
        "optimizer__weight_decay": stats.uniform(0, 0.1),
    }
    search = RandomizedSearchCV(student(), draws, n_iter=2, cv=2, random_state=0)
    search.set_params(error_score="raise").fit(v.X, v.Y, teacher_proba=v.PROBA)
    assert 0 <= search.best_score_ <= 1


def test_what_is_written_of_them(tmp_path):
    written = {}
    for name, of in {"plain": lambda value: value, "numpy": numpys}.items():
        fitted = student(of).fit(v.X, v.Y, **ANSWERS)
        lelp.save(fitted, tmp_path / name)
        card = lelp.model_card(fitted).facts
        epochs = [{k: value for k, value in e.items() if k != "dur"} for e in fitted.history_]
        written[name] = (
            repr(lelp.load(tmp_path / name).get_params()),
            json.dumps(epochs),
            card["model"],
            card["distillation"],
        )
    assert written["numpy"] == written["plain"]


@pytest.mark.parametrize(("before", "after"), [(numpys, lambda v: v), (lambda v: v, numpys)])
def test_a_checkpoint_of_the_same_numbers(before, after, tmp_path, monkeypatch):
    whole = student().fit(v.X, v.Y, teacher_proba=v.PROBA).predict_proba(v.X)
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_in_epoch_2(patch)
        with pytest.raises(InterruptedError):
            student(before).fit(v.X, v.Y, teacher_proba=v.PROBA, checkpoint=path)
    again = student(after)
    again.fit(v.X, v.Y, teacher_proba=v.PROBA, checkpoint=path)
    np.testing.assert_array_equal(again.predict_proba(v.X), whole)


@pytest.mark.parametrize("value", [Fraction(1, 2), Decimal("0.5")])
@pytest.mark.parametrize(
    "name", ["lr", "objective__alpha", "module__dropout", "optimizer__weight_decay"]
)
def test_other_numbers_are_refused(name, value):
    refused = student(module__dropout=0.1, optimizer__weight_decay=0.1).set_params(**{name: value})
    said = f"{name.rpartition('__')[2]}.*{type(value).__name__}"
    with pytest.raises((TypeError, ValueError), match=said):
        refused.fit(v.X, v.Y, teacher_proba=v.PROBA)
