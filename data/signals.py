"""The sounds a telephone call is made of besides speech, and what is done to speech: tones, music,
tempo, edges.

All signals are float64 at 8 kHz in [-1, 1]; levels are dBFS.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt

RATE = 8000
FRAME = RATE // 100
EDGE_DB = -40.0
TELEPHONE_BAND_HZ = (300.0, 3400.0)
RING_HZ, RING_ON, RING_OFF = 450.0, 1.0, 4.0
RING_DBFS = -23.0
MUSIC_DBFS = -29.0
FADE = 64

FloatArray = npt.NDArray[np.float64]


def to_samples(seconds: float) -> int:
    """Express seconds as a whole number of samples."""
    return round(seconds * RATE)


def to_seconds(samples: int) -> float:
    """Express samples as seconds."""
    return round(samples / RATE, 6)


def from_db(decibels: float) -> float:
    """Express decibels as an amplitude ratio."""
    return float(10 ** (decibels / 20))


def telephone_band(samples: FloatArray) -> FloatArray:
    """Keep 300-3400 Hz, without delay."""
    sections = butter(4, TELEPHONE_BAND_HZ, "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfiltfilt(sections, samples), dtype=np.float64)


def ringback() -> FloatArray:
    """Make one ring of the Chinese ringback tone."""
    times = np.arange(to_samples(RING_ON)) / RATE
    return fade(np.sqrt(2.0) * from_db(RING_DBFS) * np.sin(2 * np.pi * RING_HZ * times))


def hold_music(seconds: float, seed: int) -> FloatArray:
    """Play a gentle tune of held and broken chords under a melody; another one for every seed."""
    rng = np.random.default_rng(seed)
    beat = 60 / rng.uniform(84, 112)
    key = 57 + int(rng.integers(0, 7))
    degrees = np.array([0, 2, 4, 5, 7, 9, 11])
    progression = [[0, 4, 5, 3], [0, 5, 3, 4], [0, 2, 3, 4]][int(rng.integers(3))]
    out = np.zeros(to_samples(seconds) + to_samples(8 * beat))
    for bar in range(int(seconds / (4 * beat)) + 1):
        steps = progression[bar % 4] + np.array([0, 2, 4])  # a triad on this degree of the scale
        chord = key + degrees[steps % 7] + 12 * (steps // 7)
        begin = bar * 4 * beat
        for pitch in chord:
            _add_note(out, begin, 4.2 * beat, pitch, 0.5, held=True)
        for step in range(8):
            _add_note(
                out, begin + step * beat / 2, 1.5 * beat, chord[[0, 1, 2, 1][step % 4]] + 12, 0.5
            )
        for onset in (0.0, 1.5, 2.5):
            _add_note(out, begin + onset * beat, 2 * beat, int(rng.choice(chord)) + 24, 0.6)
    music = out[: to_samples(seconds)]
    return fade(music * from_db(MUSIC_DBFS) / music.std(), to_samples(0.03))


def stretch(samples: FloatArray, tempo: float) -> FloatArray:
    """Change the tempo and keep the pitch (overlap-add of the best matching 30 ms windows)."""
    if tempo == 1.0:
        return samples
    size, hop, reach = 240, 120, 60
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(samples, (reach, size + reach + hop))
    out = np.zeros(int(len(samples) / tempo) + size)
    expected = padded[reach : reach + size]
    for start in range(0, len(out) - size, hop):
        around = min(round(start * tempo), len(samples) - 1)
        area = padded[around : around + size + 2 * reach]
        best = around + int(np.argmax(np.correlate(area, expected, "valid")))
        out[start : start + size] += padded[best : best + size] * window
        expected = padded[best + hop : best + hop + size]
        if len(expected) < size:
            break
    return out


def tighten(samples: FloatArray) -> FloatArray:
    """Cut the edges at the first and last 10 ms frame within ``EDGE_DB`` of the peak."""
    whole = samples[: len(samples) // FRAME * FRAME]
    frames = np.abs(whole).reshape(-1, FRAME).max(axis=1)
    loud = np.flatnonzero(frames >= frames.max() * from_db(EDGE_DB))
    return whole[loud[0] * FRAME : (loud[-1] + 1) * FRAME]


def cut(samples: FloatArray, length: int) -> FloatArray:
    """Stop at ``length`` samples, or as soon after as there is a sound to stop in."""
    voiced = np.abs(samples).max() * from_db(-20.0)
    while length < len(samples) and np.abs(samples[length - 2 * FRAME : length]).max() < voiced:
        length += FRAME
    if length >= len(samples):
        raise ValueError(
            f"a clip of {len(samples) / RATE:.2f} s cannot be cut at {length / RATE:.2f} s"
        )
    return fade(samples[:length])


def fade(samples: FloatArray, length: int = FADE) -> FloatArray:
    """Ramp both edges, so that nothing clicks."""
    ramp = np.linspace(0.0, 1.0, length, endpoint=False)
    faded = samples.copy()
    faded[:length] *= ramp
    faded[-length:] *= ramp[::-1]
    return faded


def _add_note(
    out: FloatArray, start: float, seconds: float, pitch: int, gain: float, held: bool = False
) -> None:
    """Add a note of MIDI number ``pitch``, held or plucked."""
    times = np.arange(to_samples(seconds)) / RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    partials = ((1, 1.0), (2, 0.4), (3, 0.2), (4, 0.1))
    tone = sum(
        (strength * np.sin(2 * np.pi * frequency * order * times) for order, strength in partials),
        0 * times,
    )
    envelope = np.minimum(1.0, times / 0.02) * (1.0 if held else np.exp(-times * 3 / seconds))
    begin = to_samples(start)
    piece = fade(gain * tone * envelope)[: max(0, len(out) - begin)]
    out[begin : begin + len(piece)] += piece
