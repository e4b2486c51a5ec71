"""A second agent after an announced transfer: a leg of its own, for which the first is not charged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.rubric import judge, load_rubric
from pipeline.schema import (
    AGENT,
    CUSTOMER,
    Audio,
    CallResult,
    Dialogue,
    Event,
    Recording,
    Span,
    SpeakerSegment,
    Turn,
    Utterance,
    Word,
)
from pipeline.settings import config_path, load_settings
from pipeline.speech.diarization.voices import TwoVoices
from pipeline.speech.legs import handovers, split_voices, taken_over
from tests import fakes
from tests.fakes import RATE, Script

SETTINGS = load_settings()
AT = 20.0


def turn(number: int, speaker: str, start: float, text: str, seconds: float = 6.0, **more: int):
    spans = ((start, start + seconds),)
    return Turn(number, speaker, start, start + seconds, spans, text, (), 0.9, **more)


CALL = (
    turn(0, AGENT, 0, "您好，这里是客服中心。"),
    turn(1, CUSTOMER, 7, "我要退货。"),
    turn(2, AGENT, 14, "好的，我帮您转接售后，请稍等。"),
    turn(3, AGENT, 24, "您好，我是售后的小李。"),
)
OF_AGENT = [s for t in CALL if t.speaker == AGENT for s in t.spans]
AUDIO = np.zeros(31 * 16_000, np.float32)


def embedder(likeness: float):
    """Hears the first stretch as one voice and the second as so like it."""
    rows = iter([np.array([[1.0, 0.0]]), np.array([[likeness, np.sqrt(1 - likeness**2)]])])
    return lambda: lambda audio, pieces: next(rows)


@pytest.mark.parametrize(("likeness", "legs"), [(0.3, [AT]), (0.85, [])])
def test_another_voice_after_a_transfer_begins_a_leg(likeness: float, legs: list[float]):
    found, said = taken_over(OF_AGENT, [AT], AUDIO, embedder(likeness))
    assert found == legs
    assert bool(said) is bool(legs)


def test_without_an_announced_transfer_no_voice_is_compared():
    compared = lambda: pytest.fail("a voice was compared")  # noqa: E731
    assert taken_over(OF_AGENT, [], AUDIO, compared) == ([], [])


def test_a_second_agent_in_the_metadata_is_one_however_alike_the_voices():
    assert taken_over(OF_AGENT, [AT], AUDIO, embedder(0.9), is_told=True)[0] == [AT]


def test_little_speech_is_not_compared_and_on_one_channel_that_is_said():
    short = [*OF_AGENT[:2], (24.0, 25.0)]
    found, said = taken_over(short, [AT], AUDIO, embedder(0.1), shared_audio=True)
    assert found == []
    assert "cannot be told" in said[0]


def heard(*said: tuple[float, str]) -> list[Utterance]:
    words = tuple(
        Word(start + 0.2 * i, start + 0.2 * i + 0.2, c, 0.9)
        for start, text in said
        for i, c in enumerate(text)
    )
    return [Utterance(AGENT, 0.0, 40.0, "", words, 0.9)]


def test_a_handover_is_where_who_announces_it_stops():
    said = heard((0.0, "您好"), (10.0, "我帮您转接"), (11.5, "请您稍等"), (20.0, "您好"))
    speech = [(0.0, 0.4), (10.0, 11.0), (11.5, 12.3), (20.0, 20.4)]
    assert handovers(speech, said) == [12.3]
    assert handovers(speech[:3], said) == []  # the agent says nothing after it
    assert handovers(speech, heard((0.0, "您好"), (10.0, "请您稍等"))) == []


@pytest.mark.parametrize(("likeness", "voices"), [(0.3, 4), (0.85, 2)])
def test_on_one_channel_voices_that_go_on_as_they_were_keep_their_names(
    likeness: float, voices: int
):
    said = heard((0.0, "您好"), (10.0, "名额可以转给别人"), (20.0, "您好"))
    speech = {AGENT: [(0.0, 4.0), (10.0, 12.0), (20.0, 24.0)], CUSTOMER: [(5.0, 9.0), (25.0, 29.0)]}
    rows = iter([*[[[1.0, 0.0]]] * 3, [[likeness, np.sqrt(1 - likeness**2)]]])
    embed = lambda audio, pieces: np.array(next(rows))  # noqa: E731
    halves = lambda audio, spans: {"0": spans[::2], "1": spans[1::2]}  # noqa: E731
    told, _, announced = split_voices(speech, said, AUDIO, halves, lambda: embed)
    assert len(told) == voices
    assert announced == [12.0]


# --- what is measured and judged ----------------------------------------------------------------


def test_measures_are_of_the_first_leg():
    turns = (*CALL[:3], turn(3, AGENT, 24, "您好", leg=2))
    events = [Event("interruption", 8, 9, AGENT), Event("interruption", 25, 26, AGENT)]
    call = Dialogue(Recording("a.wav", "a"), 40.0, turns, tuple(events))
    own = call.first_leg()
    assert (own.turns, own.events, own.duration) == (CALL[:3], (events[0],), 20.0)
    whole = Dialogue(call.recording, 40.0, CALL, call.events)
    assert whole.first_leg() is whole


def test_nobody_is_accused_of_what_the_other_agent_did_or_left_out():
    rubric = load_rubric(config_path("rubrics/hotline.yaml"))
    turns = (*CALL[:3], turn(3, AGENT, 24, "随便你，不归我管。", leg=2))
    call = Dialogue(Recording("a.wav", "a"), 32.0, turns, ())
    alone = replace(call, turns=tuple(replace(t, leg=1) for t in turns))
    whole = {v.item_id: v for v in judge(alone, rubric)}
    first = {v.item_id: v for v in judge(call, rubric)}
    wrong = [i for i, v in whole.items() if v.verdict == "fail" and v.start and v.start > AT]
    assert wrong  # what the second agent says does break rules
    assert all(first[i].verdict != "fail" for i in wrong)
    assert first["closing_goodbye"].verdict == "cannot_tell"
    assert "another agent takes over at 20 s" in first["closing_goodbye"].note
    assert first["opening_offer_help"].verdict == "fail"  # that was the first agent's to do


def test_what_the_other_agent_made_good_is_done():
    rubric = load_rubric(config_path("rubrics/hotline.yaml"))
    goodbye = turn(3, AGENT, 24, "感谢您的来电，祝您生活愉快，再见。", leg=2)
    call = Dialogue(Recording("a.wav", "a"), 32.0, (*CALL[:3], goodbye), ())
    found = {v.item_id: v for v in judge(call, rubric)}["closing_goodbye"]
    assert (found.verdict, found.by_another) == ("pass", True)
    assert found.note == "by the agent who took over at 20 s"
    assert found.start is not None
    assert found.start > AT
    rude = replace(goodbye, text="随便你。")
    left = judge(replace(call, turns=(*CALL[:3], rude)), rubric)
    assert not any(v.by_another for v in left)


# --- whole calls --------------------------------------------------------------------------------

TRANSFER = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单到哪里了"),
    (AGENT, 10.0, "这个问题我现在帮您转接技术部请您稍等"),
    (AGENT, 16.0, "您好这里是技术部很高兴为您服务请问您遇到了什么"),
    (CUSTOMER, 23.0, "红灯一直亮着没有网"),
    (AGENT, 26.0, "好的已经帮您重新设置好了您再试一下看看感谢您来电"),
    tail=1.0,
)
SECOND_HZ = 300.0


def by_pitch(audio: Audio, pieces: object) -> np.ndarray:
    """A row by the pitch of the whole: one for each of three voices."""
    power = np.abs(np.fft.rfft(audio))
    hz = np.fft.rfftfreq(audio.size, 1 / 16_000)
    band = (hz > 90) & (hz < 350)
    pitch = hz[band][np.argmax(power[band])]
    return np.eye(3)[[int(np.argmin(np.abs(np.array([120.0, 220.0, SECOND_HZ]) - pitch)))]]


class ByPitch(TwoVoices):
    """Tells two voices apart by their pitch, and compares voices by it."""

    def __init__(self) -> None:
        super().__init__(lambda audio: (), by_pitch)

    def __call__(
        self, audio: Audio, speech: tuple[Span, ...], speakers: int = 2
    ) -> tuple[SpeakerSegment, ...]:
        return fakes.PitchDiarizer()(audio, speech, speakers)


@pytest.fixture(scope="module", params=["stereo", "mono"])
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CallResult:
    samples = TRANSFER.stereo()
    for line in TRANSFER.lines:
        if line.speaker == AGENT and line.start > 15:
            first, last = (round(x * RATE) for x in (line.start - 0.01, line.end + 0.1))
            samples[0, first:last] = fakes.noise((last - first) / RATE)[: last - first]
            fakes.place(samples[0], fakes.buzz(line.text, SECOND_HZ), line.start)
    if request.param == "mono":
        samples = samples.sum(axis=0, keepdims=True)
    path = fakes.save(Path(tmp_path_factory.mktemp("legs")) / "call.wav", samples)
    known = fakes.recording(path, direction="inbound", agent_id="a", agent_id_2="b")
    rubric = load_rubric(config_path("rubrics/hotline.yaml"))
    models = fakes.models(TRANSFER, diarizer=ByPitch())
    return fakes.run_call(known, SETTINGS, models, rubric)


def test_turns_carry_their_leg_on_two_channels_and_on_one(result: CallResult):
    assert [(t.speaker, t.leg) for t in result.turns] == [
        (AGENT, 1), (CUSTOMER, 1), (AGENT, 1), (AGENT, 2), (CUSTOMER, 2), (AGENT, 2),
    ]  # fmt: skip
    assert any("another agent talks" in w for w in result.warnings)


def test_the_first_agent_has_the_first_agents_words_and_voice_alone(result: CallResult):
    own = [t for t in result.turns if t.speaker == AGENT and t.leg == 1]
    assert result.measures["agent_units"] == sum(t.units for t in own)
    assert result.measures["agent_talk_s"] == pytest.approx(sum(t.duration for t in own))
    assert result.measures["agent_f0_median_hz"] == pytest.approx(220, rel=0.05)
    later = next(t for t in result.turns if t.speaker == AGENT and t.leg == 2)
    assert later.f0_median_hz == pytest.approx(SECOND_HZ, rel=0.05)
    assert result.recording.agent_id_2 == "b"
