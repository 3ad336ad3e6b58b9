"""Word counts and TF-IDF in ONNX, in those forms that its operators give exactly."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

from lelp_sklearn.persistence._onnx_graph import Graph

# A class of ASCII characters other than space, repeated: it means the same in Python's re and in
# onnxruntime's RE2, whose \w and \b know no other letters.
_TOKENS = re.compile(
    r"\[(?!\^)(?:[a-zA-Z0-9]-[a-zA-Z0-9]|[\w',.#@&]|-(?=\]))+\](?:\+|\{\d+,\})", re.A
)
_WORDS = CountVectorizer().token_pattern
_UNICODE_WORDS = r"[\p{L}\p{N}_]{2,}"  # what Python's default means, for RE2


def check_text_steps(estimator: Any) -> None:
    """Raise TypeError for vectorizers, at any depth, whose words ONNX would split otherwise."""
    for name, step in estimator.get_params(deep=True).items():
        if isinstance(step, HashingVectorizer):
            raise TypeError(
                f"{name} is a HashingVectorizer, and ONNX has no such hash: use TfidfVectorizer("
                "token_pattern=r'[a-zA-Z0-9_]+')."
            )
        if isinstance(step, CountVectorizer) and (found := _inexact(step)):
            raise TypeError(
                f"{name} is a {type(step).__name__} with {found}, for which ONNX has no exact "
                "form. It has for analyzer='word' with a token_pattern that is one class of ASCII "
                "characters, such as r'[a-zA-Z0-9_]+', or, with lowercase=False, the default one; "
                "without strip_accents, preprocessor and tokenizer, and with stop_words only "
                "where ngram_range=(1, 1)."
            )


def _inexact(vectorizer: CountVectorizer) -> str | None:
    """The parameter that stands in the way."""
    ok = {
        "analyzer": vectorizer.analyzer == "word",
        "strip_accents": vectorizer.strip_accents is None,
        "preprocessor": vectorizer.preprocessor is None,
        "tokenizer": vectorizer.tokenizer is None,
        "token_pattern": _re2(vectorizer) is not None,
        # Left out before words are joined, which the operators cannot do.
        "stop_words": vectorizer.stop_words is None or vectorizer.ngram_range == (1, 1),
    }
    bad = next((name for name, exact in ok.items() if not exact), None)
    return None if bad is None else f"{bad}={getattr(vectorizer, bad)!r}"


def _re2(vectorizer: CountVectorizer) -> str | None:
    pattern = vectorizer.token_pattern
    if pattern == _WORDS and not vectorizer.lowercase:
        return _UNICODE_WORDS
    return pattern if isinstance(pattern, str) and _TOKENS.fullmatch(pattern) else None


def convert_text(scope: Any, operator: Any, container: Any) -> None:
    """Texts to counts or TF-IDF, as skl2onnx calls a converter."""
    vectorizer, graph = operator.raw_operator, Graph(scope, container)
    texts = graph.node("Reshape", operator.inputs[0].full_name, graph.constant(np.array([-1])))
    if vectorizer.lowercase:
        # Of the "C" locale, which every machine has; it leaves all but ASCII letters as they are.
        texts = graph.node("StringNormalizer", texts, case_change_action="LOWER", locale="C")
    pad = " "  # in no token
    tokens = graph.node(
        "Tokenizer",
        texts,
        domain="com.microsoft",
        tokenexp=_re2(vectorizer),
        pad_value=pad,
        mark=0,
        mincharnum=1,
    )
    counts = graph.node("TfIdfVectorizer", tokens, **_n_grams(vectorizer))
    if isinstance(vectorizer, TfidfVectorizer):
        counts = _weighted(vectorizer, graph, counts)
    elif vectorizer.binary:
        counts = graph.node("Sign", counts)
    graph.add("Identity", [counts], [operator.outputs[0].full_name])


def _n_grams(vectorizer: CountVectorizer) -> dict[str, Any]:
    """Attributes of the operator that counts: n-grams, shorter ones first, and their columns."""
    shortest, longest = vectorizer.ngram_range
    by_length: list[list[tuple[list[str], int]]] = [[] for _ in range(longest)]
    for n_gram, column in sorted(vectorizer.vocabulary_.items()):
        words = n_gram.split(" ")
        if shortest <= len(words) <= longest:  # of a vocabulary that was given
            by_length[len(words) - 1].append((words, int(column)))
    widths = [n * len(n_grams) for n, n_grams in enumerate(by_length, start=1)]
    return {
        "mode": "TF",
        "min_gram_length": shortest,
        "max_gram_length": longest,
        "max_skip_count": 0,
        "pool_strings": [w for n_grams in by_length for words, _ in n_grams for w in words],
        "ngram_counts": np.cumsum([0, *widths[:-1]]).tolist(),
        "ngram_indexes": [column for n_grams in by_length for _, column in n_grams],
    }


def _weighted(vectorizer: TfidfVectorizer, graph: Graph, counts: str) -> str:
    weights = graph.node("Sign", counts) if vectorizer.binary else counts
    if vectorizer.sublinear_tf:  # 1 + log of what is not 0
        one = graph.constant(np.ones(1, np.float32))
        log = graph.node("Log", graph.node("Max", weights, one))
        weights = graph.node("Add", graph.node("Sign", weights), log)
    if vectorizer.use_idf:
        idf = graph.constant(vectorizer.idf_.astype(np.float32))
        weights = graph.node("Mul", weights, idf)
    if vectorizer.norm is None:
        return weights
    columns = graph.constant(np.array([1]))
    length = graph.node(f"Reduce{vectorizer.norm.upper()}", weights, columns)
    tiny = graph.constant(np.full(1, 1e-30, np.float32))  # for texts without a known word
    return graph.node("Div", weights, graph.node("Max", length, tiny))
