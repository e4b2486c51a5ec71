"""The decoder by sherpa-onnx, with tiny SenseVoice and Paraformer models of the right shape."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import WeightsError
from pipeline.schema import Audio
from pipeline.settings import load_settings
from pipeline.speech.asr.recognise import recognise
from pipeline.speech.asr.sherpa import NOT_GIVEN, SherpaDecoder, load_sherpa
from pipeline.speech.models import load_models
from tests.tiny_models import TOKENS, paraformer, sense_voice

RATE = 16_000


def sound(*spans: tuple[float, float], seconds: float = 4.0) -> Audio:
    audio = np.zeros(round(seconds * RATE), np.float32)
    for start, end in spans:
        n = round((end - start) * RATE)
        noise = np.random.default_rng(n).standard_normal(n)
        audio[round(start * RATE) : round(start * RATE) + n] = 0.3 * noise
    return audio


def test_sense_voice_hears_syllables_at_their_time(tmp_path: Path):
    decoder = SherpaDecoder(load_sherpa(str(sense_voice(tmp_path))), 2)
    windows = [
        sound((0.5, 1.0), (2.0, 2.5)),
        sound(seconds=1.0),
        sound((1.0, 1.5), seconds=2.0),
    ]
    two, none, one = decoder(windows)
    assert [w.text for w in two.words] == ["好", "好"]
    assert [w.start for w in two.words] == pytest.approx([0.5, 2.0], abs=0.15)
    assert none.words == ()
    assert [w.text for w in one.words] == ["好"]
    assert all(w.start <= w.end <= 4.0 and 0 < w.confidence <= 1 for w in two.words)
    assert decoder(windows, careful=True) == [two, none, one]


def test_paraformer_without_times_spreads_its_tokens(tmp_path: Path):
    decoder = SherpaDecoder(load_sherpa(str(paraformer(tmp_path))), 8)
    (heard,) = decoder([sound((0.0, 4.0))])
    assert len(heard.words) > 10
    assert {w.text for w in heard.words} == {"您"}
    assert [w.confidence for w in heard.words] == pytest.approx([NOT_GIVEN] * len(heard.words))
    assert heard.words[-1].end == pytest.approx(4.0)


def test_parts_of_latin_words_are_one_word_and_keep_their_blanks():
    class Says:
        def create_stream(self):
            tokens = ["▁he", "llo", "▁ok", "您", "wi@@", "fi", "好"]
            times = [0.1, 0.3, 0.5, 0.8, 1.0, 1.2, 1.5]
            result = SimpleNamespace(tokens=tokens, timestamps=times, ys_log_probs=[-0.1] * 7)
            return SimpleNamespace(result=result, accept_waveform=lambda rate, audio: None)

        def decode_streams(self, streams):
            pass

    decoder = SherpaDecoder(Says(), 4)
    (heard,) = decoder([sound(seconds=2.0)])
    assert [w.text for w in heard.words] == ["hello", " ok", "您", "wifi", "好"]
    assert heard.words[0].confidence == pytest.approx(np.exp(-0.1))
    assert [w.start for w in heard.words] == [0.1, 0.5, 0.8, 1.0, 1.5]
    utterance = recognise(
        [("agent", sound(seconds=2.0), [(0.4, 1.6)])], decoder, load_settings().asr
    )[0]
    assert utterance.text == "hello ok您wifi好"


def test_the_settings_choose_it(tmp_path: Path):
    folder = sense_voice(tmp_path / "sense-voice")
    chosen = load_settings("embedded", {"asr.engine": "sherpa-onnx", "asr.source": str(folder)})
    models = load_models(chosen)
    assert isinstance(models.decoder, SherpaDecoder)
    assert models.language_of is None
    assert "sense-voice" in models.weights
    assert chosen.digest() != load_settings().digest()


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(WeightsError, match=r"no model\.int8\.onnx"):
        load_sherpa(str(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    (tmp_path / "tokens.txt").write_text("\n".join(TOKENS), encoding="utf-8")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_sherpa(str(tmp_path))
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    with pytest.raises(WeightsError, match="not installed"):
        load_sherpa(str(tmp_path))
