"""faster-whisper as its manual shows it: the rival that recognition is measured beside.

Beam 5, voice activity first, the language given, everything else as it comes; recordings of two
channels channel by channel.

References
----------
faster-whisper, MIT licence, README, "Usage".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.schema import Audio

BEAMS = 5


def plain_text(model: Any, channels: Sequence[Audio], language: str) -> str:
    """Text of all channels, one after the other.

    Parameters
    ----------
    model : faster_whisper.WhisperModel
        As it is loaded by its own library, with all tokens.
    channels : sequence of Audio, each of shape (n,), float32, 16 kHz
    language : str
    """
    parts: list[str] = []
    for audio in channels:
        segments, _ = model.transcribe(audio, language=language, beam_size=BEAMS, vad_filter=True)
        parts += [segment.text for segment in segments]
    return "".join(parts)
