"""Students that read a teacher's tokens come back with its tokenizer, and without the teacher."""

import sys

import numpy as np
import pytest
import torch

from lelp_sklearn import (
    AMAD,
    KD,
    StaticText,
    StudentClassifier,
    TextTransformer,
    TokenizerInputs,
    TransformersTeacher,
    load,
    save,
    token_vectors,
)

pytest.importorskip("transformers", reason="an optional package")
import transformers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

TEXTS = [
    "a fine film", "what a joy", "a warm and funny story", "great",
    "a dull film", "what a bore", "a cold and endless mess of a film", "",
]  # fmt: skip
LABELS = [1, 1, 1, 1, 0, 0, 0, 0]
PROBA = np.linspace([0.1, 0.9], [0.9, 0.1], 8)


def fast_tokenizer():
    """A small BERT's: normalised, cut into words and pieces, with its special tokens."""
    words = sorted({word for text in TEXTS for word in text.split()} - {"funny"})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, "fun", "##ny"]
    fast = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    fast.normalizer = normalizers.BertNormalizer()
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast.add_special_tokens(pieces[:4])
    return fast


@pytest.fixture(scope="module")
def teacher():
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast_tokenizer(), pad_token="[PAD]"
    )
    config = transformers.BertConfig(
        vocab_size=32,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertForSequenceClassification(config)
    return TransformersTeacher(model, tokenizer, attention=True, max_length=6, device="cpu")


def student(inputs, module=TextTransformer, **params):
    if module is TextTransformer:
        params = {"module__width": 12, "module__n_heads": 3, "module__n_layers": 1} | params
    own = {"max_epochs": 2, "random_state": 0, "device": "cpu"}
    return StudentClassifier(module, inputs=inputs, **own | params)


def check_same(model, tmp_path):
    save(model, tmp_path / "model.lelp")
    again = load(tmp_path / "model.lelp")
    for X in (TEXTS, ["An UNKNOWN word, and a funny film that is far longer than all others"]):
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(again.transform(X), model.transform(X))
    return again


@pytest.mark.parametrize("module", [TextTransformer, StaticText])
@pytest.mark.parametrize("of_transformers", [True, False])
def test_students_of_a_given_tokenizer(module, of_transformers, teacher, tmp_path):
    inputs = teacher.token_inputs() if of_transformers else TokenizerInputs(fast_tokenizer())
    model = student(inputs, module).fit(TEXTS, LABELS, teacher_proba=PROBA)
    again = check_same(model, tmp_path)
    assert isinstance(again.inputs.tokenizer, Tokenizer)
    assert again.inputs.max_length == inputs.max_length
    # The parameter too is whole: a new fit is the same.
    again.fit(TEXTS, LABELS, teacher_proba=PROBA)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))


def test_texts_are_cut_on_the_same_side(tmp_path):
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast_tokenizer(), truncation_side="left"
    )
    inputs = TokenizerInputs(tokenizer, max_length=3)  # "[CLS] film [SEP]"
    model = student(inputs).fit(TEXTS, LABELS, teacher_proba=PROBA)
    again = check_same(model, tmp_path)
    film = model.predict_proba(["film"])
    np.testing.assert_array_equal(again.predict_proba(["a fine film"]), film)


@pytest.mark.parametrize("width", [12, None])
def test_token_vectors_stay_behind(width, teacher, tmp_path):
    inputs = teacher.token_inputs(token_vectors(teacher, dim=4))
    model = student(inputs, module__width=width, module__n_heads=2)
    model.fit(TEXTS, LABELS, teacher_proba=PROBA)
    again = check_same(model, tmp_path)
    assert again.inputs.vectors is None
    assert again.net_.module_.body.table.weight.shape[1] == 4


def test_a_student_of_attention_comes_without_the_teacher(teacher, tmp_path):
    outputs = teacher.outputs(TEXTS)
    model = student(teacher.token_inputs(), objective=KD() + AMAD())
    model.fit(TEXTS, LABELS, teacher_proba=outputs.proba, teacher_attention=outputs.attention)
    check_same(model, tmp_path)


def test_loading_needs_no_transformers(teacher, tmp_path, monkeypatch):
    model = student(teacher.token_inputs()).fit(TEXTS, LABELS, teacher_proba=PROBA)
    save(model, tmp_path / "model.lelp")
    monkeypatch.setitem(sys.modules, "transformers", None)
    again = load(tmp_path / "model.lelp")
    np.testing.assert_array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))


@pytest.mark.parametrize("fitted", [True, False])
def test_a_tokenizer_with_a_regular_expression_is_named_before_anything_is_written(
    fitted, tmp_path
):
    split, plain = fast_tokenizer(), fast_tokenizer()
    split.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    model = student(TokenizerInputs(split if fitted else plain), max_epochs=1)
    model.fit(TEXTS, LABELS, teacher_proba=PROBA)
    model.set_params(inputs=TokenizerInputs(split))
    where = r"StudentClassifier\.inputs\.tokenizer is a tokenizer with Regex, Split"
    with pytest.raises(TypeError, match=f"{where}.*TokenInputs"):
        save(model, tmp_path / "model.lelp")
    assert not list(tmp_path.iterdir())
