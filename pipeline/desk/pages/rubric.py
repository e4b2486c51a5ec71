"""The rubric page, one item of it, and the batch page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from pipeline.agents.estimates import wilson
from pipeline.desk import decisions
from pipeline.desk.figures import DEFAULT_WEEKS
from pipeline.desk.judgements import newest_with
from pipeline.desk.pages.agent import Heard
from pipeline.desk.pages.evidence import Moment, evidence_of, verdict_of
from pipeline.desk.pages.figures import only
from pipeline.desk.pages.reviews import agreement_by_item
from pipeline.desk.queries import decisions as decided
from pipeline.desk.queries import methods as method_queries
from pipeline.desk.queries import rubric as queries
from pipeline.desk.scope import NotFound, as_shown
from pipeline.desk.view import View
from pipeline.desk.words import NOTHING, Words

SHOWN, RUNS = 5, 30
TRUSTED = 0.8


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
    wordings: tuple[str, ...]
    line: ItemLine
    examples: tuple[tuple[Heard, str], ...]
    passes: tuple[Heard, ...]
    fails: tuple[Heard, ...]


def _outline(view: View) -> tuple[str, Mapping[str, Any]]:
    """The rubric by which most calls were judged, and its hash."""
    for row in view.figures.known(view.scope, "heard with", method_queries.heard_with()):
        outline = view.scope.document("rubrics", row.rubric_hash)
        if outline is not None:
            return row.rubric_hash, outline
    return "", {"name": {"zh": "", "en": ""}, "version": "", "sections": [], "items": []}


def _lines(view: View, digest: str, outline: Mapping[str, Any]) -> tuple[str, dict[str, ItemLine]]:
    """Each item's figures over the newest weeks, and the first of these."""
    words, scope = view.words, view.scope
    weeks = [week for (week,) in view.figures.known(scope, "weeks", queries.weeks())]
    first = weeks[min(len(weeks), DEFAULT_WEEKS) - 1] if weeks else None
    counts = view.figures.item_counts(scope, digest, tuple(weeks[:DEFAULT_WEEKS]))
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
            agreement=_agreed(same, n, words),
            trust=trust,
            overturned=f"{overturned}/{reviewed}" if reviewed else NOTHING,
        )
    return first or "", found


def _agreed(same: int, n: int, words: Words) -> str:
    """``90%（70%–97%，20）``: the share, its 95 % interval, and of how many."""
    if not n:
        return NOTHING
    share, of = np.array([same / n]), np.array([float(n)])
    low, high = (words.percent(float(wilson(share, of, side)[0])) for side in (-1, 1))
    return words("rubric.agreed", share=words.percent(same / n), low=low, high=high, n=n)


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

    def heard(wanted: str) -> Iterator[Heard]:
        ids, is_pass = newest_with(scope, item_id, wanted, SHOWN), wanted == "pass"
        hidden = scope.hidden(ids)
        for row in scope.rows(scope.calls(queries.of_item(item_id, ids))):
            verdict = as_shown(verdict_of(row), hidden.get(row.call_id, ()))
            evidence = evidence_of(verdict, item, words)
            yield Heard(
                row.slug, words.started(row.started_at), item_id, evidence.text, evidence.moment,
                is_pass,
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
        wordings=tuple(w.replace("!", "") for w in item.get("looks_for", ())),
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
                started=words.at(row.started_at),
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
