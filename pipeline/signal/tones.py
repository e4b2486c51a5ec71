"""Sounds that are not speech: ringback tone and hold music, found before anything is recognised.

Ringback in China is 450 Hz, one second on and four seconds off (GB/T 3380). Music is told from
speech by what it lacks: pauses between syllables and gliding harmonics; its partials stand still.

Conventions: audio float32 of any rate from 8 kHz, shape (n,); masks have frames of 10 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from pipeline.schema import Audio, Seconds, Span, Waveform
from pipeline.spans import join, runs, touches

FRAME_S = 0.010
TONE_HZ = (425.0, 475.0)
TONE_SHARE = 0.8
RING_SEARCH_S = 60.0
RING_ON_S = (0.75, 1.35)
RING_CYCLE_S = 5.0
WINDOW_S = 0.064
STEADY_FRAMES = 12
HEARD_HZ = (150.0, 3400.0)
MUSIC_WINDOW_S = 2.0
MIN_MUSIC_S = 3.0
MIN_STEADY = 0.4  # of the sounding frames; speech has 0.3 at most
MIN_FILLED = 0.25  # plucked strings fade
GRID_S = 0.25
MIN_TONAL_CALL = 0.5
EDGE_S = 0.3  # over which frames at the edges of music must be steady
REACH_S = 0.4  # how far a first or last note may reach beyond
FRAMES_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class Tones:
    """Bursts of ringback tone, and the music in each channel."""

    rings: tuple[Span, ...]
    music: Mapping[int, tuple[Span, ...]]

    @property
    def all_music(self) -> tuple[Span, ...]:
        """The music of all channels, ordered by start."""
        return tuple(sorted(s for spans in self.music.values() for s in spans))


def find_tones(wave: Waveform, channels: Sequence[int]) -> Tones:
    """Find ringing and music in some channels.

    Rings are looked for in ``RING_SEARCH_S``, follow each other in the cycle of ringback, and are no
    notes of the music.
    """
    music = {c: tuple(find_music(wave.samples[c], wave.sample_rate)) for c in channels}
    rings: list[Span] = []
    for c in channels:
        found = find_ringing(wave.samples[c], wave.sample_rate, until=RING_SEARCH_S)
        rings = max(rings, _first_train([r for r in found if not touches(r, music[c])]), key=len)
    return Tones(tuple(rings), music)


def _first_train(rings: Sequence[Span]) -> list[Span]:
    """The rings until one fails to follow within two cycles."""
    ends = (i for i, (a, b) in enumerate(pairwise(rings), 1) if b[0] - a[0] > 2.2 * RING_CYCLE_S)
    return list(rings[: next(ends, len(rings))])


def find_ringing(audio: Audio, sample_rate: int, *, until: Seconds | None = None) -> list[Span]:
    """Find the bursts of ringback tone.

    Parameters
    ----------
    audio : ndarray, shape (n,)
    sample_rate : int
        Hz, 8000 or more.
    until : float, optional
        Look no further than this time (rings come before the first words).

    Returns
    -------
    list of (start, end)
        One span a ring.
    """
    if until is not None:
        audio = audio[: round(until * sample_rate)]
    blocks = list(_spectra(audio, sample_rate))
    if not blocks:
        return []
    power = np.concatenate(blocks)
    total = power.sum(axis=1)
    loud = total > 1e-3 * np.percentile(total, 99)
    spans = join(runs(_is_tone(power, sample_rate) & loud, FRAME_S), WINDOW_S)
    return [s for s in spans if RING_ON_S[0] <= s[1] - s[0] <= RING_ON_S[1]]


def find_music(audio: Audio, sample_rate: int) -> list[Span]:
    """Find hold music.

    Returns
    -------
    list of (start, end)
        Stretches of at least ``MIN_MUSIC_S`` seconds.
    """
    total, tonal, ringback = _heard(audio, sample_rate)
    frames_per_window = round(MUSIC_WINDOW_S / FRAME_S)
    if len(total) < frames_per_window:
        return []
    level = 10 * np.log10(total + 1e-12)
    floor = float(np.percentile(level[level > -110], 10)) if (level > -110).any() else -110.0
    present = level > floor + 6.0
    if tonal.mean() >= MIN_TONAL_CALL:
        present |= tonal  # nearly all of it is music: the noise floor was taken from the music
    present &= ~ringback
    tonal &= present
    step = round(GRID_S / FRAME_S)

    def share(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(sliding_window_view(mask, frames_per_window)[::step].mean(axis=1))

    filled = share(present)
    music = (filled >= MIN_FILLED) & (share(tonal) >= MIN_STEADY * filled)
    mask = np.zeros(len(total), bool)
    for start in np.flatnonzero(music) * step:
        mask[start : start + frames_per_window] = True
    mask = _trim(mask, tonal, present)
    return [s for s in join(runs(mask, FRAME_S), 1.5 * FRAME_S) if s[1] - s[0] >= MIN_MUSIC_S]


def _heard(
    audio: Audio, sample_rate: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Each frame's power in the telephone band; whether its partials stand still; whether it rings."""
    frequencies = _frequencies(sample_rate)
    heard = (frequencies > HEARD_HZ[0]) & (frequencies < HEARD_HZ[1])
    totals, steady, tones = [np.zeros(0, np.float32)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    before = np.zeros((0, np.count_nonzero(heard)), np.float32)
    for block in _spectra(audio, sample_rate):
        power = np.concatenate((before, block[:, heard]))
        totals.append(power[len(before) :].sum(axis=1))
        steady.append(_steadiness(power)[len(before) :])
        tones.append(_is_tone(block, sample_rate))
        before = power[-STEADY_FRAMES:]
    return np.concatenate(totals), np.concatenate(steady), np.concatenate(tones)


def _is_tone(power: NDArray[np.float32], sample_rate: int) -> NDArray[np.bool_]:
    """Frames that hold hardly anything but a tone of 450 Hz."""
    frequencies = _frequencies(sample_rate)
    band = (frequencies >= TONE_HZ[0] - 8) & (frequencies <= TONE_HZ[1] + 8)
    return np.asarray(power[:, band].sum(axis=1) > TONE_SHARE * power.sum(axis=1))


def _frequencies(sample_rate: int) -> NDArray[np.floating]:
    return np.asarray(fft.rfftfreq(round(WINDOW_S * sample_rate), 1 / sample_rate))


def _spectra(audio: Audio, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Power spectra of frames around every 10 ms, shape (frames, bins), some seconds at a time.

    A call of hours has more spectra than there is room for.
    """
    size = round(WINDOW_S * sample_rate)
    hop = round(FRAME_S * sample_rate)
    half = size // 2
    if audio.size < size:
        return
    window = np.hanning(size).astype(np.float32)
    frames = (audio.size + 2 * half - size) // hop + 1
    for first in range(0, frames, FRAMES_AT_ONCE):
        start = first * hop - half
        stop = start + (min(FRAMES_AT_ONCE, frames - first) - 1) * hop + size
        inside = audio[max(start, 0) : stop]
        sound = np.pad(inside, (max(-start, 0), max(stop - audio.size, 0)))
        cut = sliding_window_view(sound, size)[::hop]
        yield np.square(np.abs(fft.rfft(cut * window, axis=1))).astype(np.float32)


def _steadiness(power: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames whose strongest partials were there, unmoved, 120 ms before."""
    power = power + np.float32(1e-12)
    peak = (power[:, 1:-1] > power[:, :-2]) & (power[:, 1:-1] >= power[:, 2:])
    strong = peak & (power[:, 1:-1] > power.max(axis=1, keepdims=True) * 10**-1.5)
    lag = STEADY_FRAMES
    stays = np.zeros(len(power), bool)
    same = strong[lag:] & strong[:-lag] & strong[lag // 2 : -(lag - lag // 2)]
    count = np.maximum(strong[lag:].sum(axis=1), 1)
    stays[lag:] = same.sum(axis=1) / count >= 0.5
    return stays


def _trim(
    mask: NDArray[np.bool_], tonal: NDArray[np.bool_], present: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Cut what is not music off the ends of each stretch: to its first and its last steady note."""
    trimmed = np.zeros_like(mask)
    size, reach = round(EDGE_S / FRAME_S), round(REACH_S / FRAME_S)
    steady = np.convolve(tonal, np.full(size, 1 / size), "same") >= MIN_STEADY
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        notes = start + np.flatnonzero((steady & tonal)[start:end])
        if notes.size:
            before = present[max(start, notes[0] - reach) : notes[0]]
            after = present[notes[-1] + 1 : min(end, notes[-1] + 1 + reach)]
            first = notes[0] - _length(before[::-1])
            trimmed[first : notes[-1] + 1 + _length(after)] = True
    return trimmed


def _length(mask: NDArray[np.bool_]) -> int:
    """How many values are true before the first that is not."""
    gaps = np.flatnonzero(~mask)
    return int(gaps[0]) if gaps.size else mask.size
