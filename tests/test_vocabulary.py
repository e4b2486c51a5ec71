"""The trimmed vocabulary: what is kept, and that the model with it hears as the whole one does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.errors import WeightsError
from pipeline.evaluation.texts import align
from pipeline.io import weights
from pipeline.settings import Asr, load_settings
from pipeline.speech.asr.vocabulary import END_OF_TEXT, OwnTokens, Trimmed, kept_tokens, trimmed
from pipeline.speech.asr.whisper import WhisperDecoder, _storage, load_whisper
from pipeline.speech.models import trims_vocabulary
from pipeline.text import normalise_for_cer

DATA = Path(__file__).parents[1] / "data"
CHOSEN = load_settings().asr


@pytest.fixture(scope="module")
def folder() -> Path:
    return weights.verified(CHOSEN.source)


@pytest.fixture(scope="module")
def small(folder: Path) -> Trimmed:
    return trimmed(folder)


@pytest.fixture(scope="module")
def models(folder: Path) -> tuple[object, object]:
    return tuple(
        load_whisper(folder, compute_type=CHOSEN.compute_type, threads=1, trim=trim)
        for trim in (False, True)
    )  # type: ignore[return-value]


def clips(count: int) -> list[np.ndarray]:
    paths = sorted((DATA / "utterances").glob("*.flac"))[:count]
    return [soundfile.read(p, dtype="float32")[0] for p in paths]


def test_the_tokens_of_chinese_text_are_kept_and_those_of_other_scripts_are_not(small: Trimmed):
    kept = {small.tokens[i] for i in small.kept}
    assert len(kept) < len(small.tokens) / 6
    special = {"<|zh|>", "<|notimestamps|>", "<|nospeech|>", "<|0.00|>", "<|30.00|>"}
    assert {"Ġthe", "a", "æĪĳ"} | special <= kept  # 我
    assert not {"ÑĤÐ¾", "Ġaccomplish", "ãģĦ"} & kept  # то, い
    assert small.kept == sorted(small.kept)
    assert sum(len(token) == 1 for token in kept) == 256  # anything can be spelt


def test_every_chinese_character_of_the_labelled_calls_can_be_written_as_before(
    models: tuple[object, object], small: Trimmed
):
    text = (DATA / "utterances.csv").read_text("utf-8") + "，。？！、：；“”——…《》ＡＰＰ１２３"
    ids = models[0].hf_tokenizer.encode(text, add_special_tokens=False).ids  # type: ignore[attr-defined]
    han = [i for i in ids if not small.tokens[i].isascii()]
    assert len(han) > 1000
    lost = {small.tokens[i] for i in han} - {small.tokens[i] for i in small.kept}
    assert not lost


def test_the_trimmed_model_hears_the_same_words(models: tuple[object, object]):
    whole, small = (WhisperDecoder(m, CHOSEN) for m in models)
    sound = clips(6)
    first, second = (
        normalise_for_cer("".join(w.text for found in decoder(sound) for w in found.words))
        for decoder in (whole, small)
    )
    assert len(first) > 150
    assert align(first, second).cer < 0.02


def test_nothing_but_the_vocabulary_is_changed(models: tuple[object, object]):
    features = models[0].feature_extractor(clips(1)[0])[None, :, :1000]  # type: ignore[attr-defined]
    encoded = [
        np.asarray(m.model.encode(_storage(features), to_cpu=True))  # type: ignore[attr-defined]
        for m in models
    ]
    np.testing.assert_array_equal(*encoded)


def test_a_prompt_of_words_that_are_not_kept_is_spelt(
    models: tuple[object, object], small: Trimmed
):
    word = " Donaudampfschifffahrt ещё"
    ids = models[0].hf_tokenizer.encode(word, add_special_tokens=False).ids  # type: ignore[attr-defined]
    assert not set(ids) <= set(small.kept)
    spelt = OwnTokens(None, small)._spelt(ids)
    assert "".join(small.tokens[small.kept[i]] for i in spelt) == "".join(
        small.tokens[i] for i in ids
    )


def test_other_languages_and_the_setting_all_keep_every_token():
    assert trims_vocabulary(Asr())
    assert trims_vocabulary(Asr(language="yue"))
    assert not trims_vocabulary(Asr(language="en"))
    assert not trims_vocabulary(Asr(vocabulary="all"))
    assert not trims_vocabulary(load_settings("gpu").asr)


def test_a_small_vocabulary_keeps_its_order():
    tokens = ["a", "æĪĳ", "ÑĤÐ¾", "ï¼Į", END_OF_TEXT, "<|zh|>", "<|0.00|>"]
    assert kept_tokens(tokens) == [0, 1, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "model.bin").write_bytes(b"\x09\0\0\0" + b"\0" * 64), "version 9"),
        (lambda f: (f / "vocabulary.json").unlink(), "no vocabulary.json"),
        (
            lambda f: (f / "vocabulary.json").write_text(json.dumps(["a", END_OF_TEXT])),
            "no array with a row for each of the 2 tokens",
        ),
    ],
)
def test_a_model_in_an_unknown_format_is_told(folder: Path, tmp_path: Path, spoil, says: str):
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    spoil(copy)
    with pytest.raises(WeightsError, match=says) as error:
        load_whisper(copy, trim=True)
    assert "asr.vocabulary" in str(error.value)
