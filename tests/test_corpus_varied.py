"""Calls composed of a bank of single voices: seeded, of disjoint halves, with truth that can be read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.evaluation import find_truths
from pipeline.evaluation.truth import parse_truth
from tests.benchmarks.corpus_varied import ClipBank, kind_of, main, make_call

RATE = 16_000
SPEAKERS = ("a", "b", "c", "d")
TEXTS = ("我想问一下昨天的那个订单怎么样了", "您这边先等我查询一下再回复可以吗", "我不要这个")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences of 3 s and a short one of each of four speakers, with a table without halves."""
    folder = tmp_path_factory.mktemp("bank")
    rows = []
    for i, speaker in enumerate(SPEAKERS):
        for j, text in enumerate(TEXTS):
            at = np.arange(round((3.0 if len(text) > 5 else 1.2) * RATE)) / RATE
            tone = sum(np.sin(2 * np.pi * (120 + 20 * i) * k * at) / k for k in range(1, 20))
            clip = 0.05 * tone * (1.05 + np.sin(2 * np.pi * 4 * at + j))
            soundfile.write(folder / f"{speaker}{j}.wav", clip, RATE)
            rows.append({"file": f"{speaker}{j}.wav", "speaker": speaker, "text": text})
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, ["file", "speaker", "text"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_speakers_are_dealt_into_disjoint_halves_by_the_seed(bank: Path):
    halves = [ClipBank(bank, half, bank / "table.csv", seed).voices
              for seed in (1, 1, 2, 3) for half in ("tune", "report")]  # fmt: skip
    for tune, report in zip(halves[::2], halves[1::2], strict=True):
        assert sorted([*tune, *report]) == list(SPEAKERS)
    assert halves[:2] == halves[2:4]
    assert len({tuple(h) for h in halves}) > 2


def test_who_has_no_listening_words_hums(bank: Path):
    clips = ClipBank(bank, "tune", bank / "table.csv")
    (hum,) = clips.names(clips.voices[0], "listen")
    assert clips[hum].text == "嗯。"
    assert 0.25 <= clips.seconds(hum) <= 0.36
    assert [kind_of(t) for t in ("对对", "我不要这个", TEXTS[0])] == ["listen", "break_in", "say"]


def test_the_same_call_comes_twice_and_another_is_another(bank: Path):
    clips = ClipBank(bank, "tune", bank / "table.csv")
    one, again, other = (make_call(clips, "tune", n) for n in (0, 0, 1))
    assert np.array_equal(one.samples, again.samples)
    assert one.truth == again.truth != other.truth
    swapped = make_call(clips, "tune", 0, swapped=True)
    assert swapped.truth["meta"]["agent_channel"] == "1"


def test_what_is_written_can_be_evaluated(bank: Path, tmp_path: Path):
    main([str(bank), str(tmp_path), "--half", "report", "--calls", "2", "--mono",
          "--transcripts", str(bank / "table.csv")])  # fmt: skip
    found = find_truths(tmp_path)
    assert len(found) == 2
    for path, truth in found:
        assert soundfile.info(path).channels == 1
        assert parse_truth(truth).turns
        json.dumps(truth)
