"""Conditions on what somebody means, whatever the words: an intent is read in each turn.

An intent that is in doubt makes the condition unknown, never true or false. What is only in doubt
is kept as evidence, so that a reader sees which sentence it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import Annotated

from pydantic import BeforeValidator, Field

from pipeline.rubric.agitation import agitation
from pipeline.rubric.context import Call, Scope, inside
from pipeline.rubric.findings import Finding, Hit
from pipeline.rubric.forms import Flag, Form, Phrases, Reads, Who, Whole, entry
from pipeline.rubric.places import ANYWHERE, Where
from pipeline.schema import AGENT, Span, Turn

Share = Annotated[float, Field(strict=True, ge=0, le=1)]

VOICE_WEIGHT = 0.7  # logits that a fully agitated voice adds: 0.45 becomes 0.62, 0.2 becomes 0.33
# What is less likely than the first takes words heard as well as the second says.
MEANT = ((0.99, 0.0), (0.97, 0.8), (0.0, 0.86))
FAINT, FAINT_LEAST = 0.6, 0.3  # of the lower edge of the band of doubt, and at least: a faint sign


def _band(given: object) -> object:
    numbers = isinstance(given, (list, tuple)) and all(isinstance(g, (int, float)) for g in given)
    if given is None or (numbers and len(given) == 2 and given[0] <= given[1]):  # type: ignore[arg-type, index]
        return given
    raise ValueError("two probabilities are needed, the lower first, such as [0.4, 0.6].")


class Meaning(Form):
    """What is meant, in doubt between two probabilities; also beside phrases (``or_means``)."""

    intents: Annotated[tuple[str, ...], Reads("intents")] = entry(..., "one of these", "intent")
    excluded: Phrases = entry((), "a sentence with one of these does not count", "except")
    doubt: Annotated[tuple[Share, Share] | None, BeforeValidator(_band)] = entry(
        None, "probabilities between these two are in doubt"
    )


class Means(Meaning):
    """Somebody shows one of some intents, at a place, in one turn or in several.

    ``doubt`` is the band of probabilities in doubt; None takes that of the intent. A sentence in which
    one of ``excluded`` is said shows nothing.
    """

    by: Who = entry(AGENT, "who shows it; may be left out where the intent says who usually does")
    place: Where = entry(ANYWHERE, "where", "where")
    times: Whole = entry(1, "in so many turns", ge=1)
    in_a_row: Whole | None = entry(None, "in so many turns one after the other", ge=2)
    voice: Flag = entry(False, "a louder, faster, higher voice than at first counts a little")

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Read the intents in the turns of the place."""
        spans = self.place.spans(call, scope, self.by)
        barred = [
            call.hit(self.by, match).start
            for phrase in self.excluded
            for match in call.find(self.by, phrase, "strict", False)
        ]
        shown: list[Hit] = []
        doubted: list[Hit] = []
        faint: list[Hit] = []
        surest = 0.0
        turns = [t for t in call.turns(self.by) if _meets(t, spans)]
        call.meaning.prepare((t.text for t in turns), self.intents)
        for turn in turns:
            for intent in self.intents:
                low, high = self.doubt or call.meaning.definition(intent).doubt
                found: Hit | None = None
                for part in call.meaning.spans(turn.text, intent):
                    start, end = moments(turn, part.start, part.end)
                    if not inside((start + end) / 2, spans):
                        continue
                    if any(start <= b <= end for b in barred):
                        continue
                    chance, heard_in = part.probability, ""
                    if self.voice:
                        more, heard_in = agitation(call.dialogue.turns, turn)
                        odds = chance / max(1.0 - chance, 1e-6) * exp(VOICE_WEIGHT * more)
                        chance = odds / (1.0 + odds)
                    matched = f"means {intent}" + (f", voice {heard_in}" if heard_in else "")
                    quote = _short(turn.text[part.start : part.end])
                    found = Hit(start, end, self.by, quote, matched, chance)
                    break
                if found is None:
                    continue
                if found.confidence >= high:
                    needed = call.hearing.min_word_confidence
                    accuses = scope.asking in ("trigger", "forbidden")
                    if accuses and turn.words:
                        needed = max(needed, next(c for p, c in MEANT if found.confidence >= p))
                    (shown if turn.confidence >= needed else doubted).append(found)
                elif found.confidence >= low:
                    doubted.append(found)
                else:  # nobody doubts what lies under the band: it is absent rather than present
                    surest = max(surest, found.confidence * min(1.0, 0.5 / low))
                    faint += [found] if found.confidence >= max(FAINT * low, FAINT_LEAST) else []
        finding = self._weigh(call, scope, spans, shown, doubted, surest)
        return replace(finding, faint=tuple(faint)).named(self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        times = f" {self.times} times" if self.times > 1 else ""
        row = f" in {self.in_a_row} turns in a row" if self.in_a_row else ""
        return f"{self.by} means {' or '.join(self.intents)}{times}{row}, {self.place.describe()}"

    def _weigh(
        self,
        call: Call,
        scope: Scope,
        spans: Sequence[Span],
        shown: list[Hit],
        doubted: list[Hit],
        surest: float,
    ) -> Finding:
        if self._enough(call, shown):
            confidence = max(h.confidence for h in shown)
            return Finding(True, tuple(shown), confidence, tuple(spans), self.by)
        every = sorted([*shown, *doubted], key=lambda h: h.start)
        if self._enough(call, every):
            one = max(doubted, key=lambda h: h.confidence)
            note = f"in doubt ({one.confidence:.2f}): {one.matched}: {one.quote}"
            return Finding(None, tuple(every), one.confidence, tuple(spans), self.by, note)
        close = self.place.close and scope.asking != "trigger"
        well, confidence, note = call.heard(self.by, spans, close, self.place.takes_s)
        if not well:
            return Finding(None, (), confidence, tuple(spans), self.by, note)
        sure = min(confidence, 1.0 - surest)
        return Finding(False, (), sure, tuple(spans), self.by)

    def _enough(self, call: Call, hits: Sequence[Hit]) -> bool:
        if not hits:
            return False
        groups = [
            any(inside((h.start + h.end) / 2, [g]) for h in hits) for g in call.groups(self.by)
        ]
        row = "".join("x" if shown else " " for shown in groups)
        return sum(groups) >= self.times and "x" * (self.in_a_row or 1) in row


def moments(turn: Turn, start: int, end: int) -> Span:
    """When characters ``start`` to ``end`` (exclusive) of a turn's text were said, in seconds.

    The times of words are used where the words are the text; else the speech is spread evenly.
    """
    spoken = [c.isalnum() for c in turn.text]
    first, last, total = sum(spoken[:start]), sum(spoken[:end]), sum(spoken)
    times = [
        (word.start + (word.end - word.start) * i / n, word.start + (word.end - word.start) * (i + 1) / n)
        for word in turn.words
        for n in [sum(c.isalnum() for c in word.text)]
        for i in range(n)
    ]  # fmt: skip
    if len(times) == total and first < last:
        return times[first][0], times[last - 1][1]
    length = (turn.end - turn.start) / max(total, 1)
    return turn.start + first * length, turn.start + last * length


def _meets(turn: Turn, spans: Sequence[Span]) -> bool:
    return any(turn.start <= high and turn.end >= low for low, high in spans)


def _short(text: str) -> str:
    bare = text.strip(" ，,、。！!；;")
    return bare if len(bare) <= 48 else bare[:47] + "…"
