"""A body and its head: what it is asked for in training, and what in prediction."""

import numpy as np
import pytest
import torch
from torch import nn

from lelp_sklearn import AMAD, KD, BodyOutputs, HiddenLayers, StudentClassifier, TextTransformer
from tests.data import digits

ROWS = digits(60)
HIDDEN = np.stack([ROWS.embeddings, ROWS.embeddings[:, ::-1]], axis=1)


class Counted(nn.Module):
    """A body that writes down how it is asked."""

    def __init__(self, n_features):
        super().__init__()
        self.layer = nn.Linear(n_features, 5)
        self.asked = []

    def forward(self, X):
        self.asked.append("forward")
        return self._embed(X)

    def outputs(self, X):
        self.asked.append("training" if self.training else "held out")
        embedding = self._embed(X)
        return BodyOutputs(embedding, (embedding,))

    def _embed(self, X):
        return self.layer(X).relu()


def fit(module, **params):
    s = StudentClassifier(
        module,
        objective=KD() + HiddenLayers(),
        **{"max_epochs": 2, "device": "cpu", "random_state": 0} | params,
    )
    return s.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba, teacher_hidden=HIDDEN)


def test_losses_see_all_and_predictions_ask_for_the_embedding_alone():
    s = fit(Counted, validation_fraction=0.2)
    asked = s.net_.module_.body.asked
    assert {"training", "held out"} <= set(asked)
    assert "valid_hiddenlayers" in s.history_[-1]
    for predict in (s.predict, s.predict_proba, s.predict_subclass_proba, s.transform):
        asked.clear()
        predict(ROWS.X)
        assert asked == ["forward"]


def test_predictions_are_those_of_the_network_that_was_trained():
    s = fit(Counted)
    network = s.net_.module_.eval()
    X = s.inputs_.read(ROWS.X)
    with torch.no_grad():
        seen, alone = network(X), network(X, for_loss=False)
    assert len(seen.hidden) == 1
    assert alone.hidden == ()
    assert torch.equal(seen.logits, alone.logits)
    np.testing.assert_array_equal(alone.logits.softmax(dim=1), s.predict_subclass_proba(ROWS.X))


def test_a_transformer_predicts_without_its_attention_maps(monkeypatch):
    texts = ["a fine film", "dull", "what a joy", "a bore"]
    attention = np.zeros((4, 1, 3, 3))
    attention[:, 0, :, 0] = 1
    s = StudentClassifier(
        TextTransformer,
        objective=KD() + AMAD(),
        module__width=8,
        module__n_layers=1,
        max_epochs=1,
        device="cpu",
    )
    s.fit(texts, [1, 0, 1, 0], teacher_proba=np.full((4, 2), 0.5), teacher_attention=attention)
    expected = s.predict_proba(texts)
    monkeypatch.delattr(TextTransformer, "outputs")
    np.testing.assert_array_equal(s.predict_proba(texts), expected)


def test_a_body_of_two_minds_is_refused():
    class Other(Counted):
        def outputs(self, X):
            return BodyOutputs(self._embed(X) + 1, (X,))

    class Wider(Counted):
        def outputs(self, X):
            return BodyOutputs(torch.cat([self._embed(X)] * 2, dim=1), (X,))

    for body in (Other, Wider):
        with pytest.raises(ValueError, match=f"body {body.__name__} gives another embedding"):
            fit(body)


def test_a_body_without_forward_is_refused_before_it_is_trained():
    class Shy(Counted):
        forward = nn.Module.forward

    with pytest.raises(TypeError, match="body Shy failed on two rows"):
        fit(Shy)
