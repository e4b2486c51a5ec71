"""One voice-activity timeline per channel, with tight edges, that carries every timing measure.

A neural detector (Silero VAD v6, which comes inside faster-whisper) says *whether* a stretch is speech;
the frame energy says *where exactly* it begins and ends. Silero alone starts some 80 ms late on
telephone audio, pads nothing and knows nothing of line noise; energy alone takes music and tones for
speech. Together they give edges within a few tens of milliseconds. In noise the ends of words are
weaker than the noise as a whole, but not in every band of it: a frame is loud when one of seven bands
is, held against the loudest that this band gets in most seconds without speech.

Silero also doubts what a listener says: a lone 嗯 or 是 of a quarter of a second often stays under the
threshold. A short sound that it thinks possible counts when it is a voice: periodic, and of a pitch
that moves. Breath and knocks are not periodic, and the pitch of tones, beeps and music stands still.

Conventions: times in seconds; frames of 10 ms; audio float32 at 16 kHz, shape (n,).

References
----------
Silero VAD, MIT licence, https://github.com/snakers4/silero-vad
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from pipeline.schema import SAMPLE_RATE, Audio, Seconds, Sound, Span
from pipeline.settings import Vad
from pipeline.signal.pitch import FIRST_CEILING_HZ, FIRST_FLOOR_HZ, track_f0
from pipeline.spans import join, runs

FRAME_S = 0.010
HELD_UNDER = 0.15  # speech that has begun goes on to so much under the threshold (Silero's own)
PROBABILITY_FRAME_S = 512 / SAMPLE_RATE
DETECTOR_CONTEXT = 64
BLOCK = 3200 * 160  # samples looked at at once, 32 s: whole frames of 10 ms and of the detector

BANDS_HZ = (150.0, 400.0, 700.0, 1050.0, 1500.0, 2050.0, 2750.0, 3700.0)
BAND_WINDOW_S = 0.030
BLOCK_FRAMES = 1024
BAND_BELOW_PEAK_DB = 30.0  # below the strongest band of the talker; what is softer may leak in
OVER_NOISE_DB = 1.0
NOISE_BLOCK_S = 1.0
NOISE_QUANTILE = 2 / 3

HUM_S = (0.10, 1.0)
HUM_PROBABILITY = 0.05  # the detector gives hums 0.08 and more
HUM_OVER_FLOOR_DB = 12.0
HUM_VOICED_SHARE = 0.5
HUM_PERIODICITY = 0.4  # median of the normalised autocorrelation; 0.45 for hums at 15 dB
HUM_STEP_ST = (0.02, 0.7)  # median change of pitch in 10 ms; it glides, but does not jump
HUM_RANGE_ST = 0.7  # from the 10th to the 90th percentile of the pitch


class SpeechDetector(Protocol):
    """Anything that gives the probability of speech for every 512 samples at 16 kHz."""

    def __call__(self, audio: Sound) -> NDArray[np.float32]:
        """Probabilities, shape (ceil(n / 512),)."""
        ...


class SileroDetector:
    """Silero VAD v6 as bundled with faster-whisper (ONNX, one thread)."""

    def __init__(self) -> None:
        from faster_whisper.vad import get_vad_model

        self._model = get_vad_model()

    def __call__(self, audio: Sound) -> NDArray[np.float32]:
        """Probabilities of speech, shape (ceil(n / 512),)."""
        found = [np.zeros(0, np.float32)]
        state = {name: np.zeros((1, 1, 128), np.float32) for name in ("h", "c")}
        context = np.zeros((1, DETECTOR_CONTEXT), np.float32)
        for block in _blocks(audio):
            frames = np.pad(block, (0, -block.size % 512)).reshape(-1, 512)
            ends = np.concatenate((context, frames[:, -DETECTOR_CONTEXT:]))
            heard = np.concatenate((ends[:-1], frames), axis=1)
            output, state["h"], state["c"] = self._model.session.run(
                None, {"input": heard, **state}
            )
            found.append(np.asarray(output, np.float32).reshape(-1))
            context = ends[-1:]
        return np.concatenate(found)


def detect_speech(
    audio: Sound,
    detector: SpeechDetector,
    options: Vad = Vad(),
    *,
    ignore: NDArray[np.bool_] | None = None,
) -> tuple[Span, ...]:
    """Find where speech is.

    Parameters
    ----------
    audio : Sound, shape (n,), float32, 16 kHz
    detector : SpeechDetector
    options : Vad
    ignore : ndarray of bool, shape (frames of 10 ms,), optional
        Frames that are known not to be this speaker's (crosstalk, tones).

    Returns
    -------
    tuple of (start, end)
        Disjoint, ordered; gaps shorter than ``min_pause_s`` are closed.
    """
    if audio.size < SAMPLE_RATE // 50:
        return ()
    level = frame_levels_db(audio)
    probability = _per_frame(detector(audio), level.size)
    own = np.ones(level.size, bool) if ignore is None else ~_fit(ignore, level.size)
    sure = (probability >= options.threshold) & own
    if not sure.any():
        return ()
    likely = _held(sure, (probability >= options.threshold - HELD_UNDER) & own)
    reach = round(options.reach_s / FRAME_S)
    near = np.convolve(likely, np.ones(2 * reach + 1))[reach : reach + level.size] > 0.5
    loud = _loud(audio, level, sure, own & ~near, options) & own
    spans = [
        s
        for s in join(runs(near & loud, FRAME_S), options.min_pause_s)
        if s[1] - s[0] >= options.min_speech_s and _part(sure, s).any()
    ]
    for start, end in spans:
        loud[_frames(start, end)] = False
    audible = level > noise_floor_db(level) + HUM_OVER_FLOOR_DB
    possible = (probability >= HUM_PROBABILITY) & audible
    hums = [s for s in runs(loud, FRAME_S) if _part(possible, s).any() and _is_hum(audio, s)]
    return tuple(join([*spans, *hums], options.min_pause_s))


def frame_levels_db(audio: Sound, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float64]:
    """RMS level of every 10 ms frame in dBFS, shape (n // frame,); digital silence is -120."""
    hop = round(sample_rate * FRAME_S)
    power = [np.zeros(0)]
    for block in _blocks(audio, BLOCK // hop * hop):
        frames = block[: block.size // hop * hop].reshape(-1, hop)
        power.append(np.mean(np.square(frames, dtype=np.float64), axis=1))
    return np.asarray(10 * np.log10(np.maximum(np.concatenate(power), 1e-12)))


def _blocks(audio: Sound, size: int = BLOCK) -> Iterator[Audio]:
    """The audio piece by piece."""
    for start in range(0, audio.size, size):
        yield audio[start : start + size]


def noise_floor_db(level: NDArray[np.float64]) -> float:
    """Level of the line noise: the 10th percentile of the frames that carry any signal."""
    alive = level[level > -100]
    return float(np.percentile(alive, 10)) if alive.size else -100.0


def _loud(
    audio: Sound,
    level: NDArray[np.float64],
    likely: NDArray[np.bool_],
    quiet: NDArray[np.bool_],
    options: Vad,
) -> NDArray[np.bool_]:
    """Frames that stand out of the noise and are not too far below the talker."""
    floor = noise_floor_db(level)
    peak = float(np.percentile(level[likely], 95))
    least = floor + options.above_floor_db
    in_band = np.zeros(level.size, bool)
    bands = _band_levels_db(audio)
    speech = float(np.median(level[likely]))
    noise = _noise_peaks_db(np.column_stack((level, bands)), quiet & (level > -100), speech)
    if noise is not None:
        least = max(least, noise[0] + OVER_NOISE_DB)
        strongest = float(np.percentile(bands[likely], 95, axis=0).max())
        enough = np.maximum(noise[1:] + OVER_NOISE_DB, strongest - BAND_BELOW_PEAK_DB)
        over = np.asarray((bands > enough).any(axis=1))
        twice = over[:-1] & over[1:]  # one frame alone may be noise
        in_band = np.append(twice, False) | np.append(False, twice)
    whole = level > max(min(least, peak - 6.0), peak - options.below_peak_db)
    return np.asarray(whole | in_band)


def _band_levels_db(audio: Sound) -> NDArray[np.float64]:
    """Level of each of ``BANDS_HZ`` around every 10 ms frame, shape (frames, bands)."""
    hop, size = round(SAMPLE_RATE * FRAME_S), round(SAMPLE_RATE * BAND_WINDOW_S)
    window = np.hanning(size).astype(np.float32)
    edges = np.searchsorted(fft.rfftfreq(size, 1 / SAMPLE_RATE), BANDS_HZ)
    margin = (size - hop) // 2
    power = [np.zeros((0, len(BANDS_HZ) - 1))]
    for start in range(0, audio.size // hop * hop, BLOCK_FRAMES * hop):
        stop = min(start + BLOCK_FRAMES * hop, audio.size // hop * hop)
        inside = audio[max(0, start - margin) : stop + margin]
        lacking = (max(0, margin - start), max(0, stop + margin - audio.size))
        frames = sliding_window_view(np.pad(inside, lacking), size)[::hop]
        spectra = np.square(np.abs(fft.rfft(frames * window)))
        power.append(np.add.reduceat(spectra, edges, axis=1)[:, :-1])
    return np.asarray(10 * np.log10(np.maximum(np.concatenate(power), 1e-12)))


def _noise_peaks_db(
    levels: NDArray[np.float64], quiet: NDArray[np.bool_], speech_db: float
) -> NDArray[np.float64] | None:
    """The loudest frame of a second of the quiet ones, column by column; None with less of them.

    What two thirds of the seconds keep under: music or a voice in fewer than a third of them
    changes nothing. Nor do seconds louder than speech usually is (crackle, music, a voice that was
    missed), as speech could not be heard in them; unless all are.
    """
    block = round(NOISE_BLOCK_S / FRAME_S)
    count = int(quiet.sum()) // block
    if count == 0:
        return None
    peaks = levels[quiet][: count * block].reshape(count, block, -1).max(axis=1)
    under = peaks[:, 0] < speech_db
    return np.asarray(np.quantile(peaks[under] if under.any() else peaks, NOISE_QUANTILE, axis=0))


def _is_hum(audio: Sound, span: Span) -> bool:
    """Whether a short sound is a voice: periodic, and of a pitch that moves."""
    seconds = span[1] - span[0]
    if not HUM_S[0] <= seconds <= HUM_S[1]:
        return False
    sound = audio[round(span[0] * SAMPLE_RATE) : round(span[1] * SAMPLE_RATE)]
    track = track_f0(sound, SAMPLE_RATE, floor_hz=FIRST_FLOOR_HZ, ceiling_hz=FIRST_CEILING_HZ)
    voiced = np.isfinite(track.f0_hz)
    pitch_st = 12 * np.log2(track.f0_hz)
    steps = np.abs(np.diff(pitch_st))
    steps = steps[np.isfinite(steps)]
    if steps.size == 0 or voiced.sum() * FRAME_S < HUM_VOICED_SHARE * seconds:
        return False
    low, high = np.percentile(pitch_st[voiced], [10, 90])
    return bool(
        np.median(track.strength[voiced]) >= HUM_PERIODICITY
        and HUM_STEP_ST[0] <= np.median(steps) <= HUM_STEP_ST[1]
        and high - low >= HUM_RANGE_ST
    )


def _held(sure: NDArray[np.bool_], possible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The stretches of what is possible that hold something sure: speech goes on until it is unlikely."""
    held = np.zeros(sure.size, bool)
    for span in runs(possible, FRAME_S):
        held[_frames(*span)] = _part(sure, span).any()
    return held


def _per_frame(values: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    index = ((np.arange(frames) + 0.5) * FRAME_S / PROBABILITY_FRAME_S).astype(int)
    return np.asarray(values[np.minimum(index, values.size - 1)])


def _fit(mask: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    fitted = np.zeros(frames, bool)
    fitted[: min(frames, mask.size)] = mask[:frames]
    return fitted


def _frames(start: Seconds, end: Seconds) -> slice:
    return slice(round(start / FRAME_S), round(end / FRAME_S))


def _part(mask: NDArray[np.bool_], span: Span) -> NDArray[np.bool_]:
    return mask[_frames(*span)]
