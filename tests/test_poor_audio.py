"""Poor audio: what cannot be measured or judged is null or ``cannot_tell``, and the reason is said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from pipeline.schema import AGENT, CUSTOMER, SPEAKERS, CallResult, Waveform
from pipeline.settings import load_settings
from pipeline.signal.channels import channel_findings
from tests import fakes
from tests.fakes import RATE, Script, buzz, noise

SETTINGS = load_settings()
LEVELS = ("level_dbfs", "active_level_dbfs", "loudness_lufs", "level_sd_db")
PITCHES = ("f0_median_hz", "pitch_sd_st", "pitch_range_st")
CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单到哪里了我买了三天了"),
    (AGENT, 12.0, "好的请您稍等一下我帮您查询一下订单"),
    (AGENT, 28.0, "让您久等了您的订单已经在路上明天就会到了"),
    (CUSTOMER, 34.0, "好的那我知道了谢谢你们"),
    (AGENT, 38.0, "不客气请问还有其他可以帮您的吗"),
    (CUSTOMER, 43.0, "没有了"),
    (AGENT, 45.0, "感谢您的来电再见"),
    tail=2.0,
)
Run = fakes.Analyse


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Analyse samples as the recording ``call.wav``, the agent on channel 0."""
    return fakes.analyser(tmp_path_factory.mktemp("calls"), CALL, SETTINGS, agent_channel=0)


@pytest.fixture(scope="module")
def good(run: Run) -> CallResult:
    return run(CALL.stereo())


def verdicts(result: CallResult) -> dict[str, str]:
    return {v.item_id: v.verdict for v in result.verdicts}


def nulls(result: CallResult, speaker: str, *names: str) -> bool:
    return all(result.measures[f"{speaker}_{name}"] is None for name in names)


def has(result: CallResult, speaker: str, *names: str) -> bool:
    return all(result.measures[f"{speaker}_{name}"] is not None for name in names)


def warned(result: CallResult, *words: str) -> bool:
    return any(all(w in line for w in words) for line in result.warnings)


def test_of_a_good_call_all_is_measured_and_nothing_is_warned_of(good):
    assert good.warnings == ()
    for speaker in SPEAKERS:
        assert has(good, speaker, *LEVELS[:3], *PITCHES, "speaking_rate")
    found = verdicts(good)
    assert {found[i] for i in ("volume_match", "pitch_variation", "rate_match")} <= {"pass", "fail"}


def test_noise_on_a_voice_nulls_its_level_and_pitch_and_what_rests_on_them(run):
    samples = CALL.stereo()
    samples[0] += noise(CALL.duration, 3, dbfs=-35)
    result = run(samples)
    assert warned(result, "Level and pitch of the agent", "signal-to-noise", "under 15 dB")
    assert result.turns
    assert nulls(result, AGENT, *LEVELS, *PITCHES)
    assert has(result, CUSTOMER, *LEVELS[:3], *PITCHES)
    assert result.measures["level_gap_db"] is None
    assert all(t.level_dbfs is None for t in result.turns if t.speaker == AGENT)
    found = verdicts(result)
    assert found["volume_match"] == found["pitch_variation"] == "cannot_tell"


def test_the_agent_is_judged_on_the_clean_channel_whichever_it_is(run):
    samples = CALL.stereo(agent=1)
    samples[0] += noise(CALL.duration, 3, dbfs=-35)
    told, guessed = (verdicts(run(samples, agent_channel=c)) for c in (1, None))
    assert guessed == told
    said = ("opening_greeting", "opening_self_introduction", "closing_goodbye", "pitch_variation")
    assert "cannot_tell" not in {guessed[i] for i in said}


def test_a_customer_whose_level_is_unknown_cannot_be_said_to_be_calm(run):
    """Fast speech alone is heard; a raised voice cannot be ruled out, so the match is not judged."""
    samples = CALL.stereo()
    samples[1] += noise(CALL.duration, 3, dbfs=-35)
    result = run(samples)
    assert nulls(result, CUSTOMER, *LEVELS, *PITCHES)
    assert verdicts(result)["volume_match"] == "cannot_tell"
    note = next(v.note for v in result.verdicts if v.item_id == "volume_match")
    assert note is not None
    assert "not measured" in note


def test_heavy_clipping_nulls_the_level_and_leaves_the_pitch(run, good):
    samples = CALL.stereo()
    top = 0.3 * np.abs(samples[0]).max()
    samples[0] = np.clip(samples[0], -top, top)
    result = run(samples)
    assert "clipped" in result.quality[0].problems
    assert warned(result, "Level of the agent", "clipped")
    assert nulls(result, AGENT, *LEVELS)
    assert result.measures["level_gap_db"] is None
    for name in PITCHES:
        before, after = (r.measures[f"{AGENT}_{name}"] for r in (good, result))
        assert after == pytest.approx(before, rel=0.02, abs=0.1)
    assert verdicts(result)["volume_match"] == "cannot_tell"
    assert verdicts(result)["pitch_variation"] == verdicts(good)["pitch_variation"]


def test_a_narrow_band_nulls_the_level(run):
    samples = CALL.stereo()
    samples[1] = sosfilt(butter(8, 1300, fs=RATE, output="sos"), samples[1])
    result = run(samples)
    assert "narrow" in result.quality[1].problems
    assert warned(result, "Level of the customer", "a part of it is missing")
    assert nulls(result, CUSTOMER, *LEVELS)
    assert has(result, CUSTOMER, *PITCHES)


def test_a_party_who_says_a_word_has_no_level_no_pitch_and_no_rate(run):
    script = Script.of((AGENT, 0.5, CALL.lines[0].text), (CUSTOMER, 6.0, "喂喂"), tail=3.0)
    result = run(script.stereo(), script)
    assert nulls(result, CUSTOMER, *LEVELS, *PITCHES, "speaking_rate", "interruption_rate")
    assert warned(result, "Level of the customer", "are said", "1 s are needed")
    assert warned(result, "Pitch of the customer", "2 s are needed")
    assert result.measures["rate_gap"] is result.measures["level_gap_db"] is None
    assert verdicts(result)["rate_match"] == "cannot_tell"


# One channel for both, and one channel for nobody.


@pytest.mark.parametrize("dead", [0, 1])
def test_two_voices_beside_a_dead_channel_are_told_apart(run, dead: int):
    samples = np.zeros_like(CALL.stereo())
    samples[1 - dead] = CALL.mono()[0]
    result = run(samples)
    assert result.speaker_source == "diarization"
    assert warned(result, f"Channel {dead} carries no signal")
    assert warned(result, f"Channel {1 - dead} is treated as mono")
    assert [(t.speaker, t.text) for t in result.turns] == [(x.speaker, x.text) for x in CALL.lines]
    assert result.measures["agent_talk_ratio"] == pytest.approx(0.73, abs=0.05)


@pytest.mark.parametrize("agent_channel", [0, None])
def test_of_a_party_who_was_not_recorded_nothing_is_made_up(run, good, agent_channel):
    samples = CALL.stereo()
    samples[1] = 0.0
    result = run(samples, agent_channel=agent_channel)
    assert {t.speaker for t in result.turns} == {AGENT}
    assert warned(result, "Channel 1 carries no signal")
    assert warned(result, "The customer is on no channel")
    for name in ("agent_talk_ratio", "customer_talk_s", "customer_turns", "agent_interruptions",
                 "holds", "dead_air", "silence_ratio", "overlap_s", "rate_gap"):  # fmt: skip
        assert result.measures[name] is None, name
    for name in ("agent_speaking_rate", "agent_level_dbfs", "agent_pitch_sd_st"):
        assert result.measures[name] == pytest.approx(good.measures[name], rel=0.05), name
    assert not {e.kind for e in result.events} & {"hold", "dead_air", "silence"}
    found = verdicts(result)
    assert found["opening_greeting"] == "pass"
    for item in ("hold_reason", "no_interrupting", "rate_match", "volume_match"):
        assert found[item] == "cannot_tell", item


@pytest.mark.parametrize(("agent_channel", "party"), [(0, AGENT), (1, CUSTOMER)])
def test_beside_a_dead_channel_the_metadata_say_who_a_lone_voice_is(run, agent_channel, party):
    script = Script.of((AGENT, 0.5, "今天天气真的还不错"), (AGENT, 4.0, "是这样没有下雨了吧呀"))
    samples = script.stereo()
    samples[1] = 0.0
    result = run(samples, script, agent_channel=agent_channel)
    assert {t.speaker for t in result.turns} == {party}
    assert result.role_confidence == 1.0


def test_identical_channels_are_one_mono_channel(run):
    mono = CALL.mono()[0]
    result = run(np.stack([mono, mono]))
    assert result.speaker_source == "diarization"
    assert warned(result, "same sound", "treated as mono")


@pytest.mark.parametrize("leak_db", [-2.9, -2.0])
def test_channels_that_carry_both_voices_are_one_mono_channel(run, leak_db: float):
    """On two channels nobody would ever be alone, and each would seem to talk all the time."""
    clean = CALL.stereo()
    result = run(clean + 10 ** (leak_db / 20) * clean[::-1])
    assert result.speaker_source == "diarization"
    assert warned(result, "treated as mono")
    assert [(t.speaker, t.text) for t in result.turns] == [(x.speaker, x.text) for x in CALL.lines]
    assert result.measures["overlap_s"] == 0
    if warned(result, "about as loud"):
        assert nulls(result, CUSTOMER, "level_dbfs")
        assert warned(result, "Level of the customer", "both voices")


def test_a_channel_that_carries_the_other_as_loud_is_found_in_either_direction():
    clean = CALL.stereo()
    for receiver in (0, 1):
        samples = clean.copy()
        samples[receiver] += 0.8 * clean[1 - receiver]
        wave = Waveform(samples, RATE, RATE, "pcm", "")
        (found,) = [f for f in channel_findings(wave) if f.problem == "mixed"]
        assert (found.channel, found.other) == (receiver, 1 - receiver)


def test_two_who_talk_over_each_other_all_the_time_are_not_mixed():
    samples = np.stack([noise(20, 1), noise(20, 2)])
    samples[0][RATE : 17 * RATE] += buzz("啦" * 64, 220.0)
    samples[1][RATE : 17 * RATE] += buzz("啦" * 64, 123.0)
    wave = Waveform(samples, RATE, RATE, "pcm", "")
    assert [f.problem for f in channel_findings(wave)] == []


# Who is who.


def test_where_the_words_contradict_the_metadata_nobody_is_judged(run, good):
    result = run(CALL.stereo(), agent_channel=1)
    assert warned(result, "swapped", "agent_channel")
    assert warned(result, "nothing is scored by role")
    assert result.role_confidence < 0.1
    assert result.measures["compliance_score"] is None
    assert not set(verdicts(result).values()) & {"pass", "fail"}
    for name, value in result.measures.items():
        if name.startswith((AGENT, CUSTOMER)) or name in ("holds", "rate_gap", "level_gap_db"):
            assert value is None, name
    for name in ("silence_ratio", "overlap_s", "first_speech_s"):
        assert result.measures[name] == good.measures[name]


def test_where_the_words_do_not_tell_nobody_is_judged(run):
    script = Script.of((AGENT, 0.5, "今天天气真的还不错"), (CUSTOMER, 4.0, "今天天气真的还不错呀"))
    result = run(script.stereo(), script, agent_channel=None, direction="outbound")
    assert result.role_confidence < 0.6
    assert warned(result, "nothing is scored by role")
    assert result.measures["compliance_score"] is None
    assert result.measures["agent_talk_s"] is None
