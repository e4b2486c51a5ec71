"""How often fingerprints find a sound again, and how often they take one for another.

Every clip of 2 s and more of the utterance bank is compared with itself at another level, with noise,
between other samples and through telephone codecs, and with every other clip of the bank. Clips of one
voice that begin with the same words are the same synthesis, so pairs of one voice are counted apart.

    python -m tests.benchmarks.prints
"""

from __future__ import annotations

import io
import json
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from pipeline.schema import Audio
from pipeline.signal.prints import is_same_sound, marks_of

RATE = 8000
LEAST_S = 2.0
BANK = Path(__file__).parents[2] / "data" / "utterances"
CODECS = {
    "no codec": "",
    "u-law": "ULAW",
    "A-law": "ALAW",
    "IMA ADPCM": "IMA_ADPCM",
    "GSM": "GSM610",
}
LEVELS_DB = (-15.0, 6.0)
NOISE_DBFS = -62.0


def altered(samples: Audio, subtype: str, rng: np.random.Generator) -> Audio:
    """The same sound at another level, some samples later, with noise, through a codec."""
    late = np.concatenate([np.zeros(rng.integers(0, 128)), samples])
    sound = late * 10 ** (rng.uniform(*LEVELS_DB) / 20)
    sound += rng.standard_normal(sound.size) * 10 ** (NOISE_DBFS / 20)
    if not subtype:
        return np.asarray(sound, np.float32)
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="WAV", subtype=subtype)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def main() -> None:
    """Print the figures."""
    rng = np.random.default_rng(0)
    index = json.loads((BANK / "index.json").read_text("utf-8"))
    listed = [c for c in index if c["seconds"] >= LEAST_S]
    clips = []
    for one in listed:
        samples, rate = soundfile.read(BANK / f"{one['id']}.flac")
        clips.append(np.asarray(resample_poly(samples, RATE, rate), np.float32))
    begun = time.process_time()
    marks = [marks_of(c, RATE) for c in clips]
    cost = (time.process_time() - begun) / (sum(c.size for c in clips) / RATE)
    print(f"{len(clips)} clips; {1000 * cost:.1f} ms of CPU a second of speech fingerprinted")
    for name, subtype in CODECS.items():
        found = [
            is_same_sound(m, marks_of(altered(c, subtype, rng), RATE))
            for m, c in zip(marks, clips, strict=True)
        ]
        print(f"found again, {name}: {sum(found)} of {len(found)}")
    for is_one_voice in (False, True):
        pairs = [
            (i, j)
            for i, j in combinations(range(len(clips)), 2)
            if (listed[i]["voice"] == listed[j]["voice"]) == is_one_voice
        ]
        taken = sum(is_same_sound(marks[i], marks[j]) for i, j in pairs)
        print(f"taken for another, {'one voice' if is_one_voice else 'two voices'}: "
              f"{taken} of {len(pairs)}")  # fmt: skip


if __name__ == "__main__":
    main()
