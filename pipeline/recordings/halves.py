"""Recordings that are one leg of a call, and their other halves.

Some switches write what the caller says and what the callee says into a file each. The names of the
two differ by a mark at the beginning or the end: ``0001-in.wav`` and ``0001-out.wav``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pipeline.errors import UsageError
from pipeline.io import files
from pipeline.recordings.notes import Notes

MARKS = (
    ("-in", "-out"), ("_in", "_out"), ("-rx", "-tx"), ("_rx", "_tx"), ("_caller", "_callee"),
    ("-caller", "-callee"), ("_a", "_b"), ("-a", "-b"), ("_agent", "_customer"),
    ("-agent", "-customer"),
)  # fmt: skip
"""What usually tells two legs apart."""


def read_marks(pattern: str) -> tuple[str, str]:
    """The two marks in a pattern such as ``-in/-out``.

    Raises
    ------
    UsageError
        If there are not two different ones.
    """
    first, slash, second = pattern.partition("/")
    if not slash or not first or not second or "/" in second or first == second:
        raise UsageError(
            f'The pattern of legs "{pattern}" is not two marks with a slash between them.',
            "Write what the names of the two files of a call differ by: -in/-out, _rx/_tx.",
        )
    return first, second


def pairs_by(paths: Iterable[str], marks: tuple[str, str]) -> Iterator[tuple[str | None, ...]]:
    """Pairs of paths whose names differ by the marks alone; None for a half that is not there.

    Yields
    ------
    first, second, whole
        The paths of both legs, and what the path would be without a mark.
    """
    found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        stem, suffix = files.stem(path), files.suffix(path)
        folder = path[: len(path) - len(files.name(path))]
        for side, mark in enumerate(marks):
            for whole in _without(stem, mark):
                found[f"{folder}{whole}{suffix}"][side].append(path)
    for whole, sides in found.items():
        if all(len(sides[side]) <= 1 for side in (0, 1)):
            first, second = (next(iter(sides[side]), None) for side in (0, 1))
            yield first, second, whole


def note_halves(paths: Sequence[str], notes: Notes) -> None:
    """Say once that some recordings look like the legs of one call."""
    every = tuple(mark for marks in MARKS for mark in marks)
    stems = ((path, files.stem(path).casefold()) for path in paths)
    marked = [path for path, stem in stems if stem.endswith(every) or stem.startswith(every)]
    for marks in MARKS if marked else ():
        both = [p for p in pairs_by(marked, marks) if p[0] is not None and p[1] is not None]
        if both:
            names = " and ".join(files.name(str(path)) for path in both[0][:2])
            notes.add(
                f"{len(both)} pairs of recordings look like the two legs of one call ({names}): "
                f"--pair-legs {'/'.join(marks)} joins them."
            )


def _without(stem: str, mark: str) -> list[str]:
    """The name without a mark at its end or beginning; empty where it has none."""
    lower, wanted = stem.casefold(), mark.casefold()
    if len(stem) <= len(mark) or len(lower) != len(stem):
        return []
    if lower.endswith(wanted):
        return [stem[: -len(mark)]]
    return [stem[len(mark) :]] if lower.startswith(wanted) else []
