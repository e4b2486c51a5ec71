"""The decoder: which of several hypotheses is taken, and the real model."""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import resample
from pipeline.errors import WeightsError
from pipeline.evaluation.texts import align
from pipeline.io import weights
from pipeline.schema import Audio
from pipeline.settings import load_settings
from pipeline.speech.asr.whisper import Guess, WhisperDecoder, calibrated, choose, load_whisper
from pipeline.speech.models import word_model
from pipeline.text import WordModel, normalise_for_cer
from tests.tiny_models import MELS, V3_TOKENS, whisper_large_v3

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


def test_the_decoder_tells_which_of_some_texts_was_said(whisper: WhisperDecoder):
    texts = ("再见。", "嗯。", "好的。", "谢谢。")
    for name, said in (("coupon_c5", "再见。"), ("return_c8", "再见。")):
        ((text, clip),) = bank(name)
        assert text == said
        likely = whisper.choose_among(clip, texts)
        assert sum(likely) == pytest.approx(1)
        assert likely[texts.index(said)] > 0.9, name
    silence = whisper.choose_among(np.zeros(RATE, np.float32), texts)
    assert silence[0] < 0.9


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


PROMPTS = (  # the program's own once, and one as people write them
    "客服热线通话，普通话，简体中文：",
    "云帆银行信用卡中心，挂失，账单，还款",
)


def sounds() -> dict[str, Audio]:
    """What tempts a recogniser to write its prompt: nothing, noise, music, foreign speech."""
    chance, t = np.random.default_rng(0), np.arange(4 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.2, 329.6))
    made = {
        "silence": np.zeros(4 * RATE),
        "noise": 0.05 * chance.standard_normal(4 * RATE),
        "music": 0.1 * chord * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * t)),
    }
    speak = shutil.which("espeak-ng")
    for voice, text in {
        "en": "I do not speak Chinese, can you help me with my order?",
        "yue": "你好呀，我想问下我部电话点解唔开得机。",
    }.items():
        if speak:
            wave = subprocess.run(
                [speak, "-v", voice, "--stdout", text], capture_output=True, check=True
            ).stdout
            samples, rate = soundfile.read(io.BytesIO(wave), dtype="float32")
            made[voice] = 0.5 * resample(resample(samples, rate, 8000), 8000, RATE)
    return {name: np.asarray(audio, np.float32) for name, audio in made.items()}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_is_never_a_transcript(whisper: WhisperDecoder, prompt: str):
    chosen = load_settings(overrides={"asr.prompt": prompt, "asr.beam_size": 1}).asr
    decoder = WhisperDecoder(whisper._model, chosen, whisper._words)
    heard = decoder(list(sounds().values()))
    texts = [normalise_for_cer("".join(w.text for w in h.words)) for h in heard]
    plain = normalise_for_cer(prompt)
    rows = {plain[i : i + 4] for i in range(len(plain) - 3)}
    assert not [t for t in texts if any(row in t for row in rows)]


@pytest.mark.parametrize("trim", [True, False])
def test_the_shape_of_large_v3_is_loaded_and_decoded(tmp_path: Path, trim: bool):
    folder = whisper_large_v3(tmp_path)
    model = load_whisper(folder, compute_type="float32", threads=1, trim=trim)
    assert model.model.n_mels == MELS
    chosen = load_settings(overrides={"asr.language": "yue", "asr.beam_size": 2}).asr
    decoder = WhisperDecoder(model, chosen, None)
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32) * 0.1
    (heard,) = decoder([noise])
    assert all(0 <= w.start <= w.end <= 30 for w in heard.words)
    assert heard.logprob < 0
    assert model.hf_tokenizer.token_to_id("<|yue|>") == model.hf_tokenizer.token_to_id("<|su|>") + 1
    assert model.hf_tokenizer.get_vocab_size() == V3_TOKENS
