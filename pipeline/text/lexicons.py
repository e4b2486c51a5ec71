"""Word lists of the language: listening signals and surnames, read from ``configs/lexicons``.

The lists are data, so that a team can add its own words without touching code.
"""

from __future__ import annotations

import re
from functools import cache

from pipeline.io.yaml import read_yaml
from pipeline.settings import config_path
from pipeline.text.script import simplify

_NOT_SPOKEN = re.compile(r"[\W_]+")


def is_backchannel(text: str) -> bool:
    """Say whether a text is nothing but a short listening signal (嗯, 对对, 好的).

    Parameters
    ----------
    text : str
        What one speaker said in one stretch.

    Returns
    -------
    bool
        True if the words are all in the lexicon and together no longer than its
        ``max_characters``. Empty text is no backchannel.

    Examples
    --------
    >>> is_backchannel("嗯，是。"), is_backchannel("是不是")
    (True, False)
    """
    words, longest = _backchannel_lexicon()
    spoken = _NOT_SPOKEN.sub("", simplify(text))
    return 0 < len(spoken) <= longest and words.fullmatch(spoken) is not None


def opens_a_turn(text: str) -> bool:
    """Say whether a text begins with words by which somebody asks or objects (请问, 但是).

    >>> opens_a_turn("请问您"), opens_a_turn("嗯，对"), opens_a_turn("请")
    (True, False, False)
    """
    openers = tuple(map(str, _load("backchannels.yaml").get("openers", ())))
    return _NOT_SPOKEN.sub("", simplify(text)).startswith(openers)


@cache
def backchannels() -> tuple[str, ...]:
    """Give the listening signals of the lexicon, as written there."""
    return tuple(str(w) for w in _load("backchannels.yaml")["words"])


@cache
def surnames() -> frozenset[str]:
    """Give the Chinese surnames of the lexicon, one and two characters long."""
    lists = _load("surnames.yaml")
    single = {c for line in lists["single"] for c in str(line) if not c.isspace()}
    return frozenset(single | {str(name) for name in lists["double"]})


@cache
def _backchannel_lexicon() -> tuple[re.Pattern[str], int]:
    longest_first = sorted(backchannels(), key=len, reverse=True)
    pattern = re.compile("(?:" + "|".join(map(re.escape, longest_first)) + ")+")
    return pattern, int(str(_load("backchannels.yaml")["max_characters"]))


@cache
def _load(name: str) -> dict[str, list[object]]:
    text = config_path(f"lexicons/{name}").read_text(encoding="utf-8")
    return dict(read_yaml(text))
