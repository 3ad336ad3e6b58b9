"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write beside the path, and move the file there once it is whole."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        draft.write_bytes(data)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
