"""The floors of pyproject.toml as requirements: of the core, ONNX, and what the tests import."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS_IMPORT = {"pytest", "hypothesis", "pandas", "polars", "pyarrow", "skrub", "tokenizers"}

project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
pinned = re.findall(r"^torch==.*", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
extras = project["optional-dependencies"]
core = project["dependencies"] + extras["onnx"]
for requirement in core + extras["test"]:
    name, _, floor = requirement.partition(">=")
    if name == "torch":
        sys.stdout.write(f"{pinned[0]}\n")  # no other build lies at hand
    elif requirement in core or name in TESTS_IMPORT:
        sys.stdout.write(f"{name}=={floor}\n")
