"""How alike two syllables sound: the confusions that accents and recognisers make.

A syllable is split into initial and final after undoing pinyin spelling (``you`` is ``iou``,
``ju`` is ``jv``). The distance is 0 for the same sound, about 0.2 for the confusions that many
speakers make themselves (zh/z, ch/c, sh/s, n/l, f/h, in/ing, en/eng, an/ang), 0.3 to 0.45 for
those that recognisers make on telephone speech (aspiration, ou/uo, ong/eng), 1 for other pairs.
"""

from __future__ import annotations

from functools import cache

Sound = tuple[str, str]  # initial, final

MAX_SIMILAR = 0.55
UNRELATED = 1.0

_INITIALS = (
    "zh", "ch", "sh", "b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h", "j", "q", "x",
    "z", "c", "s", "r",
)  # fmt: skip
_SPELLED = {
    "yi": "i", "ya": "ia", "yan": "ian", "yang": "iang", "yao": "iao", "ye": "ie", "yin": "in",
    "ying": "ing", "yo": "io", "yong": "iong", "you": "iou", "yu": "v", "yuan": "van", "yue": "ve",
    "yun": "vn", "wa": "ua", "wai": "uai", "wan": "uan", "wang": "uang", "wei": "uei",
    "wen": "uen", "weng": "ong", "wo": "uo", "wu": "u", "yai": "ai",
}  # fmt: skip
_FULL_FINALS = {"iu": "iou", "ui": "uei", "un": "uen", "o": "uo"}
_INITIAL_PAIRS = {
    0.2: ("zh z", "ch c", "sh s", "n l", "f h", "l r"),
    0.35: ("b p", "d t", "g k", "j q", "zh ch", "z c", "x sh", "x s", "j zh", "j z", "q ch", "q c"),
    0.45: ("g h", "k h", "m n", "r sh", "b m", "z s", "zh sh", "ch sh", "c s", "j x", "q x", "d n"),
}
_FINAL_PAIRS = {
    0.2: ("in ing", "en eng", "an ang", "ian iang", "uan uang", "uen ong"),
    0.35: (
        "ou uo", "eng ong", "uo e", "ie ve", "v i", "an uan", "ang uang", "en uen", "ian van",
        "in vn", "iou iao", "ei uei", "e uo", "iong ing", "ian ie", "ing eng", "in en",
    ),
    0.45: ("ao ou", "ai ei", "an en", "i e", "u ou", "u uo", "a ia", "a e", "a ua", "i ie", "i in",
           "iou ou", "ang ong", "ai an", "uei ei", "iang ang", "ao iao", "ei e", "u v", "ian an"),
}  # fmt: skip


@cache
def sound_of(syllable: str) -> Sound:
    """Split a toneless pinyin syllable into initial and final.

    >>> sound_of("zhang"), sound_of("you"), sound_of("ju")
    (('zh', 'ang'), ('', 'iou'), ('j', 'v'))
    """
    if syllable in _SPELLED:
        return "", _SPELLED[syllable]
    initial = next((i for i in _INITIALS if syllable.startswith(i)), "")
    final = syllable[len(initial) :]
    if initial in ("j", "q", "x") and final.startswith("u"):
        final = "v" + final[1:]
    return initial, _FULL_FINALS.get(final, final)


@cache
def sound_distance(one: Sound, other: Sound) -> float:
    """Give the distance of two sounds, 0 (same) to 1 (unrelated).

    >>> sound_distance(("sh", "ou"), ("s", "ou"))
    0.2
    """
    if one == other:
        return 0.0
    initial = 0.0 if one[0] == other[0] else _INITIAL_COST.get((one[0], other[0]), UNRELATED)
    final = 0.0 if one[1] == other[1] else _FINAL_COST.get((one[1], other[1]), UNRELATED)
    total = initial + final
    return total if total <= MAX_SIMILAR else UNRELATED


@cache
def similar_sounds(sound: Sound) -> tuple[Sound, ...]:
    """List all sounds that may be heard for ``sound``, itself first."""
    initials = [sound[0]] + [b for a, b in _INITIAL_COST if a == sound[0]]
    finals = [sound[1]] + [b for a, b in _FINAL_COST if a == sound[1]]
    pairs = ((i, f) for i in initials for f in finals)
    return tuple(p for p in pairs if sound_distance(sound, p) <= MAX_SIMILAR)


def _symmetric(pairs: dict[float, tuple[str, ...]]) -> dict[tuple[str, str], float]:
    table: dict[tuple[str, str], float] = {}
    for cost, names in pairs.items():
        for name in names:
            a, b = name.split()
            table.setdefault((a, b), cost)
            table.setdefault((b, a), cost)
    return table


_INITIAL_COST = _symmetric(_INITIAL_PAIRS)
_FINAL_COST = _symmetric(_FINAL_PAIRS)
