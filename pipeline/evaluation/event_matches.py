"""Events against truth: what was found, missed and invented, and how exact it is where found.

An event is found when one of its kind lies where the truth has one, each counting once:

- interruption: the same party, onset within :data:`ONSET_S` of the true one;
- backchannel: the same party, any overlap in time;
- hold, dead air: intersection / union of at least :data:`MIN_IOU`.

As many as possible are paired, and of all such pairings the closest one counts. Ringing is a count,
right or wrong per call. Kinds that a truth does not label are not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.pairing import intersection_over_union, pair
from pipeline.evaluation.truth import TrueEvent, Truth
from pipeline.schema import CallResult, Event, Seconds, Speaker
from pipeline.spans import touches

ONSET_S = 1.0
MIN_IOU = 0.5

Closeness = Callable[[TrueEvent, Event], float | None]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event, true or found, to be listed."""

    start: Seconds
    end: Seconds
    by: Speaker | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class EventMatches:
    """All events of one kind; those of several calls add up.

    ``errors`` holds one value per found event: ``onset_s``, ``length_s`` (found - true) and, 1 for
    right and 0 for wrong, ``outcome``, ``medium``, ``announced`` where the truth labels them.
    """

    found: int = 0
    missed: tuple[Occurrence, ...] = ()
    extra: tuple[Occurrence, ...] = ()
    errors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __add__(self, other: EventMatches) -> EventMatches:
        names = {**self.errors, **other.errors}
        return EventMatches(
            self.found + other.found,
            self.missed + other.missed,
            self.extra + other.extra,
            {n: (*self.errors.get(n, ()), *other.errors.get(n, ())) for n in names},
        )

    @property
    def true(self) -> int:
        """How many there are in truth."""
        return self.found + len(self.missed)

    @property
    def precision(self) -> float | None:
        """Share of what was found that is true; None when nothing was found."""
        count = self.found + len(self.extra)
        return self.found / count if count else None

    @property
    def recall(self) -> float | None:
        """Share of what is true that was found; None when there is nothing to find."""
        return self.found / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; None when there is nothing to find and nothing was found."""
        count = 2 * self.found + len(self.missed) + len(self.extra)
        return 2 * self.found / count if count else None


@dataclass(frozen=True, slots=True)
class RingCount:
    """Rings in truth and rings heard."""

    true: int
    found: int


def match_events(events: Sequence[Event], truth: Truth) -> dict[str, EventMatches]:
    """Match the events of one call, by kind; kinds that are not labelled are not in it."""
    labelled: dict[str, tuple[tuple[TrueEvent, ...] | None, Closeness]] = {
        "interruption": (truth.interruptions, _onset),
        "backchannel": (truth.backchannels, _overlap),
        "hold": (truth.holds, _extent),
        "dead_air": (truth.dead_air, _extent),
    }
    return {
        kind: _match(kind, true, [e for e in events if e.kind == kind], closeness)
        for kind, (true, closeness) in labelled.items()
        if true is not None
    }


def count_rings(result: CallResult, truth: Truth) -> RingCount | None:
    """Compare the number of rings; None when it is not labelled."""
    if truth.rings is None:
        return None
    heard = sum(int(e.detail["rings"]) for e in result.events if e.kind == "ringing")
    return RingCount(truth.rings, heard)


def _match(
    kind: str, truths: Sequence[TrueEvent], found: Sequence[Event], closeness: Closeness
) -> EventMatches:
    def gain(true: TrueEvent, event: Event) -> float:
        close = closeness(true, event)
        # One more pair is worth more than any closeness, which is 0-1 per pair.
        return 0.0 if close is None else 1.0 + len(truths) + close

    pairs = pair(truths, found, gain)
    errors: dict[str, list[float]] = {}
    for i, j in pairs:
        for name, value in _errors(kind, truths[i], found[j]).items():
            errors.setdefault(name, []).append(value)
    seen, used = {i for i, _ in pairs}, {j for _, j in pairs}
    return EventMatches(
        len(pairs),
        tuple(_listed_truth(t) for i, t in enumerate(truths) if i not in seen),
        tuple(_listed_event(e) for j, e in enumerate(found) if j not in used),
        {name: tuple(values) for name, values in errors.items()},
    )


def _onset(true: TrueEvent, event: Event) -> float | None:
    late = abs(event.start - true.start)
    return 1 - late / ONSET_S if event.by == true.by and late <= ONSET_S else None


def _overlap(true: TrueEvent, event: Event) -> float | None:
    if event.by != true.by or not touches(true.span, [(event.start, event.end)]):
        return None
    return intersection_over_union(true.span, (event.start, event.end))


def _extent(true: TrueEvent, event: Event) -> float | None:
    iou = intersection_over_union(true.span, (event.start, event.end))
    return iou if iou >= MIN_IOU else None


def _errors(kind: str, true: TrueEvent, event: Event) -> dict[str, float]:
    errors = {"onset_s": event.start - true.start}
    if kind == "interruption":
        labels = {"outcome": (true.detail["successful"], event.detail.get("yielded"))}
    elif kind == "hold":
        labels = {
            "medium": (true.detail["kind"], event.detail.get("medium")),
            "announced": (true.detail["announced"], event.detail.get("announced")),
        }
    else:
        labels = {}
    if kind in ("hold", "dead_air"):
        errors["length_s"] = event.seconds - (true.end - true.start)
    errors |= {n: float(said == label) for n, (label, said) in labels.items() if label is not None}
    return errors


def _listed_truth(true: TrueEvent) -> Occurrence:
    text = ", ".join(f"{k} {v}" for k, v in true.detail.items() if v is not None)
    return Occurrence(round(true.start, 2), round(true.end, 2), true.by, text)


def _listed_event(event: Event) -> Occurrence:
    shown = ("kind", "medium", "announced", "words", "words_other")
    text = ", ".join(f"{k} {event.detail[k]}" for k in shown if event.detail.get(k) is not None)
    return Occurrence(round(event.start, 2), round(event.end, 2), event.by, text)
