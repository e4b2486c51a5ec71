"""What a page draws of the sound of a call: peaks, level and pitch of each party, in few bytes.

Conventions
-----------
Each party has a lane: ``PEAKS_HZ`` largest amplitudes a second as a share of the lane's largest (uint8),
``LEVEL_HZ`` levels a second in whole dBFS (int8, -128 for silence), ``PITCH_HZ`` pitches a second in
eighths of a semitone from the speaker's median (int8, -128 where unvoiced). About 2 kB a minute of
stereo once packed (zlib). The packed form is a JSON head, its length before it as four bytes, little
endian, and the arrays in the order of the head; ``static/sound.js`` reads it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import CURVES_VERSION, Audio, Seconds, Span, Speaker
from pipeline.signal.level import level_track
from pipeline.signal.pitch import F0Track

PEAKS_HZ = 25
BLOCKS_AT_ONCE = 1200
LEVEL_HZ = 10
PITCH_HZ = 20
STEPS_PER_ST = 8
NONE = -128
QUIETEST_PEAK = 1e-4  # a lane that is quieter than this is drawn as flat


class Lane(NamedTuple):
    """The curves of one party."""

    role: Speaker
    peaks: NDArray[np.uint8]
    level: NDArray[np.int8]
    pitch: NDArray[np.int8]
    median_hz: float | None


def lane(
    role: Speaker,
    samples: Audio,
    sample_rate: int,
    track: F0Track | None = None,
    spans: Sequence[Span] | None = None,
) -> Lane:
    """Curves of one party.

    Parameters
    ----------
    role : str
    samples : ndarray, shape (n,)
        The channel the party is heard in, full scale 1.0.
    sample_rate : int
        Hz.
    track : F0Track, optional
        Of this party's speech; without, there is no pitch.
    spans : sequence of (start, end), optional
        Where this party speaks, if the channel carries another one too: the rest is left flat.

    Returns
    -------
    Lane
    """
    seconds = samples.size / sample_rate
    peaks = _peaks(samples, sample_rate)
    if spans is not None:
        heard = np.zeros(peaks.size, bool)
        for start, end in spans:
            heard[int(start * PEAKS_HZ) : int(np.ceil(end * PEAKS_HZ))] = True
        peaks = np.where(heard, peaks, 0.0)
    largest = max(float(peaks.max(initial=0.0)), QUIETEST_PEAK)
    piece = round(sample_rate / LEVEL_HZ) * BLOCKS_AT_ONCE  # a call of hours is squared by parts
    parts = [
        level_track(samples[at : at + piece], sample_rate, hop_s=1 / LEVEL_HZ)
        for at in range(0, samples.size, piece)
    ]
    level = np.concatenate([np.zeros(0), *parts])
    level = np.where(np.isfinite(level), np.clip(np.round(level), NONE, 0), NONE)
    pitch, median_hz = _pitch(track, seconds)
    return Lane(
        role,
        np.asarray(np.round(255 * peaks / largest), np.uint8),
        np.asarray(level, np.int8),
        pitch,
        median_hz,
    )


def curves(
    audio: Mapping[Speaker, Audio],
    sample_rate: int,
    tracks: Mapping[Speaker, F0Track],
    spans: Mapping[Speaker, Sequence[Span]],
) -> bytes:
    """Packed curves of a call.

    Parameters
    ----------
    audio : mapping of role to ndarray, shape (n,)
        The channel each party is heard in; views of one channel where they share it.
    sample_rate : int
        Hz.
    tracks : mapping of role to F0Track
    spans : mapping of role to sequence of (start, end)
        Where each party speaks.
    """
    lanes = []
    for role, samples in audio.items():
        is_shared = any(
            np.may_share_memory(other, samples) for r, other in audio.items() if r != role
        )
        own = spans.get(role, ()) if is_shared else None
        lanes.append(lane(role, samples, sample_rate, tracks.get(role), own))
    return pack(lanes)


def pack(lanes: Sequence[Lane]) -> bytes:
    """Lanes as bytes."""
    head = {
        "version": CURVES_VERSION,
        "rates": {"peaks": PEAKS_HZ, "level": LEVEL_HZ, "pitch": PITCH_HZ},
        "lanes": [
            {
                "role": one.role,
                "median_hz": one.median_hz,
                "peaks": one.peaks.size,
                "level": one.level.size,
                "pitch": one.pitch.size,
            }
            for one in lanes
        ],
    }
    text = json.dumps(head).encode()
    parts = [a.tobytes() for one in lanes for a in (one.peaks, one.level, one.pitch)]
    return zlib.compress(struct.pack("<I", len(text)) + text + b"".join(parts))


def unpack(data: bytes) -> list[Lane]:
    """Lanes of what :func:`pack` gave."""
    plain = zlib.decompress(data)
    (size,) = struct.unpack_from("<I", plain)
    head = json.loads(plain[4 : 4 + size])
    at, lanes = 4 + size, []
    for one in head["lanes"]:
        ends = np.cumsum([at, one["peaks"], one["level"], one["pitch"]])
        parts = [plain[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
        signed = [np.frombuffer(part, np.int8) for part in parts]
        lanes.append(
            Lane(one["role"], signed[0].view(np.uint8), signed[1], signed[2], one["median_hz"])
        )
        at = int(ends[-1])
    return lanes


def _peaks(samples: Audio, sample_rate: int) -> NDArray[np.float32]:
    """Largest amplitude of each bin; a rest of less than half a bin is left out."""
    bins = round(samples.size * PEAKS_HZ / sample_rate)
    if bins == 0:
        return np.zeros(0, np.float32)
    edges = np.minimum(np.arange(bins) * sample_rate // PEAKS_HZ, samples.size - 1)
    high, low = np.maximum.reduceat(samples, edges), np.minimum.reduceat(samples, edges)
    return np.asarray(np.maximum(high, -low), np.float32)


def _pitch(track: F0Track | None, seconds: Seconds) -> tuple[NDArray[np.int8], float | None]:
    bins = round(seconds * PITCH_HZ)
    steps = np.full(bins, NONE, np.int8)
    if track is None:
        return steps, None
    voiced = np.isfinite(track.f0_hz)
    if not voiced.any():
        return steps, None
    hz, place = track.f0_hz[voiced], (track.times[voiced] * PITCH_HZ).astype(np.int64)
    median = float(np.median(hz))
    inside = place < bins
    sums = np.bincount(place[inside], 12 * np.log2(hz[inside] / median), bins)
    counts = np.bincount(place[inside], minlength=bins)
    some = counts > 0
    mean = sums[some] / counts[some]
    steps[some] = np.clip(np.round(STEPS_PER_ST * mean), NONE + 1, 127)
    return steps, round(median, 1)
