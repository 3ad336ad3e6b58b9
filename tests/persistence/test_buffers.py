"""Models in buffers and open files, and served students that travel to other processes."""

import copy
import io
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from lelp_sklearn import CrossEntropy, OnnxStudent, StudentClassifier, load, save
from lelp_sklearn.persistence import ModelFileError

X = np.float32([[-2, 0], [-1, 1], [1, 1], [2, 0]])


@pytest.fixture(scope="module")
def student():
    model = StudentClassifier(objective=CrossEntropy(), lr=0.1, max_epochs=2, random_state=0)
    return model.fit(X, ["no", "no", "yes", "yes"])


@pytest.fixture(scope="module")
def proto(student):
    pytest.importorskip("skl2onnx", reason="the extra onnx is not installed")
    from lelp_sklearn import to_onnx

    return to_onnx(student, X)


def test_a_model_is_saved_behind_a_buffers_position_and_loaded_from_it(student):
    buffer = io.BytesIO(b"before")
    buffer.seek(0, io.SEEK_END)
    save(student, buffer)
    end = buffer.tell()
    assert end == len(buffer.getvalue())
    with pytest.raises(ValueError, match="nothing is left to read in the BytesIO: go back"):
        load(buffer)
    buffer.seek(0)
    with pytest.raises(ModelFileError, match="begins with other bytes"):
        load(buffer)
    buffer.seek(len(b"before"))
    np.testing.assert_array_equal(load(buffer).predict_proba(X), student.predict_proba(X))
    assert buffer.tell() == end


def test_of_two_models_in_a_buffer_the_second_is_not_taken_for_the_first(student):
    buffer = io.BytesIO()
    save(student, buffer)
    save(student, buffer)
    buffer.seek(0)
    with pytest.raises(ModelFileError, match="keep one model a file"):
        load(buffer)


@pytest.mark.parametrize("buffering", [-1, 0])
def test_open_files_are_written_and_read(student, tmp_path, buffering):
    with open(tmp_path / "student.lelp", "wb", buffering=buffering) as file:
        save(student, file)
    with open(tmp_path / "student.lelp", "rb", buffering=buffering) as file:
        again = load(file)
    np.testing.assert_array_equal(again.predict_proba(X), student.predict_proba(X))


class _Slow(io.RawIOBase):
    """Takes three bytes at a time, as a raw file may."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data[:3])
        return min(3, len(data))


def test_a_raw_file_that_takes_a_part_is_given_the_rest(student):
    slow, whole = _Slow(), io.BytesIO()
    save(student, slow)
    save(student, whole)
    assert slow.data == whole.getvalue()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (io.StringIO, TypeError, "the StringIO is open for text: expected one for bytes"),
        (lambda: io.TextIOWrapper(io.BytesIO()), TypeError, "is open for text"),
        (lambda: 3, TypeError, "path=3: expected the name of a file"),
        (lambda: _closed(io.BytesIO()), ValueError, "the BytesIO is closed"),
    ],
    ids=["text", "temporary", "number", "closed"],
)
def test_what_is_no_file_of_bytes_is_refused(student, make, error, message):
    from lelp_sklearn import to_onnx

    file = make()
    for use in (
        lambda: save(student, file),
        lambda: load(file),
        lambda: to_onnx(student, X, file),
        lambda: OnnxStudent(file),
    ):
        with pytest.raises(error, match=message):
            use()
    getattr(file, "close", lambda: None)()


def _closed(file):
    file.close()
    return file


def test_files_that_are_open_for_the_other_are_refused(student, tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    with (
        open(tmp_path / "file", "rb") as file,
        pytest.raises(ValueError, match="BufferedReader cannot write: open it by mode 'wb'"),
    ):
        save(student, file)
    with (
        open(tmp_path / "file", "ab") as file,
        pytest.raises(ValueError, match="BufferedWriter cannot read: open it by mode 'rb'"),
    ):
        load(file)
    with pytest.raises(TypeError, match=r"put the bytes of a file into an io\.BytesIO"):
        load(b"content")
    with pytest.raises(TypeError, match=r"write it by model_card\(estimator\)\.write"):
        save(student, io.BytesIO(), card=True)


def test_a_served_student_takes_a_model_in_any_form(student, proto, tmp_path):
    from lelp_sklearn import to_onnx

    data = proto.SerializeToString()
    (tmp_path / "student.onnx").write_bytes(data)
    buffer = io.BytesIO()
    to_onnx(student, X, buffer)
    assert buffer.tell() == len(data)
    buffer.seek(0)
    forms = [proto, data, bytearray(data), memoryview(data), buffer]
    forms += [tmp_path / "student.onnx", str(tmp_path / "student.onnx")]
    with open(tmp_path / "student.onnx", "rb") as file:
        served = [OnnxStudent(form) for form in (*forms, file)]
    for found in served:
        np.testing.assert_array_equal(found.predict_proba(X), served[0].predict_proba(X))
    for damaged in (data[:-200], b"rubbish", b""):
        with pytest.raises(ValueError, match="onnxruntime cannot open the model"):
            OnnxStudent(damaged)
    with pytest.raises(FileNotFoundError):
        OnnxStudent(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match=r"n_threads=1\.5: expected a whole number"):
        OnnxStudent(proto, n_threads=1.5)


def test_a_served_student_is_copied_with_its_model(proto, tmp_path):
    path = tmp_path / "student.onnx"
    path.write_bytes(proto.SerializeToString())
    found = OnnxStudent(path, n_threads=np.int64(2))
    path.unlink()
    expected = found.predict_proba(X)
    joblib.dump(found, tmp_path / "student.joblib")
    copies = [pickle.loads(pickle.dumps(found, protocol)) for protocol in range(2, 6)]
    copies += [copy.copy(found), copy.deepcopy(found), joblib.load(tmp_path / "student.joblib")]
    for other in copies:
        np.testing.assert_array_equal(other.predict_proba(X), expected)
        assert other.session_.get_session_options().intra_op_num_threads == 2
        assert other.classes_.tolist() == ["no", "yes"]
    assert clone(found) is found


def test_a_served_student_works_in_spawned_processes(proto):
    found = OnnxStudent(proto)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        spawned = pool.submit(found.predict_proba, X).result()
    np.testing.assert_array_equal(spawned, found.predict_proba(X))
