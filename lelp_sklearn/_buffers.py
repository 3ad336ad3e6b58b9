"""Open binary files and buffers, which stand where a path can stand."""

from __future__ import annotations

import os
from typing import Any

from lelp_sklearn._writing import write_whole


def is_buffer(file: Any, method: str) -> bool:
    """Whether it is an open file or a buffer rather than a path, once that can be used.

    Parameters
    ----------
    file : object
        What the user gave.
    method : {"read", "write"}
        What will be asked of it.

    Raises
    ------
    TypeError
        If it is neither a path nor a file, or a file of text.
    ValueError
        If it is closed, or was opened for the other of reading and writing.
    """
    if isinstance(file, str | os.PathLike):
        return False
    mode = {"read": "rb", "write": "wb"}[method]
    if not callable(getattr(file, "read", None)) and not callable(getattr(file, "write", None)):
        hint = ""
        if isinstance(file, bytes | bytearray | memoryview):
            hint = ": put the bytes of a file into an io.BytesIO"
        raise TypeError(
            f"path={file!r:.60}: expected the name of a file, a str or os.PathLike, or a file that "
            f"is open for bytes, such as open(name, {mode!r}) or io.BytesIO(){hint}."
        )
    if hasattr(file, "encoding"):
        raise TypeError(
            f"the {type(file).__name__} is open for text: expected one for bytes, such as "
            f"open(name, {mode!r}) or io.BytesIO()."
        )
    if getattr(file, "closed", False):
        raise ValueError(f"the {type(file).__name__} is closed: expected one that is open.")
    can = getattr(file, {"read": "readable", "write": "writable"}[method], None)
    if not callable(getattr(file, method, None)) or (can is not None and not can()):
        raise ValueError(f"the {type(file).__name__} cannot {method}: open it by mode {mode!r}.")
    return True


def write(target: Any, data: bytes) -> None:
    """Write a whole file, or all of the bytes at a buffer's position, which is then behind them."""
    if not is_buffer(target, "write"):
        write_whole(target, data)
        return
    left = memoryview(data)
    while len(left):
        written = target.write(left)
        left = left[len(left) if written is None else written :]  # a raw file may take a part


def read_from(buffer: Any) -> bytes:
    """What is left in a buffer, whose position is then at its end.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    data = buffer.read()
    if not data:
        raise ValueError(
            f"nothing is left to read in the {type(buffer).__name__}: go back to where the model "
            "begins, by seek(0), say."
        )
    return bytes(data)
