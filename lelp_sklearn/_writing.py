"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write beside the path, and move the file there once it is whole.

    Raises
    ------
    TypeError
        If the path is none.
    IsADirectoryError, FileNotFoundError
        If it is a folder, or in none.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={path!r}: expected the name of a file, a str or os.PathLike.")
    target = Path(path)
    if not target.name or target.is_dir():
        raise IsADirectoryError(f"path={str(path)!r} is a folder: name a file in it.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}, to write {target.name} to.")
    draft = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave an empty file of the new name
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
