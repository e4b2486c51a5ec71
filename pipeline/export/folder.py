"""A folder whose files are replaced only when all of them are written."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError

PREFIX = ".export-"
LEFT_S = 86_400  # a folder so old is of an export that was killed


@contextmanager
def aside(out_dir: Path) -> Iterator[Path]:
    """Give a folder to write in; what is in it at the end is moved to ``out_dir``.

    Raises
    ------
    OutputError
        If the folder cannot be written, or a file is open in another program; the other files
        are in place then.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        _remove_left(out_dir)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=out_dir))
    except OSError as error:
        raise _unwritable(out_dir, error) from error
    try:
        try:
            yield folder
        except OSError as error:
            raise _unwritable(out_dir, error) from error
        locked = []
        for path in sorted(folder.iterdir()):
            try:
                path.replace(out_dir / path.name)
            except OSError as error:
                locked.append((path.name, error))
        if locked:
            names = ", ".join(name for name, _ in locked)
            raise OutputError(
                f"{names} in {out_dir} cannot be replaced ({locked[0][1].strerror}).",
                "It may be open in another program: close it and export again. "
                "All other files are up to date.",
            ) from locked[0][1]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(out_dir: Path) -> None:
    for folder in out_dir.glob(f"{PREFIX}*"):
        if time.time() - folder.stat().st_mtime > LEFT_S:
            shutil.rmtree(folder, ignore_errors=True)


def _unwritable(out_dir: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The folder {out_dir} cannot be written: {error.strerror or error}.",
        "Check that it is a folder you may write to and that the disk has space.",
    )
