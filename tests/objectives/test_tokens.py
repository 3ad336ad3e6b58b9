"""Objectives that compare token with token, from raw texts to a student."""

import pickle
from itertools import chain

import numpy as np
import pytest
import torch

from lelp_sklearn import (
    AMAD,
    KD,
    BodyOutputs,
    CrossEntropy,
    DistilledClassifier,
    StudentClassifier,
    TextTransformer,
    TokenizerInputs,
    TokenRelations,
    TransformersTeacher,
    token_vectors,
)
from lelp_sklearn.losses import token_relation_kl
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs

pytest.importorskip("transformers", reason="an optional package")
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

TEXTS = [
    "a fine film", "what a joy", "a warm and funny story", "great",
    "a dull film", "what a bore", "a cold and endless mess of a film", "terrible",
]  # fmt: skip
LABELS = [1, 1, 1, 1, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def tokenizer():
    words = sorted({word for text in TEXTS for word in text.split()})
    ids = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    fast = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="[PAD]")


@pytest.fixture(scope="module")
def bert():
    config = transformers.BertConfig(
        vocab_size=32,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertForSequenceClassification(config)


def teacher_of(bert, tokenizer, **params):
    return TransformersTeacher(bert, tokenizer, device="cpu", **{"max_length": 7, **params})


def student_of(teacher, objective, **params):
    settings = {
        "inputs": teacher.token_inputs(),
        "module__width": 12,
        "module__n_heads": 3,
        "max_epochs": 15,
        "batch_size": 4,
        "device": "cpu",
        "random_state": 0,
    }
    return StudentClassifier(TextTransformer, objective=objective, **settings | params)


@pytest.mark.parametrize("max_length", [4, 7, 64])
def test_student_and_teacher_read_the_same_tokens(bert, tokenizer, max_length):
    teacher = teacher_of(bert, tokenizer, max_length=max_length)
    inputs = teacher.token_inputs().fit(TEXTS)
    bags = inputs.read([*TEXTS, ""])
    theirs = tokenizer([*TEXTS, ""], truncation=True, max_length=max_length)["input_ids"]
    assert bags.ids.tolist() == [*chain.from_iterable(theirs)]
    assert bags.lengths.tolist() == [len(row) for row in theirs]
    assert inputs.n_tokens_ == len(tokenizer)


def test_tokenizer_inputs_limits_and_copies(tokenizer):
    short = TokenizerInputs(tokenizer).fit(TEXTS)
    assert short.read(TEXTS[6:7]).lengths.tolist() == [10]  # the tokenizer has no limit of its own
    limited = pickle.loads(pickle.dumps(tokenizer))
    limited.model_max_length, limited.truncation_side = 5, "left"
    cut = TokenizerInputs(limited).fit(TEXTS)
    assert cut.tokenizer_.encode(TEXTS[6]).tokens == ["[CLS]", "of", "a", "film", "[SEP]"]
    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    plain.enable_truncation(6)
    plain.enable_padding()
    assert TokenizerInputs(plain).fit(TEXTS).read(TEXTS[2:4]).lengths.tolist() == [6, 3]
    assert TokenizerInputs(plain, max_length=3).fit(TEXTS).read(TEXTS).lengths.tolist() == [3] * 8
    assert plain.truncation["max_length"] == 6
    with pytest.raises(TypeError, match="the tokenizer is a str; expected one of the package"):
        TokenizerInputs("bert").fit(TEXTS)


def test_tokens_start_from_the_teachers(bert, tokenizer):
    teacher = teacher_of(bert, tokenizer)
    vectors = token_vectors(teacher, dim=None)
    inputs = teacher.token_inputs(vectors)
    fitted = inputs.fit(TEXTS)
    np.testing.assert_array_equal(
        fitted.body_params(None)["vectors"], vectors.table[: len(tokenizer)]
    )
    few = pickle.loads(pickle.dumps(vectors))
    few.table = few.table[:5]
    with pytest.raises(ValueError, match="there are 5 token vectors"):
        TokenizerInputs(tokenizer, vectors=few).fit(TEXTS).body_params(None)


def test_teacher_gives_queries_keys_and_values(bert, tokenizer):
    teacher = teacher_of(bert, tokenizer, hidden_states="tokens", batch_size=3)
    outputs = teacher.outputs(TEXTS)
    assert outputs.hidden.shape == (8, 7, 48)
    ids = tokenizer(TEXTS[:1], return_tensors="pt")
    bert.eval()
    with torch.no_grad():
        below = bert(**ids, output_hidden_states=True).hidden_states[-2]
        layer = bert.bert.encoder.layer[-1].attention.self
        parts = [part(below) for part in (layer.query, layer.key, layer.value)]
    n = ids["input_ids"].shape[1]
    np.testing.assert_allclose(outputs.hidden[0, :n], torch.cat(parts, dim=2)[0], atol=1e-5)
    assert (outputs.hidden[0, n:] == 0).all()
    plain = teacher_of(bert, tokenizer).outputs(TEXTS)
    np.testing.assert_allclose(outputs.embeddings, plain.embeddings, atol=1e-6)
    with pytest.raises(ValueError, match='hidden_states="tokens" needs max_length'):
        teacher_of(bert, tokenizer, hidden_states="tokens", max_length=None).outputs(TEXTS)


def test_teacher_without_such_layers(tokenizer):
    config = transformers.GPT2Config(
        vocab_size=32, n_embd=8, n_layer=1, n_head=2, n_positions=16, pad_token_id=0
    )
    gpt = transformers.GPT2ForSequenceClassification(config)
    teacher = teacher_of(gpt, tokenizer, hidden_states="tokens")
    with pytest.raises(ValueError, match="has no layers named query, key, value or q_lin"):
        teacher.outputs(TEXTS)


def test_relations_and_attention_from_raw_texts(bert, tokenizer):
    """Widths 12 and 16, heads 3 and 2, two classes, and texts that both sides cut."""
    teacher = teacher_of(bert, tokenizer, hidden_states="tokens", attention=True)
    student = student_of(teacher, KD() + TokenRelations(n_heads=4) + AMAD())
    distilled = DistilledClassifier(teacher, student).fit(TEXTS, LABELS)
    history = distilled.student_.history_
    for name in ("tokenrelations", "amad"):
        assert history[-1][f"train_{name}"] < 0.8 * history[0][f"train_{name}"]
    copy = pickle.loads(pickle.dumps(distilled.student_))
    new = ["a fine mess", "", "quite unknown"]
    np.testing.assert_array_equal(copy.predict_proba(new), distilled.predict_proba(new))


def outputs_of(tokens, mask=None):
    nothing = torch.zeros(len(tokens[0]), 2)
    return StudentOutputs(nothing, nothing, tokens=tuple(tokens), mask=mask)


def fitted(n_heads, hidden, tokens):
    objective = TokenRelations(n_heads=n_heads)
    teacher = TeacherOutputs(hidden=hidden)
    objective.fit(teacher, np.zeros(len(hidden), int), np.arange(2), 0)
    objective.build(outputs_of(tokens))
    targets = {name: torch.as_tensor(value) for name, value in objective.targets(teacher).items()}
    return objective, targets | {"weight": torch.ones(len(hidden))}


def test_the_loss_is_the_mean_of_the_parts():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((2, 5, 24)).astype(np.float32)
    hidden[1, 3:] = 0
    tokens = [torch.as_tensor(rng.standard_normal((2, 4, 4)), dtype=torch.float32)] * 3
    hidden[0, 4] = 0
    objective, targets = fitted(2, hidden, tokens)
    mask = torch.tensor([[True] * 4, [True] * 3 + [False]])
    parts = torch.as_tensor(hidden[:, :4]).split(8, dim=2)
    rows = [token_relation_kl(t, part, 2, mask) for t, part in zip(tokens, parts, strict=True)]
    expected = torch.stack(rows).mean()
    for own in (mask, None):  # without its mask, the teacher's zeros tell
        torch.testing.assert_close(objective.loss(outputs_of(tokens, own), targets, 0), expected)
    same = torch.as_tensor(hidden[:, :4]).split(8, dim=2)
    assert objective.loss(outputs_of(same, mask), targets, 0).abs() < 1e-6
    targets["weight"] = torch.tensor([0.0, 3.0])
    torch.testing.assert_close(
        objective.loss(outputs_of(tokens, mask), targets, 0), torch.stack(rows).mean(dim=0)[1]
    )


def test_other_tokens_are_an_error(bert, tokenizer):
    teacher = teacher_of(bert, tokenizer, hidden_states="tokens", attention=True)
    for objective in (KD() + TokenRelations(n_heads=4), KD() + AMAD()):
        student = student_of(teacher, objective, inputs=None, max_epochs=1)
        with pytest.raises(ValueError, match=r"tokens for the student .*token_inputs"):
            DistilledClassifier(teacher, student).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("repeats", "words"), [(1, "not of hidden_states=True"), (3, "and 3 in teacher_hidden")]
)
def test_layers_in_place_of_tokens_are_an_error(bert, tokenizer, repeats, words):
    teacher = teacher_of(bert, tokenizer, hidden_states=True)
    outputs = teacher.outputs(TEXTS)
    student = student_of(teacher, KD() + TokenRelations(n_heads=4), max_epochs=1)
    layers = np.repeat(outputs.hidden, repeats, axis=2)
    with pytest.raises(ValueError, match=words):
        student.fit(TEXTS, LABELS, teacher_proba=outputs.proba, teacher_hidden=layers)


def test_widths_and_shapes_are_checked():
    tokens = [torch.zeros(2, 3, 6)]
    hidden = np.ones((2, 3, 8), np.float32)
    with pytest.raises(ValueError, match="n_heads=4 does not divide the widths 6 of the"):
        fitted(4, hidden, tokens)
    with pytest.raises(ValueError, match=r"and 2\.66667 of the teacher's"):
        fitted(2, hidden, tokens * 3)
    with pytest.raises(ValueError, match=r"expected \(rows, tokens, width\) each"):
        fitted(2, hidden, [torch.zeros(2, 6)])
    objective, _ = fitted(2, hidden, tokens)
    with pytest.raises(ValueError, match="tokens 9 wide, and 8 in the first call"):
        objective.targets(TeacherOutputs(hidden=np.ones((2, 3, 9))))


def test_a_body_without_tokens():
    class Plain(torch.nn.Linear):
        def outputs(self, X):
            return BodyOutputs(self(X))

    student = StudentClassifier(
        Plain,
        module__in_features=2,
        module__out_features=2,
        objective=CrossEntropy() + TokenRelations(),
        device="cpu",
    )
    with pytest.raises(TypeError, match=r"looks at the student's tokens, which .* Plain lack"):
        student.fit(np.eye(2), [0, 1], teacher_hidden=np.ones((2, 3, 8)))
