"""Files that are damaged, forged or of another time: a clear error, and nothing of them runs."""

import importlib.util
import json
import multiprocessing
import os
import pickle
import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy
from scipy.sparse import csr_array
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skops import io as skops
from torch import nn

from lelp_sklearn import (
    MLP,
    BagOfNgrams,
    CrossEntropy,
    GraphSplitter,
    LELPProjector,
    SimKD,
    StaticText,
    StudentClassifier,
    load,
    save,
)
from lelp_sklearn.persistence import ModelFileError
from tests.data import digits
from tests.profile import NIGHTLY

ROWS = digits(60)
MUTATIONS = Path(__file__).parents[2] / "benchmarks" / "file_mutations.py"


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Members of a student's file."""
    student = StudentClassifier(
        MLP, module__hidden=4, objective=SimKD(), max_epochs=1, random_state=0
    )
    student.fit(ROWS.X, ROWS.y, teacher_proba=ROWS.proba, teacher_embeddings=ROWS.embeddings)
    path = tmp_path_factory.mktemp("file") / "student.lelp"
    save(student, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "forged.lelp"


def write(path, members, sealed=True, compression=zipfile.ZIP_STORED, **manifest):
    """A file of members, its hashes made anew."""
    members = dict(members)
    if sealed:
        known = json.loads(members.pop("manifest.json"))
        known["sha256"] = {name: sha256(data).hexdigest() for name, data in members.items()}
        members["manifest.json"] = json.dumps(known | manifest).encode()
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def changed(members, change):
    """The members with another tree."""
    tree = json.loads(members["model.json"])
    change(tree)
    return {**members, "model.json": json.dumps(tree).encode()}


def refused(path, message, **options):
    with pytest.raises(ModelFileError, match=message) as error:
        load(path, **options)
    assert isinstance(error.value, ValueError)


class Payload:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize("data", [b"", b"text", pickle.dumps(Payload())])
def test_what_is_no_zip(data, path):
    path.write_bytes(data)
    refused(path, r"no file of lelp_sklearn\.save, or it is damaged.*joblib\.load")


def test_what_is_not_there(path):
    with pytest.raises(FileNotFoundError):
        load(path)


def test_a_zip_of_something_else(path):
    write(path, {"word/document.xml": b"", "../evil": b""}, sealed=False)
    refused(path, r"it has no manifest\.json, but \['word/document\.xml'")


def test_the_file_as_it_was_loads(members, path):
    write(path, members)
    assert load(path).predict(ROWS.X).shape == (60,)


def test_a_newer_format(members, path):
    versions = {"lelp_sklearn": "9.1"}
    write(path, members, format_version=2, versions=versions)
    refused(path, r"format version 2, .* reads up to 1.*lelp_sklearn 9\.1.*pip install --upgrade")


@pytest.mark.parametrize("manifest", [{"format": "other"}, {"format_version": True}])
def test_another_format(manifest, members, path):
    write(path, members, **manifest)
    refused(path, "is no file of lelp_sklearn.save: its format is")


def test_compressed_members(members, path):
    bomb = {**members, "weights.safetensors": bytes(2**24)}
    write(path, bomb, compression=zipfile.ZIP_DEFLATED)
    refused(path, "compressed or overlapping members .*weights.safetensors.* without bounds")


@pytest.mark.parametrize("name", ["../evil.json", "/etc/passwd", "steps/../../x.skops", "x.pkl"])
def test_members_of_other_names(name, members, path):
    write(path, {**members, name: b"data"})
    refused(path, "damaged or forged")
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


def test_a_member_that_the_manifest_does_not_list(members, path):
    write(path, {**members, "steps/0.skops": b""}, sealed=False)
    refused(path, "its manifest.json lists")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(members, path):
    write(path, members)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.json", b"{}")
    refused(path, "two members of one name")


def test_a_member_of_another_file(members, path):
    write(path, {**members, "weights.safetensors": b"other"}, sealed=False)
    refused(path, r"\['weights\.safetensors'\].*not those the file was written with")


def set_at(*keys):
    """A change of one value in the tree; the last of the arguments is the value."""
    *way, last, value = keys

    def change(tree):
        for key in way:
            tree = tree[key]
        tree[last] = value

    return change


SYSTEM = {"kind": "reference", "name": "os.system"}
SYSTEM_OF_TORCH = {"kind": "reference", "name": "torch.nn.Sequential"}


def trained_with(name, value):
    """A change that adds a parameter of the trainer."""
    return lambda tree: tree["net"]["trainer_params"]["items"].append([name, value])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("class", "Popen"), "'Popen' is no class that a file may name"),
        (set_at("kind", "exec"), "unknown kind of value 'exec'"),
        (set_at("kind", "_build"), "unknown kind"),
        (set_at("params", "optimizer", SYSTEM), r"'os\.system' is no class"),
        (set_at("params", "optimizer", "name", "torch.optim.lr_scheduler"), "is no class"),
        (set_at("params", "module", "name", "torch.nn.functional"), "is no class"),
        (set_at("params", "lr", -1), "lr.*must be a float in the range"),
        (set_at("params", "unknown", 3), "unexpected parameters"),
        (set_at("state", "predict", 3), r"StudentClassifier\.predict is no attribute"),
        (set_at("state", "__class__", 3), "__class__ is no attribute"),
        (set_at("state", "classes_", "ab"), "classes_ is 'ab'"),
        (set_at("state", "objective_", None), "n_subclasses_"),
        (set_at("state", "inputs_", 3), "without inputs"),
        (
            set_at("state", "objective_", "state", "n_subclasses_", "items", [1, 1, 1]),
            "2 classes with",
        ),
        (
            set_at("state", "objective_", "state", "n_subclasses_", "items", [10**9, 10**9]),
            "far larger than its weights|is .* in the file|a logit for each subclass",
        ),
        (set_at("state", "n_features_in_", 10**12), "far larger than its weights"),
        (set_at("state", "objective_", "params", "hidden", 10**8), "far larger than its weights"),
        (
            set_at("net", "body_params", "items", [["hidden", [10**7]]]),
            "far larger than its weights",
        ),
        (set_at("net", "body_params", "items", [["hidden", [1] * 10**5]]), "far larger"),
        (set_at("net", "body_params", "items", [["hidden", 5]]), r"weight 'body\.layers"),
        (set_at("net", "weights", "7/"), "weight .* is missing in the file"),
        (set_at("state", "_random_state", "rest", [10**6, 0, 0.0]), "RandomState"),
        # What skorch would hand on to a compiler, to a loader of batches, or to an import.
        (trained_with("compile", True), "'compile' is none that a file may set"),
        (
            trained_with(
                "compile__options",
                {"kind": "dict", "items": [["cpp.march", "native -wrapper sh,-c,id"]]},
            ),
            "none that a file may set",
        ),
        (trained_with("iterator_valid__collate_fn", SYSTEM_OF_TORCH), "none that a file may set"),
        (trained_with("iterator_train__num_workers", 9), "none that a file may set"),
        (trained_with("optimizer__params", 3), "none that a file may set"),
        (trained_with("optimizer__fused", SYSTEM_OF_TORCH), "expected plain numbers"),
        (trained_with("callbacks__x", 3), "none that a file may set"),
        (trained_with("predict_nonlinearity", 3), "none that a file may set"),
        (set_at("params", "optimizer__params", 3), "none that a file may set"),
        (set_at("params", "callbacks__x__y", 3), "none that a file may set"),
        (set_at("params", "callbacks", [3]), "no file holds any"),
        (set_at("params", "device", "hpu"), "device is 'hpu'"),
        (set_at("params", "device", "cuda:0/../x"), "device is"),
        (set_at("params", "optimizer", "name", "torch.nn.Linear"), "is no class|optimizer"),
        (set_at("net", "optimizer", {"kind": "reference", "name": "MLP"}), "the optimizer is"),
        (set_at("net", "module", {"kind": "reference", "name": "SparseAdamW"}), "body is"),
        (set_at("net", "device", "hpu"), r"parts \['device'\] too many"),
        (set_at("net", "max_epochs", "9"), "max_epochs is '9'"),
        (set_at("net", "history", [{"kind": "dict", "items": [["batches", 3]]}]), "history is no"),
        (set_at("state", "device", "hpu"), "is set twice|no attribute"),
        (set_at("state", "_forward_hook", 3), "no attribute that a fit sets"),
        (set_at("state", "extra", 3), "no attribute that a fit sets"),
    ],
)
def test_forged_trees(change, message, members, path):
    write(path, changed(members, change))
    refused(path, message)


@pytest.mark.parametrize("reads", ["filename", "file"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_vectorizer_that_would_open_the_files_that_texts_name(path, reads, nested):
    vectorizer = CountVectorizer(input=reads)
    if nested:
        vectorizer = ColumnTransformer([("words", vectorizer, "text")])
    student = StudentClassifier(
        BagOfNgrams, objective=CrossEntropy(), max_epochs=1, random_state=0
    ).fit(csr_array(np.eye(6)), [0, 1] * 3)
    save(Pipeline([("text", vectorizer), ("student", student)]), path)
    with pytest.raises(ModelFileError, match="would open the files that texts name"):
        load(path)


def test_a_tokenizer_at_which_rust_panics(path, monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(*args):
        raise PanicException("index out of bounds")

    student = StudentClassifier(StaticText, objective=CrossEntropy(), max_epochs=1, random_state=0)
    save(student.fit(["a b", "c d"] * 4, [0, 1] * 4), path)
    monkeypatch.setattr("lelp_sklearn.persistence._steps.tokenizer", panic)
    with pytest.raises(ModelFileError, match="PanicException"):
        load(path)


def test_a_folder_that_a_later_fit_would_write_to(path):
    projector = LELPProjector(null_space=False, memory=str(path.parent / "cache"))
    save(projector.fit(ROWS.embeddings, ROWS.y), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    write(path, changed(members, set_at("params", "memory", "cache")))
    refused(path, r"LELPProjector\.memory is nothing that save writes")


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_a_layer_that_is_copied_a_million_times(members, path):
    sizes = {"d_model": 1, "nhead": 1, "dim_feedforward": 1, "num_encoder_layers": 10**6}

    def change(tree):
        tree["net"]["module"]["name"] = "torch.nn.Transformer"
        tree["net"]["body_params"]["items"] = list(sizes.items())

    write(path, changed(members, change))
    refused(path, r"body is torch's Transformer\. .* allow=\[Transformer\]")
    refused(path, "far larger than its weights", allow=[nn.Transformer])


def test_a_tree_too_deep(members, path):
    write(path, {**members, "model.json": b"[" * 10**6})
    refused(path, "RecursionError")


def test_a_tree_that_is_no_estimator(members, path):
    write(path, {**members, "model.json": b"[1]"})
    refused(path, "holds a list")


@pytest.mark.parametrize("length", [2**63, 2**30, 10**6])
def test_a_header_longer_than_its_member(length, members, path):
    data = struct.pack("<Q", length) + members["weights.safetensors"][8:]
    write(path, {**members, "weights.safetensors": data})
    refused(path, f"claims a header of {length} bytes")


def test_a_tensor_that_claims_a_gigabyte(members, path):
    header = (
        b'{"0/head.weight":{"dtype":"F32","shape":[16384,16384],"data_offsets":[0,1073741824]}}'
    )
    data = struct.pack("<Q", len(header)) + header + bytes(64)
    write(path, {**members, "weights.safetensors": data})
    refused(path, "SafetensorError")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(value, members, path):
    weights = safetensors_numpy.load(members["weights.safetensors"])
    weights["0/body.layers.0.weight"][0, 0] = value
    write(path, {**members, "weights.safetensors": safetensors_numpy.save(weights)})
    refused(path, r"weights body\.layers\.0\.weight in the file are not finite")


@pytest.mark.parametrize("change", [lambda w: w[:, :-1].copy(), lambda w: w.astype(np.float64)])
def test_weights_of_another_shape_or_type(change, members, path):
    weights = safetensors_numpy.load(members["weights.safetensors"])
    weights["0/body.layers.0.weight"] = change(weights["0/body.layers.0.weight"])
    write(path, {**members, "weights.safetensors": safetensors_numpy.save(weights)})
    refused(path, r"weight 'body\.layers\.0\.weight' is .* and the network .* has")


def test_weights_too_many(members, path):
    weights = safetensors_numpy.load(members["weights.safetensors"])
    weights["0/more"] = np.ones(1)
    write(path, {**members, "weights.safetensors": safetensors_numpy.save(weights)})
    refused(path, "weight 'more' is .* has none")


def with_step(members, data):
    tree = {"kind": "skops", "file": "steps/0.skops"}
    return {**members, "model.json": json.dumps(tree).encode(), "steps/0.skops": data}


def test_steps_of_types_that_are_not_trusted(members, path):
    step = FunctionTransformer(pickle.loads)
    write(path, with_step(members, skops.dumps(step)))
    refused(path, r"steps/0\.skops holds the types .*loads.*not trusted")


def test_a_fitted_student_in_a_step_which_hides_a_pickle(members, path):
    student = StudentClassifier(objective=CrossEntropy(), max_epochs=1).fit(ROWS.X, ROWS.y)
    write(path, with_step(members, skops.dumps(student)))
    refused(path, "not trusted")


def test_a_step_that_is_compressed(members, path):
    data = skops.dumps(FunctionTransformer(), compression=zipfile.ZIP_DEFLATED)
    write(path, with_step(members, data))
    refused(path, "compressed members")


def test_a_tokenizer_with_an_expression_that_never_ends(path, tmp_path):
    texts = ["fine film", "dull film"] * 4
    student = StudentClassifier(StaticText, objective=CrossEntropy(), max_epochs=1)
    save(student.fit(texts, [0, 1] * 4), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in members if name.startswith("tokenizers/"))
    tokenizer = json.loads(members[name])
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    tokenizer["pre_tokenizer"] = split | {"invert": False}
    write(path, {**members, name: json.dumps(tokenizer).encode()})
    refused(path, "parts .*Regex.*Split")


@pytest.mark.parametrize(
    "splitter", [LELPProjector(null_space=False), GraphSplitter(null_space=False)], ids=repr
)
def test_arrays_that_are_missing(splitter, path):
    save(splitter.fit(ROWS.embeddings, ROWS.y), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    del members["arrays.safetensors"]
    write(path, members)
    refused(path, "KeyError")


def test_strings_of_enormous_width(members, path):
    wide = {"kind": "objects", "dtype": "<U900000", "shape": [9], "items": ["a"] * 9}
    write(path, changed(members, set_at("state", "classes_", wide)))
    refused(path, "9 strings")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="watched in a forked process")
def test_nothing_of_changed_files_is_executed():
    spec = importlib.util.spec_from_file_location("file_mutations", MUTATIONS)
    mutations = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mutations)
    fork = multiprocessing.get_context("fork")  # an audit hook stays for good
    receiver, sender = fork.Pipe(duplex=False)
    n_files = 1000 if NIGHTLY else 30
    worker = fork.Process(target=lambda: sender.send(mutations.run(n_files, 0)))
    worker.start()
    sender.close()  # of the two ends the worker's, so that its death ends the wait
    assert receiver.recv() == []
    worker.join()
