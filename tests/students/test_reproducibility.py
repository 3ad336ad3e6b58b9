"""Seeds, threads, pickles: nothing random is left over, nothing is left changed."""

import copy
import pickle

import numpy as np
import pytest
import torch

from lelp_sklearn import MLP, LELPStudentClassifier
from lelp_sklearn._torch import torch_threads
from tests.data import digits

ROWS = digits(200)
TEACHER = {"teacher_proba": ROWS.proba, "teacher_embeddings": ROWS.embeddings}


def fitted(**params):
    defaults = {"module": MLP, "module__dropout": 0.2, "max_epochs": 3, "device": "cpu"}
    student = LELPStudentClassifier(**{**defaults, "random_state": 0, **params})
    return student.fit(ROWS.X, ROWS.y, **TEACHER)


def weights(student):
    return [w.detach().numpy() for w in student.net_.module_.parameters()]


def test_same_seed_gives_the_same_bits():
    a, b, c = fitted(), fitted(), fitted(random_state=1)
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.array_equal(weights(a)[0], weights(c)[0])


def test_global_seeds_are_left_as_they_were():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    fitted().predict(ROWS.X)
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])  # noqa: NPY002


def test_global_seed_does_not_matter():
    torch.manual_seed(1)
    a = fitted()
    torch.manual_seed(2)
    np.testing.assert_array_equal(weights(a)[0], weights(fitted())[0])


def test_threads_are_given_back():
    before = torch.get_num_threads()
    inside = []
    with torch_threads(before + 1):
        inside.append(torch.get_num_threads())
        fitted(n_threads=1)
        inside.append(torch.get_num_threads())
        fitted(n_threads=None).predict(ROWS.X)
        inside.append(torch.get_num_threads())
    assert inside == [before + 1] * 3
    assert torch.get_num_threads() == before


def test_threads_inside_fit():
    from skorch.callbacks import Callback

    class Threads(Callback):
        seen: list = []  # noqa: RUF012

        def on_epoch_end(self, net, **kwargs):
            self.seen.append(torch.get_num_threads())

    with torch_threads(2):
        fitted(n_threads=1, callbacks=[Threads()])
        fitted(n_threads=None, callbacks=[Threads()])
    assert Threads.seen == [1] * 3 + [2] * 3


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_predict_the_same(copier):
    student = fitted(validation_fraction=0.2, patience=2)
    np.testing.assert_array_equal(
        copier(student).predict_proba(ROWS.X), student.predict_proba(ROWS.X)
    )


def test_a_pickle_holds_the_student_and_no_rows():
    small = len(pickle.dumps(fitted(validation_fraction=0.2)))
    many = LELPStudentClassifier(
        MLP,
        module__dropout=0.2,
        max_epochs=3,
        device="cpu",
        random_state=0,
        validation_fraction=0.2,
    ).fit(
        np.tile(ROWS.X, (20, 1)),
        np.tile(ROWS.y, 20),
        **{name: np.tile(rows, (20, 1)) for name, rows in TEACHER.items()},
    )
    assert len(pickle.dumps(many)) < small + 2000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_trains_what_the_cpu_trains():
    cpu, gpu = fitted(module__dropout=0.0), fitted(module__dropout=0.0, device="cuda")
    assert next(gpu.net_.module_.parameters()).is_cuda
    np.testing.assert_allclose(gpu.predict_proba(ROWS.X), cpu.predict_proba(ROWS.X), atol=1e-3)
