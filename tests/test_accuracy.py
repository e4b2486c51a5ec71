"""The small part of the accuracy benchmark as a gate, and the corpus it runs on.

The bounds are a little looser than what was measured when they were set. They keep what is there from
getting worse; what it should be is in ``TARGETS``, and how far off it is in docs/accuracy.md.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from pipeline.audio import decode, resample
from pipeline.evaluation.measure_errors import UNITS
from pipeline.measures import MEASURES
from pipeline.signal.level import gated_rms_dbfs
from pipeline.speech.asr.windows import Decoder
from tests.benchmarks.accuracy import Bench, GivenText, small
from tests.benchmarks.accuracy_page import (
    CONTROL,
    EVENTS,
    LENGTHS,
    RATES_OF_COUNTS,
    TARGETS,
    document,
    figure,
    met,
    pooled,
    summary,
)
from tests.benchmarks.corpus import (
    PLANS,
    ROOT,
    Condition,
    MadeCall,
    VoiceBank,
    conditions,
    exclusive,
    make_calls,
    write_recording,
)
from tests.benchmarks.pitch_trackers import Score

# Bounds of the small run.
AT_MOST = (
    ("base", "turn_speaking_rate", 1.0),
    ("base", "speaking_rate", 2.5),
    ("base", "level", 0.2),
    ("base", "pitch_sd", 0.3),
    ("base", "talk_ratio", 1.2),
    ("base", "hold_length:p95", 0.1),
    ("base", "der", 1.0),
    ("base", "cer", 0.10),
    ("base", "turn_edges", 15.0),
    ("mono", "turn_speaking_rate", 2.0),
    ("mono", "level", 0.3),
    ("mono", "talk_ratio", 2.0),
    ("mono", "hold_length:p95", 0.2),
    ("mono", "der", 3.0),
    ("mono", "cer", 0.15),
)
AT_LEAST = (
    ("base", "interruption", 0.85),  # four: an attempt that may as well be listening is an overlap
    ("base", "backchannel", 0.95),
    ("base", "hold", 1.0),
    ("base", "dead_air", 1.0),
    ("base", "rings", 1.0),
    ("base", "role", 1.0),
    ("mono", "interruption", 0.8),
    ("mono", "hold", 1.0),
    ("mono", "dead_air", 1.0),
    ("mono", "rings", 1.0),
    ("mono", "role", 0.95),
)


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, Any]]:
    return small(Bench.load())


@pytest.fixture(scope="module")
def made() -> MadeCall:
    return make_calls(_named("base"), PLANS[1:2])[0]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "measure", "bound"), AT_MOST)
def test_no_error_has_grown(parts, name, measure, bound):
    value, n = figure(parts[name], measure)
    assert n > 0
    assert value is not None
    assert value <= bound


@pytest.mark.slow
def test_no_interruption_is_invented(parts):
    counts = {name: part["counts"]["interruption"] for name, part in parts.items()}
    assert all(extra == 0 for _, _, extra in counts.values()), counts


@pytest.mark.slow
@pytest.mark.parametrize(("name", "measure", "bound"), AT_LEAST)
def test_no_less_is_found(parts, name, measure, bound):
    value, n = figure(parts[name], measure)
    assert n > 0
    assert value is not None
    assert value >= bound


@pytest.mark.slow
def test_crosstalk_makes_no_turns_and_no_overlaps(parts):
    assert parts["crosstalk -25 dB"]["counts"]["invented"] == parts[CONTROL]["counts"]["invented"]


@pytest.mark.slow
def test_the_page_says_what_was_not_run_and_what_is_not_met(parts):
    data = {"conditions": parts, "weights": {"w": "0" * 64}, "version": "0", "cores": 2}
    page = document(data)
    assert "Not run for this table: " in page
    assert "rate x0.85" in page
    value, _ = figure(parts["base"], "level")
    assert f"{value:.2f} dB" in page
    for target in TARGETS:
        value, _ = figure(parts["base"], target.measure)
        if met(target, value, target.stereo) == "**not met**":
            assert f"{target.name} (stereo)" in page


def test_the_same_condition_gives_the_same_calls(made):
    again = make_calls(_named("base"), PLANS[1:2])[0]
    assert np.array_equal(made.samples, again.samples)
    assert made.truth == again.truth


def test_one_thing_changes_with_a_condition(made):
    noisy = make_calls(_named("SNR 15 dB"), PLANS[1:2])[0]
    assert noisy.truth == made.truth
    error = noisy.samples - made.samples
    assert 10 * np.log10(np.mean(error**2)) > -80
    longer = make_calls(_named("silent hold 30 s"), PLANS[1:2])[0]
    assert longer.truth["duration"] == pytest.approx(made.truth["duration"] + 20.0)


def test_every_call_has_every_event():
    for call in make_calls(_named("base")):
        truth = call.truth
        assert len(truth["interruptions"]) == 2
        assert {i["successful"] for i in truth["interruptions"]} == {True, False}
        assert len(truth["backchannels"]) == 3
        assert len(truth["holds"]) == len(truth["dead_air"]) == 1


def test_true_level_is_that_of_the_clean_speech_alone(made):
    spans = {
        p: [s for t in made.truth["turns"] if t["speaker"] == p for s in t["spans"]] for p in "AC"
    }
    alone = exclusive(spans["C"], spans["A"])
    measured = gated_rms_dbfs(made.samples[:, 1], 8000, alone)
    assert measured == pytest.approx(made.truth["level_dbfs"]["C"], abs=0.1)


def test_exclusive_takes_out_the_others():
    assert exclusive([(0, 4), (6, 7)], [(1, 2), (3, 6.5)]) == [(0, 1), (2, 3), (6.5, 7)]
    assert exclusive([(0, 1)], [(-1, 2)]) == []


def test_resynthesis_changes_tempo_and_spread_and_keeps_the_edges():
    folder = ROOT / "data" / "utterances"
    plain, fast = VoiceBank(folder), VoiceBank(folder, tempo=1.25)
    name = plain.names("xiaoxiao", "check")[0]
    ratio = len(plain[name].samples) / len(fast[name].samples)
    assert ratio == pytest.approx(1.25, rel=0.03)
    assert len(fast.wide(name)) == 2 * len(fast[name].samples)


@pytest.mark.parametrize("codec", ["alaw", "ulaw", "gsm", "amr", "opus", "mp3"])
def test_a_codec_keeps_length_and_channels(made, tmp_path, codec):
    wave = decode(write_recording(tmp_path, replace(made, codec=codec)))
    assert wave.channels == 2
    assert wave.duration == pytest.approx(made.truth["duration"], abs=0.1)
    narrow = np.stack([resample(x, wave.sample_rate, 8000) for x in wave.samples])
    n = min(narrow.shape[1], len(made.samples))
    for channel in range(2):
        envelope = [
            np.abs(x[: n // 800 * 800].reshape(-1, 800)).mean(axis=1)
            for x in (narrow[channel], made.samples[:, channel])
        ]
        assert np.corrcoef(*envelope)[0, 1] > 0.9


def test_given_text_finds_its_place_in_the_call(made, tmp_path):
    wave = decode(write_recording(tmp_path, made))
    heard = [resample(x, wave.sample_rate, 16_000) for x in wave.samples]
    line = next(x for x in made.spoken if x.party == "C")
    decoder: Decoder = GivenText(heard, made.spoken)
    window = heard[1][round((line.start - 0.1) * 16_000) : round((line.end + 0.1) * 16_000)]
    (answer,) = decoder([window])
    assert "".join(w.text for w in answer.words) == line.text
    assert answer.words[0].start == pytest.approx(0.1, abs=0.01)
    with pytest.raises(LookupError, match="not a part of the call"):
        decoder([window[::-1].copy()])


def test_figures_are_medians_rates_and_f1():
    counts = {"hold": [2, 1, 1], "der": [1.0, 50.0], "cer": [3, 100], "rings": [1, 2]}
    part = {"errors": {"level": [-1.0, 0.5, 0.1]}, "counts": counts, "given_text": False}
    assert figure(part, "level") == (0.5, 3)
    assert figure(part, "hold") == (pytest.approx(4 / 6), 3)
    assert figure(part, "der") == (2.0, 50.0)
    assert figure(part, "cer") == (0.03, 100)
    assert figure(part | {"given_text": True}, "cer") == (None, 0)
    assert figure(part, "pitch_sd") == (None, 0)
    both = pooled([part, part | {"given_text": True}])
    assert figure(both, "cer") == (0.03, 100)
    assert figure(both, "rings") == (0.5, 4)
    assert figure(both, "level") == (0.5, 6)


def test_what_errors_of_recognition_do_to_the_rate_is_in_the_page(parts_by_hand):
    page = document(parts_by_hand)
    assert "| base | 0.100 (100) characters | -2.0 % |" in page
    assert "| mono | 0.200 (50) characters | - |" in page  # written before there was such a count


def test_the_pitch_trackers_are_in_the_page_when_they_were_run(parts_by_hand):
    assert "pitch trackers" in document(parts_by_hand).split("Not run for this table")[1]
    score = asdict(Score(0.9, 0.01, 0.95, 0.05, 0.2, 0.4, 0.003))
    page = document(parts_by_hand | {"pitch_trackers": {"Speakers at 16 kHz": {"ours": score}}})
    assert "### Speakers at 16 kHz" in page
    assert "| ours | 1.00 % | 0.20 st |" in page
    assert "pitch trackers" not in page.split("Not run for this table")[1]


def test_the_summary_says_median_p95_bias_and_n_of_each_set(parts_by_hand):
    figures = summary(parts_by_hand)["figures"]
    assert figures["level"]["unit"] == "dB"
    assert figures["level"]["stereo"] == {"median": 0.5, "p95": 0.95, "bias": -0.133, "n": 3}
    assert figures["level"]["mono"] == {"median": 2.0, "p95": 2.0, "bias": 2.0, "n": 1}
    assert figures["level"]["all stereo conditions"]["n"] == 4
    assert figures["hold"]["stereo"] == {"F1": 0.667, "n": 3}
    assert figures["rings"]["mono"] == {"share": 1.0, "n": 2}
    assert "loudness" not in figures


def test_the_summary_that_the_program_shows_is_that_of_the_page():
    data = json.loads((ROOT / "docs" / "accuracy.json").read_text("utf-8"))
    shown = json.loads((ROOT / "configs" / "accuracy.json").read_text("utf-8"))
    assert shown == summary(data), "run: python -m tests.benchmarks.accuracy --only samples"


def test_every_figure_that_the_catalogue_names_is_one_of_the_benchmark():
    known = {*UNITS, *LENGTHS, *EVENTS, *RATES_OF_COUNTS, ""}
    assert {m.accuracy for m in MEASURES} <= known


@pytest.fixture
def parts_by_hand() -> dict[str, Any]:
    events = {kind: [1, 0, 0] for kind in EVENTS} | {"hold": [2, 1, 1]}
    counts = {
        **events, "rings": [1, 2], "outcome": [1, 1], "cer": [10, 100], "rate_bias": [-2, 100],
        "der": [1.0, 50.0], "role": [1.0, 1.0], "turns": [5, 5], "invented": [0, 0],
    }  # fmt: skip
    part = {
        "date": "2026-01-01", "given_text": False, "audio_s": 60.0, "missing": {},
        "errors": {"level": [-1.0, 0.5, 0.1]}, "counts": counts,
    }  # fmt: skip
    early = {k: v for k, v in counts.items() if k != "rate_bias"} | {"cer": [10, 50]}
    mono = part | {"errors": {"level": [2.0]}, "counts": early | {"rings": [2, 2]}}
    given = part | {"given_text": True, "errors": {"level": [0.2]}}
    return {
        "conditions": {"base": part, CONTROL: given, "mono": mono},
        "weights": {"w": "0" * 64}, "version": "0", "cores": 2,
    }  # fmt: skip


def test_a_target_is_met_from_its_bound_on():
    level = next(t for t in TARGETS if t.measure == "level")
    hold = next(t for t in TARGETS if t.measure == "hold")
    assert met(level, 0.3, level.stereo) == met(hold, 1.0, hold.stereo) == "met"
    assert met(level, 0.31, level.stereo) == met(hold, 0.99, hold.stereo) == "**not met**"
    assert met(level, None, level.stereo) == "-"


def _named(name: str) -> Condition:
    return next(c for c in conditions() if c.name == name)
