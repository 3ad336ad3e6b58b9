"""Knowledge distillation for binary and few-class problems, scikit-learn style.

The public names are those that ``__init__.pyi`` imports: add new ones there, and only there. Each
is imported when it is first used (PEP 562, SPEC 1), so that ``OnnxStudent`` needs no torch.
"""

import ast
import logging
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_MODULES = {
    imported.name: line.module
    for line in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(line, ast.ImportFrom) and line.module
    for imported in line.names
}
__all__ = sorted(_MODULES)

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    elif name == "__version__":
        value = version("lelp-sklearn")
    elif not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
