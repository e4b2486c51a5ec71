"""A seeded corpus of two-channel calls with exact truth: one base set, and that set with one thing changed.

Four calls are put together from the utterance bank in ``data/utterances`` by ``data/synthesis.py``, each with
backchannels, an interruption, an attempt, a hold, dead air and, in three of them, ringing. A
:class:`Condition` is the base set with one thing changed, so that what differs between two conditions
comes from that. The same condition gives the same samples.

Truth
-----
On top of what the assembly writes down, the truth of a call has

- ``spans`` of each turn: 10 ms frames within 40 dB of the peak of the clean clip, pauses of 0.18 s
  and more left out;
- ``level_dbfs``, ``active_level_dbfs``, ``loudness_lufs`` by speaker: the clean tracks at their final
  gain, before crosstalk, noise and codec, in the stretches in which only this speaker speaks;
- ``f0_median_hz``, ``pitch_sd_st``, ``pitch_range_st`` by speaker: the clean clips at 16 kHz, with the
  fundamental that the telephone takes away, in the same stretches, by the program's own tracker. They
  say what the line costs; how good the tracker is on speech of known pitch is measured by
  ``pitch_trackers.py``.

Tempo and spread of pitch are changed by analysis and resynthesis (WORLD, by pyworld).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from pipeline.evaluation.truth import OF_A_VOICE
from pipeline.schema import Span
from pipeline.signal.level import active_speech_level, gated_rms_dbfs, loudness_lufs
from pipeline.signal.pitch import pitch_spread, track_speaker_f0

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))

from signals import EDGE_DB, FRAME, RATE, from_db, telephone_band, tighten  # noqa: E402
from synthesis import Bank, CallBuilder, Line, Medium, Party, Style, Utterance  # noqa: E402

Array = NDArray[np.float64]
Codec = Literal["alaw", "ulaw", "gsm", "amr", "opus", "mp3"]

WIDE_RATE = 16_000
PAUSE_S = 0.18
WORLD_FRAME_MS = 5.0
OPUS_BITS, MP3_BITS, AMR_BITS = 8_000, 16_000, 12_200
CODECS: tuple[Codec, ...] = (
    "ulaw",
    "alaw",
    "ulaw",
    "gsm",
    "amr",
    "opus",
)  # of telephones, to draw from
SUFFIXES: Mapping[Codec, str] = {"mp3": ".mp3"}


@dataclass(frozen=True)
class Plan:
    """What is particular to one call of the base set; ``agent_cut`` says who is interrupted."""

    agent: str
    customer: str
    rings: int
    hold_s: float
    medium: Medium
    dead_air_s: float
    agent_cut: bool
    gains_db: tuple[float, float]


PLANS = (
    Plan("xiaoxiao", "yunjian", 1, 12.0, "music", 6.0, False, (0.0, -3.0)),
    Plan("yunyang", "xiaobei", 0, 10.0, "silence", 5.6, True, (-2.0, 1.0)),
    Plan("xiaoyi", "xiaohe", 2, 14.0, "silence", 6.5, False, (2.0, -5.0)),
    Plan("yunxi", "yunxia", 3, 20.0, "music", 7.0, True, (-6.0, 0.0)),
)


@dataclass(frozen=True)
class Condition:
    """The base set with one thing changed. ``given_text``: recognition is not what is looked at."""

    name: str
    group: str = "base"
    given_text: bool = False
    tempo: float = 1.0
    spread: float = 1.0
    gains_db: tuple[float, float] = (0.0, 0.0)
    overlap_s: float = 0.8
    gap_s: float = 0.5
    hold_s: float | None = None
    medium: Medium | None = None
    codec: Codec = "alaw"
    line: Line = field(default_factory=lambda: Line(snr_db=30.0, crosstalk_db=None))


@dataclass(frozen=True)
class Spoken:
    """What is heard of one turn: the text of a cut turn ends where it was cut."""

    party: Party
    start: float
    end: float
    text: str


@dataclass(frozen=True, eq=False)
class MadeCall:
    """One call: ``samples`` of shape (n, channels) before the codec, its truth and its words."""

    samples: Array
    truth: dict[str, Any]
    spoken: tuple[Spoken, ...]
    codec: Codec
    mono: bool


def conditions() -> tuple[Condition, ...]:
    """All conditions, the base set first."""

    def line(snr: float = 30.0, crosstalk: float | None = None, mono: bool = False) -> Line:
        return Line(snr_db=snr, crosstalk_db=crosstalk, mono=mono)

    given = {"given_text": True}
    return (
        Condition("base"),
        Condition("base, text given", **given),
        Condition("mono", "mono", line=line(mono=True)),
        Condition("rate x0.85", "rate", tempo=0.85),
        Condition("rate x1.2", "rate", tempo=1.2),
        Condition("pitch spread x0.6", "pitch", **given, spread=0.6),
        Condition("pitch spread x1.4", "pitch", **given, spread=1.4),
        Condition("level -12 dB", "level", **given, gains_db=(-12.0, -12.0)),
        Condition("level +6 dB", "level", **given, gains_db=(6.0, 6.0)),
        Condition("agent +6, customer -9 dB", "level", **given, gains_db=(6.0, -9.0)),
        Condition("overlap 0.4 s", "overlap", **given, overlap_s=0.4),
        Condition("overlap 1.5 s", "overlap", **given, overlap_s=1.5),
        Condition("turns overlap by 0.2 s", "overlap", **given, gap_s=-0.2),
        Condition("silent hold 9 s", "hold", **given, hold_s=9.0, medium="silence"),
        Condition("silent hold 30 s", "hold", **given, hold_s=30.0, medium="silence"),
        Condition("music hold 9 s", "hold", **given, hold_s=9.0, medium="music"),
        Condition("music hold 60 s", "hold", **given, hold_s=60.0, medium="music"),
        Condition("u-law", "codec", **given, codec="ulaw"),
        Condition("GSM 06.10", "codec", codec="gsm"),
        Condition("AMR-NB 12.2 kbit/s", "codec", codec="amr"),
        Condition("Opus 8 kbit/s", "codec", codec="opus"),
        Condition("MP3 16 kbit/s for both", "codec", codec="mp3"),
        Condition("SNR 20 dB", "noise", line=line(20.0)),
        Condition("SNR 15 dB", "noise", line=line(15.0)),
        Condition("SNR 10 dB", "noise", line=line(10.0)),
        Condition("crosstalk -40 dB", "crosstalk", **given, line=line(crosstalk=-40.0)),
        Condition("crosstalk -30 dB", "crosstalk", **given, line=line(crosstalk=-30.0)),
        Condition("crosstalk -25 dB", "crosstalk", **given, line=line(crosstalk=-25.0)),
        Condition("crosstalk -20 dB", "crosstalk", **given, line=line(crosstalk=-20.0)),
        Condition("mono, SNR 20 dB", "mono", line=line(20.0, mono=True)),
    )


class VoiceBank(Bank):
    """The bank with tight clips in another tempo and spread of pitch, each also in wideband.

    Parameters
    ----------
    folder : Path
    tempo : float
        1.1 is 10 % faster.
    spread : float
        Factor of the distance in semitones of F0 from the median of the clip.
    """

    def __init__(self, folder: Path, tempo: float = 1.0, spread: float = 1.0) -> None:
        super().__init__(folder)
        self._wide: dict[str, Array] = {}
        self._tight: dict[str, Utterance] = {}
        self._tempo, self._spread = tempo, spread

    def __getitem__(self, name: str) -> Utterance:
        if name not in self._tight:
            plain = super().__getitem__(name)
            wide, rate = soundfile.read(self._folder / f"{name}.flac", dtype="float64")
            if (self._tempo, self._spread) != (1.0, 1.0):
                wide = resynthesised(wide, rate, self._tempo, self._spread)
            narrow = telephone_band(resample_poly(wide, RATE, rate))
            narrow = narrow[: len(narrow) // FRAME * FRAME]
            loud = np.full(FRAME, np.abs(narrow).max())
            lead = len(narrow) + FRAME - len(tighten(np.concatenate((narrow, loud))))
            tight = tighten(narrow)
            first, ratio = lead * WIDE_RATE // RATE, WIDE_RATE // RATE
            whole = resample_poly(wide, WIDE_RATE, rate)
            self._wide[name] = whole[first : first + len(tight) * ratio]
            self._tight[name] = Utterance(name, plain.kind, plain.voice, plain.text, tight)
        return self._tight[name]

    def wide(self, name: str) -> Array:
        """Return the clip at 16 kHz, all of its band, with the same edges."""
        _ = self[name]
        return self._wide[name]


def make_calls(condition: Condition, plans: Sequence[Plan] = PLANS) -> list[MadeCall]:
    """Make the base set under one condition."""
    bank = VoiceBank(ROOT / "data" / "utterances", condition.tempo, condition.spread)
    return [_make_call(bank, condition, plan) for plan in plans]


def write_recording(folder: Path, call: MadeCall) -> Path:
    """Write the recording; GSM, AMR and Opus code each leg by itself and are stored as decoded."""
    path = folder / f"{call.truth['call_id']}{SUFFIXES.get(call.codec, '.wav')}"
    samples = call.samples
    match call.codec:
        case "alaw" | "ulaw":
            soundfile.write(path, samples, RATE, subtype=call.codec.upper())
        case "mp3":
            path.write_bytes(encode(samples, "libmp3lame", "mp3", MP3_BITS))
        case "gsm" | "amr" | "opus":
            legs = [coded_leg(leg, call.codec) for leg in samples.T]
            soundfile.write(path, np.stack(legs, axis=1), RATE, "PCM_16")
    return path


def encode(samples: Array, codec: str, form: str, bits: int) -> bytes:
    """Encode (n, channels) samples at 8 kHz with FFmpeg; ``bits`` a second for all channels."""
    buffer = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        stream.bit_rate = bits
        data = np.ascontiguousarray(samples.T, np.float32)
        frame = av.AudioFrame.from_ndarray(data, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        target = stream.codec_context
        fitted = av.AudioResampler(
            format=target.format, layout=target.layout, rate=RATE, frame_size=target.frame_size
        )
        for part in (*fitted.resample(frame), *fitted.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def resynthesised(samples: Array, rate: int, tempo: float, spread: float) -> Array:
    """Analyse and synthesise with another tempo and another spread of F0 around its median."""
    world = _pyworld()
    rough, times = world.dio(
        samples, rate, f0_floor=60.0, f0_ceil=500.0, frame_period=WORLD_FRAME_MS
    )
    f0 = world.stonemask(samples, rough, times, rate)
    envelope = world.cheaptrick(samples, f0, times, rate)
    noise = world.d4c(samples, f0, times, rate)
    voiced = f0 > 0
    if voiced.any():
        median = np.median(f0[voiced])
        f0[voiced] = median * (f0[voiced] / median) ** spread
    out = world.synthesize(f0, envelope, noise, rate, WORLD_FRAME_MS / tempo)
    return np.asarray(out, np.float64)


def exclusive(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return what is left of ``spans`` without ``others``."""
    left = list(spans)
    for start, end in others:
        left = [
            piece
            for a, b in left
            for piece in ((a, min(b, start)), (max(a, end), b))
            if piece[1] > piece[0]
        ]
    return left


def _make_call(bank: VoiceBank, condition: Condition, plan: Plan) -> MadeCall:
    seed = 1 + PLANS.index(plan)
    gains = [a + b for a, b in zip(plan.gains_db, condition.gains_db, strict=True)]
    styles: dict[Party, Style] = {"A": Style(gain_db=gains[0]), "C": Style(gain_db=gains[1])}
    builder = CallBuilder(bank, f"call_{seed}", seed, styles)
    _play(builder, bank, condition, plan)
    call = builder.finish(condition.line, {}, {"direction": "inbound"})
    clean = builder.finish(Line(snr_db=None, crosstalk_db=None), {}, {}).samples
    clips = {
        ("A" if bank[n].voice == plan.agent else "C", bank[n].text): n for n in list(bank._tight)
    }
    _complete(call.truth, clean, bank, clips)
    spoken = tuple(_spoken(turn, bank, clips) for turn in call.truth["turns"])
    return MadeCall(call.samples, call.truth, spoken, condition.codec, condition.line.mono)


def _play(call: CallBuilder, bank: VoiceBank, condition: Condition, plan: Plan) -> None:
    """Play the call: who says what when."""

    def clip(party: Party, kind: str, number: int = 0) -> str:
        return bank.names(plan.agent if party == "A" else plan.customer, kind)[number]

    def say(party: Party, kind: str, gap: float = condition.gap_s) -> None:
        call.say(party, clip(party, kind), gap)

    overlap = condition.overlap_s
    call.ring(plan.rings)
    say("A", "open_full", 0.5)
    say("C", "complaint")
    call.backchannel("A", clip("A", "backchannel", 0), 0.2)
    if plan.agent_cut:
        call.attempt("A", clip("A", "ask_phone"), 0.45, overlap)
    call.backchannel("A", clip("A", "backchannel", 1), 0.75)
    say("A", "empathy")
    say("C", "request")
    if not plan.agent_cut:
        call.interrupt("A", clip("A", "ask_phone"), 0.5, overlap)
        say("C", "angry")
    say("A", "hold_ask")
    say("C", "consent")
    seconds, medium = condition.hold_s or plan.hold_s, condition.medium or plan.medium
    margins = (0.3, 0.5) if medium == "music" else (0.0, 0.0)
    call.hold(seconds, medium, True, *margins)
    say("A", "explain", 0.0)
    call.backchannel("C", clip("C", "backchannel"), 0.25)
    if plan.agent_cut:
        call.interrupt("C", clip("C", "ask_back"), 0.6, overlap)
    else:
        call.attempt("C", clip("C", "angry"), 0.55, overlap)
        say("C", "ask_back")
    call.silence(plan.dead_air_s)
    say("A", "promise", 0.0)
    say("C", "no_more")
    say("A", "close_full")
    say("C", "bye")


def _complete(
    truth: dict[str, Any], clean: Array, bank: VoiceBank, clips: Mapping[tuple[str, str], str]
) -> None:
    """Add what the assembly does not write down."""
    turns = truth["turns"]
    wide = np.zeros((len(clean) * WIDE_RATE // RATE, 2))
    for turn in turns:
        column = 0 if turn["speaker"] == "A" else 1
        first, last = round(turn["start"] * RATE), round(turn["end"] * RATE)
        turn["spans"] = _spans(clean[first:last, column], turn["start"])
        ratio = WIDE_RATE // RATE
        voice = bank.wide(clips[turn["speaker"], turn["text"]])[: (last - first) * ratio]
        wide[first * ratio : first * ratio + len(voice), column] += voice
    for name in OF_A_VOICE:
        truth[name] = {}
    for column, party in enumerate(("A", "C")):
        own = [(a, b) for t in turns if t["speaker"] == party for a, b in t["spans"]]
        others = [(a, b) for t in turns if t["speaker"] != party for a, b in t["spans"]]
        alone = exclusive(own, others)
        track = track_speaker_f0(wide[:, column], WIDE_RATE, alone)
        spread = pitch_spread(track.sure_hz, min_voiced_s=0.0)
        heard = {
            "level_dbfs": gated_rms_dbfs(clean[:, column], RATE, alone),
            "active_level_dbfs": active_speech_level(clean[:, column], RATE, alone)[0],
            "loudness_lufs": loudness_lufs(clean[:, column], RATE, alone),
            "f0_median_hz": spread.median_hz,
            "pitch_sd_st": spread.sd_st,
            "pitch_range_st": spread.range_st,
        }
        for name in OF_A_VOICE:
            truth[name][party] = heard[name]


def _spans(samples: Array, start: float) -> list[list[float]]:
    """Stretches of sound of a clean clip, in seconds of the call."""
    count = len(samples) // FRAME
    frames = np.abs(samples[: count * FRAME]).reshape(count, FRAME).max(axis=1)
    loud = np.flatnonzero(frames >= frames.max() * from_db(EDGE_DB))
    breaks = np.flatnonzero(np.diff(loud) > round(PAUSE_S * RATE / FRAME))
    firsts = [loud[0], *loud[breaks + 1]]
    lasts = [*loud[breaks], loud[-1]]
    step = FRAME / RATE
    return [
        [round(start + a * step, 4), round(start + (b + 1) * step, 4)]
        for a, b in zip(firsts, lasts, strict=True)
    ]


def _spoken(
    turn: Mapping[str, Any], bank: VoiceBank, clips: Mapping[tuple[str, str], str]
) -> Spoken:
    text, start, end = turn["text"], turn["start"], turn["end"]
    whole = len(bank[clips[turn["speaker"], text]].samples) / RATE
    heard = text[: max(1, round(len(text) * min(1.0, (end - start) / whole)))]
    return Spoken(turn["speaker"], start, end, heard)


def coded_leg(samples: Array, codec: Codec) -> Array:
    """One leg at 8 kHz, coded and decoded, of the same length."""
    match codec:
        case "amr":
            return _through_ffmpeg(samples, "libopencore_amrnb", "amr", AMR_BITS)
        case "opus":
            return _through_ffmpeg(samples, "libopus", "ogg", OPUS_BITS)
        case _:
            return _through_gsm(samples)


def _through_gsm(samples: Array) -> Array:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, subtype="GSM610", format="WAV")
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float64")
    return _fitted(decoded, len(samples))


def _through_ffmpeg(samples: Array, codec: str, form: str, bits: int) -> Array:
    data = encode(samples[:, None], codec, form, bits)
    narrow = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    with av.open(io.BytesIO(data)) as container:
        frames = [f for coded in container.decode(audio=0) for f in narrow.resample(coded)]
    frames += narrow.resample(None)
    decoded = np.concatenate([f.to_ndarray().reshape(-1) for f in frames])
    return _fitted(decoded.astype(np.float64), len(samples))


def _fitted(samples: Array, length: int) -> Array:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


@cache
def _pyworld() -> Any:
    """Import pyworld, which asks pkg_resources for its version; newer setuptools has none."""
    if "pkg_resources" not in sys.modules and importlib.util.find_spec("pkg_resources") is None:
        stand_in: Any = types.ModuleType("pkg_resources")
        stand_in.get_distribution = importlib.metadata.distribution
        sys.modules["pkg_resources"] = stand_in
    return importlib.import_module("pyworld")
