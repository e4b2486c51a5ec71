"""Calls of hours: they are read piece by piece, with the same result as in one piece."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from pipeline.audio import Resampled, decode, resample
from pipeline.settings import Vad
from pipeline.speech.vad import BLOCK, SileroDetector, detect_speech, frame_levels_db
from tests.audio_files import write_wav_header
from tests.fakes import EnergyDetector, buzz, noise, place

ROOT = Path(__file__).parents[1]
CALL = ROOT / "data" / "samples" / "refund_silent_hold.wav"

# A detector that hears nothing, so that what is measured is everything but the models.
RUN = """
import sys
import numpy as np
from pipeline.rubric import load_rubric
from pipeline.run import run_call
from pipeline.schema import Recording
from pipeline.settings import config_path, load_settings
from pipeline.speech.models import Models
from pipeline.text import Lexicon

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(key))

models = Models(lambda audio: np.zeros(-(-audio.size // 512), np.float32), None, Lexicon(()))
rubric = load_rubric(config_path("rubrics/hotline.yaml"))
before = status("VmRSS")
result = run_call(Recording(sys.argv[1], "long", agent_channel=0), load_settings(), models, rubric)
print(result.duration, status("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_a_long_call_takes_little_more_memory_than_its_samples(tmp_path: Path) -> None:
    rate, seconds, channels = 8000, 1800, 2
    block = noise(60.0, seed=1, dbfs=-40.0)
    data = (np.stack([block, block[::-1]], axis=1) * 32767).astype("<i2").tobytes()
    path = tmp_path / "long.wav"
    path.write_bytes(write_wav_header(1, channels, rate, 16, data * (seconds // 60)))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    duration, growth_mib = map(float, done.stdout.split())
    samples_mib = rate * seconds * channels * 4 / 2**20
    assert duration == seconds
    assert growth_mib < 1.2 * samples_mib + 80  # at 16 kHz the two channels alone are twice that


def test_the_detector_hears_the_same_piece_by_piece() -> None:
    wave = decode(CALL)
    whole = resample(wave.samples[0], wave.sample_rate, 16_000)
    assert whole.size > 2 * BLOCK
    padded = np.pad(whole, (0, -whole.size % 512))
    expected = get_vad_model()(padded).reshape(-1)  # which spoils the last frame
    for sound in (whole, Resampled(wave.samples[0], wave.sample_rate, 16_000)):
        found = SileroDetector()(sound)
        assert found.size == expected.size
        assert np.abs(found - expected)[:-1].max() < 1e-3
        assert frame_levels_db(sound) == pytest.approx(frame_levels_db(whole), abs=1e-3)


def test_speech_is_found_the_same_piece_by_piece() -> None:
    wave = decode(CALL)
    options, detector = Vad(), EnergyDetector()
    for samples in wave.samples:
        whole = resample(samples, wave.sample_rate, 16_000)
        lazy = Resampled(samples, wave.sample_rate, 16_000)
        spans = detect_speech(whole, detector, options)
        assert len(spans) > 3
        assert detect_speech(lazy, detector, options) == spans


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.35, 0.59, 0.62])
def test_the_shortest_recordings_are_taken(seconds: float) -> None:
    sound = noise(seconds)
    place(sound, buzz("好", 200.0), 0.0)
    spans = detect_speech(Resampled(sound, 8000, 16_000), EnergyDetector(), Vad())
    assert all(0 <= start < end <= seconds + 0.011 for start, end in spans)
