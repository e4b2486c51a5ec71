"""The rubric page, one item of it, the batch page, and the search for words that were said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.desk import decisions
from pipeline.desk.pages.agent import Heard
from pipeline.desk.pages.calls import Choice
from pipeline.desk.pages.evidence import Moment, evidence_of, verdict_of
from pipeline.desk.pages.figures import DEFAULT_WEEKS, only
from pipeline.desk.pages.reviews import agreement_by_item
from pipeline.desk.queries import calls as call_queries
from pipeline.desk.queries import decisions as decided
from pipeline.desk.queries import methods as method_queries
from pipeline.desk.queries import rubric as queries
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import NotFound
from pipeline.desk.view import View
from pipeline.desk.words import NOTHING
from pipeline.errors import ParameterError
from pipeline.schema import SPEAKERS

SHOWN, HITS, RUNS = 5, 50, 30
TRUSTED = 0.8
LEAST_TEXT, MOST_TEXT = 2, 60


@dataclass(frozen=True, slots=True)
class ItemLine:
    """One item of the rubric."""

    id: str
    name: str
    weight: str
    judged: int
    passed: str
    doubtful: int
    agreement: str
    trust: str
    overturned: str


@dataclass(frozen=True, slots=True)
class RubricPage:
    """A rubric by sections: name and items."""

    name: str
    first: str
    sections: tuple[tuple[str, tuple[ItemLine, ...]], ...]


@dataclass(frozen=True, slots=True)
class RubricItem:
    """One item with moments to hear."""

    id: str
    name: str
    rule: str
    sources: str
    line: ItemLine
    examples: tuple[tuple[Heard, str], ...]
    passes: tuple[Heard, ...]
    fails: tuple[Heard, ...]


def _outline(view: View) -> tuple[str, Mapping[str, Any]]:
    """The rubric by which most calls were judged, and its hash."""
    for row in view.scope.rows(view.scope.calls(method_queries.heard_with())):
        outline = view.scope.document("rubrics", row.rubric_hash)
        if outline is not None:
            return row.rubric_hash, outline
    return "", {"name": {"zh": "", "en": ""}, "version": "", "sections": [], "items": []}


def _lines(view: View, digest: str, outline: Mapping[str, Any]) -> tuple[str, dict[str, ItemLine]]:
    """Each item's figures over the newest weeks, and the first of these."""
    words, scope = view.words, view.scope
    weeks = [week for (week,) in scope.rows(scope.calls(queries.weeks()))]
    first = weeks[min(len(weeks), DEFAULT_WEEKS) - 1] if weeks else None
    counts: dict[str, dict[str, Any]] = {}
    for row in scope.rows(scope.calls(queries.item_counts(digest, first))):
        counts.setdefault(row.item_id, {})[row.verdict] = row
    agreed = agreement_by_item(scope)
    found = {}
    for item in outline["items"]:
        of_item = counts.get(item["id"], {})
        passed, failed, doubtful = (
            of_item[v].calls if v in of_item else 0 for v in ("pass", "fail", "cannot_tell")
        )
        reviewed = sum(r.reviewed for r in of_item.values())
        overturned = sum(int(r.overturned) for r in of_item.values())
        same, n = agreed.get(item["id"], (0, 0))
        trust = ""
        if n >= decisions.MIN_SAMPLE:
            trust = "trusted" if same / n >= TRUSTED else "first_review"
        found[item["id"]] = ItemLine(
            id=item["id"],
            name=words.pick(**item["name"]),
            weight=f"{item['weight']:g}",
            judged=passed + failed,
            passed=words.percent(passed / (passed + failed)) if passed + failed else NOTHING,
            doubtful=doubtful,
            agreement=words("rubric.agreed", share=words.percent(same / n), n=n) if n else NOTHING,
            trust=trust,
            overturned=f"{overturned}/{reviewed}" if reviewed else NOTHING,
        )
    return first or "", found


def rubric_page(view: View) -> RubricPage:
    """Gather the rubric by which most calls were judged."""
    only(view)
    digest, outline = _outline(view)
    first, lines = _lines(view, digest, outline)
    sections = tuple(
        (
            view.words.pick(**section["name"]),
            tuple(lines[i["id"]] for i in outline["items"] if i["section"] == section["id"]),
        )
        for section in outline["sections"]
    )
    name = f"{view.words.pick(**outline['name'])} {outline['version']}".strip()
    return RubricPage(name, first, tuple(s for s in sections if s[1]))


def rubric_item(view: View, item_id: str) -> RubricItem:
    """Gather one item.

    Raises
    ------
    NotFound
        If the rubric has no such item.
    """
    only(view)
    digest, outline = _outline(view)
    item = next((i for i in outline["items"] if i["id"] == item_id), None)
    if item is None:
        raise NotFound("error.no_item")
    words, scope = view.words, view.scope

    def heard(verdict: str) -> Iterator[Heard]:
        for row in scope.rows(scope.calls(queries.of_item(item_id, verdict, SHOWN))):
            evidence = evidence_of(verdict_of(row), item, words)
            yield Heard(
                row.slug, words.started(row.started_at), item_id, evidence.text, evidence.moment,
                verdict == "pass",
            )  # fmt: skip

    examples = []
    for row in scope.rows(scope.calls(decided.examples_of(item_id, SHOWN))):
        moment = Moment(row.start, row.end, words.clock(row.start))
        text = row.text or ""
        one = Heard(row.slug, words.started(row.started_at), "", text, moment, row.kind == "good")
        examples.append((one, words(f"example.{row.kind}")))
    return RubricItem(
        id=item_id,
        name=words.pick(**item["name"]),
        rule=words.pick(**item["description"]),
        sources=", ".join(item["sources"]),
        line=_lines(view, digest, outline)[1][item_id],
        examples=tuple(examples),
        passes=tuple(heard("pass")),
        fails=tuple(heard("fail")),
    )


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of analyze."""

    run: int
    started: str
    state: str
    done: str
    failed: int
    unchanged: int
    audio: str
    rate: str
    left: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Failures of one kind."""

    error: str
    stage: str
    n: int
    message: str
    hint: str
    call_id: str


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Runs and failures."""

    runs: tuple[RunLine, ...]
    failures: tuple[Kind, ...]


def batch_page(view: View) -> BatchPage:
    """Gather the runs and what failed in them."""
    only(view)
    words, scope = view.words, view.scope
    runs = []
    for row in scope.rows(queries.runs(RUNS)):
        finished = row.done + row.failed + row.unchanged
        began, now = (datetime.fromisoformat(t) for t in (row.started_at, row.updated_at))
        took = (now - began).total_seconds()
        rate = row.audio_s / took if took > 0 else 0.0
        left = ""
        if row.state == "running" and row.done + row.failed and took > 0:
            seconds = took / (row.done + row.failed) * (row.recordings - finished)
            left = words.clock(seconds)
        runs.append(
            RunLine(
                run=row.run,
                started=row.started_at[:16].replace("T", " "),
                state=words(f"batch.{row.state}"),
                done=f"{finished}/{row.recordings}",
                failed=row.failed,
                unchanged=row.unchanged,
                audio=words.clock(row.audio_s),
                rate=f"{rate:.1f}×" if rate else NOTHING,
                left=left or NOTHING,
            )
        )
    failures = tuple(
        Kind(r.error_type or "", r.stage or "", r.n, r.message or "", r.hint or "", r.call_id or "")
        for r in scope.rows(queries.failures())
    )
    return BatchPage(tuple(runs), failures)


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
    hits: tuple[tuple[str, str, str, tuple[Hit, ...]], ...]
    n: int
    is_cut: bool
    choices: tuple[Choice, ...]
    since: str
    until: str


def search_page(view: View) -> SearchPage:
    """Gather where a text was said.

    Raises
    ------
    ParameterError
        If the text is too short or too long, or a filter is none.
    """
    only(view, "q", "who", "agent", "team", "from", "to", "direction", "queue")
    words, scope, asked = view.words, view.scope, dict(view.query)
    text = " ".join(asked.get("q", "").split())
    who = asked.get("who") or None
    if who is not None:
        decisions.one_of(who, "who", SPEAKERS)
    filters = Filters.of({k: v for k, v in asked.items() if k not in ("q", "who")})
    calls: dict[str, tuple[str, str, list[Hit]]] = {}
    rows = []
    if text:
        if not LEAST_TEXT <= len(text) <= MOST_TEXT:
            raise ParameterError(
                f'"{text[:MOST_TEXT]}" has {len(text)} characters.',
                f"Write {LEAST_TEXT} to {MOST_TEXT}.",
            )
        rows = list(scope.rows(scope.calls(queries.said(filters, text, who, HITS + 1))))
    for row in rows[:HITS]:
        near = scope.rows(queries.around(row.call_id, row.turn))
        hit = Hit(
            Moment(row.start, row.end, words.clock(row.start)),
            words.who(row.speaker),
            tuple(_pieces(row.text or "", text)),
            tuple((words.who(n.speaker), n.text or "") for n in near if n.turn != row.turn),
        )
        agent = row.agent_name or row.agent_id or words("call.no_agent")
        calls.setdefault(row.slug, (agent, words.started(row.started_at), []))[2].append(hit)
    every = ("", words("filter.all"))
    agents = scope.rows(scope.calls(call_queries.agents()))
    named = ((r.agent_id, f"{r.agent_name or ''} {r.agent_id}".strip()) for r in agents)
    return SearchPage(
        text=text,
        hits=tuple((slug, agent, at, tuple(hits)) for slug, (agent, at, hits) in calls.items()),
        n=min(len(rows), HITS),
        is_cut=len(rows) > HITS,
        choices=(
            Choice("who", who or "", (every, *((s, words.who(s)) for s in SPEAKERS))),
            Choice("agent", asked.get("agent", ""), (every, *named)),
        ),
        since=asked.get("from", ""),
        until=asked.get("to", ""),
    )


def _pieces(text: str, wanted: str) -> Iterator[tuple[str, bool]]:
    at = 0
    low, found = text.lower(), wanted.lower()
    while (place := low.find(found, at)) >= 0:
        if place > at:
            yield text[at:place], False
        yield text[place : place + len(found)], True
        at = place + len(found)
    if at < len(text):
        yield text[at:], False
