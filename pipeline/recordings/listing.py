"""The recordings that inputs stand for: files, folders, patterns, on this machine or by URL.

Conventions
-----------
Folders are searched to any depth; hidden files and folders are left out. A recording on this
machine is known by its absolute path (``file://`` means the same), any other by its URL. What is
named itself is taken whatever its suffix. An input that leads nowhere costs one failure row of this
run; where all of them do, there is no run.
"""

from __future__ import annotations

import contextlib
import difflib
import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.errors import NoRecordings, UnreadableAudio, UsageError
from pipeline.io import files
from pipeline.io.names import CANDIDATES
from pipeline.recordings.notes import Notes, first_names
from pipeline.schema import Failure


def list_paths(
    inputs: Sequence[str], named: Sequence[str], suffixes: frozenset[str], notes: Notes
) -> tuple[list[str], list[Failure]]:
    """List each recording once, in order, and a failure for each input that leads nowhere.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders and patterns, as paths or URLs.
    named : sequence of str
        Recordings that are taken without a look: absolute paths or URLs.
    suffixes : frozenset of str
        Lower-case suffixes by which recordings are recognised in folders and patterns.
    notes : Notes

    Raises
    ------
    NoRecordings
        If there is nothing at all.
    UsageError
        If a URL cannot be used: unknown protocol, no driver, a password in it.
    """
    found = {_identity(path): path for path in map(_checked, reversed(named))}
    failures: list[Failure] = []
    ignored: set[str] = set()
    for given in map(files.plain, inputs):
        try:
            candidates, itself = _stands_for(_checked(given), suffixes, notes)
        except UnreadableAudio as error:
            failures.append(_failure(given, error))
            continue
        wanted = [path for path in candidates if itself or files.suffix(path) in suffixes]
        if not wanted:
            notes.count("Inputs without any recording:", given)
        for path in wanted:
            shown = path if files.is_url(path) else os.path.abspath(path)
            found.setdefault(_identity(path), shown)
        ignored.update(set(candidates) - set(wanted))
    if ignored:
        kinds = Counter(files.suffix(path) or "without suffix" for path in sorted(ignored))
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
        notes.add(f"{len(ignored)} files that are not recordings were ignored ({listed}).")
    if not found and failures:
        first, more = failures[0], len(failures) - 1
        raise NoRecordings(
            f"{files.shown(first.path)}: {first.message}"
            + (f" Nor do {more} more of the names given lead to recordings." if more else ""),
            first.hint,
        )
    if not found:
        raise NoRecordings(
            f"No recordings found in {first_names(list(inputs)) or 'an empty list'} "
            f"({len(ignored)} other files).",
            f"Name files, or folders that hold files ending in {' '.join(sorted(suffixes))}.",
        )
    return sorted(found.values()), failures


def _stands_for(given: str, suffixes: frozenset[str], notes: Notes) -> tuple[list[str], bool]:
    """Every file an input stands for, and whether it is a file itself."""
    if files.is_url(given):
        if files.suffix(given) in suffixes and not files.has_pattern(given):
            return [given], True  # asking the network for each would take long
        hits = files.find(given)
        if not hits and not files.has_pattern(given):
            raise _gone()
        return hits, hits == [given]
    if os.path.isdir(given):
        return list(_walk(given, notes)), False
    if os.path.lexists(given):
        return [given], True
    if glob.has_magic(given):
        hits = glob.glob(given, recursive=True)
        return [hit for hit in hits if not os.path.isdir(hit)], False
    raise _gone(given)


def _walk(folder: str, notes: Notes) -> Iterable[str]:
    """Yield every file below a folder but hidden ones; folders that cannot be opened are noted."""

    def closed(error: OSError) -> None:
        notes.count("Folders that cannot be opened:", f"{error.filename} ({error.strerror})")

    for here, folders, names in os.walk(folder, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(here, name) for name in names if not name.startswith("."))


def _checked(path: str) -> str:
    """Refuse a URL that must not be stored."""
    if files.is_url(path) and files.has_password(path):
        raise UsageError(
            f"The address {path.partition('://')[0]}://...@{path.rpartition('@')[2]} holds a "
            "password, which would be stored with the results.",
            "Give the password where the driver looks for it, such as an environment variable.",
        )
    return path


def _identity(path: str) -> str:
    return path if files.is_url(path) else os.path.realpath(path)


def _gone(given: str = "") -> UnreadableAudio:
    folder, name = os.path.split(given.rstrip(os.sep))
    beside: list[str] = []
    with contextlib.suppress(OSError):
        beside = os.listdir(folder or ".") if name else []
    close = difflib.get_close_matches(name, beside[:CANDIDATES], n=1, cutoff=0.5)
    guess = f'Did you mean "{os.path.join(folder, close[0])}"? ' if close else ""
    return UnreadableAudio(
        "There is no such file or folder.", f"{guess}Check the path; quote glob patterns."
    )


def _failure(path: str, error: UnreadableAudio) -> Failure:
    return Failure(
        path=path,
        call_id=files.stem(path),
        stage="recordings",
        error_type=type(error).__name__,
        message=error.message,
        hint=error.hint,
    )
