"""Characters: traditional to simplified, and the form in which two transcripts are compared.

Conversion is OpenCC ``t2s`` (phrase-aware). The comparison form follows the common recipe for
Mandarin character error rates: NFKC, lower case, simplified, numbers as spoken, no punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import opencc

from pipeline.text.numbers import spoken_form

# 著 is kept by OpenCC, whatever it stands for; in these words alone it is no particle.
_PARTICLE = re.compile("(?<![显卓原专名土拙编论译遗巨合])著(?![名作称书录述者译])")
_SAME_DIGIT = str.maketrans("幺〇", "一零")


def simplify(text: str) -> str:
    """Write ``text`` in simplified characters; everything else stays as it is.

    >>> simplify("感謝您的來電"), simplify("拿著手機的著名作家")
    ('感谢您的来电', '拿着手机的著名作家')
    """
    return _PARTICLE.sub("着", _converter().convert(text)) if text else ""


def is_hanzi(character: str) -> bool:
    """Say whether one character is a Chinese character (CJK ideograph).

    >>> is_hanzi("好"), is_hanzi("，")
    (True, False)
    """
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"


def normalise_for_cer(text: str) -> str:
    """Bring a transcript into the form in which character errors are counted.

    Parameters
    ----------
    text : str
        A transcript as a person or a recogniser wrote it.

    Returns
    -------
    str
        Lower case, simplified, numbers spoken out (``一`` for ``幺``), letters, digits and
        characters only.

    Examples
    --------
    >>> normalise_for_cer("訂單號是 7890，OK？")
    '订单号是七八九零ok'
    """
    plain = spoken_form(simplify(unicodedata.normalize("NFKC", text))).lower()
    return "".join(c for c in plain if c.isalnum()).translate(_SAME_DIGIT)


@cache
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")
