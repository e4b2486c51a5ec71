"""In which language somebody speaks, asked only where what was heard of them gives doubt.

A recogniser that is told one language writes every other down as if it were that one. Signs of it are
Latin letters, words of little confidence, and speech of which nothing was understood; where there are
any, the model that recognises is asked which language it is, on half a minute of that speaker's speech.

Conventions: times in seconds; audio float32 at 16 kHz, shape (n,); languages as ISO 639 codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.schema import SAMPLE_RATE, Audio, Party, Seconds, Sound, Span, Speaker, Utterance
from pipeline.text import is_hanzi

Detector = Callable[[Audio], Mapping[str, float]]
"""Probabilities by language of what is spoken in up to 30 s of audio."""

ENOUGH_S, MOST_S = 3.0, 30.0
LATIN, LATIN_UNITS = 0.3, 5  # share of words in Latin letters, and how many at least
SURE = 0.75  # mean confidence; what people say in the language they are told to have is above
LOST = 0.3  # share of utterances, by time, of which nothing was understood
NAMED = 0.9  # a less probable language has no name: robotic Mandarin reads as English at 0.8
UNDETERMINED = "und"  # ISO 639-2
OTHER_LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Language:
    """The language of one speaker; ``understood`` where it is the one that was recognised.

    Where none is probable enough to be named, ``code`` is ``und`` (undetermined).
    """

    code: str
    probability: float
    understood: bool


def spoken_languages(
    speech: Mapping[Speaker, Sequence[Span]],
    audio: Mapping[Speaker, Sound],
    heard: Sequence[Utterance],
    told: str,
    detect: Detector | None,
) -> dict[Speaker, Language]:
    """Ask for the language of every speaker whose words give doubt; others are not in the result.

    Parameters
    ----------
    speech : mapping of speaker to spans
    audio : mapping of speaker to Sound
        What each is heard in.
    heard : sequence of Utterance
    told : str
        The language that was recognised.
    detect : callable, optional
        Without one nobody is asked.
    """
    found = {}
    for speaker, spans in speech.items():
        own = [u for u in heard if u.speaker == speaker]
        if detect is None or not _in_doubt(own):
            continue
        sound = _pooled(audio[speaker], spans)
        if sound.size < ENOUGH_S * SAMPLE_RATE:
            continue
        likely = detect(sound)
        code = max(likely, key=lambda name: likely[name])
        understood = code == told or likely.get(told, 0.0) >= 0.5
        if not understood and likely[code] < NAMED:
            code = UNDETERMINED
        found[speaker] = Language(code, round(float(max(likely.values())), 4), understood)
    return found


def without_misheard(
    heard: Sequence[Utterance], languages: Mapping[Speaker, Language]
) -> tuple[Utterance, ...]:
    """Take out what was written of speech in another language and cannot be read.

    What was written in Latin letters of a language that could be named is readable and stays, though
    nothing is judged by it.
    """

    def kept(one: Utterance) -> Utterance:
        language = languages.get(one.speaker)
        if language is None or language.understood or one.rejected:
            return one
        latin = sum(not is_hanzi(w.text[0]) for w in one.words)
        if language.code != UNDETERMINED and 2 * latin > len(one.words):
            return one
        return replace(one, text="", words=(), rejected=OTHER_LANGUAGE)

    return tuple(kept(one) for one in heard)


def with_languages(
    parties: Sequence[Party],
    languages: Mapping[Speaker, Language],
    roles: Mapping[Speaker, Speaker],
) -> tuple[Party, ...]:
    """The parties with the languages of the voices that are theirs (voice to role in ``roles``)."""
    of_role = {role: languages[voice] for voice, role in roles.items() if voice in languages}
    return tuple(
        replace(
            party,
            language=own.code,
            language_probability=own.probability,
            understood=own.understood,
        )
        if (own := of_role.get(party.role))
        else party
        for party in parties
    )


def not_understood(parties: Sequence[Party], told: str) -> tuple[str, ...]:
    """Say who spoke another language than the one that was recognised."""

    def reason(party: Party) -> str:
        sure = f"probability {party.language_probability:.2f}"
        if party.language == UNDETERMINED:
            return f"cannot be understood as {told}; which language it is is not clear (at best {sure})"
        return f"does not speak {told}, which was recognised (most like {party.language}, {sure})"

    return tuple(
        f"The {p.role} {reason(p)}: what the {p.role} says is not scored."
        for p in parties
        if not p.understood
    )


def _in_doubt(own: Sequence[Utterance]) -> bool:
    words = [w for u in own for w in u.words if w.text[0].isalnum()]
    latin = sum(w.text[0].isascii() and w.text[0].isalpha() for w in words)
    spoken: Seconds = sum(u.end - u.start for u in own)
    lost: Seconds = sum(u.end - u.start for u in own if not u.words)
    unsure = bool(words) and float(np.mean([w.confidence for w in words])) < SURE
    return unsure or lost > LOST * spoken or latin >= max(LATIN_UNITS, LATIN * len(words))


def _pooled(sound: Sound, spans: Sequence[Span]) -> Audio:
    """The longest stretches of speech, ``MOST_S`` at most."""
    parts: list[Audio] = []
    left = round(MOST_S * SAMPLE_RATE)
    for start, end in sorted(spans, key=lambda s: s[0] - s[1]):
        part = sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)][:left]
        parts.append(part)
        left -= part.size
        if left <= 0:
            break
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
