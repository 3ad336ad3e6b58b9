"""What other packages write: scikit-learn's estimators by skops, and tokenizers."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from typing import Any

from sklearn.base import BaseEstimator

from lelp_sklearn.persistence._file import ModelFileError

# Parts of tokenizers. Those with a regular expression of the file's own are not among them: it
# could be one that takes for ever.
_TOKENIZER_PARTS = {
    *("BPE", "Unigram", "WordLevel", "WordPiece"),
    *("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Precompiled", "Strip"),
    *("Prepend", "Replace", "StripAccents"),
    *("BertPreTokenizer", "ByteLevel", "Digits", "Metaspace", "Punctuation", "Sequence"),
    *("Whitespace", "WhitespaceSplit"),
    *("BertProcessing", "RobertaProcessing", "TemplateProcessing"),
    *("ByteFallback", "Fuse"),
}


def dump(estimator: BaseEstimator, where: str) -> bytes:
    """A scikit-learn estimator, of types that skops trusts.

    Raises
    ------
    TypeError
        If it holds other types, as ours or a user's.
    ImportError
        If skops is not installed.
    """
    skops = _skops(where)
    try:
        data = skops.dumps(estimator)
        strange = skops.get_untrusted_types(data=data)
    except Exception as error:  # of whatever type it met
        raise TypeError(
            f"{where}, a {type(estimator).__name__}, cannot be saved: {error}"
        ) from error
    with zipfile.ZipFile(BytesIO(data)) as archive:
        if any(name.endswith(".npz") for name in archive.namelist()):
            strange = [*strange, "scipy.sparse"]
    if any(name.startswith("lelp_sklearn.") for name in strange):
        raise TypeError(
            f"{where}, a {type(estimator).__name__}, holds estimators of lelp_sklearn, and is not "
            "among those of scikit-learn that a file holds with them: save what it has fitted, "
            "such as its estimator_. For your own processes there is joblib.dump."
        )
    if strange:
        raise TypeError(
            f"{where}, a {type(estimator).__name__}, holds {', '.join(strange)}, which skops "
            "does not trust. Estimators of lelp_sklearn and your own are saved as steps of a "
            "Pipeline, a FeatureUnion or a ColumnTransformer; for others there is pickle."
        )
    return data


def load(data: bytes, name: str) -> BaseEstimator:
    """The estimator of :func:`dump`; if it has a type that is not trusted, nothing is made."""
    skops = _skops(name)
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or size > len(data) or any(m.filename.endswith(".npz") for m in members):
            raise ModelFileError(f"{name} has compressed members, which save does not write.")
    strange = skops.get_untrusted_types(data=data)
    if strange:
        raise ModelFileError(f"{name} holds the types {strange}, which are not trusted.")
    estimator = skops.loads(data, trusted=[])
    if not isinstance(estimator, BaseEstimator):
        raise ModelFileError(f"{name} is a {type(estimator).__name__}: expected an estimator.")
    return estimator


def tokenizer_text(tokenizer: Any, where: str) -> bytes:
    """A tokenizer as JSON.

    Raises
    ------
    TypeError
        If it has regular expressions of its own.
    """
    text = tokenizer.to_str()
    strange = _strange_parts(json.loads(text))
    if strange:
        raise TypeError(
            f"{where} is a tokenizer with {', '.join(sorted(strange))}, which files do not hold: a "
            "regular expression could be one that takes for ever. TokenInputs trains a tokenizer "
            "without; for this one there is pickle."
        )
    return text.encode()


def tokenizer(data: bytes, name: str) -> Any:
    """The tokenizer of :func:`tokenizer_text`."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ImportError(
            "the model reads texts, and tokenizers is not installed: "
            'pip install "lelp-sklearn[text]".'
        ) from error
    strange = _strange_parts(json.loads(data.decode()))
    if strange:
        raise ModelFileError(f"{name} has parts {sorted(strange)}, which save does not write.")
    return Tokenizer.from_str(data.decode())


def _strange_parts(part: Any) -> set[str]:
    """Types of a tokenizer's parts that are not on the list."""
    if isinstance(part, list):
        return set().union(*map(_strange_parts, part))
    if not isinstance(part, dict):
        return set()
    own = {str(part.get("type", "BPE"))} - _TOKENIZER_PARTS
    own |= {"Regex"} & set(part)
    return own.union(*(_strange_parts(v) for k, v in part.items() if k not in ("vocab", "merges")))


def _skops(where: str) -> Any:
    try:
        from skops import io
    except ImportError as error:
        raise ImportError(
            f"{where} is of scikit-learn, and is saved by skops, which is not installed: "
            'pip install "lelp-sklearn[skops]".'
        ) from error
    return io
