r"""Regular expressions that other people write: only those that end in time.

Python's expressions try every way to divide a text. Repeats within repeats, and a choice within
a repeat, have so many ways that one line of text can take years; they are refused before they run.

Source: Davis et al. 2018, "The impact of regular expression denial of service in practice".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _parser  # type: ignore[attr-defined]
from typing import Any

MAX_CHARACTERS = 2000
MAX_REPEATS = 3  # without an end, one after the other
FEW = 12  # a repeat up to so many times may hold a choice


def safe_pattern(text: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises
    ------
    ValueError
        If it is none, or may take very long.
    """
    try:
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"it has more than {MAX_CHARACTERS} characters")
        compiled, parsed = re.compile(text), _parser.parse(text)
    except (re.error, RecursionError, OverflowError) as cause:
        raise ValueError(f"not a regular expression: {cause}") from cause
    endless = 0
    for most, is_varied, body in _repeats(parsed):
        inner = list(_repeats(body))
        if most > 1 and any(varied for _, varied, _ in inner):
            raise ValueError("a repeat within a repeat may take very long: write it with one")
        if most > FEW and any(op == "BRANCH" for op, _ in _parts(body)):
            raise ValueError(f"a choice repeated more than {FEW} times may take very long")
        endless += is_varied and most > FEW
    if endless > MAX_REPEATS:
        raise ValueError(f"more than {MAX_REPEATS} repeats without an end may take very long")
    return compiled


def _repeats(parsed: Any) -> Iterator[tuple[int, bool, Any]]:
    """Most times, whether the number may vary, and what is repeated, of every repeat."""
    for op, value in _parts(parsed):
        if op in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, body = value
            yield int(most), least != most and int(most) > 1, body


def _parts(parsed: Any) -> Iterator[tuple[str, Any]]:
    """Every part of a parsed expression, to any depth."""
    for op, value in parsed:
        yield str(op), value
        for body in _bodies(value):
            yield from _parts(body)


def _bodies(value: Any) -> Iterator[Any]:
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _bodies(one)
