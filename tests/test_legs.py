"""A second agent after an announced transfer: noticed by the voice, said where nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.schema import AGENT, CUSTOMER, Turn
from pipeline.speech.diarization.voices import TwoVoices
from pipeline.speech.legs import handover, second_agent
from tests import fakes
from tests.fakes import Script

SCRIPT = Script.of((AGENT, 0.5, "您好"), (CUSTOMER, 3.0, "喂"))


def turn(number: int, speaker: str, start: float, text: str, seconds: float = 6.0) -> Turn:
    return Turn(number, speaker, start, start + seconds, ((start, start + seconds),), text, (), 0.9)


CALL = (
    turn(0, AGENT, 0, "您好，这里是客服中心。"),
    turn(1, CUSTOMER, 7, "我要退货。"),
    turn(2, AGENT, 14, "好的，我帮您转接售后，请稍等。"),
    turn(3, AGENT, 24, "您好，我是售后的小李。"),
)


def models(likeness: float) -> object:
    """Models whose embedder hears the first stretch as one voice and the second as so like it."""
    rows = iter([np.array([[1.0, 0.0]]), np.array([[likeness, np.sqrt(1 - likeness**2)]])])
    diarizer = TwoVoices(lambda audio: (), lambda audio, pieces: next(rows))
    return fakes.models(SCRIPT, diarizer=diarizer)


AUDIO = np.zeros(31 * 16_000, np.float32)


@pytest.mark.parametrize(("likeness", "noticed"), [(0.3, True), (0.85, False)])
def test_another_voice_after_a_transfer_is_noticed(likeness: float, noticed: bool):
    said = second_agent(CALL, AUDIO, models(likeness), shared_audio=False)
    assert bool(said) is noticed
    assert not noticed or "announced at 20 s another voice" in said[0]


def test_without_a_transfer_no_voice_is_compared():
    calm = (*CALL[:2], turn(2, AGENT, 14, "好的，请稍等。"), CALL[3])
    assert handover(calm) is None
    assert second_agent(calm, AUDIO, object(), shared_audio=False) == ()


def test_a_transfer_after_which_the_agent_says_nothing_is_none():
    assert handover(CALL[:3]) is None


def test_on_one_channel_it_is_said_that_nobody_can_tell():
    (said,) = second_agent(CALL, AUDIO, object(), shared_audio=True)
    assert "A transfer is announced at 20 s" in said


def test_little_speech_is_not_compared():
    short = (*CALL[:3], turn(3, AGENT, 24, "您好。", seconds=1.0))
    assert second_agent(short, AUDIO, models(0.1), shared_audio=False) == ()
