"""Seeded two-party calls of many voices and texts, with random plans: nothing in them is chosen by hand.

A bank is a folder of clips of one voice each, and a table of them: ``data/make_voices.py`` makes one of
synthetic voices; recordings of people are kept outside the project. The table (``index.csv`` of the bank,
or ``--transcripts``) has ``file``, ``speaker`` and ``text``. ``half`` (``tune`` or ``report``) and ``kind``
(``say``, ``listen``, ``break_in``) may be there too; without them the speakers are dealt into halves by
``--seed``, and listening words and the shortest texts are what is said into the other's talk. Who has no
listening words hums a stretch of the own voice. Calls of one half share no voice with calls of the other.

Who speaks, what, how fast and loud, with which pauses, in which room, over which line and codec is drawn
from the seed; so are backchannels, interruptions, attempts, turns whose edges overlap, answers that begin
before the question has ended, starts of both at once, holds and silences.

    python -m tests.benchmarks.corpus_varied BANK OUT --half report --calls 40 [--mono] [--swapped]

writes recordings and truths that ``callcoach evaluate OUT`` reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, resample_poly, sosfiltfilt

from pipeline.text import count_units, is_backchannel
from tests.benchmarks.corpus import CODECS, MadeCall, write_recording

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))

from signals import FRAME, RATE, fade, from_db, telephone_band, tighten  # noqa: E402
from synthesis import Bank, CallBuilder, Line, Medium, Party, Style, Utterance  # noqa: E402

Array = NDArray[np.float64]
Half = Literal["tune", "report"]


class Draw(Protocol):
    """Draws a clip of a party: its kind, and how long it is at least."""

    def __call__(self, party: Party, kind: str, least_s: float = 0.0) -> str | None:
        """Name of the clip, None where there is none."""
        ...


SPEECH_DBFS = -26.0
TURNS = (7, 13)
TERMINAL, BOTH_START, HOLD, SILENCE = 0.25, 0.06, 0.04, 0.03  # how often, of all turns
BACKCHANNEL, ATTEMPT, INTERRUPTION = 0.45, 0.2, 0.2  # and of turns into which somebody may speak
LONG_S = 2.0  # such turns are
BREAK_IN_UNITS = 5  # of texts whose kind the table does not say


class ClipBank(Bank):
    """Clips of ``index.csv``, at 8 kHz in the telephone band, all at one level, in a room of the voice."""

    def __init__(self, folder: Path, half: Half, table: Path | None = None, seed: int = 1) -> None:
        rows = pd.read_csv(table or folder / "index.csv").dropna(subset=["file", "speaker", "text"])
        if "half" not in rows:
            dealt = np.random.default_rng(seed).permutation(sorted(rows["speaker"].unique()))
            of = {str(s): get_args(Half)[i % 2] for i, s in enumerate(dealt)}
            rows = rows.assign(half=rows["speaker"].map(of))
        if "kind" not in rows:
            rows = rows.assign(kind=rows["text"].map(kind_of))
        rows = rows[rows["half"] == half].astype(str)
        self._folder = folder
        self._rows = {str(row["file"]): row for row in rows.to_dict("records")}
        self._loaded: dict[str, Utterance] = {}
        self.voices = sorted(set(rows.loc[rows["kind"] == "say", "speaker"]))
        self.rooms: dict[str, Array] = {}
        for voice in self.voices:
            if not self.names(voice, "listen"):
                name = self.names(voice, "say")[0]
                hum = {**self._rows[name], "of": name, "kind": "listen", "text": "嗯。"}
                self._rows[f"hum of {voice}"] = hum

    def __getitem__(self, name: str) -> Utterance:
        if name not in self._loaded:
            row = self._rows[name]
            path = self._folder / str(row.get("of", name))
            audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
            wide = resample_poly(audio.mean(axis=1), RATE, rate)
            if row["speaker"] in self.rooms:
                wide = fftconvolve(wide, self.rooms[row["speaker"]])[: len(wide)]
            clip = tighten(telephone_band(hummed(wide) if "of" in row else wide))
            loud = clip[np.abs(clip) > np.abs(clip).max() * from_db(-30)]
            clip = clip * from_db(SPEECH_DBFS) / np.sqrt(np.mean(loud**2))
            said = (str(row[k]) for k in ("kind", "speaker", "text"))
            self._loaded[name] = Utterance(name, *said, clip)
        return self._loaded[name]

    def names(self, voice: str, kind: str) -> list[str]:
        """Names of the clips of one voice and kind, in bank order."""
        return [n for n, r in self._rows.items() if (r["speaker"], r["kind"]) == (voice, kind)]

    def forget(self) -> None:
        """Load clips again, so that they sound in the rooms of another call."""
        self._loaded.clear()

    def seconds(self, name: str) -> float:
        """Length of a clip."""
        return len(self[name].samples) / RATE


class VariedBuilder(CallBuilder):
    """A call whose backchannels are softer than the talk by an amount of their own."""

    def softer(self, decibels: float) -> None:
        """Make what was placed last softer."""
        self._turns[-1] = replace(
            self._turns[-1], samples=self._turns[-1].samples * from_db(-decibels)
        )


def kind_of(text: str) -> str:
    """What a clip is used for, by its text."""
    if is_backchannel(text):
        return "listen"
    return "break_in" if count_units(text) <= BREAK_IN_UNITS else "say"


def hummed(clip: Array, seconds: float = 0.35) -> Array:
    """A hum of the voice of a clip: its steadiest stretch, without what lips and tongue do to it."""
    size = round(seconds * RATE)
    frames = np.abs(clip[: len(clip) // FRAME * FRAME]).reshape(-1, FRAME).max(axis=1)
    within = np.lib.stride_tricks.sliding_window_view(frames, max(size // FRAME, 1))
    first = int(within.min(axis=1).argmax()) * FRAME
    low = butter(2, 700, fs=RATE, output="sos")
    return fade(np.asarray(sosfiltfilt(low, clip[first : first + size])), 4 * FRAME)


def room(rng: np.random.Generator) -> Array:
    """Impulse response of a small room: the voice and, 8 to 18 dB under it, its decay."""
    length = round(rng.uniform(0.1, 0.35) * RATE)
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail *= from_db(-rng.uniform(8, 18)) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return np.asarray(tail)


def make_call(
    bank: ClipBank,
    half: Half,
    number: int,
    *,
    mono: bool = False,
    swapped: bool = False,
    seed: int = 1,
) -> MadeCall:
    """Make call ``number`` of a bank; the same arguments give the same samples."""
    rng = np.random.default_rng((seed, number, half == "report", 7))
    agent, customer = (str(v) for v in rng.choice(bank.voices, 2, replace=False))
    voices: dict[Party, str] = {"A": agent, "C": customer}
    bank.rooms = {v: room(rng) for v in voices.values() if rng.random() < 0.5}
    bank.forget()
    styles: dict[Party, Style] = {
        p: Style(gain_db=float(rng.uniform(-5, 3)), tempo=float(rng.uniform(0.9, 1.15)))
        for p in voices
    }
    call = VariedBuilder(bank, f"{half}_{number:03d}", number + 1, styles)
    _talk(call, bank, voices, rng)
    line = Line(
        snr_db=float(rng.uniform(18, 36)),
        crosstalk_db=None if rng.random() < 0.5 else float(rng.uniform(-35, -20)),
        mono=mono,
        agent_channel=1 if swapped else 0,
    )
    made = call.finish(line, {}, {"direction": "inbound", "agent_channel": str(line.agent_channel)})
    codec = CODECS[int(rng.integers(len(CODECS)))]
    return MadeCall(made.samples, made.truth, (), codec, mono)


def _talk(
    call: VariedBuilder, bank: ClipBank, voices: dict[Party, str], rng: np.random.Generator
) -> None:
    """Turn after turn, and what is said into them."""
    said: set[str] = set()

    def one(party: Party, kind: str, least_s: float = 0.0) -> str | None:
        names = [n for n in bank.names(voices[party], kind) if bank.seconds(n) >= least_s]
        unsaid = [n for n in names if n not in said or kind == "listen"]
        name = str(rng.choice(unsaid or names)) if names else None
        said.update([name] if name else [])
        return name

    party: Party = "A"
    for _ in range(int(rng.integers(*TURNS))):
        other: Party = "C" if party == "A" else "A"
        drawn, gap = rng.random(), float(rng.uniform(0.1, 1.2))
        name = one(party, "say")
        assert name is not None
        if drawn < TERMINAL:
            gap = float(rng.uniform(-0.3, -0.1))
        elif drawn < TERMINAL + HOLD:
            medium: Medium = "music" if rng.random() < 0.5 else "silence"
            call.hold(float(rng.uniform(8, 15)), medium, announced=False)
        elif drawn < TERMINAL + HOLD + SILENCE:
            call.silence(float(rng.uniform(5.5, 8)))
        elif drawn < TERMINAL + HOLD + SILENCE + BOTH_START and (short := one(other, "break_in")):
            call.say(other, short, gap)
            gap = 0.15 - bank.seconds(short) / call.styles[other].tempo
        try:
            call.say(party, name, gap)
        except ValueError:
            call.say(party, name, 0.3)
        if bank.seconds(name) / call.styles[party].tempo >= LONG_S:
            _into(call, other, one, rng)
        party = other if rng.random() < 0.85 else party


def _into(call: VariedBuilder, by: Party, one: Draw, rng: np.random.Generator) -> None:
    """Somebody speaks into the last turn, or nobody does."""
    drawn = rng.random()
    at, overlap = float(rng.uniform(0.45, 0.65)), float(rng.uniform(0.45, 1.4))
    try:
        if drawn < BACKCHANNEL and (name := one(by, "listen")):
            call.backchannel(by, name, float(rng.uniform(0.2, 0.75)))
            call.softer(float(rng.uniform(0, 8)))
        elif drawn < BACKCHANNEL + ATTEMPT and (name := one(by, "break_in", 0.5) or one(by, "say")):
            call.attempt(by, name, float(rng.uniform(0.35, 0.55)), overlap)
        elif drawn < BACKCHANNEL + ATTEMPT + INTERRUPTION and (name := one(by, "say", 1.5)):
            call.interrupt(by, name, at, overlap)
    except ValueError:  # what was drawn does not fit into this turn
        return


def main(arguments: Sequence[str] | None = None) -> None:
    """Write calls with their truths."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--half", choices=("tune", "report"), default="report")
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mono", action="store_true")
    parser.add_argument("--swapped", action="store_true", help="the agent is on channel 1")
    parser.add_argument("--transcripts", type=Path, help="table of the clips, other than index.csv")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    bank = ClipBank(options.bank, options.half, options.transcripts, options.seed)
    how = {"mono": options.mono, "swapped": options.swapped, "seed": options.seed}
    for number in range(options.calls):
        made = make_call(bank, options.half, number, **how)
        path = write_recording(options.out, made)
        text = json.dumps(made.truth, ensure_ascii=False, indent=1)
        path.with_suffix(".truth.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
