"""Seeded two-party calls of many voices and texts, with random plans: nothing in them is chosen by hand.

A bank is a folder of clips with an ``index.csv`` (file, speaker, half, kind, text; ``kind`` is ``say``,
``listen`` or ``break_in``), such as ``data/make_voices.py`` makes, or recordings of people kept outside
the project. Who speaks, what, how fast and loud, with which pauses, in which room and over which line is
drawn from the seed; so are backchannels, interruptions, attempts, turns whose edges overlap, and answers
that begin before the question has ended. Calls of one half share no voice with calls of the other.

    python -m tests.benchmarks.corpus_varied BANK OUT --half report --calls 40 [--mono]

writes recordings and truths that ``callcoach evaluate OUT`` reads.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve, resample_poly

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))

from signals import RATE, from_db, telephone_band, tighten  # noqa: E402
from synthesis import Bank, Call, CallBuilder, Line, Party, Style, Utterance, write_call  # noqa: E402

Array = NDArray[np.float64]
Half = Literal["tune", "report"]


class Draw(Protocol):
    """Draws a clip of a party: its kind, and how long it is at least."""

    def __call__(self, party: Party, kind: str, least_s: float = 0.0) -> str | None:
        """Name of the clip, None where there is none."""
        ...


SPEECH_DBFS = -26.0
TURNS = (7, 13)
TERMINAL, BACKCHANNEL, ATTEMPT, INTERRUPTION = 0.25, 0.45, 0.2, 0.2  # how often
LONG_S = 2.0  # a turn into which somebody speaks


class ClipBank(Bank):
    """Clips of ``index.csv``, at 8 kHz in the telephone band, all at one level, in a room of the voice."""

    def __init__(self, folder: Path, half: Half) -> None:
        with (folder / "index.csv").open(encoding="utf-8", newline="") as table:
            rows = [row for row in csv.DictReader(table) if row["half"] == half]
        self._folder = folder
        self._rows = {row["file"]: row for row in rows}
        self._loaded: dict[str, Utterance] = {}
        self.voices = sorted({row["speaker"] for row in rows})
        self.rooms: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Utterance:
        if name not in self._loaded:
            row = self._rows[name]
            audio, rate = soundfile.read(self._folder / name, dtype="float64", always_2d=True)
            wide = resample_poly(audio.mean(axis=1), RATE, rate)
            if row["speaker"] in self.rooms:
                wide = fftconvolve(wide, self.rooms[row["speaker"]])[: len(wide)]
            clip = tighten(telephone_band(wide))
            loud = clip[np.abs(clip) > np.abs(clip).max() * from_db(-30)]
            clip = clip * from_db(SPEECH_DBFS) / np.sqrt(np.mean(loud**2))
            self._loaded[name] = Utterance(name, row["kind"], row["speaker"], row["text"], clip)
        return self._loaded[name]

    def names(self, voice: str, kind: str) -> list[str]:
        """Names of the clips of one voice and kind, in bank order."""
        return [n for n, r in self._rows.items() if (r["speaker"], r["kind"]) == (voice, kind)]

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


def room(rng: np.random.Generator) -> Array:
    """Impulse response of a small room: the voice and, 8 to 18 dB under it, its decay."""
    length = round(rng.uniform(0.1, 0.35) * RATE)
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail *= from_db(-rng.uniform(8, 18)) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return np.asarray(tail)


def make_call(folder: Path, half: Half, number: int, *, mono: bool = False, seed: int = 1) -> Call:
    """Make call ``number`` of a bank; the same arguments give the same samples."""
    rng = np.random.default_rng((seed, number, half == "report", 7))
    bank = ClipBank(folder, half)
    agent, customer = (str(v) for v in rng.choice(bank.voices, 2, replace=False))
    voices: dict[Party, str] = {"A": agent, "C": customer}
    bank.rooms = {v: room(rng) for v in voices.values() if rng.random() < 0.5}
    styles: dict[Party, Style] = {
        p: Style(gain_db=float(rng.uniform(-5, 3)), tempo=float(rng.uniform(0.9, 1.15)))
        for p in voices
    }
    call = VariedBuilder(bank, f"{half}_{number:03d}", number + 1, styles)
    _talk(call, bank, voices, rng)
    line = Line(
        snr_db=float(rng.uniform(18, 36)),
        crosstalk_db=None if rng.random() < 0.5 else float(rng.uniform(-42, -28)),
        mono=mono,
    )
    return call.finish(line, {}, {"direction": "inbound"})


def _talk(
    call: VariedBuilder, bank: ClipBank, voices: dict[Party, str], rng: np.random.Generator
) -> None:
    """Turn after turn, and what is said into them."""

    def one(party: Party, kind: str, least_s: float = 0.0) -> str | None:
        names = [n for n in bank.names(voices[party], kind) if bank.seconds(n) >= least_s]
        return str(rng.choice(names)) if names else None

    party: Party = "A"
    for _ in range(int(rng.integers(*TURNS))):
        other: Party = "C" if party == "A" else "A"
        gap = rng.uniform(-0.3, -0.1) if rng.random() < TERMINAL else rng.uniform(0.1, 1.2)
        name = one(party, "say")
        assert name is not None
        try:
            call.say(party, name, float(gap))
        except ValueError:
            call.say(party, name, 0.3)
        if bank.seconds(name) / call.styles[party].tempo >= LONG_S:
            _into(call, other, one, rng)
        party = other if rng.random() < 0.9 else party


def _into(call: VariedBuilder, by: Party, one: Draw, rng: np.random.Generator) -> None:
    """Somebody speaks into the last turn, or nobody does."""
    drawn = rng.random()
    at, overlap = float(rng.uniform(0.45, 0.65)), float(rng.uniform(0.45, 1.4))
    try:
        if drawn < BACKCHANNEL and (name := one(by, "listen")):
            call.backchannel(by, name, float(rng.uniform(0.2, 0.7)))
            call.softer(float(rng.uniform(0, 8)))
        elif drawn < BACKCHANNEL + ATTEMPT and (name := one(by, "break_in", 0.5) or one(by, "say")):
            call.attempt(by, name, float(rng.uniform(0.35, 0.55)), overlap)
        elif drawn < BACKCHANNEL + ATTEMPT + INTERRUPTION and (name := one(by, "say", 1.5)):
            call.interrupt(by, name, at, min(overlap, 1.0))
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
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.calls):
        made = make_call(options.bank, options.half, number, mono=options.mono, seed=options.seed)
        write_call(options.out, made)


if __name__ == "__main__":
    main()
