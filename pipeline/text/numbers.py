"""Numbers as they are said: digits, dates, times, money and percentages in Chinese characters.

Recognisers write numbers in digits, people speak them; rates, rules and comparisons need what was
spoken. Only the number spans are touched, the rest of the text is left exactly as it came.

Which reading a bare number gets follows how numbers are read on the telephone: a quantity with a
unit is a cardinal (``1000元`` 一千元); five digits and more without a unit, a leading zero, a
short service number and anything called a number (``单号``, ``工号``) are read digit by digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_DIGITS = "零一二三四五六七八九"
_SMALL = ("", "十", "百", "千")
_LARGE = ("", "万", "亿", "万亿")
_SERVICE_NUMBERS = {"110", "112", "114", "119", "120", "122"}
_LONGEST_CARDINAL = 4  # digits; a longer bare number is read digit by digit

_UNITS = (
    "个|位|名|天|周|月|年|岁|次|台|部|件|条|张|份|笔|单|元|块|角|分|毛|万|亿|千|百|点|度|倍|套|只|"
    "家|层|楼|期|级|克|斤|公斤|千克|吨|米|公里|千米|厘米|毫米|升|毫升|平|小时|分钟|秒|刻钟|钟|"
    "人|户|辆|本|页|字|多|左右|以上|以内|以下|来|余|美元|人民币|积分|兆|瓦|伏|赫兹|G|M|K|"
    "kg|km|cm|mm|ml|GB|MB|KB|TB"
)
_MEASURES_AFTER_TWO = (
    "个(?!月前的)|位|名|天|周|年|岁|次|台|部|件|条|张|份|笔|块|毛|元|倍|套|只|家|层|期|小时|分钟|秒|"
    "点|公斤|公里|斤|米|人|户|辆|本|页|万|亿|千"
)
_NUMBER_NAMES = (
    "(?:单号|账号|帐号|工号|卡号|尾号|号码|编号|编码|验证码|密码|电话|手机|证号|房号|机号|账户|"
    "序列号|代码|分机|微信|邮编)"
)
_DIGIT_VALUES = {c: i for i, c in enumerate(_DIGITS)} | {"两": 2, "幺": 1}
_PLACE_VALUES = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000}
_FEW = (3.0, 9.0)  # 几
_FULL_WIDTH = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B))} | {
    code: code - 0xFEE0 for code in (*range(0xFF41, 0xFF5B), 0xFF05, 0xFF0E)
}


def spoken_form(text: str) -> str:
    """Write every number in ``text`` the way it is said.

    Parameters
    ----------
    text : str
        Free text. Text without digits comes back unchanged.

    Returns
    -------
    str
        The same text with numbers in Chinese characters.

    Examples
    --------
    >>> spoken_form("2024年3月15日10:30，共1000元，涨3.5%")
    '二零二四年三月十五日十点三十分，共一千元，涨百分之三点五'
    >>> spoken_form("电话13812345678，工号1024，还要2天")
    '电话一三八一二三四五六七八，工号一零二四，还要两天'
    """
    text = text.translate(_FULL_WIDTH)
    if not any(c.isdigit() for c in text):
        return text
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    return text


def spoken_value(numeral: str) -> float:
    """The value of a spoken numeral: a cardinal, a decimal, or digits read one by one.

    >>> spoken_value("二十四"), spoken_value("一千零五"), spoken_value("三点五"), spoken_value("一五")
    (24.0, 1005.0, 3.5, 15.0)
    """
    if not any(c in _PLACE_VALUES for c in numeral):
        whole, _, fraction = numeral.partition("点")
        digits, decimals = (
            "".join(str(_DIGIT_VALUES[c]) for c in part if c in _DIGIT_VALUES) or "0"
            for part in (whole, fraction)
        )
        return float(f"{digits}.{decimals}")
    total, section, current = 0, 0, 0
    for c in numeral:
        if c in _DIGIT_VALUES:
            current = _DIGIT_VALUES[c]
        elif c in ("万", "亿"):
            total = (total + section + current) * _PLACE_VALUES[c]
            section = current = 0
        elif c in _PLACE_VALUES:
            section += (current or 1) * _PLACE_VALUES[c]
            current = 0
    return float(total + section + current)


def spoken_range(numeral: str) -> tuple[float, float]:
    """The lowest and the highest value that a spoken, perhaps vague, number stands for.

    Neighbouring digits are a range (一两, 三五, 二三十, 十五六), ``几`` is 3 to 9, ``来`` and ``多`` reach
    into the next ten or half, ``到`` joins two numbers.

    >>> spoken_range("一两"), spoken_range("三五"), spoken_range("二三十"), spoken_range("十几")
    ((1.0, 2.0), (3.0, 5.0), (20.0, 30.0), (13.0, 19.0))
    >>> spoken_range("十来"), spoken_range("二十多"), spoken_range("半"), spoken_range("两到三")
    ((10.0, 15.0), (20.0, 29.0), (0.5, 0.5), (2.0, 3.0))
    """
    first, to, last = re.sub("至", "到", numeral).partition("到")
    if to:
        return spoken_range(first)[0], spoken_range(last)[1]
    if numeral in ("半", "个把"):
        return (0.5, 0.5) if numeral == "半" else (1.0, 2.0)
    if numeral[-1:] in ("来", "多"):
        value = spoken_value(numeral[:-1])
        step = next((p for p in (1000, 100, 10) if value >= p and value % p == 0), 1)
        return value, value + (step / 2 if numeral[-1] == "来" else max(step - 1, 1))
    if "几" in numeral:
        before, _, after = numeral.partition("几")
        base = spoken_value(before) if before else 0.0
        times = spoken_value(after) if after else 1.0
        return base + _FEW[0] * times, base + _FEW[1] * times
    pair = re.fullmatch(
        "([百十]?)([一二两三四五六七八])([二两三四五六七八九])([十百千万]?)", numeral
    )
    if pair:
        before, low, high, place = pair.groups()
        step = _DIGIT_VALUES[high] - _DIGIT_VALUES[low]
        if step == 1 or low + high == "三五":
            return spoken_value(before + low + place), spoken_value(before + high + place)
    value = spoken_value(numeral)
    return value, value


def dictated(text: str) -> list[tuple[int, int, str]]:
    """Numbers of five digits and more that were said digit by digit: from where to where, and digits.

    >>> dictated("电话1-3-8-0-8，工号一零零八六"), dictated("1,2,3,4,5个，12345元")
    ([(2, 11, '13808'), (14, 19, '10086')], [])
    """
    found = []
    for match in _DICTATED.finditer(text):
        digits = "".join(
            str(_DIGIT_VALUES.get(c, c)) for c in match[0] if c.isdigit() or c in _DIGIT_VALUES
        )
        if len(digits) > _LONGEST_CARDINAL and digits != match[0]:
            found.append((match.start(), match.end(), digits))
    return found


def read_digits(digits: str) -> str:
    """Read a run of digits one by one.

    >>> read_digits("400")
    '四零零'
    """
    return "".join(_DIGITS[int(c)] for c in digits if c.isdigit())


def read_cardinal(digits: str) -> str:
    """Read a run of digits as a quantity.

    >>> read_cardinal("1005"), read_cardinal("15"), read_cardinal("20000")
    ('一千零五', '十五', '两万')
    """
    digits = digits.lstrip("0")
    if not digits:
        return "零"
    if len(digits) > 4 * len(_LARGE):
        return read_digits(digits)
    groups = [digits[max(0, end - 4) : end] for end in range(len(digits), 0, -4)][::-1]
    out = ""
    for index, group in enumerate(groups):
        value = group.lstrip("0")
        if not value:
            continue
        if out and group.startswith("0"):
            out += "零"
        large = _LARGE[len(groups) - 1 - index]
        two = value == "2" and large
        out += ("两" if two else _read_group(value)) + large
    return re.sub(r"^一十", "十", out)


def _read_group(digits: str) -> str:
    out = ""
    pending_zero = False
    for index, digit in enumerate(digits):
        place = len(digits) - 1 - index
        if digit == "0":
            pending_zero = True
            continue
        if pending_zero and out:
            out += "零"
        pending_zero = False
        out += ("两" if digit == "2" and place == 3 else _DIGITS[int(digit)]) + _SMALL[place]
    return out


def _read_number(number: str) -> str:
    whole, _, fraction = number.replace(",", "").partition(".")
    if fraction and not fraction.strip("0"):
        fraction = ""
    return read_cardinal(whole) + (f"点{read_digits(fraction)}" if fraction else "")


def _date(match: re.Match[str]) -> str:
    year, month, day = match.group(1, 2, 3)
    return f"{read_digits(year)}年{read_cardinal(month)}月{read_cardinal(day)}日"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = match.group(1, 2, 3)
    out = ("两" if hour.lstrip("0") == "2" else read_cardinal(hour)) + "点"
    if int(minute) or second:
        out += ("零" if minute[0] == "0" and int(minute) else "") + read_cardinal(minute) + "分"
    return out + (read_cardinal(second) + "秒" if second else "")


def _fraction(match: re.Match[str]) -> str:
    return f"{read_cardinal(match.group(2))}分之{read_cardinal(match.group(1))}"


def _bare(match: re.Match[str]) -> str:
    digits = match.group(0)
    if digits in _SERVICE_NUMBERS or digits.startswith("0") or len(digits) > _LONGEST_CARDINAL:
        return read_digits(digits)
    return read_cardinal(digits)


_NUM = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_EDGE = r"(?<![\d.])"
# Digits one by one, with what recognisers write between them; no quantity follows.
_DICTATED = re.compile(
    r"(?<![\d.:%十百千万])(?:\d{1,4}(?:[- ]\d{1,4}){2,}|\d(?:, ?\d{1,2}){3,}|[零一二三四五六七八九幺]{5,})"
    r"(?![\d.:%十百千万亿个位名天年月日号元块点分秒、,-])"
)

# Tried in this order; each rule sees what the earlier ones left.
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(_EDGE + r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)"), _date),
    (re.compile(r"(?<!\d)(\d{4})年"), lambda m: read_digits(m[1]) + "年"),
    (re.compile(r"(?<!\d)(\d{2})年(?=\d{1,2}月)"), lambda m: read_digits(m[1]) + "年"),
    (
        re.compile(
            r"(?<![\d:])([01]?\d|2[0-4])[:：]([0-5]\d)(?:[:：]([0-5]\d))?(?![\d:])(?:分(?!钟))?"
        ),
        _time,
    ),
    (re.compile(rf"({_NUM})\s*%"), lambda m: "百分之" + _read_number(m[1])),
    (re.compile(rf"({_NUM})\s*‰"), lambda m: "千分之" + _read_number(m[1])),
    (re.compile(rf"[¥￥]\s*({_NUM})元?"), lambda m: _read_number(m[1]) + "元"),
    (re.compile(rf"\$\s*({_NUM})"), lambda m: _read_number(m[1]) + "美元"),
    (re.compile(rf"({_NUM})\s*(?:℃|°C)"), lambda m: _read_number(m[1]) + "摄氏度"),
    (
        re.compile(rf"({_NUMBER_NAMES}[是为:：\s,，]*)(\d[\d\s-]*\d|\d)(?![.\d])"),
        lambda m: m[1] + read_digits(m[2]),
    ),
    (
        re.compile(r"(?<![\d-])(?:1\d\d \d{4} \d{4}|\d{2,4}(?:-\d{3,8}){1,3})(?![\d-])"),
        lambda m: read_digits(m[0]),
    ),
    # Digits that were dictated: 1-3-8-0, 1,8,9,9, 199-05-7-6.
    (
        re.compile(r"(?<![\d.:])(?<!\d-)\d{1,4}(?:[- ]\d{1,4}){2,}(?![\d.:%-])"),
        lambda m: read_digits(m[0]),
    ),
    (re.compile(r"(?<![\d.,:])\d+(?: \d+)+(?![\d.,:%])"), lambda m: read_digits(m[0])),
    (re.compile(r"(?<![\d.:])\d(?:, ?\d{1,2}){3,}(?![\d.:%,])"), lambda m: read_digits(m[0])),
    (
        re.compile(r"((?:栋|幢|单元|号楼)[,，\s]*)(\d{3,4})(?!\d)"),
        lambda m: m[1] + read_digits(m[2]),
    ),
    (
        re.compile(r"(?<!\d)(\d{1,4})\s*[-~～—]\s*(\d{1,4})(?=[\u4e00-\u9fff])"),
        lambda m: f"{read_cardinal(m[1])}到{read_cardinal(m[2])}",
    ),
    (re.compile(r"(?<![\d/])([1-9])/([2-9]|10)(?![\d/])"), _fraction),
    (re.compile(rf"(?<![\d.,])2(?={_MEASURES_AFTER_TWO})"), lambda m: "两"),
    (re.compile(r"(?<!\d)(\d{3,})(?=号|室|房)"), lambda m: read_digits(m[1])),
    (re.compile(r"(?<=[A-Za-z])\d{3,}(?!\d)"), lambda m: read_digits(m[0])),
    (
        re.compile(rf"(?<![\d.])(\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|[1-9]\d*(?:\.\d+)?)(?={_UNITS})"),
        lambda m: _read_number(m[1]),
    ),
    (re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d.])"), lambda m: _read_number(m[0])),
    (re.compile(r"(?<![\d.])\d+\.\d+(?![\d.])"), lambda m: _read_number(m[0])),
    (re.compile(r"\d+"), _bare),
)
