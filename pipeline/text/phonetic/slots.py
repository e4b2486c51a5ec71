"""Values inside what is said: numbers, durations, dates, addresses, surnames.

Slots in phrases are filled by regular expressions over the spoken form (digits are characters
there). A rubric may add its own under ``slots``. ``surname`` is special: it stands for the surname
of this customer, matched by sound, or for any surname while none is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from rapidfuzz.distance import LCSseq, Levenshtein

from pipeline.schema import CUSTOMER, Dialogue, Span, Turn
from pipeline.text import count_units, surnames
from pipeline.text.numbers import spoken_range, spoken_value
from pipeline.text.phonetic.matching import SlotFinder
from pipeline.text.phonetic.streams import BREAK, Stream, sounds_of
from pipeline.text.similarity import Sound, sound_distance, sound_of

NUMERALS = "零一二两三四五六七八九十百千万亿半几"
_N = f"[{NUMERALS}点]+"
_VAGUE = f"(?:个把|{_N}[来多]?(?:[到至]{_N}[来多]?)?)"
_TIME_UNIT = "(?:个?半?多?(?:工作日|小时|钟头|星期|礼拜|月)|分钟|分半钟?|秒钟?|天|日|周|刻钟)"
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
    "duration": f"(?:{_VAGUE}{_TIME_UNIT}半?|片刻|马上|尽快)",
    "limit": f"(?:{_VAGUE}{_TIME_UNIT}半?)",
    "deadline": f"(?:{_DAY}{_HOUR}?|{_HOUR}|{_N}月{_N}[日号])",
    "date": f"{_N}月{_N}[日号]",
    "name": "[\u4e00-\u9fff]{1,4}",
}
_SECONDS = {
    "秒": 1, "秒钟": 1, "分钟": 60, "刻钟": 900, "小时": 3600, "钟头": 3600, "天": 86400, "日": 86400,
    "工作日": 86400, "周": 604800, "星期": 604800, "礼拜": 604800, "月": 2592000,
}  # fmt: skip
_DURATION = re.compile(
    f"({_VAGUE})个?(半)?(多)?(秒钟?|分半钟?|分钟|刻钟|小时|钟头|天|日|工作日|周|星期|礼拜|月)(半)?"
)
DIGITS = {c: str(i) for i, c in enumerate("零一二三四五六七八九")} | {"两": "2", "幺": "1"}
_PLACE = {"十": 10, "百": 100, "千": 1000, "万": 10000, "亿": 100000000}
_NUMERAL_RUN = re.compile("[零一二两幺三四五六七八九十百千万亿]+")
_BETWEEN_NUMERALS = re.compile(
    "(?<=[零一二三四五六七八九幺])[\u4e00-\u9fff](?=[零一二三四五六七八九幺])"
    "|[要腰药妖](?=[三五七八九][零一二两幺三四五六七八九]{8,})"
)
# The last digits of a number, announced: what sounds like digits is digits (后四位六药物脚).
_LAST_DIGITS = re.compile("(?<=后)([三四六八])位(?:数字?)?(?:就?[是十]|为)?")
_MISHEARD_DIGIT = 0.35
_SAME_DIGIT = str.maketrans("幺〇○", "一零零")
_DATE = re.compile(f"({_N})月({_N})[日号]")
# Letters and digits that name something, read one by one: a plate, the end of an identity number.
_CODE = re.compile("(?<![A-Z])(?:[A-Z]{0,2}[零一二两三四五六七八九]+){1,4}[A-Z]{0,2}(?![A-Z])")
# What is worth saying back, yet often only mentioned: a day, a time, a door, a short number.
_DETAIL = re.compile(
    f"(?<!最)初[一二三四五六七八九十]|[{NUMERALS}]+(?:号楼?|日|栋|幢|座|单元|室|弄|房间?)(?:[{NUMERALS}]{{3,}})?"
    f"|[{NUMERALS}]+点(?:半|钟|整|[{NUMERALS}]{{2,}}分?)?(?![儿都也的])"
    "|(?:周|星期|礼拜)[一二三四五六日天]|[零一二三四五六七八九]{3,}"
    "|[\u4e00-\u9fff]{2}(?:村|镇|乡|街道?|路口?|巷|小区|家园|花园|大厦|广场|大?桥|出口|公寓|宿舍)"
)
_WEEK = ("周", "星期", "礼拜")  # said for each other before a day
# How much or how many: said back, it shows attention; it need not be.
_QUANTITY = re.compile(
    f"(?!一个)[{NUMERALS}]+(?:[套张箱袋瓶桶只份台件双盒位间斤条把个支株]|公斤|米[{NUMERALS}]?|寸|平米?)"
)
_NUMBERED = (  # 十一动 is 十一栋 as it is misheard, 一动不动 is not
    f"(?:[{NUMERALS}]+(?:号楼?|弄|栋|幢|座|单元|楼|室|层)"
    f"|(?:[{NUMERALS}]{{2,}}|[二三四五六七八九十])[动洞冻](?!不))"
)
_ADDRESS = re.compile(
    "[\u4e00-\u9fff]{0,4}(?:省|市|区|县|镇|路|街|大道|巷|弄|村|小区|花园|大厦|广场|苑|城|园|栋|幢|单元|楼)"
    f"[\u4e00-\u9fff{NUMERALS}]{{0,8}}?{_NUMBERED}(?:[\u4e00-\u9fff]{{0,2}}?{_NUMBERED})*"
    "|[\u4e00-\u9fff]{1,3}(?:省|市|区|县|镇)[\u4e00-\u9fff]{0,6}?[\u4e00-\u9fff]{2}"
    "(?:路|街道?|大道|小区|花园|大厦|广场|村)"
)
_STAFF = "教练|师傅|老师|医生|大夫|护士|司机|经理|客服|店员|房东|中介|小伙|小伙子|姑娘|男的|女的"
# 个姓邹的, 教练姓冼 is somebody else.
_SELF_NAMED = re.compile(
    f"(?:免贵|我|本人|敝|(?<![个位那这])(?<!{')(?<!'.join(_STAFF.split('|'))}))姓([\u4e00-\u9fff])(?!的)"
    "|(?:我叫|我的名字(?:叫|是))([\u4e00-\u9fff]{1,2})"
)
_GIVEN_TITLED = re.compile(
    "(?:我是|叫我|我这边是|称呼我)(?:小|老)?([\u4e00-\u9fff]{1,2})(?:先生|女士|小姐|太太|老师)"
)
_OF_COMPANY = re.compile(
    "我(?:是|们是)[\u4e00-\u9fff]{2,14}?(?:公司|集团|厂|店|单位|学校|医院|部|局|中心|银行|工作室|仓库|超市)"
    "的?(?:小|老)?([\u4e00-\u9fff]{1,3})"
)
_ASKED_NAME = re.compile("(?:贵|尊)姓|怎么称呼|如何称呼|姓什么|姓名|您的名字|叫什么")
# 我姓霍 is heard as 我心货, 我行车, 我先真: what sounds like 姓, and what it is not before.
_NAMING = sound_of("xing")
_NAMING_SOUNDS = frozenset((_NAMING, *map(sound_of, ("xin", "xian", "xun"))))
_NO_NAMING = re.compile(
    "[行性][吗吧啊了的呢不嘛呀么得]|信[你您了的任用息他她号箱]|心[里情疼急慌烦累脏口意思愿]"
    "|新[的买办来装换手号车家房户]|行[李程业]|性[别格子]|星期|先生|现[在场金钱]|显[示得]|先[走看问说去来查别用这给挂找付退交打等试回跟把办下到上生想要确了不]"
)
_AFTER_NAME = re.compile(
    "[零一二三四五六七八九]|电话|手机|号码|尾号|后[三四]位|住|地址|(?:.{1,2}的)"
)
_HEARD_WELL = 0.86  # of what sounds like 姓: from here on it is the word that is written
_BARE_NAME = re.compile("(?:嗯|呃|哦|啊|我|免贵|是|叫|姓|小)*([\u4e00-\u9fff]{1,4})")
_NAME_ALONE = re.compile("[嗯呃哦啊]?(?:免贵|我)?姓([\u4e00-\u9fff]{1,2})")
_FAIR_DIGIT = 0.7  # confidence from which on a digit was heard as it is written
_SURE_DIGIT = 0.85  # under it one digit that differs may still be recognition's
_LONG_NUMBER = 6  # digits, from which on it may be said in pieces
_EXTRA_SYLLABLES = 2  # in a value said back and misheard
_LEAST_ALIKE, _SHARE_ALIKE = 3, 0.6  # syllables that it shares with the value at least
_SAME_IN_ORDER = 0.75  # of an address that was said back with a word more or less
_LAST_CHARACTERS = 4  # of a long code that are enough
_JOIN_DIGITS = 4  # characters between two pieces of one number
_CORRECTION = re.compile(
    "不对|不是|错了|说错|搞错|弄错|念错|报错|看错|记错|应该是|更正|哦不|啊不|重新说|重说"
)
_SURE_NAME = 0.6  # below this confidence any surname may be meant
_SURE_ANSWER = 0.8  # the same of a bare answer
_PAUSE_S = 0.1
_BEFORE_NAME = 2  # characters in front of what sounds like 姓 in an answer (免贵姓)
_ANSWER_UNITS = 8  # of a turn that answers a question for the name
_TITLED = re.compile("([\u4e00-\u9fff])(?:先生|女士|小姐|太太|阿姨|叔叔|大[爷叔妈娘哥姐])")
_ANSWER_S = 15.0  # from the question for the name to its answer at most
_BEFORE_TITLES = frozenset("您你的位这那问好是了下嗯啊和跟给请个名对行呢吧哪有我他她同老小大女男")
_NOT_NAMES = frozenset("名氏什么啥您你贵好")


@dataclass(frozen=True, slots=True)
class Surname:
    """The customer's surname as heard, and how sure the hearing was.

    ``by_sound`` is set where even that a name was given is told by sound alone (我心软 for 我姓阮).
    """

    name: str
    confidence: float
    by_sound: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether it is this surname, by its sound; else any may be meant."""
        return self.confidence >= _SURE_NAME or self.by_sound


@dataclass(frozen=True, slots=True)
class Information:
    """One value somebody stated: digits, a code, a date, an address or a passing detail."""

    kind: str
    value: str
    start: int  # positions in the stream
    end: int


def slot_finders(known: Surname | None, extra: Mapping[str, str]) -> dict[str, SlotFinder]:
    """Make the finder of every slot for a dialogue whose customer has this surname, where known."""
    finders = {name: _pattern_finder(p) for name, p in {**BUILT_IN, **extra}.items()}
    finders["surname"] = _surname_finder(known.name if known and known.is_sure else None)
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
    return (
        _named_with_company(customer)
        or _name_taken_up(dialogue, agent)
        or _answered_name(dialogue, agent)
        or _named_by_sound(customer, agent)
    )


def duration_seconds(text: str) -> float | None:
    """Give the seconds of a spoken duration, the upper end where it is vague.

    >>> duration_seconds("一分钟"), duration_seconds("半个小时"), duration_seconds("二十四小时")
    (60.0, 1800.0, 86400.0)
    >>> duration_seconds("一两分钟"), duration_seconds("一个半小时"), duration_seconds("十来分钟")
    (120.0, 5400.0, 900.0)
    """
    match = _DURATION.match(text)
    if not match:
        return None
    number, half_before, more, unit, half_after = match.groups()
    value = spoken_range(number)[1] + ((0.5 if number == "半" else 1.0) if more else 0.0)
    if half_before or half_after or unit.startswith("分半"):
        value += 0.5
    return value * _SECONDS["分钟" if unit.startswith("分半") else unit]


def stated_information(stream: Stream, kinds: frozenset[str], min_digits: int) -> list[Information]:
    """List the values of the given kinds in a stream.

    ``digits`` (``min_digits`` of them at least), ``code`` (letters and digits), ``date``,
    ``address``, ``detail``: a day, a time, a door or a short number, and ``quantity``: how many or much.
    """
    text = _as_said(stream.full.text)
    found: list[Information] = []
    if "address" in kinds:
        found += [Information("address", m[0], *m.span()) for m in _ADDRESS.finditer(text)]
    if "date" in kinds:
        found += [Information("date", f"{_digits(m[1])}-{_digits(m[2])}", *m.span())
                  for m in _DATE.finditer(text)]  # fmt: skip
    if "code" in kinds:
        found += [
            Information("code", m[0], *m.span())
            for m in _CODE.finditer(text)
            if re.search("[A-Z]", m[0]) and len(m[0]) >= min_digits and len(_digits(m[0])) > 1
        ]
    if "detail" in kinds:
        found += [Information("detail", m[0], *m.span()) for m in _DETAIL.finditer(text)]
    if "quantity" in kinds:
        found += [Information("quantity", m[0], *m.span()) for m in _QUANTITY.finditer(text)]
    if "digits" in kinds:
        for m in _NUMERAL_RUN.finditer(text):
            digits = _digits(m[0])
            inside = any(i.start <= m.start() < i.end for i in found)
            if len(digits) >= min_digits and not inside and not _quantity(text, m):
                found.append(Information("digits", digits, *m.span()))
    return sorted(found, key=lambda i: i.start)


def said_again(
    wanted: Information, source: Stream, stream: Stream, start: int, end: int
) -> tuple[int, int, bool] | None:
    """Find a value of one speaker in characters ``start`` to ``end`` of the other's stream.

    Parameters
    ----------
    wanted : Information
        What was stated in ``source``.
    source, stream : Stream
        Of the two speakers.
    start, end : int
        Characters of ``stream`` to look at.

    Returns
    -------
    tuple of (int, int, bool) or None
        Where it was said, and whether that is sure. A code or a detail must be said in the same
        words. Digits are aligned one by one: those that
        differ where either was recognised with little confidence leave it open; one of eight may
        have been dropped. An address may differ in two sounds of five.
    """
    if wanted.kind == "address":
        span = _similar_stretch(wanted.value, stream, start, end)
        return (*span, True) if span else None
    text = _as_said(stream.full.text[start:end])
    if wanted.kind in ("code", "detail", "quantity"):
        text, value = text.replace("两", "二"), wanted.value.replace("两", "二")
        if value not in text and len(value) >= _LONG_NUMBER:
            value = value[-_LAST_CHARACTERS:]
        days = (value, *(re.sub("^(?:周|星期|礼拜)", week, value) for week in _WEEK))
        value = next((v for v in days if v in text), value)
        at = text.find(value)
        if at < 0:
            return None
        first, last = start + at, start + at + len(value)
        return first, last, min(stream.confidences[first:last]) >= _FAIR_DIGIT
    if wanted.kind == "date":
        for m in _DATE.finditer(text):
            if f"{_digits(m[1])}-{_digits(m[2])}" == wanted.value:
                return start + m.start(), start + m.end(), True
        return None
    asked = _per_digit(wanted.value, source, wanted.start, wanted.end)
    best: tuple[int, int, int, int] | None = None
    for run, first, last in _digit_runs(text, len(wanted.value)):
        heard = _per_digit(run, stream, start + first, start + last)
        for goal, doubt in _goals(run, wanted.value, asked):
            size = len(goal)
            windows = range(max(1, len(run) - size + 1)) if len(run) > size else (0,)
            for at in windows:
                piece = run[at : at + size]
                hard, soft = _differences(goal, doubt, piece, heard[at : at + size])
                dropped = size // 8 if len(piece) != size else 0
                rank = (max(0, hard - dropped), hard + soft, start + first, start + last)
                best = rank if best is None or rank < best else best
    if best is None:
        return None
    hard, every, first, last = best
    size = len(wanted.value)
    if hard == 0 and every <= max(size // 4, size // 8):
        return first, last, True
    lowest = min([*asked, *_per_digit(wanted.value, stream, first, last)])
    if every <= size / 3 and (lowest < _FAIR_DIGIT or (lowest < _SURE_DIGIT and hard <= 1)):
        return first, last, False
    return None


def sounds_again(
    wanted: Information, source: Stream, stream: Stream, start: int, end: int
) -> tuple[int, int] | None:
    """Find the stretch that sounds most like a value of the other speaker; None if few syllables do.

    What a recogniser made of a number said back is often other words of the same sound (留武器, 六五七).
    """
    value = [s[:1] for s in source.sounds[wanted.start : wanted.end]]
    heard = [s[:1] for s in stream.sounds[start:end]]
    reach = len(value) + _EXTRA_SYLLABLES
    alike, at = max(
        ((LCSseq.similarity(value, heard[i : i + reach]), -i) for i in range(len(heard))),
        default=(0, 0),
    )
    if alike < max(_LEAST_ALIKE, _SHARE_ALIKE * len(value)):
        return None
    return start - at, min(end, start - at + reach)


def corrected(text: str) -> bool:
    """Say whether the words between two values take the first one back.

    >>> corrected("哦不对是"), corrected("然后电话是")
    (True, False)
    """
    return bool(_CORRECTION.search(text))


def _per_digit(digits: str, stream: Stream, start: int, end: int) -> list[float]:
    """The confidence of each digit; the mean where characters and digits do not pair."""
    given = stream.confidences[start:end]
    if len(given) == len(digits):
        return given
    return [sum(given) / max(len(given), 1)] * len(digits)


def _digit_runs(text: str, size: int) -> list[tuple[str, int, int]]:
    """Digit strings in a text; pieces of a long number with a few words between are joined."""
    runs = [(_digits(m[0]), *m.span()) for m in _NUMERAL_RUN.finditer(text)]
    runs = [r for r in runs if r[0]]
    out = [r for r in runs if len(r[0]) >= min(3, size)]
    for i in range(len(runs)):
        digits, first, last = runs[i]
        for other in runs[i + 1 :]:
            if other[1] - last > _JOIN_DIGITS or len(digits) > size or size < _LONG_NUMBER:
                break
            digits, last = digits + other[0], other[2]
            out.append((digits, first, last))
    return out


def _goals(run: str, value: str, doubts: list[float]) -> list[tuple[str, list[float]]]:
    """What a run may be: the whole value, or its last four or more digits."""
    goals = [(value, doubts)]
    if 4 <= len(run) < len(value):
        goals.append((value[-len(run) :], doubts[-len(run) :]))
    return goals


def _differences(
    goal: str, goal_confidence: list[float], said: str, confidence: list[float]
) -> tuple[int, int]:
    """Digits that differ: those clearly heard on both sides, and the others."""
    hard = soft = 0
    for edit in Levenshtein.editops(goal, said):
        sure = min(
            goal_confidence[min(edit.src_pos, len(goal_confidence) - 1)],
            confidence[min(edit.dest_pos, len(confidence) - 1)],
        )
        hard, soft = (hard + 1, soft) if sure >= _FAIR_DIGIT else (hard, soft + 1)
    return hard, soft


def _similar_stretch(value: str, stream: Stream, start: int, end: int) -> tuple[int, int] | None:
    wanted = [sounds_of(c) for c in value]
    size = len(wanted)
    for at in range(start, max(start, end - size) + 1):
        heard = stream.sounds[at : at + size]
        same = sum(1 for a, b in zip(wanted, heard, strict=False) if _alike(a, b))
        in_order = LCSseq.similarity([w[:1] for w in wanted], [h[:1] for h in heard])
        if same >= 0.6 * size or in_order >= _SAME_IN_ORDER * size:
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


def any_character(text: str, at_end: bool) -> tuple[int, str] | None:
    """Take any character for what a name may have been misheard as."""
    return (1, text[-1] if at_end else text[0]) if text else None


def may_be_name(values: Iterable[tuple[str, str]]) -> bool:
    """Say whether no surname among the values of a match is a word that stands before titles."""
    return not any(slot == "surname" and value in _BEFORE_TITLES for slot, value in values)


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


def _named_with_company(customer: Stream) -> Surname | None:
    """The surname in 我是…公司的李明, where a name ends the clause."""
    text = customer.full.text
    for match in _OF_COMPANY.finditer(text):
        name = match[1][:2] if match[1][:2] in surnames() else match[1][:1]
        ends = match.end() == len(text) or bool(customer.marks_before[match.end()])
        if name in surnames() and (ends or text[match.end()] == BREAK):
            return Surname(name, customer.confidences[match.start(1)])
    return None


def _answered_name(dialogue: Dialogue, agent: Stream) -> Surname | None:
    """The name in the customer's short answer to a question for it."""
    for answer in _answers(dialogue, agent):
        text = "".join(c for c in answer.text if c.isalnum())
        match = _BARE_NAME.fullmatch(text)
        if match and _sounds_like_surname(match[1][:1]):
            name = match[1][:2] if match[1][:2] in surnames() else match[1][:1]
            return Surname(name, answer.confidence if answer.confidence >= _SURE_ANSWER else 0.0)
    return None


def _name_taken_up(dialogue: Dialogue, agent: Stream) -> Surname | None:
    """The name in a short misheard answer, as the agent says it before a title (归心工; 公阿姨)."""
    for answer in _answers(dialogue, agent):
        if count_units(answer.text) > _ANSWER_UNITS:
            continue
        said = {s for c in answer.text for s in sounds_of(c)}
        for match in _TITLED.finditer(agent.full.text):
            if _misheard_surname(match[1]) and said.intersection(sounds_of(match[1])):
                return Surname(match[1], agent.confidences[match.start()])
    return None


def _answers(dialogue: Dialogue, agent: Stream) -> Iterator[Turn]:
    """The customer's next turn after each question of the agent for the name."""
    for index in sorted({agent.turns[m.start()] for m in _ASKED_NAME.finditer(agent.full.text)}):
        yield from [t for t in dialogue.turns[index + 1 :] if t.speaker == CUSTOMER][:1]


def name_answer(dialogue: Dialogue) -> Span | None:
    """When the customer said nothing but a name after the agent, as one answers a question for it.

    Recognisers mishear such questions more than their answers (预定人这么长虎; 我姓欧阳).
    """
    for before, turn in pairwise(t for t in dialogue.turns if t.text and not t.is_backchannel):
        if turn.speaker != CUSTOMER or before.speaker == CUSTOMER:
            continue
        text = "".join(c for c in turn.text if c.isalnum())
        named = _NAME_ALONE.fullmatch(text)
        sounds_named = (
            len(text) == len("我姓何")
            and text[0] == "我"
            and _NAMING in sounds_of(text[1])
            and turn.confidence < _HEARD_WELL
            and not _NO_NAMING.match(text[1:])
        )
        if sounds_named or (named and named[1][0] not in _NOT_NAMES):
            return turn.start, turn.end
    return None


def _named_by_sound(customer: Stream, agent: Stream) -> Surname | None:
    """The surname in words that only sound like 我姓…, or like 姓… after a question for the name."""
    asked = [agent.starts[m.start()] for m in _ASKED_NAME.finditer(agent.full.text)]
    text = customer.full.text
    for at in range(len(text) - 1):
        if not _NAMING_SOUNDS.intersection(customer.sounds[at]) or text[at + 1] == BREAK:
            continue
        own = at > 0 and text[at - 1] == "我"
        begins = customer.starts_turn(at, _BEFORE_NAME)
        answers = begins and any(0 <= customer.starts[at] - t <= _ANSWER_S for t in asked)
        if not own and not answers:
            continue
        rest = text[at + 2 :]
        ends = (
            not rest
            or rest[0] == BREAK
            or bool(customer.marks_before[at + 2].strip())
            or customer.starts[at + 2] - customer.ends[at + 1] >= _PAUSE_S
        )
        doubtful = customer.confidences[at] < _HEARD_WELL
        if not doubtful or _NO_NAMING.match(text[at:]) or not (ends or _AFTER_NAME.match(rest)):
            continue
        name, confidence = text[at + 1], customer.confidences[at + 1]
        if own and ends and _NAMING in customer.sounds[at]:
            return Surname(name, confidence)
        return Surname(name, confidence, by_sound=True)
    return None


def _quantity(text: str, match: re.Match[str]) -> bool:
    """Say whether a numeral run is an amount rather than a number somebody is known by.

    What is said short (一千五, 两万八) is money, whatever follows.
    """
    if not any(c in _PLACE for c in match[0]):
        return False
    return bool(re.search("[百千万亿][一二三四五六七八九]$", match[0])) or text[
        match.end() : match.end() + 1
    ] in set("元块个天年月日号点分次台件小岁度公多来几余万美人兆平米斤位遍回条期种%")


def _as_said(text: str) -> str:
    """One spelling of digits and letters; a character between numerals that sounds as one is one."""
    text = text.upper()
    for m in _LAST_DIGITS.finditer(text):
        said = text[m.end() : m.end() + int(DIGITS[m[1]])]
        digits = [_digit_like(c) for c in said]
        if len(said) == int(DIGITS[m[1]]) and all(digits) and set(said) & set(DIGITS):
            text = text[: m.end()] + "".join(digits) + text[m.end() + len(said) :]
    text = text.translate(_SAME_DIGIT)
    return _BETWEEN_NUMERALS.sub(
        lambda m: next((d for d in DIGITS if sounds_of(d) == sounds_of(m[0])), m[0]), text
    )


@cache
def _digit_like(character: str) -> str:
    """The digit that a character sounds most like; an empty text for one that sounds like none."""
    found = [
        (min(sound_distance(a, b) for a in sounds_of(d) for b in sounds_of(character)), d)
        for d in DIGITS
        if sounds_of(character)
    ]
    distance, digit = min(found, default=(1.0, ""))
    return digit if distance <= _MISHEARD_DIGIT else ""


def _digits(numeral: str) -> str:
    numeral = numeral.replace("点", "")
    if not set(numeral) - set("百千万亿"):  # 千万别 names no number
        return ""
    plain = re.search("[零一二两幺三四五六七八九]{3,}", numeral) is not None  # read one by one
    if any(c in _PLACE for c in numeral) and not plain:
        return str(int(spoken_value(numeral)))
    return "".join(DIGITS.get(c, "") for c in numeral)
