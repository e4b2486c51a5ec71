"""Decode a recording to samples in memory, at 16 kHz or the rate of the file if that is lower.

Conventions
-----------
Samples are float32 of shape (channels, n) with full scale 1.0, without the constant offset (DC) that
a faulty line adds. Channels are never mixed. Audio
above :data:`TARGET_RATE_HZ` is brought down to it while decoding; lower rates stay as they are.
Decoding works block by block and refuses more than :data:`MAX_SAMPLES`, so memory is bounded by
about four bytes a kept sample (3 hours of 8 kHz stereo: 0.7 GB), whatever a header declares.
"""

from __future__ import annotations

import hashlib
import os
from itertools import chain

import numpy as np
import soxr

from pipeline.audio.readers import COPY_HINT, Source, open_file, open_source
from pipeline.audio.resampling import resample
from pipeline.errors import EmptyAudio, UnreadableAudio
from pipeline.io import files
from pipeline.schema import SAMPLE_RATE, Audio, Recording, Seconds, Waveform

TARGET_RATE_HZ = SAMPLE_RATE
RATE_RANGE_HZ = (4_000, 768_000)
MAX_CHANNELS = 16
MAX_SAMPLES = 2**28
"""Most samples kept of one recording, all channels together: 1 GiB, 4.6 hours of 8 kHz stereo."""

_OVERSCALE = 16.0  # 24 dB above full scale: no longer a loud float recording
_WHOLE_NUMBERS = 2.0**-15  # brings 16-bit numbers to full scale 1.0
_SAMPLES_AT_ONCE = 1 << 20
_STILL_END_S = 5.0
_MIN_OFFSET = 1e-3  # -60 dBFS: less is that of the codec, and makes no level wrong
_MIN_OFFSET_S = 1.0
_SILENCE_S = 0.02  # zeros for so long are what a recorder writes in place of sound
LEGS_APART_S = 1.0


def decode(path: str | os.PathLike[str], *, max_samples: int = MAX_SAMPLES) -> Waveform:
    """Decode every channel of the audio in a file.

    Parameters
    ----------
    path : str or PathLike
        Any regular file; what it holds is judged by its bytes (by its suffix only where the
        format has no header). Of several streams the default audio stream is taken.
    max_samples : int
        Most samples to keep, all channels together.

    Returns
    -------
    Waveform
        ``samples`` float32 of shape (channels, n), all finite, at the rate of the file or at
        16 kHz, whichever is lower. ``warnings`` say what was missing, damaged or assumed.

    Raises
    ------
    UnreadableAudio
        The file cannot be opened, is not audio, uses an unknown codec or is too long.
    EmptyAudio
        The file is empty or decodes to no samples.
    """
    name = os.fspath(path)
    try:
        with open_file(name) as file, open_source(file, name) as source:
            rate = _kept_rate(source)
            _check_length(source, source.expected, rate, max_samples)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            samples = _gather(source, rate, max_samples)
    except OSError as error:
        raise UnreadableAudio(
            f"The file cannot be read: {error.strerror or error}.",
            "Check the path, the access rights and the disk or network drive.",
        ) from error
    if samples.shape[1] == 0:
        raise EmptyAudio("The file holds no audio samples.", COPY_HINT)
    source.note_missing(samples.shape[1] / rate)
    _note_still_end(samples, rate, source.warnings)
    samples = _within_scale(samples, source.warnings)
    _remove_offset(samples, rate, source.warnings)
    return Waveform(
        samples=samples,
        sample_rate=rate,
        source_sample_rate=source.rate,
        codec=source.codec,
        sha256=digest,
        warnings=tuple(source.warnings),
    )


def decode_recording(recording: Recording) -> Waveform:
    """Decode a recording by its path or URL, and both of its legs where they are in two files.

    Raises
    ------
    UnreadableAudio, EmptyAudio
        If one cannot be decoded.
    """
    with files.local(recording.path) as path:
        if recording.path_2 is None:
            return decode(path)
        with files.local(recording.path_2) as other:
            return decode_legs(path, other)


def decode_legs(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> Waveform:
    """Decode two files that hold the two sides of one call, as its two channels.

    Both begin together; the shorter one is followed by zeros. Of a file with several channels the
    loudest is taken. ``sha256`` is that of both digests.

    Raises
    ------
    UnreadableAudio, EmptyAudio
        If either cannot be decoded.
    """
    legs = [decode(first), decode(second)]
    rate = min(leg.sample_rate for leg in legs)
    sides, warnings = [], []
    for leg, path in zip(legs, (first, second), strict=True):
        loudest = max(leg.samples, key=lambda samples: float(np.dot(samples, samples)))
        sides.append(resample(loudest, leg.sample_rate, rate))
        warnings += [f"{os.path.basename(os.fspath(path))}: {w}" for w in leg.warnings]
    size = max(side.size for side in sides)
    short = size - min(side.size for side in sides)
    if short > rate * LEGS_APART_S:
        warnings.append(
            f"One leg is {short / rate:.1f} s shorter than the other: both are taken to begin together."
        )
    return Waveform(
        samples=np.stack([np.pad(side, (0, size - side.size)) for side in sides]),
        sample_rate=rate,
        source_sample_rate=max(leg.source_sample_rate for leg in legs),
        codec=legs[0].codec,
        sha256=both(*(leg.sha256 for leg in legs)),
        warnings=tuple(warnings),
    )


def both(first: str, second: str) -> str:
    """SHA-256 of a call in two files, from those of the files."""
    return hashlib.sha256(f"{first}{second}".encode()).hexdigest()


def _note_still_end(samples: Audio, rate: int, warnings: list[str]) -> None:
    """Say when the end is digital silence: one and the same sample in every channel."""
    still = size = samples.shape[1]
    for stop in range(size, 0, -_SAMPLES_AT_ONCE):
        start = max(0, stop - _SAMPLES_AT_ONCE)
        moving = np.flatnonzero((samples[:, start:stop] != samples[:, -1:]).any(axis=0))
        if moving.size:
            still = size - 1 - start - int(moving[-1])
            break
    if rate * _STILL_END_S <= still < size:
        warnings.append(f"The last {still / rate:.1f} s are digital silence.")


def _kept_rate(source: Source) -> int:
    """Return the rate to keep, or refuse what no recorder writes."""
    low, high = RATE_RANGE_HZ
    if not low <= source.rate <= high or not 1 <= source.channels <= MAX_CHANNELS:
        raise UnreadableAudio(
            f"The header names {source.rate} Hz and {source.channels} channels; allowed are "
            f"{low} to {high} Hz and 1 to {MAX_CHANNELS} channels.",
            COPY_HINT,
        )
    return min(source.rate, TARGET_RATE_HZ)


def _check_length(source: Source, seconds: Seconds | None, rate: int, max_samples: int) -> None:
    """Refuse what memory cannot hold."""
    if seconds is not None and seconds * rate * source.channels > max_samples:
        hours = max_samples / rate / source.channels / 3600
        raise UnreadableAudio(
            f"The recording is longer than {hours:.3g} hours, the most that fits in memory "
            f"at {rate} Hz with {source.channels} channel(s).",
            "Cut it into shorter files; if it is not that long, fetch the original again.",
        )


def _gather(source: Source, rate: int, max_samples: int) -> Audio:
    """Resample block by block and assemble, holding little more than the result at any time."""
    down = (
        [soxr.ResampleStream(source.rate, rate, 1, dtype="float32") for _ in range(source.channels)]
        if rate != source.rate
        else None
    )
    kept: list[Audio] = []
    total = zeroed = 0
    end = np.empty((source.channels, 0), np.float32)
    for block in chain(source.blocks, (end,)):
        with np.errstate(invalid="ignore"):
            clean = bool(np.isfinite(block.sum(dtype=np.float64)))
        if not clean:
            bad = ~np.isfinite(block)
            zeroed += int(bad.sum())
            block = np.where(bad, np.float32(0), block)
        if down:
            last = block is end
            block = np.stack(
                [s.resample_chunk(c, last=last) for s, c in zip(down, block, strict=True)]
            )
        kept.append(block)
        total += block.shape[1]
        _check_length(source, total / rate, rate, max_samples)
    if zeroed:
        source.warnings.append(f"{zeroed} samples were not finite numbers and are set to zero.")
    samples = np.empty((source.channels, total), np.float32)
    while kept:  # from the end, so that the memory of each block is free again at once
        block = kept.pop()
        samples[:, total - block.shape[1] : total] = block
        total -= block.shape[1]
    return samples


def _within_scale(samples: Audio, warnings: list[str]) -> Audio:
    """Undo, in place, what float files get wrong: whole numbers, and stray huge values."""
    if max(samples.max(), -samples.min()) <= _OVERSCALE:
        return samples
    starts = range(0, samples.shape[1], _SAMPLES_AT_ONCE)
    pieces = [samples[:, start : start + _SAMPLES_AT_ONCE] for start in starts]
    if _count_huge(pieces) > 0.05 * sum(np.count_nonzero(piece) for piece in pieces):
        samples *= np.float32(_WHOLE_NUMBERS)
        warnings.append("The float samples are 16-bit numbers: divided by 32768.")
    if count := _count_huge(pieces):
        for piece in pieces:
            piece[np.abs(piece) > _OVERSCALE] = 0
        warnings.append(f"{count} samples far above full scale are set to zero.")
    return samples


def _remove_offset(samples: Audio, rate: int, warnings: list[str]) -> None:
    """Take out, in place, the mean of a channel where it would count as level; zeros stay zeros."""
    hop = round(_SILENCE_S * rate)
    step = _SAMPLES_AT_ONCE // hop * hop
    for number, channel in enumerate(samples):
        pieces = [channel[start : start + step] for start in range(0, channel.size, step)]
        total = sum(float(piece.sum(dtype=np.float64)) for piece in pieces)
        sounding = np.count_nonzero(channel)
        if sounding < _MIN_OFFSET_S * rate or abs(total) <= _MIN_OFFSET * sounding:
            continue
        sounds = [np.logical_or.reduceat(p != 0, np.arange(0, p.size, hop)) for p in pieces]
        masks = [np.repeat(s, hop)[: p.size] for s, p in zip(sounds, pieces, strict=True)]
        offset = total / sum(int(mask.sum()) for mask in masks)
        for piece, mask in zip(pieces, masks, strict=True):
            piece[mask] -= np.float32(offset)
        warnings.append(f"Channel {number} has a constant offset of {offset:+.3f}: taken out.")


def _count_huge(pieces: list[Audio]) -> int:
    return sum(int(np.count_nonzero(np.abs(piece) > _OVERSCALE)) for piece in pieces)
