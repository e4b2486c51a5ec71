"""Conditions on what is said: phrases, patterns, questions, values said back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Annotated, Literal, Self, get_args

from pydantic import model_validator

from pipeline.rubric.context import Call, Scope, inside
from pipeline.rubric.findings import Finding, Hit
from pipeline.rubric.forms import (
    ONE_OR_MORE,
    Flag,
    Form,
    Number,
    Patterns,
    Phrases,
    Reads,
    Who,
    Whole,
    entry,
)
from pipeline.rubric.meaning_rules import Meaning, moments
from pipeline.rubric.places import ANYWHERE, Part, Place, Where
from pipeline.schema import AGENT, CUSTOMER, Span, Speaker, Turn
from pipeline.text import count_units
from pipeline.text.phonetic.phrases import Phrase
from pipeline.text.phonetic.search import Closeness, Match, Strictness
from pipeline.text.phonetic.slots import (
    Information,
    corrected,
    duration_seconds,
    said_again,
    sounds_again,
    stated_information,
)
from pipeline.text.phonetic.streams import Stream

_EXCEPTION_LOSS = 0.75  # characters misheard of what an exception has beyond what it excepts
_START_UNITS = 6  # characters that may precede what counts as said at the start of a turn
_LIMIT_TOLERANCE = 1.15
_ALSO_BEFORE_S = 20.0  # a value may be said back while it is still being stated
_ANSWERED_S = 10.0  # after a value: an agent who was not understood there may have said it back
_JUST_S = 60.0  # what the other party stated so long before is said back, not news
_LEAST_VALUE_S = 0.8  # that a value takes
LIKELY = 0.86  # a phrase found with this among misheard words was said, not left out
UNLIKELY_MEANT = 0.03  # of 372 acts heard, 97 % were in a sentence that is likelier to mean them
LIKELY_FIRST = 0.7  # the same of what nearly all agents say first
LOOSE = re.compile("[…{]")  # words between or a name, of which misheard words tell little
Predicate = Literal[
    "at_turn_start", "whole_sentence", "not_answering", "covers_trigger", "reaches_trigger"
]
Kind = Literal["digits", "code", "date", "address", "detail", "quantity"]
Kinds = Annotated[frozenset[Kind], *ONE_OR_MORE]
# What has to be said back.
_IN_FULL: frozenset[Kind] = frozenset(get_args(Kind)) - {"detail", "quantity"}

_CORRECTION_UNITS = 16  # characters between a value and the one that corrects it
_SENTENCE = re.compile(r"[^。！!?？；;]+[。！!?？；;]*")
_CLAUSE = re.compile(r"[^。！!?？；;，,]+[。！!?？；;，,]*")
_PART = re.compile(r"[^。！!?？；;，,、]+")
# What a part of a sentence asks for: 住哪儿，几点在家 are two questions.
_ASKED = re.compile(
    "多少|什么|哪[儿里个位年天家种一]|(?<![面这那好十])几[个位点号次天年岁楼层]|多[大长久高远]|怎么称呼|贵姓|了没$|没有$|吗$|了吗$"
    "|是.{1,12}还是|.{2}还是(?![不没很要得会能有])."
)
# The same at the end of a part, in a sentence that goes on to say something else.
_ASKED_ON_THE_WAY = re.compile("(?:吗|没有|多少|什么|哪[儿里个]|几[个位点天])$|(.)[不没]\\1")
# Put as a question, it asks for nothing.
_REPROACH = re.compile(
    "凭[什啥]|什么(?:语气|口气|态度|意思)|难道|怪我|哪[里儿](?:不对|错)|怎么可能"
)
_QUESTION_TAIL = 14  # units that a question at the end of a text without punctuation may take
_PAUSE_S = 0.2  # between two words; recognisers leave out marks where people pause
_UNMARKED = 12  # characters; a longer text without any punctuation holds several sentences
_MARKS = re.compile("[，。！？,.!?；;、]")
_QUESTION_WORDS = re.compile(
    "多少|什么|哪|谁|在不在|怎么样|怎样|几[个位点号次天]|是不是|能不能|有没有|可不可以|要不要|对不对|好不好|是否|如何|为何|何时|贵姓|怎么称呼"
    "|是[^，。,.]{1,8}还是|(?<![没不差这那])多[大长久高远]"
)
_UNMARKED_QUESTION = re.compile(f"没有$|{_QUESTION_WORDS.pattern}")
_QUESTION_END = re.compile("(?:吗|呢|么|没有|不)[？?]?$|[？?]$")


class Says(Form):
    """Somebody says phrases: any, all, none or several of them, at a place."""

    by: Who = entry(AGENT, "who says it")
    any: Phrases = entry((), "one of these is said")
    all: Phrases = entry((), "every one of these is said")
    none: Phrases = entry((), "not any of these is said")
    at_least: Whole = entry(1, "so many different ones (with any)", ge=1)
    times: Whole = entry(1, "so often", ge=1)
    excluded: Phrases = entry((), "a hit inside one of these does not count", "except")
    patterns: Patterns = entry((), "regular expressions over the spoken characters", "regex")
    excluded_patterns: Patterns = entry((), "a hit inside one of these does not", "except_regex")
    place: Where = entry(ANYWHERE, "where", "where")
    strictness: Strictness = entry("normal", "how alike words must sound", "match")
    negation: Literal["guard", "ignore"] = entry("guard", "whether 不 before it turns it down")
    only: Annotated[tuple[Predicate, ...], *ONE_OR_MORE] = entry(
        (), "a hit counts only where all of these are true of it"
    )
    max_per_minute: Number | None = entry(None, "said more often does not count as done", ge=0)
    quoted_after: Phrases = entry(
        (), "words after which, in a sentence, somebody else is quoted", "except_after"
    )
    in_a_row: Whole | None = entry(None, "in so many turns one after the other", ge=2)
    not_beside: Phrases = entry((), "a hit does not count in a turn with one of these")
    beside: Phrases = entry((), "a hit counts only in a turn with one of these")
    usually: Part | None = entry(None, "where it is mostly said, if anywhere")
    if_heard: Flag = entry(False, "what was not understood counts as not said")
    or_means: Annotated[Meaning | None, Reads("meaning")] = entry(
        None, "an intent that is as good as the phrases, from the same speaker in the same place"
    )
    if_means: Annotated[Meaning | None, Reads("meaning")] = entry(
        None, "a hit counts only in a sentence that may show this intent: as likely as doubt begins"
    )

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        given = len(self.model_fields_set & {"any", "all", "none"})
        if given > 1 or (not given and not self.patterns):
            raise ValueError("exactly one of any, all, none (or regex) is needed.")
        if self.or_means is not None and not self.any:
            raise ValueError("or_means goes with any.")
        return self

    @property
    def mode(self) -> Literal["any", "all", "none"]:
        """Whether one, all or none of the phrases must be said."""
        return "all" if self.all else "none" if self.none else "any"

    @property
    def phrases(self) -> tuple[Phrase, ...]:
        """The phrases that are looked for."""
        return self.any or self.all or self.none

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Search the place and weigh what was found."""
        spans = self.place.spans(call, scope, self.by)
        careful = scope.asking in ("trigger", "forbidden") and self.strictness == "normal"
        found = self._found(call, scope, spans, "careful" if careful else self.strictness)
        hits = [h for _, h in found]
        distinct = len({name for name, _ in found})
        wanted = len(self.phrases) if self.mode == "all" else self.at_least
        enough = distinct >= wanted and len(hits) >= self.times
        good = [
            h
            for h in hits
            if h.confidence >= call.hearing.min_hit_confidence
            and call.said_confidence(h) >= call.hearing.min_said_confidence
        ]
        if enough:
            confidence = max(h.confidence for h in hits)
            truth: bool | None = True if good else None
            note = "" if good else "heard too unclearly to be sure"
            finding = Finding(truth, tuple(hits), confidence, spans, self.by, note)
        else:
            well, confidence, note = call.heard(
                self.by,
                spans,
                self.place.close and scope.asking != "trigger",
                self.place.takes_s,
            )
            if well and self.usually and scope.asking != "trigger":
                usual = Place(part=self.usually).spans(call, scope, self.by)
                well, _, note = call.heard(self.by, usual, True, self.place.takes_s)
            if well and careful and call.unsure_words(self.by):
                loose = [h for _, h in self._found(call, scope, spans, "normal")]
                hits = [
                    h for h in loose if call.said_confidence(h) < call.hearing.sure_word_confidence
                ]
                if hits:
                    well, confidence, note = False, 0.0, "it may have been said, heard unclearly"
            may_be_misheard = scope.asking == "misheard" and self.strictness != "exact"
            if well and may_be_misheard and not call.is_clear(self.by, spans):
                found = self._found(call, scope, spans, "faint")
                near = [(n, h) for n, h in found if call.misheard(h)]
                if not scope.trigger:  # of an act with a trigger two things would be in doubt
                    near = [(n, h) for n, h in near if self._may_be(call, h)]
                if near:
                    hits = [h for _, h in near]
                    heard = max(hits, key=lambda h: h.confidence)
                    well, confidence = False, 0.0
                    note = f"it may have been said and misheard: {heard.quote}"
                    needed = LIKELY_FIRST if self.place.first_turns == 1 else LIKELY
                    likely = [h for n, h in near if h.confidence >= needed and not LOOSE.search(n)]
                    if likely and self.mode == "any" and max(self.at_least, self.times) == 1:
                        note = f"it was said, as it seems, and misheard: {heard.quote}"
                        one = max(likely, key=lambda h: h.confidence)
                        finding = Finding(True, (one,), one.confidence, spans, self.by, note)
                        return finding.named(self.describe())
            if well or self.if_heard:
                finding = Finding(False, tuple(hits), confidence, spans, self.by)
            else:
                finding = Finding(None, tuple(hits), confidence, spans, self.by, note)
        if finding.truth and self._too_often(call, len(hits)):
            note = f"{len(hits)} times in {call.dialogue.duration:.0f} s is too often"
            finding = Finding(False, tuple(hits), 0.9, spans, self.by, note, wrong=True)
        if self.mode == "none" and finding.truth is not None:
            finding = replace(finding, truth=not finding.truth, wrong=finding.truth)
        return finding.named(self.describe())

    def _may_be(self, call: Call, near: Hit) -> bool:
        """Whether the sentence around what sounds alike may mean it, where that can be told."""
        if self.or_means is None:
            return True
        middle = (near.start + near.end) / 2
        return _may_mean(call, self.by, middle, self.or_means, UNLIKELY_MEANT)

    def describe(self) -> str:
        """Say in words what is looked for."""
        names = [p.notation for p in self.phrases] + [f"/{p.pattern}/" for p in self.patterns]
        few = " | ".join(names[:4]) + (f" | … {len(names) - 4} more" if len(names) > 4 else "")
        times = f" {self.times} times" if self.times > 1 else ""
        return f"{self.by} says {self.mode} of {few}{times}, {self.place.describe()}"

    def _too_often(self, call: Call, count: int) -> bool:
        if self.max_per_minute is None:
            return False
        allowed = self.max_per_minute * call.dialogue.duration / 60.0
        return count > max(2.0, math.ceil(allowed))

    def _found(
        self, call: Call, scope: Scope, spans: Sequence[Span], strictness: Closeness
    ) -> list[tuple[str, Hit]]:
        """What was said in some spans and fits all that the rule asks of it."""
        found = self._search(call, spans, strictness)
        if "not_answering" in self.only:
            found = [f for f in found if not _answers(call, f[1])]
        if self.in_a_row is not None:
            found = _in_a_row(call, self.by, found, self.in_a_row)
        for name, holds in OF_TIMES_STATED.items():
            if name in self.only:
                found = [f for f in found if holds(f[1], scope)]
        return found

    def _search(
        self, call: Call, spans: Sequence[Span], strictness: Closeness
    ) -> list[tuple[str, Hit]]:
        if not spans:
            return []
        stream = call.streams[self.by]
        barred = self._barred(call)
        found: list[tuple[str, Match]] = []
        for phrase in self.phrases:
            matches = call.find(self.by, phrase, strictness, self.negation == "guard")
            found += [(m.phrase, m) for m in matches]
        text = stream.full.text
        for pattern in self.patterns:
            found += [
                (pattern.pattern, Match(m.start(), m.end(), 1.0, f"/{pattern.pattern}/"))
                for m in pattern.finditer(text)
                if m.end() > m.start()
            ]
        quotes = [
            m.end for p in self.quoted_after for m in call.find(self.by, p, self.strictness, False)
        ]
        barred_turns = self._turns_with(call, self.not_beside)
        needed_turns = self._turns_with(call, self.beside)
        out: list[tuple[str, Hit]] = []
        taken: set[int] = set()
        for name, match in sorted(found, key=lambda f: (-f[1].score, f[1].start - f[1].end)):
            middle = (stream.starts[match.start] + stream.ends[match.end - 1]) / 2
            if not inside(middle, spans) or any(_bars(b, match) for b in barred):
                continue
            if any(stream.same_sentence(q, match.start) for q in quotes):
                continue
            if self.quoted_after and stream.in_quotes(match.start, match.end):
                continue
            begins = stream.starts[match.start]
            if any(g[0] <= begins <= g[1] for g in barred_turns):
                continue
            if self.beside and not any(g[0] <= begins <= g[1] for g in needed_turns):
                continue
            if "at_turn_start" in self.only and not stream.starts_turn(match.start, _START_UNITS):
                continue
            if "whole_sentence" in self.only and not _alone(call, self.by, match):
                continue
            again = taken.intersection(range(match.start, match.end))
            if again and self.mode != "all":
                continue
            if self.if_means is not None and not _may_mean(call, self.by, middle, self.if_means):
                continue
            taken.update(range(match.start, match.end))
            out.append((name, call.hit(self.by, match)))
        return sorted(out, key=lambda f: f[1].start)

    def _turns_with(self, call: Call, phrases: Sequence[Phrase]) -> list[Span]:
        """Turns in which one of some phrases is said."""
        stream = call.streams[self.by]
        said = [stream.starts[m.start] for p in phrases for m in call.find(self.by, p, "normal")]
        return [g for g in call.groups(self.by) if any(g[0] <= s <= g[1] for s in said)]

    def _barred(self, call: Call) -> list[Match]:
        """Where one of the exceptions is said."""
        stream = call.streams[self.by]
        strictness: Strictness = "exact" if self.strictness == "exact" else "strict"
        barred = [
            m for phrase in self.excluded for m in call.find(self.by, phrase, strictness, False)
        ]
        if self.excluded_patterns:
            text = stream.full.text
            barred += [
                Match(m.start(), m.end(), 1.0, p.pattern)
                for p in self.excluded_patterns
                for m in p.finditer(text)
            ]
        return barred


class Asks(Form):
    """Somebody asks questions: a number of them in all, or in a single turn."""

    by: Who = entry(AGENT, "who asks")
    times: Whole = entry(1, "so many questions in all", ge=1)
    in_one_turn: Whole | None = entry(None, "so many in a single turn", ge=1)
    excluded: Phrases = entry((), "questions with one of these do not count", "except")
    place: Where = entry(ANYWHERE, "where", "where")

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Count the questions."""
        spans = self.place.spans(call, scope, self.by)
        hits: list[Hit] = []
        barred = [
            call.hit(self.by, m)
            for p in self.excluded
            for m in call.find(self.by, p, "normal", False)
        ]
        barred = list({round(h.start): h for h in barred}.values())
        for turn in call.turns(self.by):
            if not inside((turn.start + turn.end) / 2, spans):
                continue
            count = count_questions(turn.text)
            count -= sum(1 for h in barred if turn.start <= h.start <= turn.end)
            if count > 0 and (self.in_one_turn is None or count >= self.in_one_turn):
                note = f"{count} question{'s' if count > 1 else ''}"
                hit = Hit(turn.start, turn.end, self.by, _short(turn), note, turn.confidence)
                hits += [hit] * (1 if self.in_one_turn is not None else count)
        truth: bool | None = len(hits) >= self.times
        well, confidence, note = call.heard(self.by, spans)
        if not truth and not well:
            truth = None
        unique = tuple(dict.fromkeys(hits))
        return Finding(truth, unique, confidence, spans, self.by, note, self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        if self.in_one_turn is not None:
            return f"{self.by} asks {self.in_one_turn} or more questions in one turn"
        return f"{self.by} asks {self.times} or more questions, {self.place.describe()}"


class States(Form):
    """Somebody states a number, a code, a date, an address or a detail."""

    by: Who = entry(CUSTOMER, "who states it")
    kinds: Kinds = entry(_IN_FULL, "what is stated", "what")
    min_digits: Whole = entry(4, "a number of so many digits at least", ge=1)
    news: Flag = entry(False, "what the other party has just stated does not count")
    place: Where = entry(ANYWHERE, "where", "where")

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """List the values stated."""
        spans = self.place.spans(call, scope, self.by)
        hits = tuple(
            hit
            for info, hit in _stated(call, self.by, self.kinds, self.min_digits)
            if inside(hit.start, spans) and not (self.news and self._says_back(call, info, hit))
        )
        well, confidence, note = call.heard(self.by, spans)
        truth = True if hits else False if well else None
        return Finding(truth, hits, confidence, spans, self.by, note, self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        news = ", not said by the other before" if self.news else ""
        kinds = " or ".join(sorted(self.kinds))
        return f"{self.by} states {kinds}{news}, {self.place.describe()}"

    def _says_back(self, call: Call, info: Information, hit: Hit) -> bool:
        other = call.streams[CUSTOMER if self.by == AGENT else AGENT]
        before = _between(other, hit.start - _JUST_S, hit.start)
        own = call.streams[self.by]
        return before is not None and said_again(info, own, other, *before) is not None


class RepeatsBack(Form):
    """Somebody says back a value that the other party stated."""

    by: Who = entry(AGENT, "who says it back")
    of: Who = entry(CUSTOMER, "who stated it")
    kinds: Kinds = entry(_IN_FULL, "what was stated", "what")
    min_digits: Whole = entry(4, "a number of so many digits at least", ge=1)
    within_s: Number = entry(60.0, "so many seconds after it was stated at most", ge=0)
    share: Number = entry(0.5, "share of the values that is enough", ge=0, le=1)

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Compare each stated value with what was said around it."""
        stream, source_stream = call.streams[self.by], call.streams[self.of]
        stated = _distinct(_stated(call, self.of, self.kinds, self.min_digits), source_stream)
        hits: list[Hit] = []
        missed: list[Hit] = []
        unsure: list[Hit] = []
        for info, source in stated:
            low = source.start - _ALSO_BEFORE_S
            high = source.end + self.within_s
            span, window = None, _between(stream, low, high)
            if window:
                first, last = window
                span = said_again(info, source_stream, stream, first, last)
                if span is None and scope.asking == "misheard":
                    near = sounds_again(info, source_stream, stream, first, last)
                    if near and call.misheard(call.hit(self.by, Match(*near, 1.0, info.value))):
                        span = (*near, False)
            if span is None:
                missed.append(source)
                continue
            match = Match(span[0], span[1], 1.0, f"{info.kind} {info.value}")
            (hits if span[2] else unsure).append(call.hit(self.by, match))
        looked = tuple((s.start - _ALSO_BEFORE_S, s.end + self.within_s) for _, s in stated)
        well, confidence, note = call.heard(self.by, looked)
        enough = self.share * len(stated)
        truth: bool | None = bool(stated) and len(hits) >= enough
        if not truth and stated and len(hits) + len(unsure) >= enough:
            truth, note = True, "something like it was said back, with digits in doubt"
            confidence = min(confidence, *(h.confidence for h in (*hits, *unsure)))
        if scope.asking == "misheard" and not truth:
            for source in missed:
                takes_s = max(_LEAST_VALUE_S, source.end - source.start)
                answer = ((source.start, source.end + _ANSWERED_S),)
                understood, _, why = call.heard(self.by, answer, True, takes_s, 0.0)
                well, note = well and understood, note or why
        if not truth and not well:
            truth = None
        note = note or (f"{len(hits)} of {len(stated)} values said back")
        return Finding(
            truth,
            (*hits, *unsure) or tuple(missed),
            confidence,
            looked,
            self.by,
            note,
            self.describe(),
        )

    def describe(self) -> str:
        """Say in words what is looked for."""
        kinds = " or ".join(sorted(self.kinds))
        return (
            f"{self.by} says back the {kinds} that the {self.of} stated, within {self.within_s:g} s"
        )


def count_questions(text: str) -> int:
    """Count the questions in a text with punctuation.

    >>> count_questions("请问您贵姓？您的电话是多少？"), count_questions("这个地址对吗您喜欢什么颜色的花")
    (2, 2)
    """
    if len(text) >= _UNMARKED and not _MARKS.search(text):
        asked = len(_UNMARKED_QUESTION.findall(text)) + text.count("吗")
        return max(int(_is_question(text)), asked)
    return sum(_questions_of(s) for s in _SENTENCE.findall(text))


def _questions_of(sentence: str) -> int:
    """Questions of one sentence; one that does not end as a question asks several or none."""
    parts = _PART.findall(sentence)
    if _is_question(sentence):
        return max(1, sum(1 for p in parts if _ASKED.search(p)))
    asked = sum(1 for p in parts if _ASKED_ON_THE_WAY.search(p))
    return asked if asked > 1 else 0


def statement_units(text: str) -> int:
    """Count the units of a text outside of its questions, clause by clause."""
    if not _MARKS.search(text):
        return count_units(text) - (_QUESTION_TAIL if _is_question(text) else 0)
    return sum(count_units(c) for c in _CLAUSE.findall(text) if not _is_question(c))


def _is_question(sentence: str) -> bool:
    bare = sentence.rstrip("。！!；;，, ")
    if _QUESTION_END.search(bare):
        return True
    last = re.split("[，,]", bare)[-1]
    return bool(_QUESTION_WORDS.search(last))


def _bars(exception: Match, match: Match) -> bool:
    """Say whether an exception covers a match: the same words count as what they are most like.

    What an exception has beyond the match must sound like it: 理我也没有办法 is not 您也没有办法.
    """
    if (exception.start, exception.end) == (match.start, match.end):
        return exception.score >= match.score
    if exception.start > match.start or match.end > exception.end:
        return False
    return _misheard(exception) - _misheard(match) <= _EXCEPTION_LOSS


def _misheard(match: Match) -> float:
    """Characters of a match that sound otherwise."""
    return (match.end - match.start) * (1.0 - match.score)


def _answers(call: Call, hit: Hit) -> bool:
    """Say whether what the other party said just before was a question."""
    before = [
        t
        for t in call.dialogue.turns
        if t.speaker != hit.speaker and t.start < hit.start and t.text and not t.is_backchannel
    ]
    if not before:
        return False
    heard = [w.text for w in before[-1].words if w.start < hit.start]
    text = "".join(heard) or before[-1].text
    return count_questions(text) > 0 and not _REPROACH.search(text)


def _in_a_row(
    call: Call, speaker: Speaker, found: list[tuple[str, Hit]], wanted: int
) -> list[tuple[str, Hit]]:
    """Keep hits only where ``wanted`` turns of the speaker in a row have one."""
    groups = call.groups(speaker)
    marked = [[f for f in found if inside(f[1].start, [g])] for g in groups]
    run: list[tuple[str, Hit]] = []
    length = 0
    for hits in marked:
        run, length = ([*run, *hits], length + 1) if hits else ([], 0)
        if length >= wanted:
            return run
    return []


def _covers(hit: Hit, scope: Scope) -> bool:
    """Say whether a time limit that was stated is as long as the trigger lasted."""
    stated = [s for _, v in hit.values if (s := duration_seconds(v)) is not None]
    lasted = max((t.end - t.start for t in scope.trigger), default=0.0)
    return bool(stated) and max(stated) * _LIMIT_TOLERANCE >= lasted


def _reaches(hit: Hit, scope: Scope) -> bool:
    """Say whether a time that was stated, counted from its words, lasts into the trigger."""
    stated = [s for _, v in hit.values if (s := duration_seconds(v)) is not None]
    start = min((t.start for t in scope.trigger), default=float("inf"))
    return bool(stated) and hit.end + max(stated) * _LIMIT_TOLERANCE >= start


OF_TIMES_STATED: Mapping[Predicate, Callable[[Hit, Scope], bool]] = {
    "covers_trigger": _covers,
    "reaches_trigger": _reaches,
}


def _stated(
    call: Call, speaker: Speaker, kinds: frozenset[str], min_digits: int
) -> list[tuple[Information, Hit]]:
    stream = call.streams[speaker]
    return [
        (info, call.hit(speaker, Match(info.start, info.end, 1.0, f"{info.kind} {info.value}")))
        for info in stated_information(stream, kinds, min_digits)
    ]


def _between(stream: Stream, low: float, high: float) -> tuple[int, int] | None:
    """The characters that begin in some seconds, first and behind the last; None where there are none."""
    found = [i for i, t in enumerate(stream.starts) if low <= t <= high]
    return (found[0], found[-1] + 1) if found else None


def _distinct(
    stated: list[tuple[Information, Hit]], stream: Stream
) -> list[tuple[Information, Hit]]:
    """Each value once; a value that its speaker takes back at once does not count."""
    seen: dict[str, tuple[Information, Hit]] = {}
    for (info, hit), (later, _) in zip_longest(stated, stated[1:], fillvalue=(None, None)):
        assert info is not None
        assert hit is not None
        if later is not None and later.kind == info.kind:
            between = stream.text(info.end, later.start)
            if len(between) <= _CORRECTION_UNITS and corrected(between):
                continue
        seen.setdefault(info.value, (info, hit))
    return list(seen.values())


def _may_mean(
    call: Call, speaker: Speaker, time: float, meaning: Meaning, least: float | None = None
) -> bool:
    """Say whether the sentence said at a moment may show one of some intents.

    From the probability ``least`` on, or from where the band of doubt begins.
    """
    for turn in call.turns(speaker, listening=True):
        if not turn.start <= time <= turn.end:
            continue
        for intent in meaning.intents:
            low, _ = meaning.doubt or call.meaning.definition(intent).doubt
            low = low if least is None else least
            for part in call.meaning.spans(turn.text, intent):
                start, end = moments(turn, part.start, part.end)
                if start <= time <= end and part.probability >= low:
                    return True
    return False


def _alone(call: Call, speaker: Speaker, match: Match) -> bool:
    """Say whether a match is (nearly) all that its sentence says."""
    stream = call.streams[speaker]
    turn = stream.turns[match.start]
    first, last = match.start, match.end

    def goes_on(at: int) -> bool:
        pause = stream.starts[at] - stream.ends[at - 1] >= _PAUSE_S
        return not stream.marks_before[at] and not pause

    while first > 0 and stream.turns[first - 1] == turn and goes_on(first):
        first -= 1
    while last < len(stream.chars) and stream.turns[last] == turn and goes_on(last):
        last += 1
    return (last - first) - (match.end - match.start) <= 1


def _short(turn: Turn) -> str:
    return turn.text if len(turn.text) <= 48 else turn.text[:47] + "…"
