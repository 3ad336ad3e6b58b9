"""TorchTeacher and SkorchTeacher: the same answers as the model, and the model as it was."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from lelp_sklearn import teacher_outputs
from lelp_sklearn.teachers import SkorchTeacher, TorchTeacher, as_teacher

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = IRIS.astype(np.float32)


class Net(nn.Module):
    """Dropout and batch-norm, whose modes matter; a frozen part, whose mode differs."""

    def __init__(self, n_outputs=3, fail=False):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout())
        self.head = nn.Linear(6, n_outputs)
        self.fail = fail

    def forward(self, X):
        H = self.body(X)
        if self.fail:
            raise RuntimeError("boom")
        return self.head(H)


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net()
    module.train()
    module.body[1].eval()
    return module


def state(module):
    hooks = [(len(p._forward_hooks), len(p._forward_pre_hooks)) for p in module.modules()]
    return [p.training for p in module.modules()], hooks, torch.is_grad_enabled()


def expected(module, X=IRIS):
    modes = [part.training for part in module.modules()]
    module.eval()
    with torch.no_grad():
        H = module.body(torch.tensor(X))
        logits = module.head(H)
    for part, mode in zip(module.modules(), modes, strict=True):
        part.training = mode
    return H.numpy(), logits.numpy()


@pytest.mark.parametrize("batch_size", [1, 7, 150, 1024])
def test_same_answers_in_any_batches(net, batch_size):
    before = state(net)
    H, logits = expected(net)
    teacher = TorchTeacher(net, batch_size=batch_size)
    outputs = teacher.outputs(IRIS)
    np.testing.assert_allclose(outputs.embeddings, H, atol=1e-6)
    np.testing.assert_allclose(outputs.proba, softmax(logits, axis=1), atol=1e-6)
    np.testing.assert_allclose(teacher.predict_proba(IRIS), outputs.proba, atol=1e-6)
    back = outputs.embeddings @ teacher.teacher_coef_.T + net.head.bias.detach().numpy()
    np.testing.assert_allclose(back, logits, atol=1e-5)
    np.testing.assert_allclose(teacher.transform(IRIS.astype("float64")), H, atol=1e-6)
    assert state(net) == before


def test_the_module_is_as_it_was_after_an_error(net):
    net.fail = True
    before = state(net)
    for ask in ("outputs", "predict_proba", "transform"):
        with pytest.raises(RuntimeError, match="boom"):
            getattr(TorchTeacher(net), ask)(IRIS)
    assert state(net) == before


def test_named_layer(net):
    teacher = TorchTeacher(net, layer="body.0")
    np.testing.assert_allclose(
        teacher.transform(IRIS), net.body[0](torch.tensor(IRIS)).detach().numpy(), atol=1e-6
    )
    assert not hasattr(teacher, "teacher_coef_")
    with pytest.raises(ValueError, match=r"no layer 'tail'; it has \['body', 'body.0'"):
        TorchTeacher(net, layer="tail").transform(IRIS)


def test_classes_are_sorted_and_columns_follow(net):
    labels = ["b", "c", "a"]
    teacher = TorchTeacher(net, classes=labels)
    H, logits = expected(net)
    assert teacher.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(
        teacher.predict_proba(IRIS), softmax(logits, axis=1)[:, [2, 0, 1]], atol=1e-6
    )
    back = H @ teacher.teacher_coef_.T + net.head.bias.detach().numpy()[[2, 0, 1]]
    np.testing.assert_allclose(back, logits[:, [2, 0, 1]], atol=1e-5)
    np.testing.assert_array_equal(teacher.predict(IRIS), np.array(labels)[logits.argmax(axis=1)])


@pytest.mark.parametrize("labels", [["no", "yes"], ["yes", "no"]])
@pytest.mark.parametrize("flat", [True, False])
def test_one_column(labels, flat):
    body = nn.Linear(4, 1)
    module = nn.Sequential(body, nn.Flatten(0)) if flat else nn.Sequential(body)
    teacher = TorchTeacher(module, classes=labels)
    score = body(torch.tensor(IRIS)).detach().numpy()[:, 0]
    second = teacher.classes_.tolist().index(labels[1])
    np.testing.assert_allclose(teacher.predict_proba(IRIS)[:, second], expit(score), atol=1e-6)
    assert teacher.predict_proba(IRIS).shape == (150, 2)
    proba = teacher.predict_proba(IRIS)
    bias = body.bias.item() * (1 if second == 1 else -1)
    log_odds = teacher.transform(IRIS) @ teacher.teacher_coef_[0] + bias
    np.testing.assert_allclose(log_odds, np.log(proba[:, 1] / proba[:, 0]), atol=1e-4)


def test_probabilities_tuples_and_keywords(net):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, rows, shift):
            return self.net(rows + shift).softmax(dim=1), "more"

    teacher = TorchTeacher(Wrapped(), output="proba", batch_size=40)
    X = {"rows": IRIS, "shift": np.zeros((150, 1))}
    np.testing.assert_allclose(
        teacher.predict_proba(X), TorchTeacher(net).predict_proba(IRIS), atol=1e-6
    )


def test_token_ids_stay_whole_numbers():
    module = nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(6, 2))
    assert TorchTeacher(module).transform(np.array([[1, 8], [0, 2]])).shape == (2, 6)
    whole = TorchTeacher(nn.Linear(2, 2)).predict_proba(np.array([[1, 8], [0, 2]]))
    assert whole.shape == (2, 2)


def test_bfloat16_is_close(net):
    exact = TorchTeacher(net).outputs(IRIS)
    rounded = TorchTeacher(net, dtype="bfloat16").outputs(IRIS)
    assert rounded.embeddings.dtype == np.float32
    np.testing.assert_allclose(rounded.proba, exact.proba, atol=0.02)
    np.testing.assert_allclose(rounded.embeddings, exact.embeddings, atol=0.1)
    assert (rounded.embeddings != exact.embeddings).any()


def test_errors_say_what_is_wrong(net):
    with pytest.raises(ValueError, match="one column for each of"):
        TorchTeacher(net, classes=["a", "b"]).predict_proba(IRIS)
    with pytest.raises(ValueError, match="single output column"):
        TorchTeacher(nn.Linear(4, 1), classes=[0, 1, 2]).predict_proba(IRIS)
    with pytest.raises(ValueError, match="different labels"):
        _ = TorchTeacher(net, classes=[0, 1, 1]).classes_
    with pytest.raises(ValueError, match=r"has no nn.Linear.*layer='0'"):
        TorchTeacher(nn.Sequential(nn.ReLU()), classes=[0, 1]).transform(IRIS)
    pair = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="one embedding a row"):
        TorchTeacher(pair, layer="0").outputs(IRIS)
    with pytest.raises(TypeError, match="takes numbers"):
        TorchTeacher(net).predict_proba([["a"]])
    with pytest.raises(ValueError, match="0 rows"):
        TorchTeacher(net).predict_proba(IRIS[:0])
    with pytest.raises(ValueError, match="device='cuda:99'"):
        TorchTeacher(net, device="cuda:99").predict_proba(IRIS)


def test_clones_share_the_module(net):
    teacher = TorchTeacher(net, batch_size=3)
    copy = clone(teacher)
    assert copy.module is net
    assert copy.batch_size == 3
    assert as_teacher(net).module is net
    assert teacher_outputs(teacher, IRIS, [2, 1, 0]).proba.shape == (150, 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_same_and_the_module_goes_home(net):
    H, _ = expected(net)
    np.testing.assert_allclose(TorchTeacher(net, device="cuda").transform(IRIS), H, atol=1e-4)
    assert {p.device.type for p in net.parameters()} == {"cpu"}


def skorch_net(module=Net, **params):
    params = {"criterion": nn.CrossEntropyLoss, "max_epochs": 3, "batch_size": 32, **params}
    return NeuralNetClassifier(module, verbose=0, train_split=None, device="cpu", **params)


def test_skorch_net_gives_its_own_probabilities():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = skorch_net().fit(IRIS, SPECIES)
    net.module_.train()
    before = state(net.module_)
    teacher = SkorchTeacher(net)
    outputs = teacher.outputs(IRIS)
    np.testing.assert_array_equal(outputs.proba, net.predict_proba(IRIS))
    net.module_.train()
    outputs = teacher.outputs(IRIS)
    assert state(net.module_) == before
    bias = net.module_.head.bias.detach().numpy()
    logits = outputs.embeddings @ teacher.teacher_coef_.T + bias
    np.testing.assert_allclose(softmax(logits, axis=1), outputs.proba, atol=1e-5)
    np.testing.assert_array_equal(teacher.predict(IRIS), net.predict(IRIS))


def test_skorch_teacher_is_fitted_like_any_estimator():
    unfitted = SkorchTeacher(skorch_net())
    with pytest.raises(NotFittedError, match="nor is its net"):
        unfitted.predict_proba(IRIS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher = clone(unfitted).fit(IRIS, SPECIES)
    assert teacher.net_ is not teacher.net
    assert teacher.classes_.tolist() == [0, 1, 2]
    assert teacher.transform(IRIS).shape == (150, 6)
    assert not hasattr(SkorchTeacher(teacher.net_, layer="body"), "teacher_coef_")


def test_skorch_binary_net():
    class Flat(Net):
        def forward(self, X):
            return super().forward(X)[:, 0]

    y = (SPECIES == 1).astype(np.float32)
    net = NeuralNetBinaryClassifier(
        Flat, module__n_outputs=1, verbose=0, train_split=None, max_epochs=2
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher = as_teacher(net.fit(IRIS, y))
    outputs = teacher.outputs(IRIS)
    assert outputs.proba.shape == (150, 2)
    log_odds = outputs.embeddings @ teacher.teacher_coef_[0] + net.module_.head.bias.item()
    np.testing.assert_allclose(expit(log_odds), outputs.proba[:, 1], atol=1e-5)
