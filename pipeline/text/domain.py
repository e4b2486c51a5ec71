"""Domain words: phrases that a recogniser may have written with other characters of the same sound.

A stretch of Han characters is rewritten as a phrase of the lexicon when it is as long as the phrase,
most of its characters agree, and those that differ sound alike. The number of syllables and their
times never change, so nothing that is measured moves; and a phrase is only ever written where it
can be heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ruamel.yaml.error import YAMLError

from pipeline.errors import SettingsError, one_line
from pipeline.io.yaml import read_yaml
from pipeline.text.similarity import sound_distance, sound_of
from pipeline.text.sounds import syllables

MIN_LENGTH = 3
MAX_DIFFERENT = 0.5  # share of characters that may differ when they sound the same
MAX_DISTANCE = 0.151  # mean sound distance over the phrase


class Lexicon:
    """A set of phrases and the texts that models invent on silence."""

    def __init__(self, phrases: Iterable[str], hallucinations: Iterable[str] = ()) -> None:
        self.phrases = tuple(
            sorted({p for p in phrases if len(p) >= MIN_LENGTH}, key=len, reverse=True)
        )
        self.hallucinations = frozenset(hallucinations)
        self._sounds = {p: [sound_of(s) for s in syllables(p)] for p in self.phrases}

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        """Read ``phrases`` and ``hallucinations`` from a YAML file.

        Raises
        ------
        SettingsError
            If the file holds anything else.
        """
        try:
            data = read_yaml(path.read_text("utf-8")) or {}
        except (OSError, UnicodeDecodeError, YAMLError) as cause:
            raise SettingsError(
                f"The lexicon {path} cannot be read: {one_line(cause)}",
                "It must be a YAML file.",
            ) from cause
        if not isinstance(data, dict) or set(data) - {"phrases", "hallucinations"}:
            raise SettingsError(
                f"{path} must hold the lists 'phrases' and 'hallucinations' only.",
                "See configs/lexicons/hotline.yaml for an example.",
            )
        return cls(map(str, data.get("phrases") or ()), map(str, data.get("hallucinations") or ()))

    def correct(self, text: str) -> str:
        """Rewrite Han characters (no punctuation) that sound like a phrase; same length.

        >>> Lexicon(["售后服务"]).correct("这里是收后服务中心")
        '这里是售后服务中心'
        """
        sounds = [sound_of(s) for s in syllables(text)]
        if len(sounds) != len(text):
            return text
        result = list(text)
        taken = [False] * len(text)
        where: dict[str, list[int]] = {}
        for at, character in enumerate(text):
            where.setdefault(character, []).append(at)
        for phrase in self.phrases:
            wanted = self._sounds[phrase]
            for start in _starts(phrase, where, len(text)):
                place = slice(start, start + len(phrase))
                if any(taken[place]):
                    continue
                pairs = zip(text[place], phrase, strict=True)
                different = [i for i, (a, b) in enumerate(pairs) if a != b]
                distance = sum(sound_distance(sounds[start + i], wanted[i]) for i in different)
                if distance <= MAX_DISTANCE * len(phrase):
                    result[place] = phrase
                    taken[place] = [True] * len(phrase)
        return "".join(result)


def _starts(phrase: str, where: Mapping[str, Sequence[int]], length: int) -> list[int]:
    """Places in a text of ``length`` at which enough characters of the phrase are written."""
    same = Counter(at - i for i, c in enumerate(phrase) for at in where.get(c, ()))
    enough = len(phrase) - MAX_DIFFERENT * len(phrase)
    last = length - len(phrase)
    return sorted(start for start, n in same.items() if n >= enough and 0 <= start <= last)
