"""One call while it is judged: streams, phrase search, hearing, and the parts of a call.

Opening: from the start until the customer says more than a few words (or who is there and asks the
same), at most 30 s after the agent's first word and three agent turns. Closing: the agent's last three
turns or the last 40 s, whichever is longer, but after the opening. Both are settings of the rubric.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp
from typing import Literal, Protocol

from pipeline.rubric.findings import Finding, Hit, Outcome
from pipeline.rubric.forms import Form, Number, Whole, entry
from pipeline.schema import AGENT, CUSTOMER, SPEAKERS, Dialogue, Span, Speaker, Turn, VerdictName
from pipeline.spans import overlap_s, touches
from pipeline.text import count_units
from pipeline.text.intents import IntentReader
from pipeline.text.phonetic.matching import SlotFinder, find_phrase, negated
from pipeline.text.phonetic.phrases import Phrase, parse_phrase
from pipeline.text.phonetic.search import Closeness, Match, best
from pipeline.text.phonetic.slots import (
    DIGITS,
    Surname,
    any_character,
    customer_surname,
    may_be_name,
    slot_finders,
)
from pipeline.text.phonetic.streams import Stream, build_stream, split_at_pauses

LOGISTIC = (-8.2, 9.5, 0.6)
MAX_LENGTH = 6  # characters; longer phrases are no surer
EXACT_PROBABILITY = 0.99
JOIN_TURNS_S = 2.5  # a longer pause of one speaker separates two turns when turns are counted
MIN_UNHEARD_S = 0.7
LOST_START_S = 3.0  # without anybody heard, before a customer who seems to have spoken first
MAX_ATTEMPT_S = 1.5
_NUMBER_SHARE = 0.6
SPARSE_S = 4.0
# Who is called answers, and asks who it is; the opening goes on.
_WHO_IS_THERE = re.compile(
    r"(?:.我)?(?:喂|[您你]好|[对嗯啊哦唉哎诶欸那]|是的?|我?就?是(?:我|啊|的)?|我啊|\W)*+(?:请问)?(?:"
    r"[您你那]?们?那?边?这?是?(?:[哪那]位|谁|哪家|哪里|哪儿|哪个|什么公司|哪家公司|干什么|干嘛|做什么)的?"
    r"(?:[呀啊呢吗哦]|\W)*(?:找我)?|(?=有?[什啥]么?事|有事))"
    r"(?:有?[什啥]么?事情?|有事)?(?:[呀啊呢吗]|\W)*"
)
# Whoever else picks up tells where the called one is, and ends by asking who calls.
_ASKS_WHO_CALLS = re.compile(r"(?:[你您]们?(?:那边|这边)?是?(?:哪[个位里儿家]|谁))[的呀啊呢]?\W*$")
# The agent asks for the one who is called; however the short answer is heard, the opening goes on.
_ASKS_WHO_IT_IS = re.compile(
    r"(?:喂|[您你]好|[啊嗯哦诶欸哎]|请问|早上好|上午好|中午好|下午好|晚上好|打扰了?|\W)*+"
    r"(?:[您你]?这?是\w{1,8}|\w{1,4}(?:先生|女士|小姐|太太|老师|师傅)|本人)[吗吧么嘛]\W*"
)
_ANSWER_UNITS = 10
EVERYWHERE: tuple[Span, ...] = ((float("-inf"), float("inf")),)


class Hearing(Form):
    """When speech counts as heard, and where a call opens and closes; set in the rubric file."""

    min_word_confidence: Number = entry(0.55, "words under it were not understood", ge=0, le=1)
    max_unheard_ratio: Number = entry(0.3, "more of a place unheard leaves it open", ge=0, le=1)
    min_close_unheard_ratio: Number = entry(
        0.25, "less of a place of a few turns unheard leaves nothing open", ge=0, le=1
    )
    close_word_confidence: Number = entry(
        0.65, "words under it were not understood in a place of a few turns", ge=0, le=1
    )
    sure_word_confidence: Number = entry(
        0.7, "under it a trigger that is only similar leaves the item open", ge=0, le=1
    )
    min_hit_confidence: Number = entry(
        0.52, "a phrase found with less was perhaps said", ge=0, le=1
    )
    min_said_confidence: Number = entry(
        0.2, "words recognised with less were perhaps others", ge=0, le=1
    )
    clear_word_confidence: Number = entry(
        0.87, "words under it may have been the wording that is missing, misheard", ge=0, le=1
    )
    few_turns: Whole = entry(
        4, "in a place of so few turns, one that was not understood at all leaves it open", ge=0
    )
    min_units_per_s: Number = entry(1.2, "fewer characters per second of speech: unheard", ge=0)
    min_probability: Number = entry(0.35, "a less likely verdict is cannot_tell", ge=0, le=1)
    min_fail_probability: Number = entry(
        0.77, "the same of a fail where the words were recognised", ge=0, le=1
    )
    blocking_problems: tuple[str, ...] = entry((), "problems of a channel that nobody is heard in")
    opening_s: Number = entry(30.0, "longest opening, seconds from the agent's first word", ge=0)
    opening_turns: Whole = entry(3, "turns of the agent that the opening has at most", ge=1)
    opening_customer_units: Whole = entry(
        6, "characters of the customer with which the opening ends", ge=1
    )
    closing_s: Number = entry(40.0, "seconds at the end that are closing at least", ge=0)
    closing_turns: Whole = entry(3, "last turns of the agent that are closing at least", ge=1)
    default_direction: Literal["inbound", "outbound"] = entry(
        "inbound", "direction of calls of which it is not known"
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a condition is looked at: the trigger it refers to, and what for.

    ``misheard`` asks again about what was not found: what may have been said and misheard makes it unknown.
    A trigger is only unknown when much of a region was not heard, or when something like it was
    heard unclearly; one short turn that was not understood does not put every item in doubt.
    What is ``forbidden`` or makes an item apply can accuse somebody: what is meant by misheard words
    leaves it open.
    ``until`` is where the next trigger begins, when each is taken in turn.
    """

    trigger: tuple[Hit, ...] = ()
    asking: Literal["verdict", "trigger", "forbidden", "misheard"] = "verdict"
    until: float = float("inf")


@dataclass
class Call:
    """A dialogue with everything that judging it needs, worked out once.

    ``outcomes`` holds the findings of the items judged so far, so that rules may refer to them;
    ``coefficients`` say how likely a verdict is right. ``forbidden`` are the phrases that no one
    should say: words that are one of these are no other phrase misheard.
    """

    dialogue: Dialogue
    hearing: Hearing
    slot_patterns: Mapping[str, str] = field(default_factory=dict)
    meaning: IntentReader = field(default_factory=IntentReader)
    coefficients: Mapping[str, float] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    forbidden: tuple[Condition, ...] = ()
    _matches: dict[tuple[str, str, str], list[Match]] = field(default_factory=dict)
    _turns: dict[tuple[str, bool], list[Turn]] = field(default_factory=dict)
    _groups: dict[str | None, list[Span]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        turns = split_at_pauses(self.dialogue.turns, JOIN_TURNS_S)
        self.dialogue = replace(self.dialogue, turns=turns)

    @cached_property
    def streams(self) -> dict[Speaker, Stream]:
        """What each speaker said."""
        return {s: build_stream(self.dialogue, s) for s in SPEAKERS}

    @cached_property
    def slots(self) -> dict[str, SlotFinder]:
        """Slot finders that know this call's customer."""
        return slot_finders(self.surname, self.slot_patterns)

    @cached_property
    def surname(self) -> Surname | None:
        """The customer's surname, where known."""
        return customer_surname(self.dialogue, self.streams[CUSTOMER], self.streams[AGENT])

    @cached_property
    def start(self) -> float:
        """Start of the first turn that carries words, else of the recording."""
        return min((t.start for t in self.dialogue.turns if t.text), default=0.0)

    @cached_property
    def end(self) -> float:
        """End of the last turn that carries words, else of the recording."""
        return max((t.end for t in self.dialogue.turns if t.text), default=self.dialogue.duration)

    @cached_property
    def unheard_start_s(self) -> float:
        """Seconds before a customer who seems to speak first in a call that an agent took; else 0.

        Who picks up speaks first. Where nobody was heard for long in the channel of both, the agent's
        first words went under in a noise. In a channel of one's own silence is silence.
        """
        channels = [p.channel for p in self.dialogue.parties]
        first = next((t for t in self.dialogue.turns if t.text), None)
        if len(channels) != 2 or len(set(channels)) != 1 or first is None:
            return 0.0
        if first.speaker == AGENT or self.dialogue.recording.direction != "inbound":
            return 0.0
        rang = (e.end for e in self.dialogue.events if e.kind == "ringing")
        return max(first.start - max(rang, default=0.0), 0.0)

    def turns(self, speaker: Speaker, listening: bool = False) -> list[Turn]:
        """The turns of a speaker that carry words; listening signals only if asked for."""
        key = (speaker, listening)
        if key not in self._turns:
            self._turns[key] = [
                t
                for t in self.dialogue.turns
                if t.speaker == speaker and t.text and (listening or not t.is_backchannel)
            ]
        return self._turns[key]

    def took_turns(self, speaker: Speaker) -> list[Turn]:
        """The turns of a speaker, listening signals too, also those that were not understood."""
        return [
            t
            for t in self.dialogue.turns
            if t.speaker == speaker and (t.text or t.duration >= MIN_UNHEARD_S)
        ]

    def groups(self, speaker: Speaker | None) -> list[Span]:
        """Turns as spans, those that nobody else came between and short pauses part joined."""
        if speaker not in self._groups:
            self._groups[speaker] = self._grouped(speaker)
        return self._groups[speaker]

    def _grouped(self, speaker: Speaker | None) -> list[Span]:
        out: list[Span] = []
        last = ""
        for turn in self.dialogue.turns:
            if not turn.text or turn.is_backchannel:
                continue
            if speaker in (None, turn.speaker):
                if out and last == turn.speaker and turn.start - out[-1][1] <= JOIN_TURNS_S:
                    out[-1] = (out[-1][0], max(turn.end, out[-1][1]))
                else:
                    out.append((turn.start, turn.end))
            last = turn.speaker
        return out

    @cached_property
    def opening(self) -> Span:
        """The opening of the call: until the customer says more than who is there, or asks it."""
        agent = self.turns(AGENT)
        if not agent:
            return 0.0, min(self.hearing.opening_s, self.dialogue.duration)
        limit = agent[0].start + self.hearing.opening_s
        content = next((t.start for t in self.turns(CUSTOMER) if self._ends_opening(t)), limit)
        inside = [t for t in agent[: self.hearing.opening_turns] if t.start < min(content, limit)]
        return 0.0, (inside or agent[:1])[-1].end

    def _ends_opening(self, turn: Turn) -> bool:
        """Whether the customer says more than who is there, or asks it, after the agent began."""
        before = [t for t in self.turns(AGENT) if t.start < turn.start]
        if not before or _WHO_IS_THERE.fullmatch(turn.text) or _ASKS_WHO_CALLS.search(turn.text):
            return False
        most = self.hearing.opening_customer_units
        if _ASKS_WHO_IT_IS.fullmatch(before[-1].text):
            most = max(most, _ANSWER_UNITS)
        return (turn.units or count_units(turn.text)) > most

    def at_share(self, share: float) -> float:
        """When a share (0 to 1) of the call is over, between its first word and its last."""
        return self.start + share * (self.end - self.start)

    @cached_property
    def closing(self) -> Span:
        """The closing of the call."""
        agent = self.groups(AGENT)
        start = self.end - self.hearing.closing_s
        if agent:
            start = min(start, agent[-self.hearing.closing_turns :][0][0])
            start = max(start, agent[0][1] if len(agent) > 1 else agent[0][0])
        return start, float("inf")

    def find(
        self, speaker: Speaker, phrase: Phrase, strictness: Closeness, guard: bool = True
    ) -> list[Match]:
        """Matches of a phrase in a speaker's stream; turned-around senses left out."""
        key = (speaker, phrase.notation, strictness)
        if key not in self._matches:
            slots = self.slots if phrase.slots else None
            faint = slots is not None and strictness == "faint"
            if slots and faint:
                slots = slots | {"surname": any_character}
            matches = find_phrase(self.streams[speaker], phrase, strictness, slots)
            if self.surname and not faint and "{surname}" in phrase.notation:
                # A name that is known is looked for as words, among words in doubt: 保险省, 鲍先生.
                named = parse_phrase(phrase.notation.replace("{surname}", self.surname.name))
                stream, clear = self.streams[speaker], self.hearing.clear_word_confidence
                heard = find_phrase(stream, named, strictness)
                doubted = [m for m in heard if min(stream.confidences[m.start : m.end]) < clear]
                matches = best([*matches, *doubted])
            # A title of one character behind any other (…总) is no sign of a name.
            self._matches[key] = [
                m for m in matches if not faint or (m.end - m.start > 2 and may_be_name(m.values))
            ]
        found = self._matches[key]
        if not guard:
            return found
        stream = self.streams[speaker]
        return [m for m in found if not negated(stream, m, phrase.first)]

    def hit(self, speaker: Speaker, match: Match) -> Hit:
        """Turn a match into evidence."""
        stream = self.streams[speaker]
        words = stream.confidences[match.start : match.end]
        heard = sum(words) / max(len(words), 1)
        return Hit(
            stream.starts[match.start],
            stream.ends[match.end - 1],
            speaker,
            stream.quote(match.start, match.end),
            match.phrase,
            match_probability(match.score, match.end - match.start) * (0.5 + 0.5 * heard),
            match.values,
        )

    def heard(
        self,
        speaker: Speaker,
        spans: Sequence[Span],
        close: bool = False,
        takes_s: float = 0.0,
        least_ratio: float | None = None,
    ) -> tuple[bool, float, str]:
        """Say whether a speaker was heard well enough in some spans to trust an absence.

        Parameters
        ----------
        speaker : str
            Whose words were looked for.
        spans : sequence of (float, float)
            Where.
        close : bool
            The place is a few turns only, so that a turn not understood may have held them, if it
            is not a small part of the place.
        takes_s : float
            Seconds that the words take at least: a shorter stretch cannot have held them.
        least_ratio : float, optional
            A smaller part of a place of a few turns leaves nothing open; the rubric's by default.

        Returns
        -------
        tuple of (bool, float, str)
            Heard well enough?, confidence 0-1, and the reason if not.
        """
        problem = self._channel_problem(speaker)
        if problem:
            return False, 0.0, f"the {speaker}'s channel is {problem}"
        party = next((p for p in self.dialogue.parties if p.role == speaker), None)
        if party is not None and not party.understood:
            return False, 0.0, f"the {speaker} speaks a language not recognised ({party.language})"
        if speaker == AGENT and not self.turns(AGENT, listening=True):
            return False, 0.0, "no words of the agent were recognised"
        from_the_start = any(low <= 0 for low, _ in spans)
        if speaker == AGENT and close and from_the_start and self.unheard_start_s >= LOST_START_S:
            lost_s = self.unheard_start_s
            return (
                False,
                0.0,
                f"nobody was heard in the first {lost_s:.1f} s, where the agent spoke",
            )
        speech = unheard = weighted = worst = noise = longest = 0.0
        turns = [t for t in self.dialogue.turns if t.speaker == speaker and _touches(t, spans)]
        for turn in (t for t in turns if not self._went_under(t)):
            seconds = max(turn.duration, 0.01)
            needed = self.hearing.min_word_confidence
            good = bool(turn.text) and turn.confidence >= needed
            good = good and not self._sparse(turn)
            doubted = not good or turn.confidence < self.hearing.close_word_confidence
            if doubted and turn.text and (_is_number(turn.text) or self._is_forbidden(turn)):
                weighted, speech = weighted + seconds * turn.confidence, speech + seconds
                continue  # it is what it is, however little the recogniser trusts it
            speech += seconds
            unheard += min(turn.unheard_s, seconds) if good else seconds
            if doubted:
                worst = max(worst, seconds)
            worst = max(worst, turn.unheard_s)
            longest = max(longest, turn.unheard_s if good else seconds)
            if turn.confidence < self.hearing.min_said_confidence:
                noise = max(noise, seconds)
            weighted += seconds * turn.confidence
        if not speech:
            return True, 0.9, ""
        enough_s = max(MIN_UNHEARD_S, takes_s)
        ratio = self.hearing.min_close_unheard_ratio if least_ratio is None else least_ratio
        at_least = max(enough_s, ratio * speech)
        lost = (close and worst >= at_least) or (
            noise >= enough_s and len(turns) <= self.hearing.few_turns
        )
        if lost or (unheard / speech > self.hearing.max_unheard_ratio and longest >= takes_s):
            lost_s = max(unheard, noise, worst if close else 0.0)
            return (
                False,
                0.0,
                f"{lost_s:.1f} of {speech:.1f} s of the {speaker} were not understood",
            )
        return True, 0.5 + 0.5 * weighted / speech, ""

    def _went_under(self, turn: Turn) -> bool:
        """Whether a short turn of the agent without words was said while the customer was speaking.

        It is a listening signal or an attempt to break in, and none of the acts that rubrics ask for.
        A customer may well agree or thank while the agent is still speaking.
        """
        if turn.speaker != AGENT or turn.text or turn.duration > MAX_ATTEMPT_S:
            return False
        return any(
            t.speaker != turn.speaker and t.start < turn.start and turn.end < t.end
            for t in self.dialogue.turns
        )

    def _sparse(self, turn: Turn) -> bool:
        """Whether so little was recognised in a long turn that much of it must be missing.

        Text that comes without word times was not recognised but given, and is complete.
        """
        if not turn.words:
            return False
        seconds = sum(end - start for start, end in turn.spans)
        units = turn.units or count_units(turn.text)
        return seconds >= SPARSE_S and units < self.hearing.min_units_per_s * seconds

    def least_probability(self, verdict: VerdictName) -> float:
        """How likely a verdict must be right to be given, 0-1: a fail on recognised words more so."""
        least = self.hearing.min_probability
        if verdict == "fail" and any(t.words for t in self.dialogue.turns):  # not given as text
            return max(least, self.hearing.min_fail_probability)
        return least

    def unsure_words(self, speaker: Speaker) -> bool:
        """Whether any word of a speaker was recognised with little confidence."""
        limit = self.hearing.sure_word_confidence
        return any(c < limit for c in self.streams[speaker].confidences)

    def said_confidence(self, hit: Hit) -> float:
        """The mean confidence of the words under a piece of evidence, 0-1."""
        assert hit.speaker is not None
        stream = self.streams[hit.speaker]
        inside_hit = [
            c
            for c, start, end in zip(stream.confidences, stream.starts, stream.ends, strict=True)
            if start < hit.end and end > hit.start
        ]
        return sum(inside_hit) / len(inside_hit) if inside_hit else 1.0

    def is_clear(self, speaker: Speaker, spans: Sequence[Span]) -> bool:
        """Whether every word in some spans is what it is, so that none was misheard."""
        stream, clear = self.streams[speaker], self.hearing.clear_word_confidence
        return not any(
            c < clear and touches((start, end), spans)
            for c, start, end in zip(stream.confidences, stream.starts, stream.ends, strict=True)
        )

    def misheard(self, hit: Hit) -> bool:
        """Whether the words under a piece of evidence may have been others."""
        if self._is_forbidden(hit, hit.confidence):
            return False
        return self.said_confidence(hit) < self.hearing.clear_word_confidence

    def _is_forbidden(self, said: Hit | Turn, confidence: float = 0.0) -> bool:
        """Whether half of something that was said is a forbidden phrase, as sure at least."""
        return any(
            f.speaker == said.speaker
            and f.confidence >= confidence
            and 2 * overlap_s((f.start, f.end), (said.start, said.end)) >= said.end - said.start
            for f in self._forbidden_words
        )

    @cached_property
    def _forbidden_words(self) -> tuple[Hit, ...]:
        """Where something forbidden was said."""
        self.__dict__["_forbidden_words"] = ()  # while it is looked for
        findings = [rule.evaluate(self, Scope()) for rule in self.forbidden]
        return tuple(h for f in findings if f.truth for h in f.hits)

    def said_at(self, speaker: Speaker, spans: Sequence[Span]) -> Hit | None:
        """What a speaker said in some spans instead of what was looked for."""
        for turn in self.turns(speaker):
            if _touches(turn, spans):
                quote = turn.text if len(turn.text) <= 48 else turn.text[:47] + "…"
                return Hit(turn.start, turn.end, speaker, quote, None, turn.confidence)
        return None

    def _channel_problem(self, speaker: Speaker) -> str:
        channel, blocking = self.dialogue.heard_in(speaker), self.hearing.blocking_problems
        problems = channel.problems if channel else ()
        return next((p for p in problems if any(b in p for b in blocking)), "")


class Condition(Protocol):
    """Something a rubric can ask of a call."""

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Look at the call within a scope."""
        ...

    def describe(self) -> str:
        """Say in words what is looked for."""
        ...


def _is_number(text: str) -> bool:
    """Whether most of a text is digits, of which recognisers are never sure."""
    spoken = [c for c in text if c.isalnum()]
    return sum(c.isdigit() or c in DIGITS for c in spoken) >= _NUMBER_SHARE * max(len(spoken), 1)


def match_probability(score: float, length: int) -> float:
    """The probability that a phrase was said, given the score and length of its match.

    A logistic curve fitted to wordings of the built-in rubric: said with recognition-like errors
    against the best matches in text that does not hold them.

    >>> round(match_probability(0.85, 4), 2), round(match_probability(0.9, 2), 2)
    (0.91, 0.82)
    """
    if score >= 1.0:
        return EXACT_PROBABILITY
    at_zero, per_score, per_character = LOGISTIC
    z = at_zero + per_score * score + per_character * min(length, MAX_LENGTH)
    return 1.0 / (1.0 + exp(-z))


def inside(time: float, spans: Sequence[Span]) -> bool:
    """Say whether a moment lies in one of the spans."""
    return any(start <= time <= end for start, end in spans)


def _touches(turn: Turn, spans: Sequence[Span]) -> bool:
    return any(turn.start < end and turn.end > start for start, end in spans)
