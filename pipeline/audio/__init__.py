"""Recordings as samples: decoding, resampling and clips.

``readers`` opens a file and hands on blocks, ``decoding`` gathers them, ``resampling`` changes the
rate, ``clips`` writes a stretch back to a file.
"""

from pipeline.audio.clips import write_clip
from pipeline.audio.decoding import (
    MAX_SAMPLES,
    RATE_RANGE_HZ,
    TARGET_RATE_HZ,
    both,
    decode,
    decode_legs,
    decode_recording,
)
from pipeline.audio.readers import AUDIO_SUFFIXES, HEADERLESS, MAX_BYTES
from pipeline.audio.resampling import Resampled, resample

__all__ = [
    "AUDIO_SUFFIXES",
    "HEADERLESS",
    "MAX_BYTES",
    "MAX_SAMPLES",
    "RATE_RANGE_HZ",
    "TARGET_RATE_HZ",
    "Resampled",
    "both",
    "decode",
    "decode_legs",
    "decode_recording",
    "resample",
    "write_clip",
]
