"""Sentence encoders trained on labels; a tiny random one, offline."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from lelp_sklearn import DistilledClassifier, StaticText, StudentClassifier, TeacherCache
from lelp_sklearn.inputs import TokenVectors
from lelp_sklearn.teachers import SentenceTransformerTeacher, TransformersTeacher, token_vectors
from lelp_sklearn.teachers import _fine_tuning as fine_tuning
from lelp_sklearn.teachers._fingerprint import fingerprint
from tests.fuzz.surroundings import SURROUNDINGS, state

sentence_transformers = pytest.importorskip("sentence_transformers", reason="an optional package")

WORDS = ["fine", "dull", "film", "joy", "bore", "what", "a", "an", "old", "new"]
RNG = np.random.default_rng(0)
N = 40
# The class is whether "fine" is there; the words around it are noise, of any number.
NOISE = [" ".join(RNG.choice(WORDS[1:], size=n)) for n in RNG.integers(1, 9, size=N)]
TEXTS = [f"{noise} fine" if i % 2 else noise for i, noise in enumerate(NOISE)]
LABELS = np.array(["bad", "good"])[np.arange(N) % 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = str(tmp_path_factory.mktemp("encoder"))
    vocab = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    BertTokenizer(vocab=vocab).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return sentence_transformers.SentenceTransformer(folder, device="cpu")


def teacher(encoder, **params):
    # By "auto", what is computed depends on the processor.
    defaults = {"fine_tune_epochs": 2, "fine_tune_lr": 5e-3, "bf16": False, "random_state": 0}
    return SentenceTransformerTeacher(encoder, **{**defaults, **params})


@pytest.fixture(scope="module")
def frozen(encoder):
    return teacher(encoder, fine_tune_epochs=0).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def tuned(encoder):
    return teacher(encoder).fit(TEXTS, LABELS)


def test_training_helps_and_the_users_encoder_stays(encoder, frozen):
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = torch.random.get_rng_state()
    tuned = teacher(encoder, fine_tune_epochs=10).fit(TEXTS, LABELS)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert all(part.training for part in encoder.modules())
    assert frozen.encoder_ is encoder
    assert tuned.encoder_ is not encoder
    assert tuned.score(TEXTS, LABELS) > frozen.score(TEXTS, LABELS) + 0.02


def test_repeatable_by_its_seed(encoder, tuned):
    same, other = (teacher(encoder, random_state=s).fit(TEXTS, LABELS) for s in (0, 1))
    H = tuned.transform(TEXTS)
    np.testing.assert_array_equal(same.transform(TEXTS), H)
    assert not np.array_equal(other.transform(TEXTS), H)
    np.testing.assert_array_equal(same.fit(TEXTS, LABELS).transform(TEXTS), H)  # starts anew


def test_another_teacher_than_the_frozen_one(encoder, frozen, tuned):
    longer = teacher(encoder, fine_tune_epochs=4).fit(TEXTS, LABELS)
    same = teacher(encoder).fit(TEXTS, LABELS)
    assert fingerprint(tuned) == fingerprint(same)
    assert len({fingerprint(t) for t in (tuned, frozen, longer)}) == 3
    cache = TeacherCache()
    answers = [cache.outputs(t, TEXTS).proba for t in (frozen, tuned, same)]
    assert not np.allclose(answers[0], answers[1])
    np.testing.assert_array_equal(answers[1], answers[2])
    assert cache.info()["misses"] <= 2 * len(TEXTS)


def test_clones_share_the_original(encoder):
    tuned = teacher(encoder, random_state=np.random.RandomState(0), fine_tune_epochs=1)
    copy = clone(tuned.fit(TEXTS, LABELS))
    assert copy.encoder is encoder
    assert not hasattr(copy, "encoder_")
    assert copy.random_state is not tuned.random_state


def test_learning_rate(encoder, frozen, tuned):
    assert np.abs(tuned.transform(TEXTS) - frozen.transform(TEXTS)).max() > 1e-2
    slow = teacher(encoder, fine_tune_lr=1e-9).fit(TEXTS, LABELS)
    np.testing.assert_allclose(slow.transform(TEXTS), frozen.transform(TEXTS), atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_weights_of_rows(encoder, frozen, weight):
    probe = frozen.head_
    options = {"epochs": 1, "lr": 1e-3, "dtype": None, "seed": 0, "verbose": 0}
    copy = fine_tuning.fine_tune(encoder, TEXTS, probe, LABELS, np.full(N, weight), **options)
    stayed = np.allclose(copy.encode(TEXTS), encoder.eval().encode(TEXTS), atol=1e-3)
    assert stayed == (weight == 0)


def test_stops_early_and_the_best_weights_return(encoder, monkeypatch):
    nets = []

    class Net(fine_tuning._WeightedNet):
        def fit(self, X, y=None, **params):
            nets.append(self)
            return super().fit(X, y, **params)

    monkeypatch.setattr(fine_tuning, "_WeightedNet", Net)
    noise = RNG.permutation(LABELS)  # nothing to learn: the held-out loss soon rises
    teacher(encoder, fine_tune_epochs=30, fine_tune_lr=1e-2).fit(TEXTS, noise)
    losses = nets[0].history[:, "valid_loss"]
    assert len(losses) == np.argmin(losses) + 1 + fine_tuning._PATIENCE < 30
    few = [TEXTS[i] for i in range(18)]
    teacher(encoder, fine_tune_epochs=2).fit(few, LABELS[:18])
    assert "valid_loss" not in nets[1].history[-1]  # too few to hold any out


def test_three_classes_and_numbers_as_labels(encoder):
    y = np.arange(N) % 3
    assert teacher(encoder).fit(TEXTS, y).predict_proba(TEXTS).shape == (N, 3)


def test_bf16_counts_in_training_too(encoder):
    tuned = [
        teacher(encoder, bf16=bf16, fine_tune_epochs=1).fit(TEXTS, LABELS) for bf16 in (False, True)
    ]
    weights = [next(t.encoder_.parameters()) for t in tuned]
    assert weights[1].dtype == torch.float32
    assert weights[1].isfinite().all()
    assert not torch.equal(*weights)


def test_padding_beyond_a_batch_is_cut(encoder, frozen):
    tokens, constants = fine_tuning._tokens(encoder, ["fine", "a new film what a joy"])
    probe = frozen.head_
    module = fine_tuning._Classifier(encoder, constants, probe, None).eval()
    seen = []
    handle = encoder.register_forward_pre_hook(
        lambda _, args: seen.append(args[0]["input_ids"].shape)
    )
    logits = module(weight=torch.ones(1), **{name: row[:1] for name, row in tokens.items()})
    handle.remove()
    assert seen == [(1, 3)]
    embedding = encoder.eval().encode(["fine"])
    log_odds = probe.decision_function(embedding)[0]
    assert (logits[0, 1] - logits[0, 0]).item() == pytest.approx(log_odds, abs=1e-4)


def test_progress_bar(encoder, capsys):
    teacher(encoder, fine_tune_epochs=1, verbose=1).fit(TEXTS, LABELS)
    assert "\r  0%|" in capsys.readouterr().err  # the encoder's own bars are called Batches


def test_an_encoder_without_a_mask_is_named():
    class Words:
        def preprocess(self, texts):
            return {"input_ids": torch.zeros(5), "offsets": torch.zeros(2)}

    with pytest.raises(TypeError, match="fine_tune_epochs=0"):
        fine_tuning._tokens(Words(), ["a", "b"])


def test_out_of_fold_teachers_are_fine_tuned_each(encoder):
    student = StudentClassifier(StaticText, max_epochs=2, random_state=0, device="cpu")
    model = DistilledClassifier(teacher(encoder, fine_tune_epochs=1), student, cv=2)
    model.fit(TEXTS, LABELS)
    assert model.teacher_.encoder_ is not encoder
    assert model.predict(TEXTS).shape == (N,)


def test_token_vectors_of_every_kind_of_teacher(encoder, folder, tuned):
    vectors = token_vectors(encoder, dim=4)
    assert isinstance(vectors, TokenVectors)
    assert vectors.table.shape == (15, 4)
    assert (vectors.table.astype(float) ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-2)
    for same in (folder, SentenceTransformerTeacher(encoder)):
        np.testing.assert_allclose(token_vectors(same, dim=4).table, vectors.table, atol=1e-2)
    model, tokenizer = encoder[0].auto_model, encoder.tokenizer
    table = token_vectors(TransformersTeacher(model, tokenizer), dim=4).table
    np.testing.assert_array_equal(table, vectors.table)
    assert not np.allclose(token_vectors(tuned, dim=4).table, vectors.table, atol=1e-2)


def test_token_vectors_keep_what_the_table_says(encoder):
    whole = token_vectors(encoder, dim=None)
    table = encoder[0].auto_model.get_input_embeddings().weight.detach().numpy()
    table = table - table.mean(axis=0)
    table = table / np.sqrt((table**2).sum(axis=1).mean())
    np.testing.assert_allclose(whole.table, table, atol=2e-3)
    fine, film = WORDS.index("fine") + 5, WORDS.index("film") + 5
    mean = (table[fine] + table[film]) / 2
    np.testing.assert_allclose(whole.of(["Fine film"])[0], mean, atol=2e-3)
    rotated = token_vectors(encoder, dim=14)  # the table has this rank, so that angles stay
    gram = rotated.table.astype(float) @ rotated.table.astype(float).T
    np.testing.assert_allclose(gram, table @ table.T, atol=2e-2)
    mean = (200 * table[fine] + table[film]) / 201  # nothing is cut
    np.testing.assert_allclose(whole.of(["fine " * 200 + "film"])[0], mean, atol=2e-3)


def test_token_vectors_errors(encoder):
    with pytest.raises(ValueError, match=r"dim=17: expected 1 to 16"):
        token_vectors(encoder, dim=17)
    with pytest.raises(TypeError, match="fast tokenizer"):
        token_vectors(object())
    with pytest.raises(TypeError, match="a row for each"):
        token_vectors(TransformersTeacher(torch.nn.Linear(2, 2), encoder.tokenizer))


@pytest.mark.parametrize("surrounding", ["all with pandas", "float64", "no_grad"])
def test_the_surroundings_do_not_matter(encoder, tuned, surrounding):
    with SURROUNDINGS[surrounding]():
        before = state()
        again = teacher(encoder).fit(TEXTS, LABELS)
        np.testing.assert_array_equal(again.transform(TEXTS[:9]), tuned.transform(TEXTS[:9]))
        assert state() == before
