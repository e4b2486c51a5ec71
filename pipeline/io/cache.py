"""The user's cache folder: what takes long to make, and may be lost at any time.

A cache that cannot be read or written costs time only, so nothing here raises errors. What is kept
under a name never changes: the name holds a hash of everything it was made of.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

CACHE_VARIABLE = "XDG_CACHE_HOME"


def cache_folder() -> Path:
    """Where it is: ``$XDG_CACHE_HOME/callcoach``, or ``~/.cache/callcoach``."""
    given = os.environ.get(CACHE_VARIABLE)
    return (Path(given) if given else Path.home() / ".cache") / "callcoach"


def kept(name: str) -> bytes | None:
    """What was kept under a name such as ``intents/one.npz``; nothing when it is not there."""
    try:
        return (cache_folder() / name).read_bytes()
    except (OSError, RuntimeError):  # no such file, or nobody's home
        return None


def keep(name: str, data: bytes) -> None:
    """Write a file of the cache in one step, or not at all."""
    temporary = None
    with contextlib.suppress(OSError, RuntimeError):
        file = cache_folder() / name
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(file)
        return
    if temporary is not None:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
