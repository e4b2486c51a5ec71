"""The decoder: which of several hypotheses is taken, and the real model."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import WeightsError
from pipeline.evaluation.texts import align
from pipeline.io import weights
from pipeline.schema import Audio
from pipeline.settings import load_settings
from pipeline.speech.asr.whisper import Guess, WhisperDecoder, calibrated, choose, load_whisper
from pipeline.speech.models import word_model
from pipeline.text import WordModel, normalise_for_cer

RATE = 16_000
DATA = Path(__file__).parents[1] / "data"


WORDS = WordModel(
    {"逐渐": 90, "减弱": 50, "主见": 9, "已经": 200, "的": 5000, "再见": 40, "在": 900}
)


def guess(text: str, logprob: float = -0.3, length: int = 1) -> Guess:
    return Guess(text, (), logprob, 0.0, length)


def test_reproducible_words_come_of_one_instruction_set_and_one_library():
    """Asked of the library itself, in a process of its own: it looks once."""
    code = (
        "from pipeline.io import weights; from pipeline.speech.asr import whisper;"
        "whisper.one_instruction_set();"
        "whisper.load_whisper(weights.verified('whisper-base'), threads=1);"
        "print(whisper.instruction_set())"
    )
    environment = os.environ | {"CT2_VERBOSE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert done.returncode == 0
    if platform.machine() in ("x86_64", "AMD64"):
        said = (done.stdout + done.stderr).decode()
        assert "Selected ISA: AVX2" in said
        assert "Use Intel MKL: false" in said
        assert done.stdout.decode().split()[-1] == "avx2"


def test_of_texts_that_sound_alike_the_one_of_known_words_is_taken():
    guesses = [guess("已经主见减弱", -0.30, 7), guess("已经逐渐减弱", -0.35, 7)]
    assert choose(guesses, WORDS, 0.2).text == "已经逐渐减弱"
    assert choose(guesses, WORDS, 0.0) == choose(guesses, None, 0.2) == guesses[0]


def test_a_much_likelier_hypothesis_wins_over_better_words():
    guesses = [guess("在建", -0.1, 3), guess("再见", -4.0, 3)]
    assert choose(guesses, WORDS, 0.2).text == "在建"


def test_a_text_that_repeats_itself_is_taken_only_where_there_is_no_other():
    loop = guess("您好请讲" * 20, -0.05, 80)
    assert choose([loop, guess("您好请讲", -0.9, 5)], WORDS, 0.2).text == "您好请讲"
    assert choose([loop], WORDS, 0.2) is loop


@given(st.lists(st.tuples(st.text("您好请", max_size=5), st.floats(-5, 0)), min_size=1, max_size=6))
def test_what_is_taken_is_one_of_the_hypotheses(rows: list[tuple[str, float]]):
    guesses = [guess(*row) for row in rows]
    assert choose(guesses, WORDS, 0.2) in guesses


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_confidence_is_a_probability_and_keeps_the_order(one: float, other: float):
    low, high = sorted((one, other))
    assert 0 < calibrated(low) <= calibrated(high) < 1


@pytest.fixture(scope="module")
def whisper() -> WhisperDecoder:
    chosen = load_settings().asr
    model = load_whisper(weights.verified(chosen.source), compute_type=chosen.compute_type)
    return WhisperDecoder(model, chosen, word_model(chosen))


def bank(*names: str) -> list[tuple[str, Audio]]:
    rows = (DATA / "utterances.csv").read_text("utf-8").splitlines()
    texts = {row.split(",")[0]: row.split(",", 4)[4] for row in rows}
    clips = [soundfile.read(DATA / f"utterances/{n}.flac", dtype="float32")[0] for n in names]
    return [(texts[n], clip) for n, clip in zip(names, clips, strict=True)]


def test_the_decoder_answers_in_the_order_of_the_windows(whisper: WhisperDecoder):
    said = bank("courier_a1", "refund_a4", "courier_a6")
    assert sorted(len(c) for _, c in said) != [len(c) for _, c in said]
    heard = whisper([clip for _, clip in said])
    for (text, clip), found in zip(said, heard, strict=True):
        errors = align(
            normalise_for_cer(text), normalise_for_cer("".join(w.text for w in found.words))
        )
        assert errors.cer < 0.5, text
        assert found.words[0].start >= 0
        assert found.words[-1].end <= clip.size / RATE + 0.1


def test_a_model_folder_with_nothing_in_it_is_told(tmp_path: Path):
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_whisper(tmp_path)


def test_windows_are_decoded_with_others_of_like_length(whisper: WhisperDecoder):
    seconds = [20.0, 3.0, 11.0, 12.0, 9.0, 25.0, 24.0]
    batches = whisper._batches([round(s * RATE) for s in seconds])
    assert [[seconds[i] for i in batch] for batch in batches] == [
        [3.0, 9.0, 11.0, 12.0], [20.0, 24.0, 25.0],
    ]  # fmt: skip
    assert [len(b) for b in whisper._batches([RATE] * 20)] == [8, 8, 4]
    assert whisper._batches([]) == []
