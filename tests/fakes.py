"""Synthetic calls, and stand-ins for the models that can hear them.

A call is a script of lines. Each line is a buzz of one syllable per character, 0.2 s of sound and
0.05 s of hardly any, with a gliding pitch: high for the agent, low for the customer. The decoder counts
syllables and answers with the line of that many characters, so the lines of a script must differ in
length; the diarizer goes by the pitch; the detector goes by the energy and takes music for speech.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from pipeline.batch.engines import Job
from pipeline.batch.engines.inline import InlineEngine
from pipeline.batch.identity import settle
from pipeline.batch.runner import Step, analyse
from pipeline.commands import jobs
from pipeline.qa_scores import read_scores
from pipeline.rubric import Rubrics, load_rubric
from pipeline.run import run_call
from pipeline.schema import (
    AGENT,
    CUSTOMER,
    Audio,
    CallResult,
    Failure,
    Recording,
    Span,
    SpeakerSegment,
    Word,
)
from pipeline.settings import Settings, config_path
from pipeline.speech.asr.windows import Decoder, Heard
from pipeline.speech.diarization.diarizers import Diarizer
from pipeline.speech.models import Models
from pipeline.store import Store
from pipeline.text import Lexicon

Analyse = Callable[..., CallResult]

RATE = 8000
HEARD_RATE = 16_000
SYLLABLE_S, REST_S = 0.2, 0.05
STEP_S = SYLLABLE_S + REST_S
REST_GAIN = 0.1
PITCH_HZ = {AGENT: 220.0, CUSTOMER: 120.0}
BETWEEN_HZ = 170.0
TOP_HZ = 3300.0
LEVEL = 0.1
NOISE_DBFS = -75.0


@dataclass(frozen=True)
class Line:
    """What one party says from ``start`` on."""

    speaker: str
    start: float
    text: str

    @property
    def end(self) -> float:
        """Where the last syllable stops."""
        return self.start + length_s(self.text)


@dataclass(frozen=True)
class Script:
    """A call: who says what when."""

    lines: tuple[Line, ...]
    duration: float

    @classmethod
    def of(cls, *lines: tuple[str, float, str], tail: float = 1.0) -> Script:
        """Build from (speaker, start, text)."""
        made = tuple(Line(*line) for line in lines)
        assert len({len(line.text) for line in made}) == len(made), "lines must differ in length"
        return cls(made, max((line.end for line in made), default=2.0) + tail)

    def text_of(self, syllables: int) -> str:
        """The line of so many characters; something else when there is none."""
        return next((x.text for x in self.lines if len(x.text) == syllables), "啦" * syllables)

    def channel(self, speaker: str, seed: int = 0, quiet_s: float = 0.0) -> Audio:
        """One speaker's channel: the lines over faint noise, after ``quiet_s`` of noise alone."""
        samples = noise(self.duration + quiet_s, seed)
        for line in self.lines:
            if line.speaker == speaker:
                place(samples, buzz(line.text, PITCH_HZ[speaker]), line.start + quiet_s)
        return samples

    def stereo(self, *, agent: int = 0, quiet_s: float = 0.0) -> Audio:
        """Both channels, shape (2, n), the agent on channel ``agent``."""
        both = [self.channel(s, i, quiet_s) for i, s in enumerate((AGENT, CUSTOMER))]
        return np.stack(both if agent == 0 else both[::-1])

    def mono(self) -> Audio:
        """Everybody on one channel, shape (1, n)."""
        return self.stereo().sum(axis=0, keepdims=True)


def length_s(text: str) -> float:
    """How long a text lasts."""
    return len(text) * STEP_S - REST_S


def noise(seconds: float, seed: int = 0, dbfs: float = NOISE_DBFS) -> Audio:
    """White noise, shape (n,)."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return np.asarray(samples * 10 ** (dbfs / 20), np.float32)


def buzz(text: str, pitch_hz: float, level: float = LEVEL) -> Audio:
    """One syllable per character, the pitch gliding up and down by a sixth of an octave, shape (n,)."""
    t = np.arange(round(len(text) * STEP_S * RATE)) / RATE
    syllable, within = np.divmod(t, STEP_S)
    glide = (-1) ** syllable * (np.minimum(within / SYLLABLE_S, 1.0) - 0.5) / 6
    phase = 2 * np.pi * np.cumsum(pitch_hz * 2**glide) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, int(TOP_HZ / pitch_hz) + 1))
    gate = np.clip(np.minimum(within, SYLLABLE_S - within) / 0.005, REST_GAIN, 1.0)
    spoken = t < length_s(text)
    return np.asarray(level * gate * tone * spoken, np.float32)


def place(samples: Audio, sound: Audio, start: float) -> None:
    """Add a sound to a channel, in place."""
    first = round(start * RATE)
    samples[first : first + sound.size] += sound[: samples.size - first]


def chords(seconds: float, level: float = 0.05) -> Audio:
    """Hold music: a chord of three notes with partials, another one every two seconds."""
    t = np.arange(round(seconds * RATE)) / RATE
    samples = np.zeros(t.size)
    for bar, root in zip(range(int(seconds / 2) + 1), (262, 349, 392, 330) * 100, strict=False):
        here = (t >= 2 * bar) & (t < 2 * bar + 2)
        for ratio in (1, 5 / 4, 3 / 2):
            for k, gain in ((1, 1.0), (2, 0.4), (3, 0.2)):
                samples[here] += gain * np.sin(2 * np.pi * root * ratio * k * t[here])
    return np.asarray(level * samples / 3, np.float32)


def rings(count: int, hz: float = 450.0, on: float = 1.0, off: float = 4.0) -> Audio:
    """Ringback tone."""
    t = np.arange(round(on * RATE)) / RATE
    burst = 0.1 * np.sin(2 * np.pi * hz * t)
    one = np.concatenate((burst, np.zeros(round(off * RATE))))
    return np.asarray(np.tile(one, count), np.float32)


def save(path: Path, samples: Audio) -> Path:
    """Write 32-bit float WAV, so that a change of gain changes nothing else.

    (libsndfile would write the time of day into the file, and equal calls would differ.)
    """
    wavfile.write(path, RATE, samples.T)
    return path


class EnergyDetector:
    """Calls everything speech that is well over the noise."""

    def __call__(self, audio: Audio) -> NDArray[np.float32]:
        """Probabilities for every 512 samples."""
        padded = np.pad(audio, (0, -audio.size % 512)).reshape(-1, 512)
        level = 10 * np.log10(np.mean(np.square(padded), axis=1) + 1e-12)
        floor = np.percentile(level[level > -110], 5) if (level > -110).any() else 0.0
        return np.asarray(level > floor + 15, np.float32)


@dataclass
class ScriptDecoder:
    """Hears the lines of a script; counts how often it was called and keeps the windows."""

    script: Script
    no_speech: float = 0.0
    logprob: float = -0.1
    calls: int = 0
    windows: list[Audio] = field(default_factory=list)

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """Give each stretch of syllables the line that has as many characters."""
        self.calls += 1
        self.windows += list(windows)
        return [Heard(tuple(self._words(w)), self.logprob, self.no_speech) for w in windows]

    def _words(self, window: Audio) -> Iterator[Word]:
        for stretch in stretches(window):
            text = self.script.text_of(len(stretch))
            for (start, end), character in zip(stretch, text, strict=True):
                yield Word(start, end, character, 0.95)


class PitchDiarizer:
    """Tells voices apart by whether their pitch is high or low; labels without meaning."""

    def __call__(
        self, audio: Audio, speech: Sequence[Span], speakers: int
    ) -> tuple[SpeakerSegment, ...]:
        """One segment for every stretch of syllables."""
        return tuple(
            SpeakerSegment(s[0][0], s[-1][1], f"SPEAKER_{int(_pitch(audio, s) < BETWEEN_HZ):02d}")
            for s in stretches(audio)
        )


def stretches(audio: Audio) -> list[list[Span]]:
    """Syllables of 16 kHz audio, in groups between which there is more than a rest."""
    hop = HEARD_RATE // 200
    level = np.abs(audio[: audio.size // hop * hop]).reshape(-1, hop).max(axis=1, initial=0.0)
    loud = level > max(0.2 * level.max(initial=0.0), 1e-3 * LEVEL)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(np.int8), [0])))) / 200
    groups: list[list[Span]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if groups and start - groups[-1][-1][1] < 2 * REST_S:
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
    return groups


def _pitch(audio: Audio, stretch: list[Span]) -> float:
    start, end = (round(x * HEARD_RATE) for x in (stretch[0][0], stretch[-1][1]))
    power = np.abs(np.fft.rfft(audio[start:end]))
    hz = np.fft.rfftfreq(end - start, 1 / HEARD_RATE)
    voice = (hz > 80) & (hz < 320)
    return float(hz[voice][np.argmax(power[voice])])


def models(
    script: Script,
    *,
    decoder: Decoder | None = None,
    diarizer: Diarizer | None = None,
    lexicon: Lexicon | None = None,
    weights: Mapping[str, str] | None = None,
) -> Models:
    """The stand-ins for one call."""
    return Models(
        detector=EnergyDetector(),
        decoder=decoder or ScriptDecoder(script),
        lexicon=lexicon or Lexicon(()),
        weights=weights or {"fake": "0" * 64},
        given_diarizer=diarizer or PitchDiarizer(),
    )


def recording(path: Path, **changes: object) -> Recording:
    """The recording in a file, named after it."""
    return Recording(path=str(path), call_id=path.stem, **changes)


def batch(
    recordings: Iterable[Recording],
    settings: Settings,
    store: Store,
    load: Callable[[Settings], Models],
    *,
    force: bool = False,
) -> Iterator[Step]:
    """Analyse in this process."""
    rubrics = Rubrics(settings)
    engine = InlineEngine(Job(settings, rubrics, load))
    return analyse(recordings, settings, store, engine, rubrics, force=force)


def analyser(folder: Path, script: Script, settings: Settings, **told: object) -> Analyse:
    """Analyse samples as the recording ``call.wav`` in ``folder``, of which ``told`` is known."""
    rubric = load_rubric(config_path("rubrics/hotline.yaml"))

    def analyse(samples: Audio, script: Script = script, **metadata: object) -> CallResult:
        path = save(folder / "call.wav", np.asarray(samples, np.float32))
        known = recording(path, **({"direction": "inbound"} | told | metadata))
        return run_call(known, settings, models(script), rubric)

    return analyse


def analyse_tables(
    inputs: jobs.Inputs,
    out: Path,
    rubrics: Rubrics,
    load: Callable[[Settings], Models],
    *,
    force: bool = False,
) -> tuple[str, list[Failure]]:
    """What ``callcoach analyze`` does but for the files it writes: what it says, and what failed."""
    place, settings = jobs.Place(out), rubrics.settings
    out.mkdir(exist_ok=True)
    found = inputs.find(settings.time.zone, inputs.metadata, inputs.events, place)
    said = [*found.warnings]
    with Store.open(out) as store:
        settled = settle(found, store)
        engine = InlineEngine(Job(settings, rubrics, load))
        steps = list(jobs._steps(found, settled, settings, store, engine, rubrics, force=force))
        if inputs.scores is not None:
            sheet = read_scores(inputs.scores)
            said += [*sheet.notes, *jobs._import_scores(store, sheet, rubrics)]
    failures = [step.failure for step in steps if step.failure is not None]
    said += [*settled.notes, *(f"{f.message} {f.hint}" for f in failures)]
    return "\n".join(said), failures
