"""Sounds: the toneless pinyin syllable of each character.

``ü`` is written ``v`` (``lv``, ``nv``), as pypinyin does in its normal style. Digits sound as they
are read one by one, Latin letters stand for themselves, everything else is silent.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from pipeline.text.script import is_hanzi

_SPOKEN_IN_TWO_WAYS = frozenset(
    "行还得了长重都着乐便调觉弹省差地会给什呢那这哪谁没降藏薄单解角校模累率曾盛朴仇查翟区任尉"
)
_REMEMBERED = 65_536  # words; the built-in rubric and intents hold 6,000
_DIGITS = ("ling", "yi", "er", "san", "si", "wu", "liu", "qi", "ba", "jiu")


def syllables(text: str) -> list[str]:
    """Give the toneless syllable of every character, readings chosen by context.

    Parameters
    ----------
    text : str
        Any text, simplified or traditional.

    Returns
    -------
    list of str
        As long as ``text``; silent characters (punctuation, spaces) give ``""``.

    Examples
    --------
    >>> syllables("银行，OK1")
    ['yin', 'hang', '', 'o', 'k', 'yi']
    """
    from pypinyin.core import Pinyin  # its phrases take 50 MB, which not everybody needs

    return [sound for word in Pinyin().seg(text) for sound in _syllables_of_word(word)]


@lru_cache(maxsize=_REMEMBERED)
def _syllables_of_word(word: str) -> tuple[str, ...]:
    """The syllables of one word of pypinyin's segmentation, within which alone readings depend."""
    from pypinyin import Style, lazy_pinyin

    # A list from ``errors`` keeps one entry per character; the type stub only foresees a string.
    one_each: Any = _other
    return tuple(lazy_pinyin(word, style=Style.NORMAL, errors=one_each))


@cache
def readings(character: str) -> tuple[str, ...]:
    """Give the toneless readings of one character in everyday speech, the most usual first.

    Dictionaries list many readings that are never heard today (有 as ``wei``); a second reading
    is given only for the characters that are really spoken in two ways.

    >>> readings("行"), readings("有")
    (('xing', 'hang'), ('you',))
    """
    if not is_hanzi(character):
        sound = _sound(character)
        return (sound,) if sound else ()
    from pypinyin import Style, lazy_pinyin, pinyin

    usual = lazy_pinyin(character, style=Style.NORMAL)[0]
    if character not in _SPOKEN_IN_TWO_WAYS:
        return (usual,)
    every = pinyin(character, style=Style.NORMAL, heteronym=True)[0]
    return tuple(dict.fromkeys([usual, *every]))[:2]


def _other(run: str) -> list[str]:
    return [_sound(c) for c in run]


def _sound(c: str) -> str:
    if c.isdecimal():
        return _DIGITS[int(c)]
    return c.lower() if c.isascii() and c.isalpha() else ""


def sound_line(text: str) -> str:
    """The syllables of a text between blanks, as one line to look for others in.

    Examples
    --------
    >>> sound_line("您好，请讲")
    ' nin hao qing jiang '
    """
    return " " + " ".join(syllables(re.sub(r"\W", "", text))) + " "
