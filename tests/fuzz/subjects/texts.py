"""Students that read texts, and what is made of texts."""

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

import lelp_sklearn as lelp
from tests.fuzz.mutations.arrays import EMBEDDINGS
from tests.fuzz.mutations.changes import OPTIONAL
from tests.fuzz.mutations.counts import COUNTS
from tests.fuzz.mutations.labels import UNREAD
from tests.fuzz.mutations.teacher import ATTENTION, HIDDEN
from tests.fuzz.mutations.texts import ASKED_TEXTS, TEXTS
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.fitted import fitted
from tests.fuzz.subjects.students import PROBA_OF, STUDENT
from tests.fuzz.subjects.subject import Subject, finite, fitting, is_proba

# What a teacher of the three tokens says: of two heads, and of queries, keys and values.
ATTENTION_VALUE = np.tile(np.array([[0.5, 0.25, 0.25]] * 3), (v.N, 2, 1, 1))
TOKENS = np.repeat(np.stack([v.H, v.H[:, ::-1], v.H], axis=1)[:, :, :4], 3, axis=2)


def word_tokenizer():
    words = sorted({word for text in v.TEXTS for word in text.split()})
    tokenizer = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", *words])}, "[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def student(body, objective=None, inputs=None, **module):
    return lelp.StudentClassifier(
        body,
        inputs=inputs,
        objective=lelp.KD() if objective is None else objective,
        **{f"module__{name}": value for name, value in module.items()},
        **v.QUICK,
    )


def texts():
    of_texts = {**STUDENT, **PROBA_OF, "X": TEXTS}
    small = {"width": 6, "n_heads": 2, "n_layers": 1}
    tokenizer = lelp.TokenizerInputs(word_tokenizer(), max_length=3)
    bodies = {
        "StaticText": student(lelp.StaticText, dim=4),
        "TextCNN": student(lelp.TextCNN, dim=4, channels=2),
        "TextTransformer": student(lelp.TextTransformer, **small),
    }
    found = {
        f"fit {name}": fitting(body, of_texts, values={"X": v.TEXTS})
        for name, body in bodies.items()
    }
    found["fit AMAD + TokenRelations"] = fitting(
        student(
            lelp.TextTransformer,
            lelp.KD() + lelp.AMAD() + lelp.TokenRelations(n_heads=2),
            tokenizer,
            **small,
        ),
        {**of_texts, "teacher_attention": ATTENTION, "teacher_hidden": HIDDEN},
        values={"X": v.TEXTS, "teacher_attention": ATTENTION_VALUE, "teacher_hidden": TOKENS},
    )
    found["fit texts with RKD"] = fitting(
        student(lelp.StaticText, lelp.KD() + lelp.RKD(), dim=4),
        {**of_texts, "teacher_embeddings": EMBEDDINGS + OPTIONAL},
        values={"X": v.TEXTS},
    )
    for name in ("predict_proba", "transform"):
        found[f"{name} of texts"] = Subject(
            lambda X, name=name: getattr(fitted("text"), name)(X),
            {"X": v.TEXTS},
            {"X": ASKED_TEXTS},
            is_proba if name == "predict_proba" else finite,
        )
    found["WordAugmenter"] = Subject(
        _lengths_of_changed,
        {"X": v.TEXTS, "y": v.Y, "n_samples": 7},
        {"X": TEXTS, "y": UNREAD, "n_samples": COUNTS},
        _one_a_sample,
        ("X", "y"),
    )
    found["TokenInputs"] = Subject(
        lambda X: _lengths(lelp.TokenInputs(min_frequency=1).fit(X).read(X)),
        {"X": v.TEXTS},
        {"X": ASKED_TEXTS},
        finite,
        ("X",),
    )
    found["TokenInputs read"] = Subject(
        lambda X: _lengths(lelp.TokenInputs().fit(list(v.TEXTS)).read(X)),
        {"X": v.TEXTS},
        {"X": ASKED_TEXTS},
        finite,
        ("X",),
    )
    return found


def _lengths(bags):
    return bags.lengths.numpy()


def _lengths_of_changed(X, y, n_samples):
    changed = np.array(lelp.WordAugmenter(random_state=0).fit(X, y).sample(n_samples))
    return np.array([len(text) for text in changed.ravel()])


def _one_a_sample(result, arguments):
    assert len(result) == arguments["n_samples"]
