"""The search for what was said: by characters, or by sound for what may be misheard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

from pipeline.desk import decisions
from pipeline.desk.pages.calls import Choice
from pipeline.desk.pages.evidence import Moment
from pipeline.desk.pages.figures import only
from pipeline.desk.queries import calls as call_queries
from pipeline.desk.queries import rubric as queries
from pipeline.desk.queries.filters import Filters
from pipeline.desk.refusals import Refused
from pipeline.desk.scope import Scope
from pipeline.desk.view import View
from pipeline.schema import SPEAKERS, Seconds, Speaker
from pipeline.store import said

HITS = 50
LEAST, MOST = said.LEAST, 60  # characters
CALLS_AT_ONCE = 60
FIRST_DAY, LAST_DAY = "1970-01-01", "9999-12-28"
BY = ("words", "sound")


class Found(NamedTuple):
    """A turn in which it was said: its call, its words, where in them, and the turns beside it."""

    doc: int
    call: Any
    turn: int
    speaker: Speaker
    start: Seconds
    end: Seconds
    text: str
    stretches: tuple[tuple[int, int], ...]
    around: tuple[tuple[Speaker, str], ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """One turn in which it was said, with the lines around it; the words that match stand apart."""

    moment: Moment
    speaker: str
    pieces: tuple[tuple[str, bool], ...]
    around: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Hits by call: address, agent, start, hits."""

    text: str
    is_searched: bool  # a text that is too short or too long is not
    hits: tuple[tuple[str, str, str, tuple[Hit, ...]], ...]
    n: int
    next: str | None
    by_sound: str | None  # the address of the same search by sound, where it is by words
    choices: tuple[Choice, ...]
    since: str
    until: str


def find(
    scope: Scope,
    text: str,
    *,
    speaker: Speaker | None = None,
    by: Literal["words", "sound"] = "words",
    filters: Filters | None = None,
    before: int | None = None,
    most: int = HITS,
) -> Iterator[Found]:
    """Turns in which a text was said, those of the newest calls first, whole calls until there are ``most``.

    Punctuation, blanks and case do not count. By sound it is what has the same syllables, whatever the tones
    and characters; syllables can be written as such, with blanks between (``mei you``).

    Parameters
    ----------
    before : int, optional
        Go on after the call of this number (``Found.doc``).

    Raises
    ------
    ParameterError
        If the text is too short or too long.
    """
    wanted = _wanted(text, by)
    filters = filters or Filters()
    between = said.numbered(
        filters.since.isoformat() if filters.since else FIRST_DAY,
        filters.until.isoformat() if filters.until else LAST_DAY,
    )
    tokens = said.tokens_for(wanted, speaker, by_sound=by == "sound")
    left = most
    while left > 0:
        query = queries.said_in(filters, scope.calls_saying(tokens), before, between, CALLS_AT_ONCE)
        calls = scope.rows(scope.calls(query))
        if not calls:
            return
        turns = scope.rows(queries.turns_of([c.call_id for c in calls]))
        of_call = {k: list(rows) for k, rows in groupby(turns, key=lambda t: t.call_id)}
        for call in calls:
            if left <= 0:
                return
            for found in _in_call(call, of_call.get(call.call_id, []), wanted, speaker, by):
                left -= 1
                yield found
        before = calls[-1].doc


def _wanted(text: str, by: str) -> tuple[str, ...]:
    written = text.lower().split()
    if (
        by == "sound"
        and len(written) >= LEAST
        and all(w.isascii() and w.isalpha() for w in written)
    ):
        return tuple(written)
    found = said.characters(text).said
    if not LEAST <= len(found) <= MOST:
        raise Refused("sought", "number", value=text[:MOST], n=len(found), low=LEAST, high=MOST)
    return said.sounds(found) if by == "sound" else found


def _in_call(
    call: Any, turns: Sequence[Any], wanted: Sequence[str], speaker: str | None, by: str
) -> Iterator[Found]:
    for i, turn in enumerate(turns):
        if speaker not in (None, turn.speaker):
            continue
        heard, at = said.characters(turn.text or "")
        like = said.sounds(heard) if by == "sound" else heard
        stretches = tuple((at[a], at[b] + 1) for a, b in said.places(like, wanted))
        if stretches:
            near = [*turns[max(i - 1, 0) : i], *turns[i + 1 : i + 2]]
            yield Found(
                call.doc, call, turn.turn, turn.speaker, turn.start, turn.end, turn.text, stretches,
                tuple((n.speaker, n.text or "") for n in near),
            )  # fmt: skip


def search_page(view: View) -> SearchPage:
    """Gather where a text was said.

    Raises
    ------
    ParameterError
        If a filter is none.
    """
    only(view, "q", "who", "by", "agent", "team", "from", "to", "direction", "queue", "after")
    words, scope, asked = view.words, view.scope, dict(view.query)
    text = " ".join(asked.get("q", "").split())
    who, by = speaker_of(asked.get("who")), way_of(asked.get("by"))
    filters = Filters.of({k: v for k, v in asked.items() if k not in ("q", "who", "by", "after")})
    rows: list[Found] = []
    try:
        is_searched = bool(_wanted(text, by))
    except Refused:
        is_searched = False
    if is_searched:
        before = number_of(asked.get("after"))
        rows = list(find(scope, text, speaker=who, by=by, filters=filters, before=before))
    calls = []
    for _, group in groupby(rows, key=lambda r: r.doc):
        found = list(group)
        call = found[0].call
        agent = call.agent_name or call.agent_id or words("call.no_agent")
        hits = tuple(
            Hit(
                Moment(one.start, one.end, words.clock(one.start)),
                words.who(one.speaker),
                tuple(_pieces(one.text, one.stretches)),
                tuple((words.who(speaker), line) for speaker, line in one.around),
            )
            for one in found
        )
        calls.append((call.slug, agent, words.started(call.started_at), hits))
    every = ("", words("filter.all"))
    agents = view.figures.known(scope, "agents", call_queries.agents())
    named = ((r.agent_id, f"{r.agent_name or ''} {r.agent_id}".strip()) for r in agents)
    return SearchPage(
        text=text,
        is_searched=is_searched,
        hits=tuple(calls),
        n=len(rows),
        next=view.link(after=rows[-1].doc) if len(rows) >= HITS else None,
        by_sound=view.link(by="sound", after=None) if is_searched and by == "words" else None,
        choices=(
            Choice("by", by, tuple((b, words(f"search.by.{b}")) for b in BY)),
            Choice("who", who or "", (every, *((s, words.who(s)) for s in SPEAKERS))),
            Choice("agent", asked.get("agent", ""), (every, *named)),
        ),
        since=asked.get("from", ""),
        until=asked.get("to", ""),
    )


def speaker_of(text: str | None) -> Speaker | None:
    """The party who is asked for, if any."""
    if not text:
        return None
    decisions.one_of(text, "who", SPEAKERS)
    return next(s for s in SPEAKERS if s == text)


def way_of(text: str | None) -> Literal["words", "sound"]:
    """By what is searched: words unless sound is asked for."""
    return "sound" if decisions.one_of(text or BY[0], "by", BY) == "sound" else "words"


def number_of(text: str | None) -> int | None:
    """The number of a call in the index, after which a search goes on."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) < 2**63):
        raise Refused("after", "after")
    return int(text)


def _pieces(text: str, stretches: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    at = 0
    for start, end in stretches:
        if start > at:
            yield text[at:start], False
        yield text[start:end], True
        at = end
    if at < len(text):
        yield text[at:], False
