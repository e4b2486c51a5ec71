"""Spoken units: how many syllables a text takes to say.

Rules: one per Chinese character after numbers are written as spoken; none for the ``儿`` of
erhua (这儿 is one syllable); one per spelled Latin letter (three for W, "double-u"); Latin words
by syllable; punctuation never.
"""

from __future__ import annotations

import re

from pipeline.text.numbers import spoken_form
from pipeline.text.script import is_hanzi

# Words in which 儿 is a syllable of its own; anywhere else after a character it is erhua.
_FULL_ER = re.compile(r"[女婴幼胎孤少健宠男育产生]儿|儿[子女童媳歌科孙戏]|^儿")
_LATIN = re.compile(r"[A-Za-zÀ-ÿ]+(?:'[A-Za-z]+)?")
_VOWELS = re.compile(r"[aeiouyà-ÿ]+")
_SPELLED_MAX = 6


def count_units(text: str) -> int:
    """Count the syllables of ``text`` as spoken.

    Parameters
    ----------
    text : str
        Free text; digits, dates, money and percentages are expanded first.

    Returns
    -------
    int
        Spoken units, 0 or more.

    Examples
    --------
    >>> count_units("我的电话是13812345678。")
    16
    >>> count_units("3.5%"), count_units("iPhone"), count_units("VIP")
    (6, 2, 3)
    """
    spoken = spoken_form(text)
    hanzi = sum(map(is_hanzi, spoken)) - _erhua(spoken)
    return hanzi + sum(_latin_units(word) for word in _LATIN.findall(spoken))


def _erhua(text: str) -> int:
    full = {text.index("儿", m.start()) for m in _FULL_ER.finditer(text)}
    return sum(
        1
        for i, c in enumerate(text)
        if c == "儿" and i not in full and i > 0 and is_hanzi(text[i - 1])
    )


def _latin_units(word: str) -> int:
    spelled = len(word) == 1 or (word.isupper() and len(word) <= _SPELLED_MAX)
    lower = word.lower()
    if spelled or not _VOWELS.search(lower):
        return sum(3 if c == "w" else 1 for c in lower if c.isalpha())
    # A capital inside a word starts a new part: WiFi, iPhone, YouTube.
    parts = re.findall(r"[A-Z]?[a-zà-ÿ']+|[A-Z]+(?![a-z])", word)
    return sum(_word_syllables(part.lower()) for part in parts)


def _word_syllables(word: str) -> int:
    count = len(_VOWELS.findall(word))
    silent_e = re.search(r"[^aeiouy]e$", word) and not re.search(r"[^aeiouy]le$", word)
    silent_ed = re.search(r"[^aeioutdy]ed$", word)
    if count > 1 and (silent_e or silent_ed):
        count -= 1
    return max(count, 1)
