"""Assemble two-party telephone calls from the utterance bank, with sample-exact truth.

A call is written down in the order in which it is heard: ``CallBuilder.say`` puts the next turn
after the last one, ``backchannel``, ``interrupt`` and ``attempt`` put speech on top of the other
party's last turn, ``ring``, ``hold`` and ``silence`` fill the time between turns.
``CallBuilder.finish`` then lays the tracks on a telephone line.

Conventions
-----------
Everything runs at 8 kHz; times are seconds from the start of the recording, levels are dBFS, ratios
of level are dB. Speaker ``A`` is the agent, ``C`` the customer. Ringback and hold music are heard
on the agent's channel. Turn edges are those of the sound: the first and last 10 ms frame within 40
dB of the clip's peak, after the telephone band. The same seed gives the same samples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from scipy.signal import resample_poly
from signals import (
    RATE,
    RING_OFF,
    RING_ON,
    FloatArray,
    cut,
    fade,
    from_db,
    hold_music,
    ringback,
    stretch,
    telephone_band,
    tighten,
    to_samples,
    to_seconds,
)

SPEECH_DBFS = -26.0
DEAD_AIR_S = 5.0

Party = Literal["A", "C"]
Medium = Literal["silence", "music"]


@dataclass(frozen=True, eq=False)
class Utterance:
    """One clip of the bank: what is said, by which voice, and how it sounds (8 kHz)."""

    name: str
    kind: str
    voice: str
    text: str
    samples: FloatArray


@dataclass(frozen=True)
class Style:
    """How a party speaks: gain in dB, tempo (1.1 = 10 % faster), pitch factor (tempo along with it)."""

    gain_db: float = 0.0
    tempo: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True)
class Line:
    """The telephone line: noise below the speech level, leakage between the channels (negative dB), layout."""

    snr_db: float | None = 32.0
    crosstalk_db: float | None = -36.0
    mono: bool = False
    agent_channel: Literal[0, 1] = 0


@dataclass(frozen=True, eq=False)
class Call:
    """A finished recording, ``samples`` of shape (n, channels) in [-1, 1], its truth, and the line it is on."""

    samples: FloatArray
    truth: dict[str, Any]
    line: Line


@dataclass(frozen=True, eq=False)
class _Turn:
    """Speech laid on a track; ``start`` and ``end`` count samples."""

    speaker: Party
    start: int
    samples: FloatArray
    text: str
    backchannel: bool = False
    cut: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


class Bank:
    """The utterance bank: clips by name, loaded when asked for.

    Parameters
    ----------
    folder : Path
        Folder with ``index.json`` and one FLAC file per entry.
    """

    def __init__(self, folder: Path) -> None:
        entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self._folder = folder
        self._entries: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in entries}
        self._loaded: dict[str, Utterance] = {}

    def __getitem__(self, name: str) -> Utterance:
        if name not in self._loaded:
            if name not in self._entries:
                raise KeyError(f"no utterance {name!r} in the bank; see index.json")
            entry = self._entries[name]
            audio, rate = soundfile.read(self._folder / f"{name}.flac", dtype="float64")
            samples = telephone_band(resample_poly(audio, RATE, rate))
            self._loaded[name] = Utterance(
                name, entry["kind"], entry["voice"], entry["text"], samples
            )
        return self._loaded[name]

    def names(self, voice: str, kind: str) -> list[str]:
        """Names of the clips of one voice and kind, in bank order."""
        return [
            name
            for name, entry in self._entries.items()
            if (entry["voice"], entry["kind"]) == (voice, kind)
        ]


@dataclass
class CallBuilder:
    """Writes a call down turn by turn.

    Parameters
    ----------
    bank : Bank
        Where the clips come from.
    call_id : str
        Name of the recording and of its truth.
    seed : int
        Seeds hold music and line noise.
    styles : mapping of party to Style
        How each party speaks.
    lead : float
        Seconds before the first sound.
    """

    bank: Bank
    call_id: str
    seed: int
    styles: Mapping[Party, Style] = field(default_factory=dict)
    lead: float = 0.6
    _turns: list[_Turn] = field(default_factory=list, init=False)
    _tones: list[tuple[int, FloatArray]] = field(default_factory=list, init=False)
    _rings: list[dict[str, Any]] = field(default_factory=list, init=False)
    _holds: list[dict[str, Any]] = field(default_factory=list, init=False)
    _interruptions: list[dict[str, Any]] = field(default_factory=list, init=False)
    _now: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._now = to_samples(self.lead)

    def ring(self, count: int, pickup: float = 0.5) -> None:
        """Ring ``count`` times before the agent answers, ``pickup`` seconds after the last ring ended."""
        for number in range(count):
            start = self._now + to_samples(number * (RING_ON + RING_OFF))
            tone = ringback()
            self._tones.append((start, tone))
            self._rings.append({"start": to_seconds(start), "end": to_seconds(start + len(tone))})
        if count:
            self._now += to_samples((count - 1) * (RING_ON + RING_OFF) + RING_ON + pickup)

    def say(self, speaker: Party, name: str, gap: float = 0.5) -> None:
        """Say a clip ``gap`` seconds after the last sound; a negative gap overlaps the end of the last turn."""
        self._place(speaker, name, self._now + to_samples(gap))

    def backchannel(self, speaker: Party, name: str, at: float) -> None:
        """Put a listening signal on the other party's last turn, ``at`` of the way (0-1) into it."""
        other = self._last(_other(speaker))
        self._place(speaker, name, self._inside(other, at), backchannel=True)

    def interrupt(self, speaker: Party, name: str, at: float, overlap: float) -> None:
        """Take the floor ``at`` of the way into the other's last turn, who stops ``overlap`` seconds later."""
        other = self._last(_other(speaker))
        start = self._inside(other, at)
        kept = cut(other.samples, start - other.start + to_samples(overlap))
        stopped = replace(other, samples=kept, cut=True)
        self._turns[self._turns.index(other)] = stopped
        start = stopped.end - to_samples(overlap)
        self._note_interruption(speaker, start, True, overlap)
        self._now = stopped.end
        self._place(speaker, name, start)

    def attempt(self, speaker: Party, name: str, at: float, overlap: float) -> None:
        """Talk into the other's last turn, ``at`` of the way, and give up after ``overlap`` seconds."""
        other = self._last(_other(speaker))
        start = self._inside(other, at)
        samples = cut(self._voiced(speaker, name), to_samples(overlap))
        self._turns.append(_Turn(speaker, start, samples, self.bank[name].text, cut=True))
        if start + len(samples) >= other.end:
            raise ValueError(
                f"{name} runs past the turn it failed to interrupt; start earlier than at={at}"
            )
        self._note_interruption(speaker, start, False, len(samples) / RATE)

    def hold(
        self,
        seconds: float,
        medium: Medium,
        announced: bool,
        before: float = 0.3,
        after: float = 0.5,
    ) -> None:
        """Put the customer on hold, ``before`` seconds after the last sound, ``after`` before the next."""
        start = self._now + to_samples(before)
        end = start + to_samples(seconds)
        if medium == "music":
            self._tones.append((start, hold_music(seconds, self.seed)))
        self._holds.append(
            {
                "start": to_seconds(start),
                "end": to_seconds(end),
                "kind": medium,
                "announced": announced,
            }
        )
        self._now = end + to_samples(after)

    def silence(self, seconds: float) -> None:
        """Let nobody say anything for ``seconds`` (the next gap comes on top)."""
        self._now += to_samples(seconds)

    def finish(
        self, line: Line, compliance: Mapping[str, str], meta: Mapping[str, str], tail: float = 0.75
    ) -> Call:
        """Lay the call on ``line``, ``tail`` seconds longer than its last sound, and write down its truth."""
        length = max([self._now, *(turn.end for turn in self._turns)]) + to_samples(tail)
        tracks = np.zeros((length, 2))
        speech = np.zeros((length, 2), dtype=bool)
        for turn in self._turns:
            column = 0 if turn.speaker == "A" else 1
            tracks[turn.start : turn.end, column] += turn.samples
            speech[turn.start : turn.end, column] = True
        levels = [_level(tracks[speech[:, column], column]) for column in (0, 1)]
        for start, tone in self._tones:
            tracks[start : start + len(tone), 0] += tone
        samples = lay_on_line(tracks, levels, line, np.random.default_rng(self.seed))
        return Call(samples, self._truth(length, compliance, meta), line)

    def _truth(
        self, length: int, compliance: Mapping[str, str], meta: Mapping[str, str]
    ) -> dict[str, Any]:
        turns = [_turn_truth(turn) for turn in sorted(self._turns, key=lambda turn: turn.start)]
        keys = ("speaker", "start", "end", "text")
        return {
            "call_id": self.call_id,
            "duration": to_seconds(length),
            "turns": turns,
            "holds": self._holds,
            "dead_air": _dead_air(turns, self._holds),
            "interruptions": sorted(
                self._interruptions, key=lambda interruption: float(interruption["at"])
            ),
            "backchannels": [
                {key: turn[key] for key in keys} for turn in turns if turn["backchannel"]
            ],
            "rings": self._rings,
            "compliance": dict(compliance),
            "meta": dict(meta),
        }

    def _voiced(self, speaker: Party, name: str) -> FloatArray:
        """Return the clip in the party's style, with tight edges."""
        style = self.styles.get(speaker, Style())
        samples = self.bank[name].samples
        if style.pitch != 1.0:
            ratio = Fraction(1 / style.pitch).limit_denominator(50)
            samples = resample_poly(samples, ratio.numerator, ratio.denominator)
        samples = stretch(samples, style.tempo)
        return fade(tighten(samples)) * from_db(style.gain_db)

    def _place(self, speaker: Party, name: str, start: int, backchannel: bool = False) -> None:
        turn = _Turn(speaker, start, self._voiced(speaker, name), self.bank[name].text, backchannel)
        same = [other for other in self._turns if other.speaker == speaker and other.end > start]
        if same:
            raise ValueError(
                f"{self.call_id}: {name} would start inside {same[0].text!r} of the same speaker"
            )
        self._turns.append(turn)
        self._now = max(self._now, turn.end)

    def _last(self, speaker: Party) -> _Turn:
        return max(
            (turn for turn in self._turns if turn.speaker == speaker), key=lambda turn: turn.end
        )

    def _inside(self, turn: _Turn, at: float) -> int:
        return turn.start + round(at * len(turn.samples))

    def _note_interruption(self, by: Party, start: int, successful: bool, overlap: float) -> None:
        self._interruptions.append(
            {
                "by": by,
                "at": to_seconds(start),
                "successful": successful,
                "overlap_s": round(overlap, 6),
            }
        )


def write_call(folder: Path, call: Call) -> Path:
    """Write ``NAME.wav`` (G.711 mu-law) and ``NAME.truth.json``; return the path of the recording."""
    path = folder / f"{call.truth['call_id']}.wav"
    soundfile.write(path, call.samples, RATE, subtype="ULAW", format="WAV")
    text = json.dumps(call.truth, ensure_ascii=False, indent=1)
    path.with_suffix(".truth.json").write_text(text + "\n", encoding="utf-8")
    return path


def lay_on_line(
    tracks: FloatArray, levels: Sequence[float], line: Line, rng: np.random.Generator
) -> FloatArray:
    """Leak, mix, add noise and order the channels.

    Parameters
    ----------
    tracks : (n, 2) float64
        Agent and customer, clean.
    levels : sequence of two float
        Speech level of each track in dBFS, to which noise is set.
    line : Line
        The line.
    rng : numpy Generator
        Source of the noise.

    Returns
    -------
    (n, 1) or (n, 2) float64 in [-1, 1]
    """
    levels = list(levels)
    if line.mono:
        tracks, levels = tracks.sum(axis=1, keepdims=True), [max(levels)]
    elif line.crosstalk_db is not None:
        tracks = tracks + tracks[:, ::-1] * from_db(line.crosstalk_db)
    if line.snr_db is not None:
        noise = np.stack([telephone_band(rng.standard_normal(len(tracks))) for _ in levels], axis=1)
        tracks = tracks + noise / noise.std(axis=0) * np.array(
            [from_db(level - line.snr_db) for level in levels]
        )
    if line.agent_channel == 1:
        tracks = tracks[:, ::-1]
    return np.clip(tracks, -1.0, 1.0)


def _turn_truth(turn: _Turn) -> dict[str, Any]:
    truth: dict[str, Any] = {
        "speaker": turn.speaker,
        "start": to_seconds(turn.start),
        "end": to_seconds(turn.end),
        "text": turn.text,
    }
    if not turn.backchannel:
        truth["chars"] = len(re.findall(r"[\u4e00-\u9fff]", turn.text))
    if turn.cut:
        truth["cut"] = True
    return {**truth, "backchannel": turn.backchannel}


def _dead_air(
    turns: Sequence[Mapping[str, Any]], holds: Sequence[Mapping[str, Any]]
) -> list[dict[str, float]]:
    """Stretches of 5 s and more between turns in which nobody speaks and no hold lies."""
    spans = sorted((turn["start"], turn["end"]) for turn in turns)
    ends = np.maximum.accumulate([end for _, end in spans]).tolist()
    gaps = [(ends[i], after[0]) for i, (_, after) in enumerate(pairwise(spans))]
    return [
        {"start": a, "end": b}
        for a, b in gaps
        if b - a >= DEAD_AIR_S and not any(h["start"] < b and h["end"] > a for h in holds)
    ]


def _other(speaker: Party) -> Party:
    return "C" if speaker == "A" else "A"


def _level(samples: FloatArray) -> float:
    """RMS level in dBFS; the nominal speech level where there is no speech."""
    return float(10 * np.log10(np.mean(samples**2))) if len(samples) else SPEECH_DBFS
