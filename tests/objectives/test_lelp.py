"""LELP's loss, in as few operations as its speed wants, is the formula of its docstring."""

import numpy as np
import pytest
import torch

from lelp_sklearn import LELP, OracleSplitter, UniformSplitter
from lelp_sklearn.losses import fold, label_loss, subclass_kl
from lelp_sklearn.objectives._base import soften
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs

N = 40
RNG = np.random.default_rng(0)
H = RNG.standard_normal((N, 5))
Y = RNG.integers(0, 2, N)
PROBA = RNG.dirichlet([1, 1], N)
PROBA[0] = [0.0, 1.0]
GIVEN = {
    "y": Y,
    "labeled": (RNG.random(N) < 0.6).astype("f"),
    "weight": RNG.random(N).astype("f"),
}


@pytest.mark.parametrize("n_subclasses", [3, {0: 2, 1: 4}])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(("alpha", "weight"), [(0.0, 1.0), (0.3, (0.6, 0.0)), (1.0, 2.0)])
@pytest.mark.parametrize(("progress", "weighted"), [(0.0, True), (1.0, True), (0.0, False)])
def test_the_loss_is_the_weighted_mean_of_the_formula(
    n_subclasses, temperature, alpha, weight, progress, weighted
):
    given = GIVEN if weighted else {**GIVEN, "weight": np.ones(N, "f")}
    projector = UniformSplitter(n_subclasses=n_subclasses)
    objective = LELP(
        projector=projector, temperature=temperature, alpha=alpha, subclass_weight=weight
    )
    teacher = TeacherOutputs(PROBA, H)
    objective.fit(teacher, Y, np.arange(2), 0)
    n = objective.n_subclasses_
    prepared = objective.prepare(objective.targets(teacher) | given)
    targets = {k: torch.from_numpy(v) for k, v in prepared.items()}
    logits = torch.from_numpy(RNG.standard_normal((N, sum(n))).astype("f"))
    found = objective.loss(StudentOutputs(logits, logits), targets, progress)

    classes = torch.from_numpy(soften(PROBA, temperature))
    split = torch.from_numpy(projector.fit(H, Y).transform(H)).float()
    lam = weight[0] * (1 - progress) if isinstance(weight, tuple) else weight
    rows = (1 - alpha) * subclass_kl(logits, classes, split, n, temperature, lam)
    of_labels = label_loss(fold(logits, n), torch.from_numpy(Y))
    rows += alpha * torch.from_numpy(given["labeled"]) * of_labels
    expected = np.average(rows.numpy(), weights=given["weight"])
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_targets_leave_what_the_projector_gave_alone():
    class Kept(OracleSplitter):
        def transform(self, H):
            return self.kept_

    objective = LELP(projector=Kept())
    objective.fit(TeacherOutputs(PROBA, Y[:, None].astype(float)), Y, np.arange(2), 0)
    objective.projector_.kept_ = np.full((N, sum(objective.n_subclasses_)), 0.5, np.float32)
    joint = objective.targets(TeacherOutputs(PROBA, H))["joint"]
    assert (objective.projector_.kept_ == 0.5).all()
    np.testing.assert_allclose(joint.sum(axis=1), 0.5 * sum(objective.n_subclasses_) / 2, rtol=1e-6)
