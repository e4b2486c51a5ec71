"""How a short sound is made, whatever words are in it: how often it swells, how loud and how lively it is.

A sign of listening has one or two syllables, drawn out, and is softer than the talk of the same voice;
who wants the floor says more, as lively as ever and not more softly (French and Local 1983; Kurtic et
al. 2013). Level and change are those of the sound beside the own talk, so that voice and line do not
matter.

Conventions: samples of shape (n,); times in seconds; levels in dB.

References
----------
P. French and J. Local, "Turn-competitive incomings", Journal of Pragmatics 7 (1983).
E. Kurtic, G. Brown and B. Wells, "Resources for turn competition in overlapping talk", Speech
Communication 55 (2013).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from pipeline.schema import Audio, Span, Speaker
from pipeline.spans import subtract, union

HOP_S, WINDOW_S, SMOOTH = 0.01, 0.025, 11  # of the envelope; frames of smoothing
DIP_DB, FAINT_DB = 3.0, 12.0  # between two swells; under the loudest nothing counts
SHORTEST_S, TALK_S = 0.08, 0.8
QUIET_DB = -120.0
BANDS, LOWEST_HZ, HIGHEST_HZ = 20, 200.0, 3600.0  # mel bands, of a telephone's width
CEPSTRA, STEP, HEARD_DB = 12, 8, 25.0  # frames apart; under the loudest nothing counts

Floats = NDArray[np.float64]


class Vocal(NamedTuple):
    """What a sound is like.

    ``swells`` are about its syllables, ``level_db`` is over the own talk; ``change`` is how fast the
    spectrum moves, 1 as in the own talk.
    """

    swells: int
    level_db: float
    change: float = 1.0


class Vocals:
    """The sounds of one voice.

    Parameters
    ----------
    samples : ndarray, shape (n,)
        The channel it is heard in, alone.
    sample_rate : int
        Hz.
    speech : sequence of (start, end)
        Where it speaks, alone.
    others : sequence of (start, end)
        Where another voice of the same channel speaks alone. What both make together is then measured
        beside the louder of the two.
    """

    def __init__(
        self,
        samples: Audio,
        sample_rate: int,
        speech: Sequence[Span],
        others: Sequence[Span] = (),
    ) -> None:
        self._samples, self._rate, self._speech = samples, sample_rate, speech
        self._others = others

    def __call__(self, spans: Sequence[Span]) -> Vocal | None:
        """What is heard in these spans; None of next to nothing, or where the voice never talks."""
        sound = np.concatenate([np.zeros(0), *(self._cut(s) for s in spans)])
        if sound.size < SHORTEST_S * self._rate or self._talk is None:
            return None
        level_db, lively = self._talk
        faster = change(sound, self._rate) / lively if lively else 1.0
        return Vocal(swells(sound, self._rate), _level_db(sound) - level_db, faster)

    @cached_property
    def _talk(self) -> tuple[float, float] | None:
        """Level and change of the own talk, the level of the others' where that is louder."""
        talk = [self._cut(s) for s in self._speech if s[1] - s[0] >= TALK_S]
        if not talk:
            return None
        medians = np.median([(_level_db(t), change(t, self._rate)) for t in talk], axis=0)
        others = [_level_db(self._cut(s)) for s in self._others if s[1] - s[0] >= TALK_S]
        loudest = max(medians[0], np.median(others)) if others else medians[0]
        return float(loudest), float(medians[1])

    def _cut(self, span: Span) -> Floats:
        first, last = (round(at * self._rate) for at in span)
        return np.asarray(self._samples[first:last], np.float64)


def vocals_of(
    speech: Mapping[Speaker, Sequence[Span]],
    samples: Mapping[Speaker, Audio],
    sample_rate: int,
    shared_audio: bool,
) -> dict[Speaker, Vocals]:
    """The sounds of every voice of a call.

    Parameters
    ----------
    speech : mapping of speaker to spans
        Where each speaks.
    samples : mapping of speaker to ndarray, shape (n,)
        The channel each is heard in.
    sample_rate : int
        Hz.
    shared_audio : bool
        It is one channel, so that a voice is itself only where it speaks alone.
    """
    if not shared_audio:
        return {one: Vocals(samples[one], sample_rate, spans) for one, spans in speech.items()}
    alone = {
        one: subtract(spans, union(*(s for other, s in speech.items() if other != one)))
        for one, spans in speech.items()
    }
    return {
        one: Vocals(
            samples[one],
            sample_rate,
            spans,
            [s for other, talk in alone.items() if other != one for s in talk],
        )
        for one, spans in alone.items()
    }


def swells(sound: Floats, sample_rate: int) -> int:
    """How often the envelope rises and falls by 3 dB and more, 1 at least.

    Parameters
    ----------
    sound : ndarray, shape (n,)
    sample_rate : int
        Hz.
    """
    power = _decibels(np.mean(_frames(sound, sample_rate) ** 2, axis=1))
    least = np.percentile(power, 95) - FAINT_DB
    kernel = np.hanning(SMOOTH + 2)[1:-1]
    around = np.pad(power, SMOOTH // 2, mode="edge")
    count, rising, extreme = 0, True, -np.inf
    for level in np.convolve(around, kernel / kernel.sum(), "valid"):
        extreme = max(extreme, level) if rising else min(extreme, level)
        if rising and level < extreme - DIP_DB:
            count += extreme > least
            rising, extreme = False, level
        elif not rising and level > extreme + DIP_DB:
            rising, extreme = True, level
    return max(1, count + bool(rising and extreme > least))


def change(sound: Floats, sample_rate: int) -> float:
    """How far the spectrum moves within 80 ms: mean distance of mel cepstra (dB), 0 of what is shorter.

    Parameters
    ----------
    sound : ndarray, shape (n,)
    sample_rate : int
        Hz.
    """
    frames = _frames(sound, sample_rate)
    size = 1 << (frames.shape[1] - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(frames, size)) ** 2
    bands = _decibels(spectrum @ _mel_bands(size, sample_rate).T)
    loudest = bands.max(axis=1)
    heard = loudest > np.percentile(loudest, 95) - HEARD_DB
    cepstra = np.asarray(dct(bands, norm="ortho", axis=1))[:, 1 : CEPSTRA + 1]
    moved = np.linalg.norm(cepstra[STEP:] - cepstra[:-STEP], axis=1)
    moved = moved[heard[STEP:] & heard[:-STEP]]
    return float(moved.mean()) if moved.size else 0.0


@cache
def _mel_bands(size: int, sample_rate: int) -> Floats:
    """Triangles over the bins of a spectrum, shape (bands, size / 2 + 1)."""
    hertz = np.fft.rfftfreq(size, 1 / sample_rate)
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    mels = np.linspace(lowest, highest, BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    low, middle, high = (edges[i : BANDS + i, None] for i in range(3))
    sides = np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle))
    return np.asarray(np.maximum(sides, 0.0))


def _frames(sound: Floats, sample_rate: int) -> Floats:
    """Windowed frames, shape (m, samples), one at least."""
    size, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    padded = np.pad(sound, (0, max(0, size - sound.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(frames * np.hanning(size))


def _decibels(power: Floats) -> Floats:
    return np.asarray(10 * np.log10(power + 10 ** (QUIET_DB / 10)))


def _level_db(sound: Floats) -> float:
    return float(_decibels(np.mean(sound**2, keepdims=True))[0]) if sound.size else QUIET_DB
