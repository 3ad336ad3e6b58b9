"""The floors of pyproject.toml as requirements: of the core, and of what its tests import."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS_IMPORT = {"pytest", "hypothesis", "pandas", "polars", "pyarrow", "skrub", "tokenizers"}

project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
pinned = re.findall(r"^torch==.*", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
for requirement in project["dependencies"] + project["optional-dependencies"]["test"]:
    name, _, floor = requirement.partition(">=")
    core = requirement in project["dependencies"]
    if name == "torch":
        sys.stdout.write(f"{pinned[0]}\n")  # no other build lies at hand
    elif core or name in TESTS_IMPORT:
        sys.stdout.write(f"{name}=={floor}\n")
