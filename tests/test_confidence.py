"""How calibration of words is measured."""

from __future__ import annotations

import pytest

from pipeline.schema import Utterance, Word
from tests.benchmarks.confidence import judged, reliability


def utterance(text: str, *confidences: float) -> Utterance:
    words = tuple(
        Word(i, i + 1, c, p) for i, (c, p) in enumerate(zip(text, confidences, strict=True))
    )
    return Utterance("agent", 0, len(text), text, words, sum(confidences) / len(confidences))


def test_characters_are_right_by_the_shortest_alignment():
    heard = [utterance("我姓章", 0.9, 0.8, 0.4), utterance("嗯", 0.3)]
    assert judged("我姓张", heard) == [(0.9, True), (0.8, True), (0.4, False), (0.3, False)]


def test_numbers_carry_the_confidence_of_their_utterance():
    words = (Word(0, 1, "2024", 0.6), Word(1, 2, "年", 1.0))
    one = Utterance("agent", 0, 2, "2024年", words, 0.8)
    assert judged("二零二四年", [one]) == [(0.8, True)] * 5


def test_error_is_weighted_by_characters():
    rows = [(0.95, True)] * 9 + [(0.95, False)] + [(0.25, True)] * 5 + [(0.25, False)] * 5
    bins, error = reliability(rows)
    assert [b[2] for b in bins] == [10, 10]
    assert error == pytest.approx((0.05 + 0.25) / 2)
