"""Objectives added up and put one after the other."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from lelp_sklearn import (
    KD,
    LELP,
    MLP,
    CrossEntropy,
    LELPProjector,
    Objective,
    Stage,
    Stages,
    StudentClassifier,
    WeightedSum,
)
from lelp_sklearn.losses import fold
from tests.data import digits

ROWS = digits()
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}
LINEAR_LELP = LELP(
    projector=LELPProjector(n_subclasses=3, random_state=0), subclass_weight=1.0, alpha=0.0
)


class Hint(Objective):
    """Regress teacher embeddings, with a learned part."""

    needs = ("embeddings",)

    def targets(self, teacher):
        return {"embedding": teacher.embeddings.astype("float32")}

    def build(self, student):
        self.module_ = nn.Linear(student.embedding.shape[1], ROWS.embeddings.shape[1])
        return self.module_

    def loss(self, outputs, targets, progress):
        return (self.module_(outputs.embedding) - targets["embedding"]).square().mean()


def fit(objective, **params):
    settings = {"max_epochs": 4, "random_state": 0, "device": "cpu", "lr": 0.02} | params
    return StudentClassifier(objective=objective, **settings).fit(ROWS.X, ROWS.y, **TEACHER)


def logits(student):
    return student.predict_log_proba(ROWS.X)


def test_operators_make_named_weighted_sums():
    total = KD() + 0.5 * CrossEntropy() + KD(temperature=4.0) * 2
    assert [name for name, _ in total.objectives] == ["kd-1", "crossentropy", "kd-2"]
    assert total.weights == [1.0, 0.5, 2]
    assert (3 * total).weights == [3.0, 1.5, 6]
    assert total.objectives[2][1].temperature == 4.0
    with pytest.raises(TypeError, match="not an objective"):
        KD() + 1
    with pytest.raises(TypeError, match="cannot be scaled"):
        2 * WeightedSum([("kd", KD())], weights="liebel")


def test_adding_leaves_the_parts_alone():
    part = KD()
    total = part + KD()
    total.set_params(**{"kd-1__temperature": 3.0})
    assert part.temperature == 1.0


def test_a_sum_of_one_is_that_objective():
    np.testing.assert_array_equal(logits(fit(1.0 * KD())), logits(fit(KD())))


def test_kd_and_labels_are_kd_with_alpha():
    both = 0.7 * KD(alpha=0.0) + 0.3 * CrossEntropy()
    np.testing.assert_allclose(logits(fit(both)), logits(fit(KD(alpha=0.3))), atol=1e-4)


def test_a_narrow_objective_sees_a_wide_head_folded():
    # KL of classes twice, and of subclasses once.
    both = LINEAR_LELP + KD(alpha=0.0)
    student = fit(both)
    assert student.predict_subclass_proba(ROWS.X).shape[1] == 6
    twice = LELP(projector=LINEAR_LELP.projector, subclass_weight=0.5, alpha=0.0) * 2
    np.testing.assert_allclose(logits(student), logits(fit(twice)), atol=1e-3)


def test_heads_that_differ_are_an_error():
    with pytest.raises(ValueError, match="must agree"):
        fit(LINEAR_LELP + CrossEntropy(n_subclasses=2))

    class Own(KD):
        def head(self, width):
            return nn.Linear(width, 2)

    with pytest.raises(ValueError, match="head of their own"):
        fit(Own() + Own())


def test_terms_are_in_the_history():
    student = fit(KD() + 0.5 * Hint(), validation_fraction=0.2)
    for row in student.history_:
        for part in ("train", "valid"):
            total = row[f"{part}_kd"] + 0.5 * row[f"{part}_hint"]
            assert total == pytest.approx(row[f"{part}_loss"], rel=1e-5)


def test_learned_parts_are_trained_and_moved_with_the_student():
    student = fit(KD() + Hint())
    regressor = student.objective_.objectives_[1][1].module_
    own = {id(p) for p in student.net_.module_.parameters()}
    assert {id(p) for p in regressor.parameters()} <= own
    hints = [row["train_hint"] for row in student.history_]
    assert hints[-1] < 0.8 * hints[0]


def test_scheduled_weights():
    student = fit(WeightedSum([("kd", KD()), ("ce", CrossEntropy())], weights=[(1.0, 0.0), 0.0]))
    assert student.history_[-1]["train_loss"] == 0
    assert student.history_[0]["train_loss"] > 0
    rising = WeightedSum([("kd", KD())], weights=[lambda progress: progress])
    assert fit(rising).history_[0]["train_loss"] == 0


@pytest.mark.parametrize("weights", ["uncertainty", "liebel"])
def test_learned_weights_move_towards_their_optimum(weights):
    student = fit(WeightedSum([("kd", KD()), ("hint", Hint())], weights=weights), max_epochs=30)
    first, last = student.history_[0], student.history_[-1]
    start = 1.0 if weights == "uncertainty" else 0.5
    assert first["train_weight_kd"] == pytest.approx(start, abs=0.02)
    assert last["train_weight_kd"] > first["train_weight_kd"]  # a term below 1/2 gains weight


def test_learned_weights_are_clamped():
    class Tiny(KD):
        def loss(self, outputs, targets, progress):
            return 1e-9 * super().loss(outputs, targets, progress)

    objective = WeightedSum([("tiny", Tiny())], weights="uncertainty")
    student = fit(objective, lr=3.0, max_epochs=40)
    weights = [row["train_weight_tiny"] for row in student.history_]
    assert max(weights) == pytest.approx(np.exp(4), rel=0.05)


def test_uncertainty_by_hand():
    objective = WeightedSum([("a", KD()), ("b", KD())], weights="uncertainty")
    student = fit(objective, max_epochs=1)
    fitted = student.objective_
    with torch.no_grad():
        fitted.module_.log_variances[:] = torch.tensor([10.0, -20.0])  # s = 1 and -2
    targets = {
        **{f"{name}.class": torch.tensor([[0.5, 0.5]]) for name in "ab"},
        "y": torch.tensor([0]),
        "labeled": torch.ones(1),
        "weight": torch.ones(1),
    }
    outputs = student.net_.infer(torch.as_tensor(ROWS.X[:1]))
    total, terms = fitted.loss(outputs, targets, 0.0)
    expected = (np.exp(-1) + np.exp(2)) * terms["a"] + (1 - 2) / 2
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_wrong_numbers_of_weights():
    with pytest.raises(ValueError, match="1 weights for 2 objectives"):
        fit(WeightedSum([("a", KD()), ("b", KD())], weights=[1.0]))
    with pytest.raises(ValueError, match="empty"):
        fit(WeightedSum([]))


def test_sums_clone_and_search():
    total = KD() + 0.5 * CrossEntropy()
    assert clone(total).get_params()["kd__temperature"] == 1.0
    student = StudentClassifier(objective=total).set_params(objective__kd__temperature=2.0)
    assert student.objective.objectives[0][1].temperature == 2.0


def stages(**second):
    return Stages(
        [("hint", Stage(Hint(), max_epochs=3)), ("kd", Stage(KD(), **({"max_epochs": 2} | second)))]
    )


def test_stages_run_one_after_the_other():
    student = fit(stages(), module=MLP)
    assert [row["stage"] for row in student.history_] == ["hint"] * 3 + ["kd"] * 2
    assert student.net_.max_epochs == 4
    assert student.score(ROWS.X, ROWS.y) > 0.8


def test_a_stage_defaults_to_the_students_epochs_and_rate():
    class Rate(KD):
        def loss(self, outputs, targets, progress):
            progresses.append(progress)
            return super().loss(outputs, targets, progress)

    progresses = []
    objective = Stages([("first", Stage(KD(), max_epochs=2)), ("second", Stage(Rate()))])
    student = fit(objective, schedule=None)
    assert len(student.history_) == 2 + 4
    assert progresses[0] == 0
    assert progresses[-1] == 1
    assert student.net_.lr == 0.02


def test_a_stage_has_its_own_rate():
    still = fit(stages(lr=1e-12), schedule=None, module=MLP)
    hint_only = fit(Hint(), max_epochs=3, schedule=None, module=MLP)
    np.testing.assert_allclose(still.transform(ROWS.X), hint_only.transform(ROWS.X), atol=1e-2)


@pytest.mark.parametrize("part", ["body", "head"])
def test_a_frozen_part_stays(part):
    class Watch(KD):
        def loss(self, outputs, targets, progress):
            seen.append(outputs)
            return super().loss(outputs, targets, progress)

    seen = []
    objective = Stages(
        [("hint", Stage(Hint(), max_epochs=1)), ("kd", Stage(Watch(), frozen=[part]))]
    )
    student = fit(objective, module=MLP)
    module = student.net_.module_
    reference = fit(Hint(), max_epochs=1, module=MLP).net_.module_
    same = [
        torch.equal(a, b)
        for a, b in zip(
            getattr(module, part).parameters(), getattr(reference, part).parameters(), strict=True
        )
    ]
    assert all(same)
    assert all(p.requires_grad for p in module.parameters())
    other = "head" if part == "body" else "body"
    moved = zip(
        getattr(module, other).parameters(), getattr(reference, other).parameters(), strict=True
    )
    assert not all(torch.equal(a, b) for a, b in moved)


def test_early_stopping_watches_each_stage():
    student = fit(stages(max_epochs=50), validation_fraction=0.3, patience=1, lr=0.2, module=MLP)
    names = [row["stage"] for row in student.history_]
    assert names[-1] == "kd"
    assert names.count("kd") < 50


def test_ctrl_c_ends_all_stages():
    class Press(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted in epoch 1"):
        student = fit(stages(), module=MLP, callbacks=[Press()])
    assert [row["stage"] for row in student.history_] == ["hint"]


def test_partial_fit_goes_on_with_the_last_stage():
    student = fit(stages(), module=MLP)
    student.partial_fit(ROWS.X, ROWS.y, **TEACHER)
    assert len(student.history_) == 6


def split_stages(noise, kd_epochs=3, **lelp):
    return Stages(
        [
            ("kd", Stage(KD(), max_epochs=kd_epochs)),
            ("lelp", Stage(LINEAR_LELP, split_noise=noise, **lelp)),
        ]
    )


def test_a_head_is_copies_until_it_is_split():
    class Watch(Callback):
        def on_epoch_begin(self, net, **kwargs):
            heads.append(net.module_.head.weight.detach().clone().unflatten(0, (2, 3)))

    heads = []
    fit(split_stages(0.01), callbacks=[Watch()])
    copies = [torch.allclose(h, h[:, :1].expand_as(h), atol=1e-6) for h in heads]
    assert copies == [True] * 3 + [False] * 4


def test_splitting_a_head_keeps_its_predictions():
    class Watch(Callback):
        def on_train_end(self, net, **kwargs):
            with torch.no_grad():
                seen = net.module_(torch.as_tensor(ROWS.X)).logits
            ends.append(fold(seen, (3, 3)).log_softmax(dim=1).numpy())

    ends = []
    fit(split_stages(1e-6, max_epochs=1, lr=1e-12), schedule=None, callbacks=[Watch()])
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-4)
    fit(split_stages(10.0, max_epochs=1, lr=1e-12), schedule=None, callbacks=[Watch()])
    assert np.abs(ends[3] - ends[2]).max() > 1


def test_bad_stages():
    with pytest.raises(ValueError, match="frozen"):
        fit(Stages([("kd", Stage(KD(), frozen=["feet"]))]))
    with pytest.raises(TypeError, match="expected a Stage"):
        fit(Stages([("kd", KD())]))


def test_stages_clone_and_search():
    objective = clone(stages()).set_params(hint__max_epochs=7, kd__objective__temperature=2.0)
    assert objective.stages[0][1].max_epochs == 7
    assert objective.stages[1][1].objective.temperature == 2.0
