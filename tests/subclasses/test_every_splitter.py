"""What holds for every splitter: blocks, dtypes, labels, seeds, and what is refused."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

import lelp_sklearn as lelp
from tests.data import embeddings, linear_teacher


class OwnInputs(lelp.CCASplitter):
    """The embeddings stand for the student's inputs."""

    def fit(self, H, y, *, student_inputs=None, teacher_proba=None, teacher_coef=None):
        said = {"teacher_proba": teacher_proba, "teacher_coef": teacher_coef}
        return super().fit(H, y, student_inputs=np.asarray(H), **said)


SPLITTERS = {
    "lelp": lelp.LELPProjector(null_space=False, random_state=0),
    "varimax": lelp.LELPProjector(directions="varimax", null_space=False, random_state=0),
    "ica": lelp.ICASplitter(null_space=False, random_state=0),
    "graph": lelp.GraphSplitter(null_space=False, random_state=0),
    "autoencoder": lelp.AutoencoderSplitter(
        null_space=False, random_state=0, pretrain_epochs=5, max_epochs=2
    ),
    "clusters": lelp.ClusterSplitter(null_space=False, random_state=0),
    "cca": OwnInputs(null_space=False, random_state=0),
    "ensemble": lelp.EnsembleSplitter(
        [("only", lelp.ClusterSplitter(null_space=False, random_state=0))]
    ),
}
every = pytest.mark.parametrize("name", SPLITTERS)


def splitter(name, n_subclasses=3, **params):
    params["n_subclasses"] = n_subclasses
    prefix = "only__" if name == "ensemble" else ""
    return clone(SPLITTERS[name]).set_params(**{prefix + p: v for p, v in params.items()})


def grouped(dtype=np.float64):
    """Embeddings of three classes of 100 rows, each with four hidden groups of unlike sizes."""
    H, y = embeddings(n=300)
    rng = np.random.default_rng(1)
    group = rng.choice(4, size=300, p=[0.4, 0.3, 0.2, 0.1])
    return (H + 5 * rng.standard_normal((3, 4, 6))[y, group]).astype(dtype), y


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_class_is_split_for_every_row(name, dtype):
    H, y = grouped(dtype)
    split = splitter(name).fit(H, y).transform(H)
    assert split.dtype == dtype
    assert split.shape == (300, 9)
    assert (split >= 0).all()
    np.testing.assert_allclose(split.reshape(300, 3, 3).sum(axis=2), 1, rtol=1e-5)
    assert split.std(axis=0).min() > 0.01


@every
def test_float32_and_float64_agree(name):
    H, y = grouped()
    double = splitter(name).fit(H, y).transform(H)
    single = splitter(name).fit(H.astype(np.float32), y).transform(H.astype(np.float32))
    np.testing.assert_allclose(double, single, atol=0.02)


@every
def test_rows_are_split_by_themselves(name):
    H, y = grouped()
    s = splitter(name).fit(H, y)
    order = np.random.default_rng(0).permutation(300)[:50]
    np.testing.assert_allclose(s.transform(H)[order], s.transform(H[order]), atol=1e-9)


@every
def test_seeds_repeat_and_leave_the_global_one(name):
    H, y = grouped()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = splitter(name).fit(H, y), splitter(name).fit(H, y)
    np.testing.assert_array_equal(first.transform(H), again.transform(H))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@every
def test_labels_may_be_words_and_numbers_of_subclasses_differ(name):
    H, y = grouped()
    words = np.array(["ham", "spam", "eggs"])[y]
    s = splitter(name, {"ham": 2, "spam": 3, "eggs": 1}).fit(H, words)
    assert s.classes_.tolist() == ["eggs", "ham", "spam"]
    assert s.n_subclasses_.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(s.transform(H)[:, 0], 1)
    assert s.get_feature_names_out()[:3].tolist() == ["eggs_0", "ham_0", "ham_1"]


@every
def test_sharper_at_a_lower_temperature(name):
    H, y = grouped()
    between = H.mean(axis=0) + H.std(axis=0) * np.random.default_rng(0).normal(size=H.shape)
    peak = [
        splitter(name, subclass_temperature=t).fit(H, y).transform(between).max(axis=1).mean()
        for t in (0.05, 0.5, 5.0)
    ]
    assert peak[0] > peak[1] > peak[2]


@every
def test_what_the_logits_say_is_removed(name):
    H, y = grouped()
    proba, coef = linear_teacher(H)
    along = coef[0] - coef.mean(axis=0)
    if name not in ("lelp", "varimax"):
        along *= H.var(axis=0)  # at right angles to what is left, in standardised columns
    for said in ({"teacher_coef": coef}, {"teacher_proba": proba}):
        s = splitter(name, null_space=True).fit(H, y, **said)
        np.testing.assert_allclose(s.transform(H + along), s.transform(H), atol=1e-5)
    kept = splitter(name).fit(H, y)
    assert np.abs(kept.transform(H + along) - kept.transform(H)).max() > 0.01


@every
def test_null_space_is_known_or_said(name):
    H, y = grouped()
    with pytest.raises(ValueError, match="null_space=True needs the teacher's output weights"):
        splitter(name, null_space=True).fit(H, y)
    with pytest.warns(UserWarning, match="null_space='auto' is skipped") as record:
        splitter(name, null_space="auto").fit(H, y)
    if name != "ensemble":
        assert record[0].filename == __file__
    with pytest.raises(ValueError, match=r"teacher_coef has shape \(3, 5\)"):
        splitter(name, null_space=True).fit(H, y, teacher_coef=np.ones((3, 5)))


@every
def test_fitted_splitters_are_pickled(name):
    H, y = grouped()
    s = splitter(name).fit(H, y)
    copy = pickle.loads(pickle.dumps(s))
    np.testing.assert_array_equal(copy.transform(H), s.transform(H))


@every
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda H, y: (H[:6], y[:6]), "class 0 has 2 rows, fewer than its 3 subclasses"),
        (lambda H, y: (H, y * 0), r"at least two classes; y holds only one class, \[0\]"),
        (lambda H, y: (np.ones_like(H), y), "class 0 has the same embedding in all of its 100"),
        (
            lambda H, y: (np.where((y == 1)[:, None], 7.1, H), y),
            "class 1 has the same embedding in all of its 100",
        ),
    ],
)
def test_classes_that_cannot_be_split_are_named(name, change, message):
    with pytest.raises(ValueError, match=message):
        splitter(name).fit(*change(*grouped()))


@every
def test_a_class_of_one_subclass_may_be_anything(name):
    H, y = grouped()
    H[y == 1] = 7.1
    split = splitter(name, {0: 2, 1: 1, 2: 2}).fit(H, y).transform(H)
    np.testing.assert_allclose(split.sum(axis=1), 3)


@pytest.mark.parametrize("name", ["ica", "graph", "autoencoder", "clusters", "ensemble"])
def test_units_of_the_columns_do_not_matter(name):
    H, y = grouped()
    other = H * [1, 100, 0.01, 3, 5, 7] + 11
    split, same = (splitter(name).fit(rows, y).transform(rows) for rows in (H, other))
    np.testing.assert_allclose(split, same, atol=1e-3)


@every
@pytest.mark.filterwarnings("ignore:.*FastICA did not settle")  # its classes are normal
def test_auto_counts_by_variance_and_rows(name):
    rng = np.random.default_rng(0)
    wide = np.linalg.qr(rng.standard_normal((200, 6)))[0] * 200**0.5  # of equal variance
    flat = wide * [1, 1, 1, 0, 0, 0]
    constant = np.full((50, 6), 0.3)
    H = np.concatenate([wide, flat, wide[:19], wide[:35], constant])
    y = np.repeat(np.arange(5), [200, 200, 19, 35, 50])
    s = splitter(name, "auto").fit(H, y)
    assert s.n_subclasses_.tolist() == [6, 3, 1, 3, 1]
    np.testing.assert_allclose(s.transform(H).sum(axis=1), 5, rtol=1e-6)
    with pytest.raises(ValueError, match="n_subclasses"):
        splitter(name, "many").fit(H, y)


@every
def test_a_student_learns_from_it(name):
    H, y = grouped(np.float32)
    proba, _ = linear_teacher(H)
    projector = splitter(name, null_space=True, random_state=None)  # known from teacher_proba
    student = lelp.LELPStudentClassifier(projector=projector, max_epochs=2, random_state=0)
    student.fit(H, y, teacher_proba=proba, teacher_embeddings=H)
    assert student.predict_subclass_proba(H).shape == (300, 9)
