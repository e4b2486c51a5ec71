"""Values inside what is said: numbers, durations, dates, addresses, surnames.

Slots in phrases are filled by regular expressions over the spoken form (digits are characters
there). A rubric may add its own under ``slots``. ``surname`` is special: it stands for the surname
of this customer, matched by sound, or for any surname while none is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from rapidfuzz.distance import Levenshtein

from pipeline.schema import CUSTOMER, Dialogue
from pipeline.text import surnames
from pipeline.text.phonetic.matching import SlotFinder
from pipeline.text.phonetic.streams import Stream, sounds_of
from pipeline.text.similarity import Sound, sound_distance

NUMERALS = "零一二两三四五六七八九十百千万亿半几"
_N = f"[{NUMERALS}点]+"
_TIME_UNIT = "(?:个?(?:工作日|小时|钟头|星期|礼拜|月)|分钟|秒钟?|天|日|周|刻钟|工作日)"
_DAY = (
    "(?:今天|明天|后天|今晚|今日|明日|当天|次日|本周|下周|这周|"
    "周[一二三四五六日末天]|星期[一二三四五六日天])"
)
_PART_OF_DAY = "(?:上午|下午|晚上|中午|早上|傍晚)"
_HOUR = f"(?:{_PART_OF_DAY}?{_N}点(?:半|钟|整|{_N}分)?|下班|{_PART_OF_DAY})"
BUILT_IN: Mapping[str, str] = {
    "number": _N,
    "digits": "[零一二三四五六七八九]{3,}",
    "unit": "[\u4e00-\u9fff]{1,2}",
    "duration": f"(?:{_N}{_TIME_UNIT}半?|半(?:个)?(?:小时|分钟|钟头|天|个月)|片刻|马上|尽快)",
    "limit": f"(?:{_N}(?:到{_N})?{_TIME_UNIT}半?|半个?(?:小时|分钟|钟头|天|月))",
    "deadline": f"(?:{_DAY}{_HOUR}?|{_HOUR}|{_N}月{_N}[日号])",
    "date": f"{_N}月{_N}[日号]",
    "name": "[\u4e00-\u9fff]{1,4}",
}
_SECONDS = {
    "秒": 1, "秒钟": 1, "分钟": 60, "刻钟": 900, "小时": 3600, "钟头": 3600, "天": 86400, "日": 86400,
    "工作日": 86400, "周": 604800, "星期": 604800, "礼拜": 604800, "月": 2592000,
}  # fmt: skip
_DIGIT = {c: str(i) for i, c in enumerate("零一二三四五六七八九")} | {"两": "2", "幺": "1"}
_PLACE = {"十": 10, "百": 100, "千": 1000, "万": 10000, "亿": 100000000}
_NUMERAL_RUN = re.compile("[零一二两幺三四五六七八九十百千万亿]+")
_BETWEEN_NUMERALS = re.compile(
    "(?<=[零一二三四五六七八九])[\u4e00-\u9fff](?=[零一二三四五六七八九])"
)
_DATE = re.compile(f"({_N})月({_N})[日号]")
_ADDRESS = re.compile(
    "[\u4e00-\u9fff]{0,4}"
    "(?:省|市|区|县|镇|路|街|大道|巷|弄|村|小区|花园|大厦|广场|栋|幢|单元|楼|室)"
    f"[\u4e00-\u9fff{NUMERALS}]{{0,8}}(?:路|街|大道|弄|号|小区|花园|大厦|栋|幢|单元|楼|室)"
)
_SELF_NAMED = re.compile(
    "(?:免贵|我|本人|敝)?姓([\u4e00-\u9fff])|(?:我叫|我的名字(?:叫|是))([\u4e00-\u9fff]{1,2})"
)
_GIVEN_TITLED = re.compile(
    "(?:我是|叫我|我这边是|称呼我)(?:小|老)?([\u4e00-\u9fff]{1,2})(?:先生|女士|小姐|太太|老师)"
)
_ASKED_NAME = re.compile("(?:贵|尊)姓|怎么称呼|如何称呼|姓什么|您的姓名|您的名字|叫什么")
_BARE_NAME = re.compile("(?:嗯|呃|哦|啊|我|免贵|是|叫|姓|小)*([\u4e00-\u9fff]{1,4})")
_SURE_NAME = 0.6  # below this confidence any surname may be meant
_BEFORE_TITLES = frozenset("您你的位这那问好是了下嗯啊和跟给请个名对行呢吧哪有我他她同老小大女男")
_NOT_NAMES = frozenset("名氏什么啥您你贵好")


@dataclass(frozen=True, slots=True)
class Surname:
    """The customer's surname as heard, and how sure the hearing was."""

    name: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Information:
    """One value somebody stated: a digit string, a date or an address."""

    kind: str
    value: str
    start: int  # positions in the stream
    end: int


def slot_finders(
    dialogue: Dialogue, customer: Stream, agent: Stream, extra: Mapping[str, str]
) -> dict[str, SlotFinder]:
    """Make the finder of every slot for one dialogue."""
    finders = {name: _pattern_finder(p) for name, p in {**BUILT_IN, **extra}.items()}
    known = customer_surname(dialogue, customer, agent)
    sure = known is not None and known.confidence >= _SURE_NAME
    finders["surname"] = _surname_finder(known.name if known and sure else None)
    finders["any_surname"] = _surname_finder(None)
    return finders


def customer_surname(dialogue: Dialogue, customer: Stream, agent: Stream) -> Surname | None:
    """Give the customer's surname from the metadata or from what the customer said.

    Recognition may have written another character of the same sound; callers compare by sound.
    """
    named = (dialogue.recording.customer_name or "").strip()
    if named:
        return Surname(named[:2] if named[:2] in surnames() else named[:1], 1.0)
    text = customer.full.text
    for pattern in (_SELF_NAMED, _GIVEN_TITLED):
        for match in pattern.finditer(text):
            name = next(g for g in match.groups() if g)
            name = name[:2] if name[:2] in surnames() else name[:1]
            if name not in _NOT_NAMES and _sounds_like_surname(name):
                return Surname(name, customer.confidences[match.end() - 1])
    return _answered_name(dialogue, agent)


def duration_seconds(text: str) -> float | None:
    """Give the seconds of a spoken duration.

    >>> duration_seconds("一分钟"), duration_seconds("半个小时"), duration_seconds("二十四小时")
    (60.0, 1800.0, 86400.0)
    """
    match = re.match(
        f"(半|{_N})(?:到({_N}))?个?(秒钟?|分钟|刻钟|小时|钟头|天|日|工作日|周|星期|礼拜|月)(半)?",
        text,
    )
    if not match:
        return None
    first, last, unit, half = match.groups()
    number = 0.5 if first == "半" else _cardinal((last or first).replace("几", "五"))
    return (number + (0.5 if half else 0.0)) * _SECONDS[unit]


def stated_information(stream: Stream, kinds: frozenset[str], min_digits: int) -> list[Information]:
    """List the values of the given kinds (``digits``, ``date``, ``address``) in a stream."""
    text = _with_misheard_digits(stream.full.text)
    found: list[Information] = []
    if "address" in kinds:
        found += [Information("address", m[0], *m.span()) for m in _ADDRESS.finditer(text)]
    if "date" in kinds:
        found += [Information("date", f"{_digits(m[1])}-{_digits(m[2])}", *m.span())
                  for m in _DATE.finditer(text)]  # fmt: skip
    if "digits" in kinds:
        for m in _NUMERAL_RUN.finditer(text):
            digits = _digits(m[0])
            inside = any(i.start <= m.start() < i.end for i in found)
            if len(digits) >= min_digits and not inside and not _quantity(text, m):
                found.append(Information("digits", digits, *m.span()))
    return sorted(found, key=lambda i: i.start)


def said_again(
    wanted: Information, stream: Stream, start: int, end: int, unsure: bool = False
) -> tuple[int, int] | None:
    """Find the value in characters ``start`` to ``end`` of another speaker's stream, by sound.

    Digits must agree, except that one of eight may have been dropped in recognition; where they
    were recognised with low confidence, one of four may differ. An address may differ in two
    sounds of five.
    """
    text = _with_misheard_digits(stream.full.text[start:end])
    if wanted.kind == "address":
        return _similar_stretch(wanted.value, stream, start, end)
    if wanted.kind == "date":
        for m in _DATE.finditer(text):
            if f"{_digits(m[1])}-{_digits(m[2])}" == wanted.value:
                return start + m.start(), start + m.end()
        return None
    best: tuple[float, tuple[int, int]] | None = None
    for m in _NUMERAL_RUN.finditer(text):
        digits = _digits(m[0])
        if len(digits) < min(3, len(wanted.value)):
            continue
        dropped = len(digits) != len(wanted.value)
        allowed = len(wanted.value) // 4 if unsure else len(wanted.value) // 8 if dropped else 0
        distance = min(
            Levenshtein.distance(digits, wanted.value),
            _tail_distance(digits, wanted.value),
        )
        if distance <= allowed and (best is None or distance < best[0]):
            best = distance, (start + m.start(), start + m.end())
    return best[1] if best else None


def _tail_distance(said: str, wanted: str) -> int:
    """Distance when only the last four or more digits are said back, or one run holds several."""
    if len(said) >= 4 and len(wanted) > len(said):
        return Levenshtein.distance(said, wanted[-len(said) :])
    if len(said) > len(wanted):
        windows = range(len(said) - len(wanted) + 1)
        return min(Levenshtein.distance(said[i : i + len(wanted)], wanted) for i in windows)
    return len(wanted)


def _similar_stretch(value: str, stream: Stream, start: int, end: int) -> tuple[int, int] | None:
    wanted = [sounds_of(c) for c in value]
    size = len(wanted)
    for at in range(start, max(start, end - size) + 1):
        heard = stream.sounds[at : at + size]
        same = sum(1 for a, b in zip(wanted, heard, strict=False) if _alike(a, b))
        if same >= 0.6 * size:
            return at, min(at + size, end)
    return None


def _pattern_finder(pattern: str) -> SlotFinder:
    opening, closing = re.compile(pattern), re.compile(f"(?:{pattern})$")

    def find(text: str, at_end: bool) -> tuple[int, str] | None:
        match = closing.search(text) if at_end else opening.match(text)
        return (len(match[0]), match[0]) if match and match[0] else None

    return find


def _surname_finder(known: str | None) -> SlotFinder:
    def find(text: str, at_end: bool) -> tuple[int, str] | None:
        for length in (2, 1):
            name = text[-length:] if at_end else text[:length]
            if len(name) < length:
                continue
            if known is None and (name in surnames() or _misheard_surname(name)):
                return length, name
            if known is not None and len(known) == length and _same_name(known, name):
                return length, name
        return None

    return find


def _same_name(known: str, heard: str) -> bool:
    pairs = zip(known, heard, strict=True)
    return all(a == b or _alike(sounds_of(a), sounds_of(b)) for a, b in pairs)


def _alike(one: tuple[Sound, ...], other: tuple[Sound, ...]) -> bool:
    return any(sound_distance(a, b) <= 0.35 for a in one for b in other)


def _sounds_like_surname(name: str) -> bool:
    if name in surnames():
        return True
    return len(name) == 1 and any(s in _surname_sounds() for s in sounds_of(name))


def _misheard_surname(name: str) -> bool:
    return len(name) == 1 and name not in _BEFORE_TITLES and _sounds_like_surname(name)


@cache
def _surname_sounds() -> frozenset[Sound]:
    return frozenset(sounds_of(n)[0] for n in surnames() if len(n) == 1)


def _answered_name(dialogue: Dialogue, agent: Stream) -> Surname | None:
    """The name in the customer's short answer to a question for it."""
    asked = {agent.turns[m.start()] for m in _ASKED_NAME.finditer(agent.full.text)}
    for index in sorted(asked):
        answer = next((t for t in dialogue.turns[index + 1 :] if t.speaker == CUSTOMER), None)
        text = "".join(c for c in answer.text if c.isalnum()) if answer else ""
        match = _BARE_NAME.fullmatch(text)
        if answer and match and _sounds_like_surname(match[1][:1]):
            name = match[1][:2] if match[1][:2] in surnames() else match[1][:1]
            return Surname(name, answer.confidence)
    return None


def _quantity(text: str, match: re.Match[str]) -> bool:
    """Say whether a numeral run is an amount rather than a number somebody is known by."""
    return any(c in _PLACE for c in match[0]) and text[match.end() : match.end() + 1] in set(
        "元块个天年月日号点分次台件小岁度公%"
    )


def _with_misheard_digits(text: str) -> str:
    """Write a character that stands between numerals and sounds like a digit as that digit."""
    return _BETWEEN_NUMERALS.sub(
        lambda m: next((d for d in _DIGIT if sounds_of(d) == sounds_of(m[0])), m[0]), text
    )


def _digits(numeral: str) -> str:
    numeral = numeral.replace("点", "")
    if any(c in _PLACE for c in numeral):
        return str(int(_cardinal(numeral)))
    return "".join(_DIGIT.get(c, "") for c in numeral)


def _cardinal(numeral: str) -> float:
    if not any(c in _PLACE for c in numeral):
        whole, _, fraction = numeral.partition("点")
        digits = "".join(_DIGIT.get(c, "") for c in whole) or "0"
        decimals = "".join(_DIGIT.get(c, "") for c in fraction)
        return float(f"{digits}.{decimals or 0}")
    total, section, current = 0, 0, 0
    for c in numeral:
        if c in _DIGIT:
            current = int(_DIGIT[c])
        elif c in ("万", "亿"):
            total = (total + section + current) * _PLACE[c]
            section = current = 0
        elif c in _PLACE:
            section += (current or 1) * _PLACE[c]
            current = 0
    return float(total + section + current)
