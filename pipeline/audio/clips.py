"""Cut a stretch out of a recording and write it, for listening to the evidence.

Conventions: times in seconds; all channels are kept; 16-bit WAV or FLAC by the suffix.
"""

from __future__ import annotations

import os

import soundfile

from pipeline.errors import OutputError, ParameterError, one_line
from pipeline.schema import Seconds, Waveform


def write_clip(
    waveform: Waveform, start: Seconds, end: Seconds, path: str | os.PathLike[str]
) -> None:
    """Write a stretch of a recording, all channels, as 16-bit WAV or FLAC (by the suffix).

    Raises
    ------
    ParameterError
        If the stretch does not overlap the recording.
    OutputError
        If the file cannot be written.
    """
    rate = waveform.sample_rate
    first = max(0, round(start * rate))
    last = min(waveform.samples.shape[1], round(end * rate))
    if first >= last:
        raise ParameterError(
            f"No audio between {start:g} and {end:g} s: the recording lasts "
            f"{waveform.duration:g} s and the end must come after the start."
        )
    try:
        soundfile.write(os.fspath(path), waveform.samples[:, first:last].T, rate, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError, TypeError, ValueError) as error:
        raise OutputError(
            f"The clip cannot be written to {os.fspath(path)}: {one_line(error)}.",
            "Check the folder and give a name that ends in .wav or .flac.",
        ) from error
