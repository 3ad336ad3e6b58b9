"""Attention and hidden layers of a tiny transformer, copied from a teacher's."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from lelp_sklearn import (
    AMAD,
    KD,
    MLP,
    BodyOutputs,
    HiddenLayers,
    Linear,
    Stage,
    Stages,
    StudentClassifier,
)

LENGTH, VOCABULARY = 7, 20
RNG = np.random.default_rng(0)
N = 120
LENGTHS = RNG.integers(2, LENGTH + 1, size=N)
X = RNG.integers(1, VOCABULARY, size=(N, LENGTH)) * (np.arange(LENGTH) < LENGTHS[:, None])
Y = (X == 3).any(axis=1) | (X == 5).any(axis=1)
PROBA = np.column_stack([0.95 - 0.9 * Y, 0.05 + 0.9 * Y])


class Tokens(nn.Module):
    """A transformer of one vector a text; token 0 is padding."""

    def __init__(self, n_features, dim=12, heads=2, layers=2):
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, dim)
        self.places = nn.Parameter(torch.randn(n_features, dim))
        self.layers = nn.ModuleList(
            nn.MultiheadAttention(dim, heads, batch_first=True) for _ in range(layers)
        )

    def outputs(self, X):
        ids = X.long()
        mask = ids > 0
        mask[:, 0] = True
        h, pooled = self.table(ids) + self.places, []
        for layer in self.layers:
            step, weights = layer(
                h, h, h, key_padding_mask=~mask, average_attn_weights=False, need_weights=True
            )
            h = (h + step) * mask[:, :, None]
            pooled.append(h.sum(dim=1) / mask.sum(dim=1, keepdim=True))
        return BodyOutputs(pooled[-1], tuple(pooled), weights, mask)

    def forward(self, X):
        return self.outputs(X).embedding


def teacher_attention(n_heads, length=LENGTH):
    """Heads that look at the token before, the first, and the last one; padding is zero."""
    maps = np.zeros((N, 3, length, length))
    for row, n in enumerate(np.minimum(LENGTHS, length)):
        for q in range(n):
            maps[row, 0, q, max(q - 1, 0)] = maps[row, 1, q, 0] = maps[row, 2, q, n - 1] = 1
    return maps[:, :n_heads]


SHARES = (X[:, None] == np.arange(VOCABULARY)[:, None]).mean(axis=2)  # of each token in a text
HIDDEN = np.stack([SHARES[:, 4 * layer : 4 * layer + 6] for layer in range(4)], axis=1)
TEACHER = {
    "teacher_proba": PROBA,
    "teacher_hidden": HIDDEN,
    "teacher_attention": teacher_attention(3),
}


def fit(objective, module=Tokens, **params):
    settings = {"max_epochs": 15, "random_state": 0, "device": "cpu", "batch_size": 32} | params
    student = StudentClassifier(module, objective=objective, **settings)
    return student.fit(X, Y, **TEACHER)


def falls(student, name, to=0.7):
    first, last = (student.history_[i][f"train_{name}"] for i in (0, -1))
    return last < to * first


def attention_of(student):
    module = student.net_.module_.eval()
    with torch.no_grad():
        return module.body.outputs(torch.as_tensor(X, dtype=torch.float32)).attention.numpy()


@pytest.mark.parametrize(
    ("variant", "n_heads"),
    [("kl", 1), ("kl", 4), ("mse", 4), ("token", 2)],
)
def test_attention_is_learnt_by_any_number_of_heads(variant, n_heads):
    objective = KD() + AMAD(variant=variant, align_temperature=0.1)
    student = fit(objective, module__heads=n_heads, lr=0.03)
    # One head cannot be three: it can be their mean.
    assert falls(student, "amad", to=0.8 if n_heads > 1 else 0.97)
    assert student.score(X, Y) > 0.7


def test_a_head_comes_to_look_where_the_teachers_does(monkeypatch):
    monkeypatch.setitem(TEACHER, "teacher_attention", teacher_attention(3)[:, 1:2])
    student = fit(AMAD(), module__heads=2, lr=0.03, max_epochs=40)
    there = X[:, :, None] * X[:, None, :] > 0
    on_first = attention_of(student)[:, :, :, 0].mean(axis=1)[there[:, :, 0]]
    assert on_first.mean() > 0.6  # of 1/7 to 1/2 by chance


def test_variant_and_temperature_count():
    losses = [
        fit(AMAD(variant=variant, align_temperature=t), max_epochs=1).history_[0]["train_loss"]
        for variant, t in [("kl", 1.0), ("kl", 0.1), ("mse", 1.0), ("token", 1.0)]
    ]
    assert len({round(loss, 4) for loss in losses}) == 4


@pytest.mark.parametrize("length", [4, 10])
def test_attention_is_cut_to_the_shorter_side(monkeypatch, length):
    monkeypatch.setitem(TEACHER, "teacher_attention", teacher_attention(3, length))
    assert falls(fit(KD() + AMAD(align_temperature=0.1), lr=0.03), "amad", to=0.9)


def test_bodies_without_what_is_looked_at():
    with pytest.raises(TypeError, match=r"looks at the student's attention.*Linear does not give"):
        fit(AMAD(), module=Linear)
    with pytest.raises(TypeError, match="attention, which the outputs of the body MLP lack"):
        fit(AMAD(), module=MLP)

    class Flat(Tokens):
        def outputs(self, X):
            seen = super().outputs(X)
            tokens = tuple(seen.attention[:, 0] for _ in seen.hidden)
            return seen._replace(attention=seen.attention[:, 0], hidden=tokens)

    with pytest.raises(ValueError, match=r"attention has shape \(2, 7, 7\); expected"):
        fit(AMAD(), module=Flat)
    with pytest.raises(ValueError, match=r"hidden layer 0 has shape \(2, 7, 7\); expected one vec"):
        fit(HiddenLayers(), module=Flat)


@pytest.mark.parametrize(
    ("objective", "field", "source"),
    [
        (HiddenLayers(), "teacher_hidden", "hidden_states=True"),
        (AMAD(), "teacher_attention", "attention=True, max_length"),
    ],
)
def test_missing_fields_name_a_teacher_that_has_them(objective, field, source):
    student = StudentClassifier(Tokens, objective=objective, device="cpu")
    with pytest.raises(ValueError, match=f"needs {field}; got teacher_proba.*{source}"):
        student.fit(X, Y, teacher_proba=PROBA)


@pytest.mark.parametrize("form", ["pkd", "tinybert"])
@pytest.mark.parametrize("module", [Tokens, MLP])
def test_hidden_layers_are_learnt(form, module):
    student = fit(KD() + HiddenLayers(form=form), module=module)
    assert falls(student, "hiddenlayers", to=0.85)
    if module is Tokens:  # to the MLP numbers of tokens say little
        assert student.score(X, Y) > 0.8


@pytest.mark.parametrize(
    ("layer_map", "n_student", "n_teacher", "pairs"),
    [
        ("last", 3, 4, [(2, 3)]),
        ("uniform", 4, 4, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ("uniform", 4, 12, [(0, 2), (1, 5), (2, 8), (3, 11)]),
        # A transformer's token embeddings first: TinyBERT's 3, 6, 9, 12 and 2, 4, ... 12.
        ("uniform", 4, 13, [(0, 3), (1, 6), (2, 9), (3, 12)]),
        ("uniform", 6, 13, [(m, 2 * m + 2) for m in range(6)]),
        ("uniform", 4, 2, [(0, 0), (1, 0), (2, 1), (3, 1)]),
        ([(0, 3), [-1, -2]], 2, 4, [(0, 3), (1, 2)]),
    ],
)
def test_layer_maps(layer_map, n_student, n_teacher, pairs):
    objective = HiddenLayers(layer_map=layer_map)
    objective.n_layers_ = n_teacher
    assert objective._pairs(n_student) == pairs


@pytest.mark.parametrize("layer_map", [[(0, 4)], [(2, 0)], [(-3, 0)], [(0, 1, 2)], []])
def test_pairs_that_do_not_exist(layer_map):
    with pytest.raises(ValueError, match=r"expected pairs of layers, from 0 to 1 of the student"):
        fit(HiddenLayers(layer_map=layer_map))


def test_layer_map_and_form_count():
    losses = {
        round(fit(HiddenLayers(**params), max_epochs=1).history_[0]["train_loss"], 5)
        for params in ({}, {"layer_map": "last"}, {"layer_map": [(0, 0)]}, {"form": "tinybert"})
    }
    assert len(losses) == 4


def test_maps_are_learnt_where_they_are_needed():
    maps = fit(HiddenLayers()).objective_.module_
    assert [m.weight.shape for m in maps] == [(6, 12), (6, 12)]
    assert not list(fit(HiddenLayers(), module__dim=6).objective_.module_.parameters())
    student = fit(HiddenLayers(form="tinybert"), module__dim=6)
    own = student.objective_.module_
    assert {id(p) for p in own.parameters()} <= {id(p) for p in student.net_.module_.parameters()}
    start = fit(HiddenLayers(form="tinybert"), module__dim=6, lr=1e-12).objective_.module_
    assert not torch.equal(own[0].weight, start[0].weight)


def test_layers_first_and_classes_second():
    objective = Stages(
        [("layers", Stage(HiddenLayers(), max_epochs=5)), ("kd", Stage(KD(), max_epochs=10))]
    )
    assert fit(objective).score(X, Y) > 0.7


@pytest.mark.parametrize("objective", [AMAD(variant="mse"), HiddenLayers(layer_map=[(0, 1)])])
def test_more_rows_clones_pickles_and_grids(objective):
    student = fit(KD() + objective, max_epochs=2)
    part = {name: values[:40] for name, values in TEACHER.items()}
    student.partial_fit(X[:40], Y[:40], **part)
    copy = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(copy.predict(X), student.predict(X))
    name, value = next(iter(objective.get_params().items()))
    searched = clone(student).set_params(**{f"objective__{type(objective).__name__.lower()}": KD()})
    assert clone(objective).get_params()[name] == value
    assert len(searched.objective.objectives) == 2


def test_another_teachers_layers_are_refused():
    student = fit(KD() + HiddenLayers(), max_epochs=1)
    with pytest.raises(ValueError, match=r"\(3, 6\) layers and width, and \(4, 6\) in the first"):
        student.partial_fit(X, Y, **(TEACHER | {"teacher_hidden": HIDDEN[:, :3]}))
