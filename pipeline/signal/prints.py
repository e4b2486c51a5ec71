"""Fingerprints of speech, by which audio that is heard identically in several calls is known.

Peaks of the spectrum are joined in pairs; a pair is two frequencies and the time between them, which
neither level nor telephone codecs change for most pairs. Of all pairs those with the smallest scrambled
numbers are kept, so that two recordings of one sound keep the same ones. Two prints are of one sound when
enough pairs agree and lie at one and the same offset.

Conventions: frames of 16 ms, bins of 15.625 Hz, whatever the sample rate; offsets in frames.

References
----------
A. Wang, "An industrial-strength audio search algorithm", ISMIR 2003. A. Broder, "On the resemblance and
containment of documents", SEQUENCES 1997 (smallest hashes as a sample that agrees).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, ndimage

from pipeline.schema import Audio

FRAME_S, WINDOW_S = 0.016, 0.064
BAND_HZ = (250.0, 3300.0)
AROUND = (9, 11)  # frames and bins within which a peak is the largest
PEAKS_PER_S = 10
FAN_OUT = 6
REACH_FRAMES = 48
KEPT_PER_S, KEPT_AT_LEAST, KEPT_AT_MOST = 20, 40, 120
MIN_ALIGNED, MIN_SHARE = 8, 0.07
SLACK_FRAMES = 2
COARSE = (1, 2)  # bits that frequencies and times of pairs lose
SCRAMBLE = np.uint32(2654435761)


class Marks(NamedTuple):
    """A fingerprint: numbers of pairs, in order, and the frames at which they begin."""

    pairs: NDArray[np.uint32]
    frames: NDArray[np.uint16]

    def to_bytes(self) -> bytes:
        """Both arrays, one after the other."""
        return self.pairs.astype("<u4").tobytes() + self.frames.astype("<u2").tobytes()

    @staticmethod
    def pairs_in(body: bytes) -> NDArray[np.uint32]:
        """The pairs alone of what :meth:`to_bytes` wrote."""
        return np.frombuffer(body, "<u4", len(body) // 6)

    @classmethod
    def from_bytes(cls, body: bytes) -> Marks:
        """Read what :meth:`to_bytes` wrote."""
        count = len(body) // 6
        return cls(
            np.frombuffer(body, "<u4", count).astype(np.uint32),
            np.frombuffer(body, "<u2", count, 4 * count).astype(np.uint16),
        )


def marks_of(audio: Audio, sample_rate: int) -> Marks:
    """Fingerprint a stretch of speech, shape (n,), at 8 kHz or more."""
    size, hop = round(WINDOW_S * sample_rate), round(FRAME_S * sample_rate)
    nothing = Marks(np.zeros(0, np.uint32), np.zeros(0, np.uint16))
    if audio.size < 4 * size:
        return nothing
    hz = fft.rfftfreq(size, 1 / sample_rate)
    band = (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])
    cut = sliding_window_view(audio, size)[::hop]
    power = np.square(np.abs(fft.rfft(cut * np.hanning(size).astype(np.float32), axis=1)[:, band]))
    level = np.log(power + 1e-9 * max(float(power.max()), 1e-20))
    level -= ndimage.uniform_filter1d(level, 31, axis=1)  # what the line colours counts less
    peak = level == ndimage.maximum_filter(level, AROUND)
    peak &= level > np.median(level)
    at, of = np.nonzero(peak)
    most = max(8, round(PEAKS_PER_S * audio.size / sample_rate))
    strong = np.sort(np.argsort(-level[at, of], kind="stable")[:most])
    at, of = at[strong], of[strong]
    firsts, numbers = [], []
    for step in range(1, FAN_OUT + 1):
        apart = at[step:] - at[:-step]
        near = (apart >= 1) & (apart <= REACH_FRAMES)
        firsts.append(at[:-step][near])
        number = (
            ((of[:-step][near] >> COARSE[0]) << 14)
            | ((of[step:][near] >> COARSE[0]) << 6)
            | (apart[near] >> COARSE[1])
        )
        numbers.append(number)
    pairs = np.concatenate(numbers).astype(np.uint32)
    frames = np.concatenate(firsts)
    keep = min(max(round(KEPT_PER_S * audio.size / sample_rate), KEPT_AT_LEAST), KEPT_AT_MOST)
    smallest = np.argsort(pairs * SCRAMBLE, kind="stable")[:keep]
    order = smallest[np.lexsort((frames[smallest], pairs[smallest]))]
    return Marks(pairs[order], np.minimum(frames[order], 65535).astype(np.uint16))


def is_same_sound(one: Marks, other: Marks) -> bool:
    """Whether two fingerprints are of one sound, at whatever offset."""
    shared = np.intersect1d(one.pairs, other.pairs)
    if shared.size < MIN_ALIGNED:
        return False
    offsets = np.concatenate(
        [
            np.subtract.outer(
                one.frames[one.pairs == pair].astype(np.int64),
                other.frames[other.pairs == pair].astype(np.int64),
            ).ravel()
            for pair in shared
        ]
    )
    values, counts = np.unique(offsets, return_counts=True)
    near = [counts[np.abs(values - v) <= SLACK_FRAMES].sum() for v in values]
    least = min(one.pairs.size, other.pairs.size)
    return bool(max(near) >= max(MIN_ALIGNED, MIN_SHARE * least))
