"""Where something was said: pairs of neighbouring characters, and of their sounds, of each call in one index.

Conventions
-----------
What is said is letters, digits and characters alone, without blanks and punctuation, in lower case (NFKC).
A pair of neighbours within a turn is a token, with who said it; so is the pair of their toneless
syllables. A text of two characters and more was said where all of its pairs stand in one call; which
turns those are is looked up in the turns, as pairs alone can be scattered.

``said`` has a row a call: a number that grows with the start of the call, so that the newest come first, and
a hash of what was indexed, so that nothing is done where nothing has changed. SQLite keeps the tokens
in the full-text index ``said_tokens`` (FTS5, without contents and positions), PostgreSQL in the array
``said.tokens`` with a GIN index. In SQLite the tokens of what was heard before a new analysis
cannot be taken out: their row stays and names no call.

Sources: SQLite, FTS5 extension (contentless tables, ``detail=none``); PostgreSQL, GIN indexes (``array_ops``).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pipeline.schema import AGENT, SPEAKERS
from pipeline.text import readings

SECOND = 1 << 31  # numbers for calls that start in one second
LAST_SECOND = 4_000_000_000  # its numbers are the last that fit 63 bits
LEAST = 2  # characters that can be searched for
INDEX = "said_tokens"


class Characters(NamedTuple):
    """What is said in a text: its characters, and the place of each in the text."""

    said: tuple[str, ...]
    at: tuple[int, ...]


def characters(text: str) -> Characters:
    """The letters, digits and characters of a text, as they are compared.

    >>> characters("VIP，没有！").said
    ('v', 'i', 'p', '没', '有')
    """
    found = [(c, i) for i, one in enumerate(text) for c in _compared(one)]
    return Characters(tuple(c for c, _ in found), tuple(i for _, i in found))


@lru_cache(maxsize=20_000)
def _compared(one: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", one).lower() if c.isalnum())


@cache
def sound_of(character: str) -> str:
    """The toneless syllable of a character, itself where it has none."""
    return next(iter(readings(character)), "") or character


def sounds(said: Sequence[str]) -> tuple[str, ...]:
    """The syllables of what is said.

    >>> sounds(characters("没有").said)
    ('mei', 'you')
    """
    return tuple(sound_of(c) for c in said)


def places(said: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where ``wanted`` stands in what is said, first and last, without overlap."""
    at, n = 0, len(wanted)
    while at + n <= len(said):
        if tuple(said[at : at + n]) == tuple(wanted):
            yield at, at + n - 1
            at += n
        else:
            at += 1


def _tokens(kind: str, said: Sequence[str]) -> Iterator[str]:
    for pair in zip(said, said[1:], strict=False):
        yield kind + "z".join(c.encode().hex() for c in pair)


def tokens_of(turns: Iterable[tuple[str, str | None]]) -> list[str]:
    """The tokens of the turns of a call (speaker, text as it is shown), each once."""
    found: set[str] = set()
    for speaker, text in turns:
        said = characters(text or "").said
        who = "a" if speaker == AGENT else "c"
        found.update(_tokens(f"{who}w", said))
        found.update(_tokens(f"{who}s", sounds(said)))
    return sorted(found)


def tokens_for(wanted: Sequence[str], speaker: str | None, *, by_sound: bool) -> list[list[str]]:
    """The tokens of which all are needed, for each of the parties who may have said it.

    ``wanted`` are characters, or syllables where it is ``by_sound``.
    """
    kind = "s" if by_sound else "w"
    who = [s for s in SPEAKERS if speaker in (None, s)]
    return [list(_tokens(f"{'a' if s == AGENT else 'c'}{kind}", wanted)) for s in who]


def numbered(first: str, last: str) -> tuple[int, int]:
    """Numbers between which all calls lie that start on these days and, for their time zones, a day around."""
    days = [datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() for day in (first, last)]
    first_s, last_s = round(days[0]) - 86_400, min(round(days[1]) + 2 * 86_400, LAST_SECOND)
    return max(first_s, 0) * SECOND, last_s * SECOND + SECOND - 1


def hits(dialect: str, tables: Mapping[str, sa.Table], wanted: Sequence[Sequence[str]]) -> Any:
    """A subquery ``doc``: the numbers of the calls with all tokens of one of the lists."""
    said = tables["said"].c
    if dialect == "sqlite":
        text = " OR ".join("(" + " AND ".join(some) + ")" for some in wanted)
        match = sa.text(f"{INDEX} MATCH :tokens").bindparams(tokens=text)
        query: sa.Select[Any] = sa.select(sa.literal_column("rowid").label("doc")).select_from(
            sa.text(INDEX)
        )
        return query.where(match).subquery("hits")
    has_all = (said.tokens.op("@>")(sa.cast(list(some), said.tokens.type)) for some in wanted)
    return sa.select(said.doc).where(sa.or_(*has_all)).subquery("hits")


def make(connection: Connection) -> None:
    """Make the index beside the table ``said``."""
    if connection.dialect.name == "sqlite":
        options = "content='', detail=none, columnsize=0, tokenize='ascii'"
        connection.execute(sa.text(f"CREATE VIRTUAL TABLE {INDEX} USING fts5(tokens, {options})"))
    else:
        connection.execute(sa.text(f"CREATE INDEX {INDEX} ON said USING gin (tokens)"))


def index(
    connection: Connection,
    tables: Mapping[str, sa.Table],
    call_id: str,
    started_at: str | None,
    turns: Iterable[tuple[str, str | None]],
) -> None:
    """Bring what can be found of a call up to date; does nothing where that is so already."""
    said = tables["said"]
    tokens, base = tokens_of(turns), _second(started_at) * SECOND
    digest = hashlib.sha256(f"{base} {' '.join(tokens)}".encode()).hexdigest()
    of_call = said.c.call_id == call_id
    if connection.scalar(sa.select(said.c.hash).where(of_call)) == digest:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(said.update().where(of_call).values(call_id=None, hash=""))
    else:
        connection.execute(said.delete().where(of_call))
    # By chance within the second, so that several writers do not meet.
    doc = base + int(hashlib.sha256(f"{call_id} {digest}".encode()).hexdigest(), 16) % SECOND
    while connection.scalar(sa.select(said.c.doc).where(said.c.doc == doc)) is not None:
        doc += 1
    row: dict[str, Any] = {"doc": doc, "hash": digest}
    if connection.dialect.name == "sqlite":
        insert = sa.text(f"INSERT INTO {INDEX} (rowid, tokens) VALUES (:doc, :tokens)")
        connection.execute(insert, {"doc": row["doc"], "tokens": " ".join(tokens)})
        tokens = []
    connection.execute(said.insert(), [row | {"call_id": call_id, "tokens": tokens or None}])


def _second(started_at: str | None) -> int:
    """Seconds from 1970 to the start of a call, 0 where that is not known."""
    try:
        start = datetime.fromisoformat(started_at or "")
    except ValueError:
        return 0
    at = start if start.tzinfo else start.replace(tzinfo=UTC)
    return min(max(0, round(at.timestamp())), LAST_SECOND)
