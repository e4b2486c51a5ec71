"""Listen to the utterance bank with a recogniser and report what it mishears.

Needs ``faster-whisper``, ``opencc``, ``pypinyin`` and ``soundfile`` and a folder with a converted
Whisper model:

    python data/check_utterances.py --model FOLDER [--worst 30]

Two error rates are given, both pooled over the bank: of characters (digits read out, no
punctuation) and of toneless syllables, which forgives homophones and so tells garbled speech from a
recogniser's choice of characters.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
from faster_whisper import WhisperModel
from opencc import OpenCC
from pypinyin import lazy_pinyin

BANK = Path(__file__).resolve().parent / "utterances"
PADDING = 8000  # half a second of silence around each clip
DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")


def read_number(match: re.Match[str]) -> str:
    """Spell digits as spoken: short ones as a number, long ones one by one."""
    digits = match[0]
    if len(digits) > 4 or digits.startswith("0"):
        return digits.translate(DIGITS)
    words = ""
    for digit, unit in zip(digits, ["千", "百", "十", ""][-len(digits) :], strict=True):
        words += digit.translate(DIGITS) + (unit if digit != "0" else "")
    words = re.sub("零+", "零", words)
    words = words.rstrip("零") if len(words) > 1 else words
    return re.sub("^一十", "十", words)


def plain(text: str) -> str:
    """Han characters only, digits read out, 幺 as 一."""
    joined = re.sub(r"(?<=\d)[-－,，\s]+(?=\d)", "", text)
    spoken = re.sub(r"\d+", read_number, joined)
    return "".join(re.findall(r"[\u4e00-\u9fff]", spoken)).replace("幺", "一")


def distance(reference: list[str], heard: list[str]) -> int:
    """Edit distance."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got))
    return row[-1]


def main() -> None:
    """Print the pooled rates, by voice, and the worst utterances."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder with a faster-whisper model")
    parser.add_argument("--worst", type=int, default=30, help="how many utterances to list")
    options = parser.parse_args()

    model = WhisperModel(options.model, device="cpu", compute_type="int8", cpu_threads=2)
    simplified = OpenCC("t2s")
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    findings = []
    for entry in json.loads((BANK / "index.json").read_text(encoding="utf-8")):
        clip, _ = soundfile.read(BANK / f"{entry['id']}.flac", dtype="float32")
        segments, _ = model.transcribe(
            np.pad(clip, PADDING),
            language="zh",
            beam_size=5,
            condition_on_previous_text=False,
        )
        heard_text = simplified.convert("".join(segment.text for segment in segments))
        said, heard = plain(entry["text"]), plain(heard_text)
        characters = distance(list(said), list(heard))
        syllables = distance(lazy_pinyin(said), lazy_pinyin(heard))
        backchannel = entry["kind"] == "backchannel"
        for group in ("backchannels",) if backchannel else (entry["voice"], "all but backchannels"):
            for position, number in enumerate((characters, syllables, len(said))):
                totals[group][position] += number
        if not backchannel:
            findings.append(
                (
                    syllables / len(said),
                    characters / len(said),
                    entry["id"],
                    entry["text"],
                    heard_text,
                )
            )
    for group, (characters, syllables, said_count) in sorted(totals.items()):
        print(
            f"{group:24} CER {characters / said_count:.3f}  "
            f"syllables {syllables / said_count:.3f}  n {said_count}"
        )
    for syllable_rate, character_rate, name, text, heard_text in sorted(findings, reverse=True)[
        : options.worst
    ]:
        print(f"{syllable_rate:.2f} {character_rate:.2f} {name}\n     {text}\n     {heard_text}")


if __name__ == "__main__":
    main()
