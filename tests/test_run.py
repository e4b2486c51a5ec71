"""One call from file to result, with stand-ins for the models: what it says and what never changes it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import EmptyAudio, RecordingError, StageError, UnreadableAudio
from pipeline.measures import columns
from pipeline.rubric import Rubric, load_rubric
from pipeline.run import run_call
from pipeline.schema import AGENT, CUSTOMER, Audio, CallResult, to_json
from pipeline.settings import Settings, config_path, load_settings
from pipeline.speech.asr.windows import Heard
from pipeline.speech.models import Models
from pipeline.text import Lexicon
from tests import fakes
from tests.fakes import RATE, Script, buzz, chords, noise, place, recording, save

SETTINGS = load_settings()
EDGE_S = 0.03

GREETING = "您好这里是晴山商城很高兴为您服务"
REQUEST = "我想问一下我的订单到哪里了"
WAIT = "好的请您稍等一下我帮您查询一下订单"
BACK = "让您久等了您的订单已经在路上明天就会到了"
CALL = Script.of(
    (AGENT, 0.5, GREETING),
    (CUSTOMER, 6.0, REQUEST),
    (AGENT, 10.0, WAIT),
    (CUSTOMER, 14.6, "好"),
    (AGENT, 28.0, BACK),
    (CUSTOMER, 34.0, "好的谢谢"),
    (AGENT, 36.0, "不客气再见"),
    tail=2.0,
)


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return load_rubric(config_path("rubrics/hotline.yaml"))


@pytest.fixture
def run(tmp_path: Path, rubric: Rubric):
    """Analyse samples as the recording ``call.wav``."""

    def analyse(
        samples: Audio,
        script: Script = CALL,
        models: Models | None = None,
        chosen: Settings = SETTINGS,
        **metadata: object,
    ) -> CallResult:
        path = save(tmp_path / "call.wav", samples)
        return run_call(recording(path, **metadata), chosen, models or fakes.models(script), rubric)

    return analyse


def said(result: CallResult) -> list[tuple[str, str]]:
    return [(t.speaker, t.text) for t in result.turns]


def warned(result: CallResult, *words: str) -> bool:
    return any(all(w in line for w in words) for line in result.warnings)


def test_a_stereo_call_comes_out_as_it_was_put_in(run):
    result = run(CALL.stereo(), agent_channel=0, direction="inbound")
    assert said(result) == [(line.speaker, line.text) for line in CALL.lines]
    for turn, line in zip(result.turns, CALL.lines, strict=True):
        assert (turn.start, turn.end) == pytest.approx((line.start, line.end), abs=EDGE_S)
    assert result.speaker_source == "channel"
    assert result.role_confidence == 1.0
    assert result.warnings == ()
    assert result.duration == pytest.approx(CALL.duration, abs=0.01)


def test_an_announced_hold_is_found_between_the_agents_words(run):
    result = run(CALL.stereo(), agent_channel=0)
    (hold,) = [e for e in result.events if e.kind == "hold"]
    wait, back = CALL.lines[2], CALL.lines[4]
    assert (hold.start, hold.end) == pytest.approx((wait.end, back.start), abs=1.0)
    assert hold.detail["medium"] == "silence"
    assert hold.detail["announced"] is True
    assert result.measures["holds"] == 1


def test_a_result_carries_what_produced_it(run, rubric: Rubric):
    result = run(CALL.stereo(), agent_channel=0)
    assert set(result.measures) == {
        *columns(), "compliance_score", "compliance_passed", "compliance_failed",
        "compliance_unjudged", "compliance_low", "compliance_high", "judged_share",
    }  # fmt: skip
    assert result.provenance.settings_hash == SETTINGS.digest()
    assert result.provenance.rubric == rubric.sha256
    assert result.provenance.weights == {"fake": "0" * 64}
    assert {"audio", "speech", "recognition", "dialogue", "voice", "compliance"} <= set(
        result.stage_seconds
    )
    assert {v.item_id for v in result.verdicts} == {i.id for i in rubric.items}
    json.dumps(to_json(result), allow_nan=False)


def test_the_seconds_of_a_stage_are_all_that_it_took(run):
    class Slow(fakes.ScriptDecoder):
        def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
            time.sleep(0.2)
            return super().__call__(windows, careful=careful)

    models = fakes.models(CALL)
    models.decoder = Slow(CALL)
    assert run(CALL.stereo(), models=models).stage_seconds["recognition"] >= 0.2


def test_a_mono_call_is_told_apart_by_voice_and_words(run):
    result = run(CALL.mono(), direction="inbound")
    assert result.speaker_source == "diarization"
    assert said(result) == [(line.speaker, line.text) for line in CALL.lines]
    assert set(result.measures) == set(run(CALL.stereo(), agent_channel=0).measures)


def test_fake_stereo_is_treated_as_mono_and_told(run):
    mono = CALL.mono()
    result = run(np.vstack([mono, mono]), agent_channel=0, direction="inbound")
    assert result.speaker_source == "diarization"
    assert result.channels == 2
    assert warned(result, "same sound", "treated as mono")
    assert said(result) == [(line.speaker, line.text) for line in CALL.lines]


def test_without_metadata_the_words_tell_who_is_the_agent(run):
    for agent in (0, 1):
        result = run(CALL.stereo(agent=agent))
        assert said(result) == [(line.speaker, line.text) for line in CALL.lines]
        assert 0.8 <= result.role_confidence < 1


def test_doubt_about_the_roles_is_told(run):
    script = Script.of((AGENT, 0.5, "今天天气真的还不错"), (CUSTOMER, 4.0, "是这样没有下雨了吧呀"))
    result = run(script.stereo(), script)
    assert result.role_confidence < 0.8
    assert warned(result, "not certain which voice is the agent", "agent_channel")


def test_swapped_channels_are_told(run):
    result = run(CALL.stereo(), agent_channel=1, direction="inbound")
    assert warned(result, "swapped", "agent_channel")
    assert result.turns[0].speaker == CUSTOMER


def test_hold_music_is_a_hold_and_not_speech(run):
    samples = CALL.stereo()
    place(samples[0], chords(11), 16.0)
    result = run(samples, agent_channel=0)
    (hold,) = [e for e in result.events if e.kind == "hold"]
    assert hold.detail["medium"] == "music"
    assert (hold.start, hold.end) == pytest.approx((16.0, 27.0), abs=1.0)
    assert said(result) == [(line.speaker, line.text) for line in CALL.lines]


def test_rings_are_counted_and_are_not_speech(run):
    samples = np.concatenate((np.stack([noise(11, 5), noise(11, 6)]), CALL.stereo()), axis=1)
    place(samples[0], fakes.rings(2), 0.5)
    result = run(samples, agent_channel=0)
    assert result.measures["rings"] == 2
    assert said(result)[0] == (AGENT, GREETING)
    assert result.measures["first_speech_s"] == pytest.approx(11.5, abs=EDGE_S)


def test_an_interruption_is_found_and_a_backchannel_is_none(run):
    script = Script.of(
        (AGENT, 0.5, GREETING),
        (CUSTOMER, 6.0, "我上个月买的洗衣机到现在都还没有送到我家里来"),
        (AGENT, 8.0, "嗯"),
        (AGENT, 10.5, "您先听我说这个订单已经发货了"),
        (CUSTOMER, 16.0, "好吧我知道了"),
    )
    result = run(script.stereo(), script, agent_channel=0)
    kinds = [(e.kind, e.by, e.detail.get("kind")) for e in result.events]
    assert ("backchannel", AGENT, None) in kinds
    assert ("interruption", AGENT, "successful") in kinds
    assert result.measures["agent_interruptions"] == 1
    assert result.measures["customer_interruptions"] == 0
    for preset in ("sca", "huawei"):
        chosen = load_settings(overrides={"interruptions.preset": preset})
        again = run(script.stereo(), script, agent_channel=0, chosen=chosen)
        assert again.measures["agent_interruptions"] == 0, preset


def test_invented_text_is_rejected_counted_and_in_no_turn(run):
    script = Script.of(
        (AGENT, 0.5, GREETING), (CUSTOMER, 6.0, "谢谢观看"), (AGENT, 9.0, "好的再见啊")
    )
    models = fakes.models(script, lexicon=Lexicon((), ["谢谢观看"]))
    result = run(script.stereo(), script, models, agent_channel=0)
    assert warned(result, "rejected", "1 hallucination")
    assert [u.rejected for u in result.utterances] == [None, "hallucination", None]
    assert "观看" not in "".join(t.text for t in result.turns)
    assert result.measures["customer_talk_s"] > 0


def test_a_call_without_speech_has_no_score(run):
    empty = Script.of()
    for samples in (np.zeros((2, 5 * RATE), np.float32), np.stack([noise(5, 1), noise(5, 2)]),
                    np.zeros((1, 5 * RATE), np.float32)):  # fmt: skip
        result = run(samples, empty)
        assert result.turns == ()
        assert warned(result, "No speech")
        assert result.measures["agent_speaking_rate"] is None
        assert result.measures["agent_talk_ratio"] is None
        assert result.measures["compliance_score"] is None
        json.dumps(to_json(result), allow_nan=False)


def test_one_party_alone_divides_by_nothing(run):
    script = Script.of((AGENT, 0.5, GREETING), (AGENT, 12.0, "喂您好听得到吗"))
    samples = script.stereo()
    samples[1] += noise(script.duration, 4, dbfs=-60)  # an open line on which nobody speaks
    result = run(samples, script, agent_channel=0)
    assert result.measures["customer_speaking_rate"] is None
    assert result.measures["rate_gap"] is None
    assert result.measures["agent_talk_ratio"] == 1


def test_the_loudest_two_of_more_channels_are_used(run):
    third = noise(CALL.duration, 9, dbfs=-60)
    result = run(np.vstack([CALL.stereo(), third[None]]), agent_channel=0)
    assert warned(result, "3 channels", "0 and 1")
    assert said(result) == [(line.speaker, line.text) for line in CALL.lines]


def test_a_noisy_voice_is_not_scored_and_told(run):
    samples = CALL.stereo()
    samples[0] += noise(CALL.duration, 3, dbfs=-32)
    result = run(samples, agent_channel=0)
    assert warned(result, "agent", "signal-to-noise")
    assert result.measures["agent_level_dbfs"] is None
    assert result.measures["level_gap_db"] is None
    assert all(t.level_dbfs is None for t in result.turns if t.speaker == AGENT)
    assert result.measures["customer_level_dbfs"] is not None


def test_what_is_no_audio_is_an_error_of_this_recording(tmp_path: Path, rubric: Rubric):
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty.wav").write_bytes(b"")
    for name, error in (
        ("text", UnreadableAudio),
        ("empty", EmptyAudio),
        ("gone", UnreadableAudio),
    ):
        with pytest.raises(error) as caught:
            run_call(recording(tmp_path / f"{name}.wav"), SETTINGS, fakes.models(CALL), rubric)
        assert caught.value.stage == "audio"
        assert caught.value.hint


def test_a_stage_that_fails_is_named(run):
    def broken(windows: list, *, careful: bool = False) -> list:
        raise ZeroDivisionError("no\nluck")

    with pytest.raises(
        StageError, match="recognition failed: ZeroDivisionError: no luck"
    ) as caught:
        run(CALL.stereo(), models=fakes.models(CALL, decoder=broken))
    assert isinstance(caught.value, RecordingError)
    assert caught.value.stage == "recognition"


def test_the_same_call_gives_the_same_result(run):
    one, two = (run(CALL.stereo(), agent_channel=0) for _ in range(2))
    assert replace(one, stage_seconds={}) == replace(two, stage_seconds={})


def test_crosstalk_is_nobodys_speech(run):
    samples = CALL.stereo()
    leaking = samples + 10 ** (-24 / 20) * samples[::-1]
    result = run(leaking.astype(np.float32), agent_channel=0)
    assert said(result) == [(line.speaker, line.text) for line in CALL.lines]
    assert warned(result, "carries channel")


def test_speech_of_other_pitch_than_the_scripts_is_still_timed(run):
    samples = np.stack([noise(8, 1), noise(8, 2)])
    place(samples[0], buzz("您好很高兴为您服务", 150.0), 1.0)
    result = run(samples, agent_channel=0)
    (turn,) = result.turns
    assert turn.start == pytest.approx(1.0, abs=EDGE_S)
