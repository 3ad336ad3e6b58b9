"""EnsembleSplitter: blocks side by side, an even mixture."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from lelp_sklearn import (
    CCASplitter,
    EnsembleSplitter,
    LELPProjector,
    LELPStudentClassifier,
    RandomSplitter,
    UniformSplitter,
)
from lelp_sklearn.losses import subclass_kl
from tests.data import digits, embeddings, linear_teacher


def members(seed=0):
    return [
        ("lelp", LELPProjector(n_subclasses=3, null_space=False, random_state=seed)),
        ("random", RandomSplitter(n_subclasses={0: 1, 1: 2, 2: 4}, random_state=seed)),
        ("uniform", UniformSplitter(n_subclasses=2)),
    ]


@given(seed=st.integers(0, 10_000), dtype=st.sampled_from([np.float32, np.float64]))
def test_a_class_holds_each_splitters_block_over_their_number(seed, dtype):
    H, y = embeddings(seed, dtype=dtype)
    splitter = EnsembleSplitter(members(seed)).fit(H, y)
    assert splitter.n_subclasses_.tolist() == [6, 7, 9]
    split = splitter.transform(H)
    assert split.dtype == dtype
    alone = [clone(member).fit(H, y) for _, member in members(seed)]
    parts = [np.split(s.transform(H), np.cumsum(s.n_subclasses_)[:-1], axis=1) for s in alone]
    expected = np.concatenate([part[c] for c in range(3) for part in parts], axis=1) / 3
    np.testing.assert_allclose(split, expected, rtol=1e-5, atol=1e-7)
    blocks = np.split(split, [6, 13], axis=1)
    np.testing.assert_allclose([b.sum(axis=1) for b in blocks], 1, rtol=1e-5)


@given(seed=st.integers(0, 10_000))
def test_the_loss_is_the_mean_of_the_splitters_and_how_even_their_mixture_is(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.dirichlet(np.ones(2), 5), rng.dirichlet(np.ones(3), 5)
    logits = torch.tensor(rng.standard_normal((5, 5)))
    one = torch.ones(5, 1, dtype=torch.float64)
    both = torch.tensor(np.concatenate([first, second], axis=1) / 2)
    whole = subclass_kl(logits, one, both, [5])
    parts = [
        subclass_kl(logits[:, own], one, torch.tensor(target), [target.shape[1]])
        for own, target in ((slice(0, 2), first), (slice(2, 5), second))
    ]
    shares = [logits.softmax(dim=1)[:, own].sum(dim=1) for own in (slice(0, 2), slice(2, 5))]
    uneven = -sum(torch.log(2 * share) for share in shares) / 2
    torch.testing.assert_close(whole, sum(parts) / 2 + uneven)


def test_a_student_learns_from_it_and_seeds_each_splitter_apart():
    rows = digits(200)
    twice = EnsembleSplitter([(name, LELPProjector(n_subclasses=2)) for name in "ab"])
    student = LELPStudentClassifier(projector=twice, max_epochs=2, device="cpu", random_state=0)
    student.set_params(projector__b__n_subclasses=3)
    student.fit(rows.X, rows.y, teacher_proba=rows.proba, teacher_embeddings=rows.embeddings)
    a, b = student.projector_.splitters_
    assert a.random_state != b.random_state
    assert not hasattr(a, "moments_")
    assert student.predict_subclass_proba(rows.X).shape == (200, 10)
    assert student.projector_.get_feature_names_out()[:6].tolist() == [
        *(f"0_{s}" for s in range(5)),
        "1_0",
    ]


def test_teacher_arrays_reach_the_splitters_that_take_them():
    H, y = embeddings()
    proba, coef = linear_teacher(H)
    projector = LELPProjector(n_subclasses=2, null_space=True, random_state=0)
    splitter = EnsembleSplitter([("p", projector), ("u", UniformSplitter(n_subclasses=2))])
    for said in ({"teacher_proba": proba}, {"teacher_coef": coef}):
        found = splitter.fit(H, y, **said).splitters_[0]
        np.testing.assert_array_equal(
            found.components_, clone(projector).fit(H, y, **said).components_
        )


def test_student_inputs_reach_the_splitters_that_take_them():
    H, y = embeddings()
    X = H[:, ::-1] ** 3
    seeing = CCASplitter(n_subclasses=2, null_space=False, random_state=0)
    splitter = EnsembleSplitter([("cca", seeing), ("u", UniformSplitter(n_subclasses=2))])
    found = splitter.fit(H, y, student_inputs=X).splitters_[0]
    np.testing.assert_array_equal(
        found.transform(H), clone(seeing).fit(H, y, student_inputs=X).transform(H)
    )
    with pytest.raises(ValueError, match="needs what the student reads"):
        splitter.fit(H, y)


def test_parameters_go_by_name_and_a_splitter_can_be_replaced():
    splitter = EnsembleSplitter(members())
    assert splitter.get_params()["random__random_state"] == 0
    splitter.set_params(random=UniformSplitter(n_subclasses=5), lelp__n_subclasses=2)
    H, y = embeddings()
    assert splitter.fit(H, y).n_subclasses_.tolist() == [9, 9, 9]
    assert not hasattr(splitter.splitters[0][1], "classes_")


def test_no_splitters_and_equal_names_are_refused():
    H, y = embeddings()
    with pytest.raises(ValueError, match="splitters is empty"):
        EnsembleSplitter([]).fit(H, y)
    with pytest.raises(ValueError, match="Names provided are not unique"):
        EnsembleSplitter([("a", UniformSplitter()), ("a", UniformSplitter())]).fit(H, y)
