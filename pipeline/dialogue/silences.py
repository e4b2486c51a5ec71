"""Waits: holds, dead air, silences, late answers, ringing.

A hold is a wait of some length in which the agent does not speak, in silence or music, that the agent
ends by coming back. Whose silence it is decides: when the agent has asked something, or the customer
was to speak, the same quiet is the customer's and no hold, unless the wait was announced or there
is music. Mutual silence that is no hold is ``silence`` (3 s and more) or ``dead_air`` (5 s and more).
Time before the first and after the last speech of the call does not count. A wait lasts from edge to
edge: from the last sound of speech before it to the first after it; one with music, while it plays.

While the recorder stands still nobody knows what happens: such a pause is neither, and what lies on
either side of it is measured by itself. Machine speech in music is part of the music; elsewhere it is
no silence, and a hold runs on through it.

Conventions: times in seconds; turns ordered by start, of people alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.schema import AGENT, CUSTOMER, Event, EventKind, Seconds, Span, Turn
from pipeline.settings import Silences
from pipeline.spans import contains, gaps, overlap_s, touches, union
from pipeline.text import sound_line

WAIT_PHRASES = (
    "稍等", "稍候", "等一下", "等一会", "等一等", "等待", "请等", "等我", "别挂", "不要挂", "请勿挂",
    "查一下", "查询一下", "帮您查", "为您查", "看一下", "核实一下", "保持通话", "保持在线", "片刻",
    "耽误您", "占用您", "拿好电话", "等等啊", "等等我", "等着", "等会", "分钟就好", "等半分钟", "等一分钟",
    "等两分钟", "等几分钟",
)  # fmt: skip
QUESTION = re.compile(
    r"(吗|呢|么|什么|哪|几|多少|怎么|贵姓|如何|是否|好不好|可不可以)[^,，]*$|[?？]$"
)
# The agent asks leave to go and see: the wait that follows is the agent's.
ASKS_LEAVE = re.compile(
    r"我.{0,3}(去|到|给您|帮您|替您|跟|问|查|看|找|翻|核|打).*"
    r"(可以|好|行|成|方便|没关系|介意|中)(吗|吧|么|不|嘛)?[?？]?$"
)
MAX_CUSTOMER_SHARE = 0.25
MAX_CUSTOMER_STRETCH_S = 3.0
MUSIC_SHARE = 0.5
BESIDE_S = 1.5  # music starts and stops within this of the speech of a machine that it surrounds


def find_silences(
    turns: Sequence[Turn],
    music: Sequence[Span],
    options: Silences = Silences(),
    *,
    pauses: Sequence[Span] = (),
    machines: Sequence[Span] = (),
) -> tuple[Event, ...]:
    """Find holds, dead air, silences and late answers of the agent.

    Parameters
    ----------
    turns : sequence of Turn
    music : sequence of (start, end)
        Hold music, from :func:`pipeline.signal.tones.find_music`.
    options : Silences
    pauses : sequence of (start, end)
        Pauses of the recorder, from :func:`pipeline.signal.pauses.recorder_pauses`.
    machines : sequence of (start, end)
        Speech of machines.

    Returns
    -------
    tuple of Event
    """
    played = _with_machines(music, machines)
    holds = _holds(turns, played, pauses, options)
    taken = [*played, *machines, *((h.start, h.end) for h in holds)]
    quiet = _mutual_silence(turns, taken, pauses)
    events = list(holds)
    for start, end, before, after in quiet:
        seconds = end - start
        if seconds >= options.silence_min_s:
            kind: EventKind = "dead_air" if seconds >= options.dead_air_min_s else "silence"
            owner = _owner(before)
            events.append(Event(kind, start, end, owner, {"after": before.speaker}))
        if (
            before.speaker == CUSTOMER
            and after.speaker == AGENT
            and seconds >= options.response_delay_s
            and not touches((start - 0.1, end + 0.1), pauses)
        ):
            events.append(Event("response_delay", start, end, AGENT, {"gap_s": round(seconds, 2)}))
    return tuple(sorted(events, key=lambda e: (e.start, e.end, e.kind)))


def ringing_event(rings: Sequence[Span]) -> tuple[Event, ...]:
    """One event for all rings at the start of a call; none when there were none."""
    if not rings:
        return ()
    spans = [[round(a, 2), round(b, 2)] for a, b in rings]
    return (
        Event("ringing", rings[0][0], rings[-1][1], None, {"rings": len(rings), "spans": spans}),
    )


def _with_machines(music: Sequence[Span], machines: Sequence[Span]) -> list[Span]:
    """The music, and what machines say in it or close to it."""
    played = union(music)
    near = [m for m in machines if touches((m[0] - BESIDE_S, m[1] + BESIDE_S), played)]
    return union(played, near)


def _holds(
    turns: Sequence[Turn], music: Sequence[Span], pauses: Sequence[Span], options: Silences
) -> list[Event]:
    agent = [t for t in turns if t.speaker == AGENT and not t.is_backchannel]
    holds: list[Event] = []
    for before, after in zip(agent[:-1], agent[1:], strict=True):
        last_end = max(t.end for t in agent if t.end <= after.start or t is before)
        wait = _quiet_part(last_end, after.start, turns, music, pauses, options)
        if wait is None:
            continue
        start, end = wait
        played = [s for s in music if s[0] < end and s[1] > start]
        music_s = sum(overlap_s(s, (start, end)) for s in played)
        is_music = music_s > MUSIC_SHARE * (end - start)
        announced = is_announced(turns, start, options.announce_within_s)
        if not (is_music or announced) and _customer_owes(turns, start):
            continue
        if is_music:
            start, end = max(start, played[0][0]), min(end, played[-1][1])
        medium = "music" if is_music else "silence"
        detail = {"medium": medium, "announced": announced, "returned_at": round(after.start, 2)}
        confidence = 0.95 if is_music or announced else 0.8
        holds.append(Event("hold", round(start, 3), round(end, 3), AGENT, detail, confidence))
    return holds


def _quiet_part(
    start: Seconds,
    end: Seconds,
    turns: Sequence[Turn],
    music: Sequence[Span],
    pauses: Sequence[Span],
    options: Silences,
) -> Span | None:
    """The longest wait between two agent turns: nobody speaks, but for a word of the customer."""
    talk = sorted(
        (max(s, start), min(e, end))
        for t in turns
        if t.speaker == CUSTOMER and t.start < end and t.end > start
        for s, e in t.spans
        if s < end and e > start and not contains(music, (s, e))
    )
    quiet = gaps([*talk, *pauses], start, end)
    best = max(quiet, key=lambda g: g[1] - g[0], default=(start, start))
    first = max((p[1] for p in pauses if p[1] <= best[0]), default=start)
    last = min((p[0] for p in pauses if p[0] >= best[1]), default=end)
    quiet = [g for g in quiet if first <= g[0] and g[1] <= last]
    if best[1] - best[0] < options.silence_min_s:
        return None
    joined = _grow(best, quiet, talk)
    return joined if joined[1] - joined[0] >= options.hold_min_s else None


def _grow(best: Span, quiet: Sequence[Span], talk: Sequence[Span]) -> Span:
    """Add neighbouring waits when only a short word of the customer lies in between."""
    start, end = best
    for gap in reversed([g for g in quiet if g[1] <= start]):
        said = sum(e - s for s, e in talk if s >= gap[1] - 0.01 and e <= start + 0.01)
        if said > MAX_CUSTOMER_STRETCH_S or said > MAX_CUSTOMER_SHARE * (gap[1] - gap[0]):
            break
        start = gap[0]
    for gap in [g for g in quiet if g[0] >= end]:
        said = sum(e - s for s, e in talk if s >= end - 0.01 and e <= gap[0] + 0.01)
        if said > MAX_CUSTOMER_STRETCH_S or said > MAX_CUSTOMER_SHARE * (gap[1] - gap[0]):
            break
        end = gap[1]
    return start, end


def is_announced(turns: Sequence[Turn], start: Seconds, within_s: Seconds) -> bool:
    """Whether the agent's words in the last seconds before the wait ask to wait."""
    said = "".join(
        w.text
        for t in turns
        if t.speaker == AGENT and t.start < start and t.end > start - within_s
        for w in t.words
        if w.end > start - within_s
    )
    sounds = sound_line(said)
    return any(sound_line(p) in sounds for p in WAIT_PHRASES)


def _customer_owes(turns: Sequence[Turn], start: Seconds) -> bool:
    """Whether the customer was to speak: the agent spoke last and had asked something."""
    said = [t for t in turns if t.start < start and not t.is_backchannel]
    if not said:
        return True
    last = max(said, key=lambda t: t.end)
    if last.speaker != AGENT:
        return False
    text = last.text.strip("。.！! ")
    heard_customer = any(t.speaker == CUSTOMER for t in said)
    asks = QUESTION.search(text) and not ASKS_LEAVE.search(text)
    return bool(asks) or not heard_customer


def _owner(before: Turn) -> str:
    """Who should have spoken: the one who did not speak last."""
    return CUSTOMER if before.speaker == AGENT else AGENT


def _mutual_silence(
    turns: Sequence[Turn], taken: Sequence[Span], pauses: Sequence[Span]
) -> list[tuple[Seconds, Seconds, Turn, Turn]]:
    """Gaps in which nobody speaks, with the turns on either side, outside holds, music and pauses."""
    speech = [(s, e, t) for t in turns for s, e in t.spans]
    found: list[tuple[Seconds, Seconds, Turn, Turn]] = []
    latest: tuple[Seconds, Turn] | None = None
    for start, end, turn in sorted(speech, key=lambda x: (x[0], x[1])):
        if latest is not None and start > latest[0]:
            parts = gaps(pauses, latest[0], start)
            found += [(*part, latest[1], turn) for part in parts if not touches(part, taken)]
        if latest is None or end > latest[0]:
            latest = (end, turn)
    return found
