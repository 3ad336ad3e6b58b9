"""The file itself: a zip of named members, written at once or not at all, read with suspicion."""

from __future__ import annotations

import json
import os
import re
import zipfile
from hashlib import sha256
from io import BytesIO
from typing import Any

from lelp_sklearn import _buffers

FORMAT = "lelp_sklearn"
VERSION = 1  # of the format; raised where an older load would not understand a file

_MANIFEST = "manifest.json"
_MEMBERS = re.compile(
    r"model\.json|arrays\.safetensors|weights\.safetensors"
    r"|steps/\d{1,6}\.skops|tokenizers/\d{1,6}\.json",
    re.ASCII,
)
_DATE = (1980, 1, 1, 0, 0, 0)  # equal estimators give equal files


class ModelFileError(ValueError):
    """A file is damaged, is no file of :func:`~lelp_sklearn.save`, or holds what is not allowed.

    Nothing of the file has been executed.

    Examples
    --------
    >>> import tempfile
    >>> import lelp_sklearn
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"a pickle, say")
    ...     file.flush()
    ...     lelp_sklearn.load(file.name)
    Traceback (most recent call last):
    lelp_sklearn.persistence._file.ModelFileError: ... is no file of lelp_sklearn.save, ...
    """


def write(path: Any, members: dict[str, bytes], versions: dict[str, str]) -> None:
    """Write members, and a manifest of their hashes, to a path or a binary buffer."""
    manifest = {
        "format": FORMAT,
        "format_version": VERSION,
        "versions": versions,
        "sha256": {name: sha256(data).hexdigest() for name, data in members.items()},
    }
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {_MANIFEST: as_json(manifest), **members}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    _buffers.write(path, file.getvalue())


def read(path: Any) -> tuple[dict[str, bytes], dict[str, str]]:
    """Members by name, and the versions of the packages that wrote them.

    Members are not compressed, so memory stays in proportion to the file. A binary buffer is read
    from its position to its end.
    """
    if _buffers.is_buffer(path, "read"):
        data = _buffers.read_from(path)
        return _opened(BytesIO(data), len(data), name_of(path))
    with open(path, "rb") as file:
        return _opened(file, os.fstat(file.fileno()).st_size, name_of(path))


def name_of(path: Any) -> str:
    """The path, or what a buffer is called in errors."""
    if isinstance(path, str | os.PathLike):
        return os.fspath(path)
    return f"what the {type(path).__name__} holds from its position on"


def _opened(file: Any, size: int, path: str) -> tuple[dict[str, bytes], dict[str, str]]:
    try:
        with zipfile.ZipFile(file) as archive:
            return _members(archive, size, path)
    except ModelFileError:
        raise
    except Exception as error:  # zipfile has no one class for what damage does to it
        raise ModelFileError(
            f"{path} is no file of lelp_sklearn.save, or it is damaged: {error}. A "
            "pickle opens with joblib.load or pickle.load, if you trust who made it."
        ) from error


def as_json(value: Any) -> bytes:
    """JSON as bytes, without spaces, and without NaN, which is none."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _members(
    archive: zipfile.ZipFile, file_size: int, path: str
) -> tuple[dict[str, bytes], dict[str, str]]:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ModelFileError(f"{path} holds two members of one name: it is damaged or forged.")
    packed = [
        member.filename
        for member in members
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size
    ]
    if packed or sum(member.file_size for member in members) > file_size:
        raise ModelFileError(
            f"{path} has compressed or overlapping members {packed}, which lelp_sklearn.save does "
            "not write: such a file can grow without bounds."
        )
    if members and min(member.header_offset for member in members) > 0:
        # Of models that follow one another, zipfile would read the last.
        raise ModelFileError(
            f"{path} begins with other bytes than the model's: keep one model a file, and go to "
            "where it begins before you load it from a buffer."
        )
    if _MANIFEST not in names:
        raise ModelFileError(
            f"{path} is no file of lelp_sklearn.save: it has no {_MANIFEST}, but {names[:5]}."
        )
    manifest = json.loads(archive.read(_MANIFEST).decode())
    _check_format(manifest, path)
    hashes = manifest["sha256"]
    strange = [name for name in hashes if not _MEMBERS.fullmatch(name)]
    if strange or {_MANIFEST, *hashes} != set(names) or "model.json" not in names:
        raise ModelFileError(
            f"{path} holds {sorted(names)[:5]}, and its {_MANIFEST} lists {sorted(hashes)[:5]}: "
            "it is damaged or forged."
        )
    data = {name: archive.read(name) for name in hashes}
    changed = [name for name in data if sha256(data[name]).hexdigest() != hashes[name]]
    if changed:
        raise ModelFileError(
            f"{changed} in {path} are not those the file was written with: it is damaged or "
            "forged. Save it anew."
        )
    return data, {str(name): str(version) for name, version in manifest["versions"].items()}


def _check_format(manifest: dict[str, Any], path: str) -> None:
    version = manifest["format_version"]
    if manifest["format"] != FORMAT or type(version) is not int or version < 1:
        raise ModelFileError(
            f"{path} is no file of lelp_sklearn.save: its format is {manifest['format']!r}, "
            f"version {version!r}."
        )
    if version > VERSION:
        written_by = manifest["versions"].get("lelp_sklearn", "of an unknown version")
        raise ModelFileError(
            f"{path} has format version {version}, and this lelp_sklearn reads up to {VERSION}: "
            f"it was written by lelp_sklearn {written_by}. Upgrade: pip install --upgrade "
            "lelp-sklearn."
        )
