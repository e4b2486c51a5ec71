"""Recordings against a table of transcripts: what is compared, and what is left out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import MetadataError
from pipeline.evaluation import compare_texts, joined, read_transcripts
from pipeline.evaluation.transcripts import Transcript
from pipeline.schema import Utterance
from pipeline.speech.asr.plain import plain_text


def said(speaker: str, start: float, text: str) -> Utterance:
    return Utterance(speaker, start, start + 1, text, (), 1.0)


def test_a_table_names_recordings_by_path_or_by_name(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    for name in ("a.wav", "deep/b.wav", "c.wav"):
        (tmp_path / name).touch()
    table = tmp_path / "t.csv"
    table.write_text("file,text,group\na.wav,您好,g\nother/b.wav,再见,g\nc.wav,,g\nd.wav,是,g\n")
    found = read_transcripts(table, tmp_path)
    assert found == [
        Transcript(tmp_path / "a.wav", "您好", "g"),
        Transcript(tmp_path / "deep" / "b.wav", "再见", "g"),
    ]


def test_a_table_without_any_recording_of_the_folder_is_told(tmp_path: Path):
    table = tmp_path / "t.csv"
    table.write_text("recording,text\nx.wav,您好\n")
    with pytest.raises(MetadataError, match="no row has a text and a recording"):
        read_transcripts(table, tmp_path)


def test_errors_are_counted_by_kind_for_all_and_for_groups_of_ten():
    rows = [Transcript(Path(f"{i}.wav"), "感谢来电", "many") for i in range(10)]
    rows += [Transcript(Path("x.wav"), "我姓张", "few")]
    texts = {r.path: r.text for r in rows}
    worse = texts | {Path("0.wav"): "感谢来电了", Path("x.wav"): "我姓"}
    table = compare_texts(rows, {"ours": texts, "plain": worse})
    assert table == [
        ("all", "11", "43", "ours", "0.0 %", "0", "0", "0"),
        ("all", "11", "43", "plain", "4.7 %", "0", "1", "1"),
        ("many", "10", "40", "ours", "0.0 %", "0", "0", "0"),
        ("many", "10", "40", "plain", "2.5 %", "0", "0", "1"),
    ]


def test_recordings_that_one_recogniser_lacks_are_left_out_of_all():
    rows = [Transcript(Path("a"), "您好", ""), Transcript(Path("b"), "再见", "")]
    table = compare_texts(
        rows, {"ours": {Path("a"): "您好"}, "plain": dict.fromkeys((Path("a"), Path("b")), "")}
    )
    assert [row[:4] for row in table] == [("all", "1", "2", "ours"), ("all", "1", "2", "plain")]


def test_what_was_heard_is_joined_in_the_order_of_time():
    assert joined([said("agent", 3.0, "再见。"), said("customer", 1.0, "您好，")]) == "您好再见"


def test_the_plain_recipe_hears_every_channel_with_its_own_defaults():
    asked = []

    class Model:
        def transcribe(self, audio, **options):
            asked.append(options)
            return iter([SimpleNamespace(text=f"{audio.size}"), SimpleNamespace(text="。")]), None

    text = plain_text(Model(), [np.zeros(3, np.float32), np.zeros(5, np.float32)], "zh")
    assert text == "3。5。"
    assert asked == [{"language": "zh", "beam_size": 5, "vad_filter": True}] * 2
