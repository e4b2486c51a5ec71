"""What a switch (PBX) knows of a call takes the place of what was heard.

A kind of event of which the switch gives any for a call is known for that call: heard events of that
kind are superseded, and so is what was heard within it and is not so (silence in a hold, an
interruption in a greeting of a machine). Speech in an ``ivr`` is a machine's; machines are heard
elsewhere as well. Speech on the agent's side in a hold, or while the agent of the call is away or
another agent is on as well, is not charged to the agent; what comes after another has taken over is a
second leg. A kind without an event says nothing.
Applying it again to what was heard gives the same.

Conventions: times in seconds of the recording; clocks of switch and recorder differ by ``EDGE_S``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.dialogue.silences import is_announced
from pipeline.errors import first_few
from pipeline.schema import (
    AGENT,
    Event,
    EventKind,
    Seconds,
    Span,
    SwitchEvent,
    SwitchKind,
    Turn,
)
from pipeline.settings import Silences
from pipeline.spans import contains, gaps, overlap_s

EDGE_S = 1.0
LEAVE_S = 3.0  # what is said so soon after leaving was said before: nobody else is there yet
MOST = 0.5  # of what was heard: from which share on it lies in what the switch knows
KINDS: Mapping[SwitchKind, EventKind] = {
    "hold": "hold",
    "transfer": "transfer",
    "agent_join": "agent_join",
    "agent_leave": "agent_leave",
    "ivr": "machine_speech",
    "pause": "recorder_pause",
}
"""What the kinds of the switch are called among events."""
MOVES = ("agent_join", "agent_leave", "transfer")

_WITHIN: Mapping[SwitchKind, frozenset[EventKind]] = {
    "hold": frozenset(("dead_air", "silence", "response_delay", "recorder_pause")),
    "ivr": frozenset(("dead_air", "silence", "response_delay", "hold")),
    "pause": frozenset(("dead_air", "silence", "response_delay", "hold")),
}
_OF_TURNS = frozenset(("interruption", "backchannel", "overlap", "raised_voice", "fast_speech"))
_INSTEAD = "instead_of"  # in the detail of what a superseded hold is, when it is no hold


def part_turns(
    turns: Sequence[Turn], switch: Sequence[SwitchEvent] | None, agent_id: str | None
) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """Part the turns that count from those that belong to nobody who is judged, and tell legs.

    Parameters
    ----------
    turns : sequence of Turn
        All turns that were heard, in order.
    switch : sequence of SwitchEvent, optional
    agent_id : str, optional
        The agent that the call belongs to.

    Returns
    -------
    turns, aside
        Those that an ``aside`` of another source set apart stay apart. What comes after another agent
        has taken over is a second leg.
    """
    said = switch or ()
    machine = [(e.start, e.end) for e in said if e.kind == "ivr"]
    held = [(e.start + EDGE_S, e.end - EDGE_S) for e in said if e.kind == "hold"]
    away, over = agent_away(said, agent_id)
    later = [] if over is None else [(over, float("inf"))]
    if not any(t.speaker == AGENT and _share(t.spans, later) > MOST for t in turns):
        later = []
    moved = any(e.kind in MOVES for e in said)
    counted: list[Turn] = []
    aside: list[Turn] = []
    for turn in turns:
        heard = turn.leg if turn.heard_leg is None else turn.heard_leg
        leg = heard if not moved else 2 if _share(turn.spans, later) > MOST else 1
        turn = replace(turn, leg=leg, heard_leg=None if leg == heard else heard)
        if turn.aside in ("ivr", "hold", "away"):
            turn = replace(turn, aside=None)
        if turn.aside is None:
            is_agent = turn.speaker == AGENT
            if _share(turn.spans, machine) > MOST:
                turn = replace(turn, aside="ivr")
            elif is_agent and contains(held, (turn.start, turn.end)):
                turn = replace(turn, aside="hold")
            elif is_agent and leg == 1 and _share(turn.spans, away) > MOST:
                turn = replace(turn, aside="away")
        (counted if turn.aside is None else aside).append(turn)
    return tuple(counted), tuple(aside)


def agent_away(
    switch: Sequence[SwitchEvent], agent_id: str | None
) -> tuple[list[Span], Seconds | None]:
    """When the agent of the call is not alone on it, and from when on another has taken over.

    That is before joining, after leaving (and ``LEAVE_S``) or a transfer, and while another agent is on
    as well, when nobody can tell whose words are heard. Where the agent is none of those who are named,
    it is the first one who joins.
    """
    moves = sorted(
        (e for e in switch if e.kind in MOVES), key=lambda e: (e.end, e.kind == "agent_join")
    )
    named = [e.agent_id for e in moves if e.agent_id is not None]
    joined = [e.agent_id for e in moves if e.kind == "agent_join" and e.agent_id is not None]
    own = (None, agent_id if agent_id in named else next(iter(joined or named), agent_id))
    first = next((e.kind for e in moves if e.agent_id in own), "")
    here: set[str] = set() if first == "agent_join" else {AGENT}
    since = float("inf") if here else float("-inf")
    is_transferred = False
    found: list[Span] = []
    for move in moves:
        who = AGENT if move.agent_id in own else str(move.agent_id)
        if move.kind != "agent_join":
            here.discard(who)
            is_transferred = move.kind == "transfer"
        else:
            here.add("another" if move.agent_id is None and AGENT in here else who)
        if here == {AGENT}:
            found += [(since, move.end)] if since < move.end else []
            since = float("inf")
        else:
            since = min(since, move.end + (LEAVE_S if move.kind == "agent_leave" else 0.0))
    if since == float("inf"):
        return found, None
    has_taken_over = AGENT not in here and (bool(here) or is_transferred)
    return [*found, (since, float("inf"))], since if has_taken_over else None


def take_events(
    heard: Sequence[Event],
    turns: Sequence[Turn],
    aside: Sequence[Turn],
    switch: Sequence[SwitchEvent] | None,
    duration: Seconds,
    options: Silences = Silences(),
) -> tuple[tuple[Event, ...], tuple[Event, ...], list[str]]:
    """Take what the switch knows in place of what was heard.

    Parameters
    ----------
    heard : sequence of Event
        All that was heard, superseded or not.
    turns, aside : sequence of Turn
        From :func:`part_turns`.
    switch : sequence of SwitchEvent, optional
    duration : float
        Length of the recording, seconds.
    options : Silences

    Returns
    -------
    events, superseded, warnings
        What counts, in order; what was heard and does not; what has to be said.
    """
    own = [e for e in heard if e.source == "heard" and _INSTEAD not in e.detail]
    said = [e for e in switch or () if e.start < duration and e.end >= 0]
    notes = []
    if outside := len(switch or ()) - len(said):
        notes.append(f"The switch: events outside the recording, which are not used: {outside}.")
    if cut := [e for e in said if e.end > duration + EDGE_S and e.kind not in MOVES]:
        shown = first_few([f"{e.kind} {e.start:g} to {e.end:g} s" for e in cut], "; ")
        notes.append(
            f"The switch: events that go on after the recording ({duration:.0f} s) are cut at its end, "
            f"{shown}; its clock or unit may be another."
        )
    known = {KINDS[e.kind] for e in said}
    spans = {kind: [(e.start, e.end) for e in said if e.kind == kind] for kind in _WITHIN}
    counted: list[Event] = []
    superseded: list[Event] = []
    for event in own:
        span = [(event.start, event.end)]
        gone = event.kind in known and (
            event.kind != "machine_speech" or _share(span, spans["ivr"]) > MOST
        )
        gone |= any(event.kind in _WITHIN[k] and _share(span, spans[k]) > MOST for k in _WITHIN)
        gone |= event.kind in _OF_TURNS and any(
            event.by in (t.speaker, None) and _share(span, [(t.start, t.end)]) > MOST
            for t in aside
            if t.aside in ("ivr", "hold", "away")
        )
        (superseded if gone else counted).append(event)
        if gone and event.kind == "hold" and event.detail.get("medium") == "silence":
            for start, end in gaps([s for k in _WITHIN for s in spans[k]], event.start, event.end):
                if end - start >= options.silence_min_s:
                    is_dead = end - start >= options.dead_air_min_s
                    counted.append(
                        Event(
                            "dead_air" if is_dead else "silence", start, end, event.by,
                            {"after": AGENT, _INSTEAD: "hold"}, event.confidence,
                        )
                    )  # fmt: skip
    counted += [_known(e, own, turns, duration, options) for e in said]
    if set_aside := [t for t in aside if t.aside in ("ivr", "hold", "away")]:
        seconds = sum(t.duration for t in set_aside)
        notes.append(
            f"The switch: {seconds:.0f} s of speech ({len(set_aside)} of the turns) are neither this "
            f"agent's nor the customer's ({', '.join(sorted({str(t.aside) for t in set_aside}))})."
        )
    order = sorted(counted, key=lambda e: (e.start, e.end, e.kind))
    return tuple(order), tuple(superseded), notes


def _known(
    event: SwitchEvent,
    heard: Sequence[Event],
    turns: Sequence[Turn],
    duration: Seconds,
    options: Silences,
) -> Event:
    """An event of the switch among the others; of a hold with what rubrics ask for."""
    start, end = max(event.start, 0.0), min(event.end, duration)
    kind = KINDS[event.kind]
    detail: dict[str, object] = {} if event.agent_id is None else {"agent_id": event.agent_id}
    if event.kind == "hold":
        beside = [h for h in heard if h.kind == "hold" and h.start < end and h.end > start]
        back = (t.start for t in turns if t.speaker == AGENT and t.start >= end - EDGE_S)
        detail["medium"] = next((h.detail.get("medium") for h in beside), "unknown")
        detail["announced"] = is_announced(
            turns, start + EDGE_S, options.announce_within_s + EDGE_S
        )
        if (first := min(back, default=None)) is not None:
            detail["returned_at"] = round(first, 2)
    return Event(
        kind, round(start, 3), round(max(end, start), 3),
        AGENT if event.kind in ("hold", "transfer", "agent_join", "agent_leave") else None,
        detail, source="switch",
    )  # fmt: skip


def _share(spans: Sequence[Span], others: Sequence[Span]) -> float:
    """How much of some spans lies in others, 0-1."""
    seconds = sum(end - start for start, end in spans)
    if not others or seconds <= 0:
        return 0.0
    return sum(overlap_s(a, b) for a in spans for b in others) / seconds
