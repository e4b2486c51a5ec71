"""The call page: who said what when, what happened, what was judged, what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.commands.documents import typical_error
from pipeline.desk.decisions import in_force
from pipeline.desk.pages.evidence import Evidence, evidence_of, found_text
from pipeline.desk.pages.figures import only
from pipeline.desk.playback import AudioState, Recordings
from pipeline.desk.queries import decisions as decided
from pipeline.desk.refusals import Refused
from pipeline.desk.view import View
from pipeline.desk.words import Words
from pipeline.errors import RubricError
from pipeline.measures import MEASURES, Measure
from pipeline.schema import AGENT, CUSTOMER, CallResult, Event, Seconds, Turn, Verdict, Word
from pipeline.store import said, slug_of
from pipeline.text.phonetic.phrases import Words as PhraseWords
from pipeline.text.phonetic.phrases import parse_phrase

TRIAL_PRESETS = ("embedded",)  # small models, for trying out: no person is judged by them
DOUBTFUL = 0.5  # words under this confidence are dotted
MOST_FINDINGS = 6
MOST_WORDINGS = 16
MOVES = ("transfer", "agent_join", "agent_leave")
LINES = ("ringing", "hold", "dead_air", "silence", "recorder_pause", "machine_speech", *MOVES)
"""Events that are lines of their own."""
STRIP = ("ringing", "hold", "dead_air", "interruption", "raised_voice", *MOVES)
BY_SOMEBODY = ("interruption", "raised_voice")
"""Events of the strip that say whose they are."""
TABS = ("fail", "pass", "cannot_tell", "not_applicable")
MAIN_MEASURES = (
    "speaking_rate", "level_dbfs", "pitch_sd_st", "talk_ratio", "interruptions",
    "response_latency_p50", "hold_s", "dead_air_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tag:
    """A short remark beside a line."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text; with ``start`` a word that can be played and followed."""

    text: str
    start: Seconds | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the transcript: a turn of ``speaker``, or an event."""

    start: Seconds
    end: Seconds
    clock: str
    speaker: Literal["agent", "customer"] | None
    pieces: tuple[Piece, ...]
    tags: tuple[Tag, ...] = ()
    is_counted: bool = True  # what is not stands in grey: no measure and no verdict rests on it


@dataclass(frozen=True, slots=True)
class Mark:
    """A button on the time axis."""

    kind: str
    start: Seconds
    end: Seconds
    text: str
    item: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """The verdict in force on one item, with what the machine's rests on."""

    item: str
    name: str
    section: str
    verdict: str  # in force
    machine: str | None  # what the machine says, where people say something else
    is_stale: bool
    weight: str
    confidence: str
    evidence: Evidence
    outside: str | None
    why: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure of the call; ``agent`` stands alone where it is of the whole call."""

    id: str
    name: str
    unit: str
    agent: str
    customer: str
    norm: str
    error: str


@dataclass(frozen=True, slots=True)
class CallPage:
    """All that the call page shows."""

    slug: str
    call_id: str
    agent: str
    agent_id: str | None
    agent_slug: str | None
    name: str  # when it began; the id of a call of which that is not known
    facts: tuple[str, ...]
    is_trial: bool
    preset: str
    is_mono: bool
    agent_channel: int | None  # of two, one a party
    warnings: tuple[str, ...]
    problem: str | None
    audio: AudioState
    duration: Seconds
    score: str
    machine_score: str | None  # where people reviewed
    reviewed_items: int
    outside_score: str | None
    lines: tuple[Line, ...]
    events: tuple[Mark, ...]
    findings: tuple[Mark, ...]
    tabs: Mapping[str, tuple[Card, ...]]
    tab: str
    at_first: int  # cards of a tab that are not folded away
    measures: tuple[MeasureRow, ...]
    more_measures: tuple[MeasureRow, ...]
    opened: str | None
    at: Seconds | None
    until: Seconds | None
    data: Mapping[str, Any]


def call_page(view: View, slug: str, recordings: Recordings) -> CallPage:
    """Gather the page of one call.

    Raises
    ------
    NotFound
        If there is no such call, or it is not visible.
    ParameterError
        If ``?t`` or ``?end`` is no number.
    """
    only(view, "t", "end", "item", "tab", "zoom", "from", "to")
    words, row = view.words, view.scope.call(slug)
    result = view.scope.result(row.call_id)
    asked = dict(view.query)
    outline = view.scope.document("rubrics", row.rubric_hash) or {}
    settings = view.scope.document("settings", row.settings_hash) or {}
    reviews = view.scope.rows(decided.reviews_of_call(row.call_id))
    cards = tuple(_cards(result, outline, reviews, words)) if result else ()
    tabs = {name: tuple(c for c in cards if c.verdict == name) for name in TABS}
    item = next((c for c in cards if c.item == asked.get("item")), None)
    at, until = _second(asked.get("t")), _second(asked.get("end"))
    if item is not None and at is None and item.evidence.moment is not None:
        at, until = item.evidence.moment.start, item.evidence.moment.end
    tab = item.verdict if item else asked.get("tab", "fail")
    rows = {r.id: r for r in _measures(result, settings, words)} if result else {}
    events = tuple(_strip(result.events, words)) if result else ()
    findings = tuple(_findings(cards))
    audio = recordings.find(row.path or "")[0]
    other = result.recording.path_2 if result else None
    if other is not None and recordings.find(other)[0] == "missing":
        audio = "missing"
    has_sound = audio != "missing" or view.scope.sound(row.call_id, row.sha256 or "") is not None
    return CallPage(
        slug=slug,
        call_id=row.call_id,
        agent=row.agent_name or row.agent_id or words("call.no_agent"),
        agent_id=row.agent_id,
        agent_slug=slug_of(row.agent_id) if row.agent_id and result else None,
        name=words.started(row.started_at) if row.started_at else row.call_id,
        facts=tuple(_facts(row, words)),
        is_trial=row.preset in TRIAL_PRESETS,
        preset=row.preset or "",
        is_mono=row.speaker_source == "diarization",
        agent_channel=_agent_channel(result) if result else None,
        warnings=result.warnings if result else (),
        problem=row.error,
        audio=audio,
        duration=row.duration or 0.0,
        score=words.number(row.reviewed_score, "score"),
        machine_score=words.number(row.compliance_score, "score") if row.reviewed_items else None,
        reviewed_items=row.reviewed_items or 0,
        outside_score=None
        if row.outside_score is None
        else words.number(row.outside_score, "score"),
        lines=tuple(_lines(result, words)) if result else (),
        events=events,
        findings=findings,
        tabs=tabs,
        tab=tab if tab in TABS else "fail",
        at_first=MOST_FINDINGS,
        measures=tuple(rows[name] for name in MAIN_MEASURES if name in rows),
        more_measures=tuple(r for name, r in rows.items() if name not in MAIN_MEASURES),
        opened=item.item if item else None,
        at=at,
        until=until,
        data=_drawn(slug, row.duration or 0.0, result, words, has_sound=has_sound),
    )


def _agent_channel(result: CallResult) -> int | None:
    """The agent's channel of a recording with one channel a party."""
    channels = {p.role: p.channel for p in result.parties}
    is_split = result.channels == 2 and sorted(channels.values()) == [0, 1]
    return channels[AGENT] if is_split else None


def _second(text: str | None) -> Seconds | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise Refused("second", "second", value=text)
    return value


def _facts(row: Any, words: Words) -> Iterator[str]:
    called = row.call_id if row.started_at else None
    for value in (row.agent_id if row.agent_name else None, row.team, called):
        if value:
            yield value
    if row.direction:
        yield words(f"direction.{row.direction}")
    if row.queue:
        yield row.queue
    yield words.clock(row.duration)
    if row.channels:
        yield words("call.channels", n=row.channels)


def _lines(result: CallResult, words: Words) -> Iterator[Line]:
    """Turns and the events that are lines of their own, in order of time."""
    shown = [e for e in result.events if e.kind in LINES]
    lines = [_event_line(e, words) for e in shown if not _is_told(e, result.events)]
    lines += [_turn_line(t, result.events, words) for t in result.turns]
    gone = (e for e in result.superseded if e.kind in LINES)
    lines += [replace(_event_line(e, words, "superseded"), is_counted=False) for e in gone]
    for turn in result.aside:
        text = Piece(turn.text or words("call.no_words"))
        tag = Tag("aside", words(f"aside.{turn.aside}"))
        clock = words.clock(turn.start)
        lines.append(Line(turn.start, turn.end, clock, None, (text,), (tag,), is_counted=False))
    for leg, begins in _later_legs(result.turns):
        text = Piece(words("call.leg", n=leg))
        lines.append(Line(begins, begins, words.clock(begins), None, (text,)))
    return iter(sorted(lines, key=lambda line: (line.start, line.end)))


def _later_legs(turns: Sequence[Turn]) -> Iterator[tuple[int, Seconds]]:
    """Each leg of the call after the first, and when it begins."""
    for leg in sorted({t.leg for t in turns if t.leg > 1}):
        yield leg, min(t.start for t in turns if t.leg == leg)


def _is_told(event: Event, events: Sequence[Event]) -> bool:
    """Whether a silence is what another event tells already."""
    return event.kind == "silence" and any(
        e.kind in ("hold", "dead_air") and e.start < event.end and e.end > event.start
        for e in events
    )


def _event_line(event: Event, words: Words, remark: str = "") -> Line:
    remark = remark or ("switch" if event.source == "switch" else "")
    tags = (Tag(remark, words(f"tag.{remark}")),) if remark else ()
    clock = words.clock(event.start)
    return Line(event.start, event.end, clock, None, (Piece(event_text(event, words)),), tags)


def event_text(event: Event, words: Words) -> str:
    """What happened, in a line: ``等待 10.8 秒 · 静音 · 未告知``."""
    parts = [words(f"event.{event.kind}.long", seconds=f"{event.seconds:.1f}")]
    if event.kind == "ringing":
        parts.append(words("event.rings", n=event.detail.get("rings", 0)))
    if event.kind == "hold":
        parts.append(words(f"event.medium.{event.detail.get('medium', 'silence')}"))
        for name in ("announced", "reason_given", "consent", "thanked"):
            value = event.detail.get(name)
            if value is not None:
                parts.append(words(f"event.{name}.{'yes' if value else 'no'}"))
    if event.kind in MOVES and event.detail.get("agent_id"):
        parts.append(str(event.detail["agent_id"]))
    if event.kind == "machine_speech" and event.detail.get("words"):
        parts.append(str(event.detail["words"]))
    return " · ".join(parts)


def _turn_line(turn: Turn, events: Sequence[Event], words: Words) -> Line:
    speaker: Literal["agent", "customer"] = "agent" if turn.speaker == AGENT else "customer"
    pieces = tuple(_pieces(turn.text, turn.words)) or (Piece(words("call.no_words")),)
    tags = tuple(_tags(turn, events, words))
    return Line(turn.start, turn.end, words.clock(turn.start), speaker, pieces, tags)


def _pieces(text: str, heard: Sequence[Word]) -> Iterator[Piece]:
    """The text of a turn cut into its words and what stands between them."""
    at = 0
    for word in heard:
        found = text.find(word.text, at) if word.text else -1
        if found < 0:
            continue
        if found > at:
            yield Piece(text[at:found])
        yield Piece(word.text, word.start, word.confidence < DOUBTFUL)
        at = found + len(word.text)
    if at < len(text):
        yield Piece(text[at:])


def _tags(turn: Turn, events: Sequence[Event], words: Words) -> Iterator[Tag]:
    if turn.is_backchannel:
        yield Tag("backchannel", words("tag.backchannel"))
    for event in events:
        if event.by != turn.speaker or not turn.start - 0.05 <= event.start < turn.end:
            continue
        if event.kind == "interruption":
            took = event.detail.get("yielded")
            text = words("tag.took_floor" if took else "tag.no_floor")
            sign = "▼" if event.by == AGENT else "▲"  # to whom it was said, as in the lanes
            yield Tag(f"interruption by-{event.by}", f"{sign} {text}")
        elif event.kind == "raised_voice":
            yield Tag("raised_voice", words("tag.raised_voice"))
        elif event.kind == "fast_speech" and turn.speaking_rate is not None:
            yield Tag("fast", words.number(turn.speaking_rate, "rate", unit=True))


def _strip(events: Sequence[Event], words: Words) -> Iterator[Mark]:
    for event in events:
        if event.kind in STRIP:
            text = words(f"event.{event.kind}.short", seconds=f"{event.seconds:.1f}")
            if event.by is not None and event.kind in BY_SOMEBODY:
                text = words("event.by", who=words.who(event.by), what=text)
            yield Mark(event.kind, event.start, event.end, text, by=event.by)


def _findings(cards: Sequence[Card]) -> list[Mark]:
    """The weightiest fails that have a moment, in order of time."""
    marks = [
        (float(c.weight or 0), Mark("fail", m.start, m.end, c.name, c.item))
        for c in cards
        if c.verdict == "fail" and (m := c.evidence.moment) is not None
    ]
    heaviest = sorted(marks, key=lambda pair: -pair[0])[:MOST_FINDINGS]
    return sorted((mark for _, mark in heaviest), key=lambda mark: mark.start)


def _cards(
    result: CallResult, outline: Mapping[str, Any], reviews: Sequence[Any], words: Words
) -> Iterator[Card]:
    """The verdicts in force, weightiest and surest first, beside the machine's and the QA team's."""
    items = {item["id"]: item for item in outline.get("items", ())}
    sections = {s["id"]: words.pick(**s["name"]) for s in outline.get("sections", ())}
    outside = {v.item_id: v.verdict for v in result.verdicts if v.source == "outside"}
    own = [v for v in result.verdicts if v.source == "rubric"]
    for verdict in sorted(own, key=lambda v: (-(v.weight or 0.0), -(v.probability or 0.0))):
        item = items.get(verdict.item_id)
        theirs = outside.get(verdict.item_id)
        sure = verdict.confidence if verdict.probability is None else verdict.probability
        force = in_force(verdict.verdict, [r for r in reviews if r.item_id == verdict.item_id])
        overruled = force.verdict != verdict.verdict
        yield Card(
            item=verdict.item_id,
            name=words.pick(**item["name"]) if item else verdict.item_id,
            section=sections.get(item["section"], "") if item else "",
            verdict=force.verdict,
            machine=words(f"verdict.{verdict.verdict}") if overruled else None,
            is_stale=force.is_stale,
            weight=f"{verdict.weight:g}" if verdict.weight else "",
            confidence="" if sure is None else words.percent(sure),
            evidence=_worded(evidence_of(verdict, item, words), verdict, item, words),
            outside=words(f"verdict.{theirs}") if theirs else None,
            why=tuple(_why(verdict, item, outline, words)),
        )


def _worded(
    evidence: Evidence, verdict: Verdict, item: Mapping[str, Any] | None, words: Words
) -> Evidence:
    """Evidence without any says the item's own sentence for this outcome, where it has one."""
    if evidence.kind != "nothing" or item is None or "outcomes" not in item:
        return evidence
    sentence = words.pick(**item["outcomes"][verdict.verdict])
    return replace(evidence, text=sentence) if sentence else evidence


def _why(
    verdict: Verdict, item: Mapping[str, Any] | None, outline: Mapping[str, Any], words: Words
) -> Iterator[tuple[str, str]]:
    if item is not None:
        rule = words.pick(**item["description"])
        if rule:
            yield words("why.rule"), rule
        if item["sources"]:
            yield words("why.source"), ", ".join(item["sources"])
    wordings: Sequence[str] = ()
    if item is not None and verdict.verdict != "not_applicable":
        wordings = item.get("looks_for", ())
    if wordings:
        some = "　".join(one.replace("!", "") for one in wordings[:MOST_WORDINGS])
        more = len(wordings) - MOST_WORDINGS
        yield words("why.looks_for"), words("why.and_more", some=some, n=more) if more > 0 else some
    if verdict.matched:
        yield words("why.matched"), found_text(verdict.matched, words)
    if verdict.quote and verdict.matched and _by_sound(verdict.matched, verdict.quote):
        heard = said.sounds(said.characters(verdict.quote).said)
        yield words("why.sound"), " ".join(heard)
    is_told = verdict.note == verdict.matched or (verdict.note or "").startswith("not found")
    if verdict.note and not (is_told and (wordings or verdict.matched)):
        yield words("why.note"), found_text(verdict.note, words)
    if outline:
        name = words.pick(**outline["name"])
        yield words("why.rubric"), f"{name} {outline['version']}"


def _by_sound(matched: str, quote: str) -> bool:
    """Whether a phrase was found in what was recognised as other characters."""
    if matched.startswith("detail "):  # something that was said, and no phrase of the rubric
        return False
    try:
        phrase = parse_phrase(matched)
    except RubricError:
        return False
    heard = "".join(said.characters(quote).said)
    return not any(
        all(any(o.text in heard for o in e.options) for e in sequence if isinstance(e, PhraseWords))
        for sequence in phrase.sequences
    )


def _measures(
    result: CallResult, settings: Mapping[str, Any], words: Words
) -> Iterator[MeasureRow]:
    is_mono = result.speaker_source == "diarization"
    norm = settings.get("voice", {}).get("rate_norm")
    for one in MEASURES:
        if not one.in_calls:
            continue
        names = [f"{s}_{one.id}" for s in (AGENT, CUSTOMER)] if one.per == "speaker" else [one.id]
        values = [result.measures.get(name) for name in names]
        if all(value is None for value in values):
            continue
        shown = [words.number(value, one.kind) for value in values]
        yield MeasureRow(
            id=one.id,
            name=words.pick(one.zh, one.en),
            unit=words.unit(one.kind),
            agent=shown[0],
            customer=shown[1] if len(shown) > 1 else "",
            norm=f"{norm:g}" if one.id == "speaking_rate" and norm else "",
            error=error_text(one, words, is_mono=is_mono),
        )


def error_text(one: Measure, words: Words, *, is_mono: bool) -> str:
    """How wrong the instrument typically is: ``±0.3 半音``; empty where that was not measured."""
    error = typical_error(one, is_mono=is_mono)
    if error is None or error[0] == 0:
        return ""
    value, unit = error
    return f"±{float(f'{value:.1g}'):g} {words.known(f'unit.{unit}', unit)}".rstrip()


def _drawn(
    slug: str, duration: Seconds, result: CallResult | None, words: Words, *, has_sound: bool
) -> Mapping[str, Any]:
    """What the script of the page draws and says."""
    turns = result.turns if result else ()
    events = result.events if result else ()
    return {
        "duration": duration,
        "mono": bool(result and result.speaker_source == "diarization"),
        "turns": [[t.start, t.end, t.speaker] for t in turns],
        "events": [
            {"kind": e.kind, "start": e.start, "end": e.end, "by": e.by}
            for e in events
            if e.kind in STRIP
        ],
        "sound": f"/calls/{slug}/sound" if has_sound and result else None,
        "played": f"/calls/{slug}/played",
        "words": {
            name: words(f"call.{name}")
            for name in ("play", "pause", "copied", "minutes", "seconds", "no_sound_data")
        },
    }
