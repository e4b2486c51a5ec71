"""How short sounds are made, and what that says of them: swells, level, listening or breaking in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from pipeline.dialogue.listening import listening
from pipeline.dialogue.overlaps import find_overlaps
from pipeline.dialogue.turns import build_turns
from pipeline.schema import AGENT, CUSTOMER, Audio, Event, Utterance, Word
from pipeline.signal.vocal import Vocal, Vocals, change, swells, vocals_of

RATE = 8000


def syllables(count: int, seconds: float, gain: float = 1.0) -> Audio:
    """A tone that swells so often."""
    at = np.arange(round(seconds * RATE)) / RATE
    envelope = np.sin(np.pi * count * at / seconds) ** 2
    return np.asarray(0.1 * gain * envelope * np.sin(2 * np.pi * 400 * at), np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_swells_are_counted_at_any_level(count: int, gain: float):
    assert swells(syllables(count, 0.25 * count, gain).astype(np.float64), RATE) == count


def test_silence_has_one_and_a_blip_is_not_measured():
    assert swells(np.zeros(RATE), RATE) == 1
    voice = Vocals(np.zeros(RATE, np.float32), RATE, [(0.0, 1.0)])
    assert voice([(0.1, 0.15)]) is None
    assert Vocals(np.zeros(RATE, np.float32), RATE, [(0.0, 0.5)])([(0.0, 0.4)]) is None  # no talk


def test_the_level_is_over_the_own_talk():
    samples = np.concatenate(
        (syllables(8, 2.0), np.zeros(RATE, np.float32), syllables(1, 0.3, 0.5))
    )
    found = Vocals(samples, RATE, [(0.0, 2.0), (3.0, 3.3)])([(3.0, 3.3)])
    assert found is not None
    assert found.swells == 1
    assert found.level_db == pytest.approx(-6.0, abs=0.2)


def hum(seconds: float, glide: float = 0.0) -> Audio:
    """Two harmonics through a formant that moves ``glide`` Hz up and down, five times a second."""
    at = np.arange(round(seconds * RATE)) / RATE
    centre = 900 + glide * np.sin(2 * np.pi * 5 * at)
    parts = [
        np.exp(-(((200 * k - centre) / 250) ** 2)) * np.sin(2 * np.pi * 200 * k * at)
        for k in range(1, 16)
    ]
    return np.asarray(0.1 * np.sum(parts, axis=0), np.float32)


@pytest.mark.parametrize("gain", [0.02, 1.0])
def test_what_is_drawn_out_changes_less_than_the_own_talk(gain: float):
    samples = np.concatenate((hum(2.0, 500), hum(0.4), hum(0.4, 500))) * np.float32(gain)
    voice = Vocals(samples, RATE, [(0.0, 2.0)])
    drawn_out, lively = voice([(2.0, 2.4)]), voice([(2.4, 2.8)])
    assert drawn_out is not None
    assert lively is not None
    assert drawn_out.change < 0.2
    assert lively.change == pytest.approx(1.0, abs=0.15)


def test_change_goes_by_what_is_heard_and_not_by_the_sample_rate():
    assert change(np.zeros(RATE), RATE) == 0.0
    assert change(hum(0.05).astype(np.float64), RATE) == 0.0  # under 80 ms
    sound = hum(1.0, 500).astype(np.float64)
    assert change(resample_poly(sound, 2, 1), 2 * RATE) == pytest.approx(
        change(sound, RATE), rel=0.15
    )


def test_what_is_livelier_louder_and_of_more_syllables_is_less_likely_listening():
    base = listening(0.6, (), sound=Vocal(2, -1.0))
    assert base > listening(0.6, (), sound=Vocal(2, -1.0, 1.2))
    assert base < listening(0.6, (), sound=Vocal(2, -1.0, 0.8))
    assert base > listening(0.6, (), sound=Vocal(4, -1.0))
    assert base > listening(0.6, (), sound=Vocal(2, 2.0))
    assert base < listening(0.6, (), sound=Vocal(2, -5.0))
    heard = (Word(0.0, 0.6, "对", 0.9),)
    unsure = (Word(0.0, 0.6, "对", 0.1),)
    assert listening(0.6, heard, sound=Vocal(2, 1.0)) > listening(0.6, unsure, sound=Vocal(2, 1.0))


def events(
    count: int, gain: float, seconds: float = 0.8, text: str = "认识呢", confidence: float = 0.6
) -> list[Event]:
    """The agent talks for 6 s, the customer makes a sound at 2 s of which ``text`` is heard."""
    talk, other = syllables(24, 6.0), np.zeros(14 * RATE, np.float32)
    other[2 * RATE : round((2 + seconds) * RATE)] = syllables(count, seconds, gain)
    other[7 * RATE : 13 * RATE] = talk
    speech = {AGENT: [(0.0, 6.0)], CUSTOMER: [(2.0, 2.0 + seconds), (7.0, 13.0)]}
    words = tuple(Word(2.0 + i * 0.2, 2.2 + i * 0.2, c, confidence) for i, c in enumerate(text))
    heard = (Utterance(CUSTOMER, 2.0, 2.0 + seconds, text, words, confidence),)
    sounds = {CUSTOMER: Vocals(other, RATE, speech[CUSTOMER])}
    turns = build_turns(speech, heard, sounds=sounds)
    return [e for e in find_overlaps(turns, sounds=sounds) if e.by == CUSTOMER]


def test_a_misheard_sign_of_listening_is_no_accusation_and_an_attempt_is_one():
    assert [e.kind for e in events(2, 0.6)] == ["backchannel"]
    (doubt,) = events(3, 1.0)
    assert (doubt.kind, doubt.detail["kind"]) == ("overlap", "unsure")
    (attempt,) = events(5, 1.3)
    assert (attempt.kind, attempt.detail["kind"]) == ("interruption", "attempted")
    assert attempt.confidence >= 0.7


def test_what_is_drawn_out_but_loud_and_understood_is_no_sign_of_listening():
    assert [e.kind for e in events(3, 1.3, 1.05)] == ["backchannel"]
    assert [e.kind for e in events(3, 1.3, 1.05, "凭什么呀", 0.95)] == ["interruption"]


def opening_with(sound: Audio) -> Event:
    """The agent talks for 6 s; the customer makes a sound, pauses, and goes on as the agent ends."""
    other = np.zeros(14 * RATE, np.float32)
    first = (5.0, 5.0 + sound.size / RATE)
    other[5 * RATE : 5 * RATE + sound.size] = sound
    for start, end in ((5.8, 9.0), (10.0, 13.0)):
        other[round(start * RATE) : round(end * RATE)] = hum(end - start, 500)
    speech = {AGENT: [(0.0, 6.0)], CUSTOMER: [first, (5.8, 9.0), (10.0, 13.0)]}
    sounds = {CUSTOMER: Vocals(other, RATE, speech[CUSTOMER])}
    return next(e for e in find_overlaps(build_turns(speech, ()), sounds=sounds))


def test_who_says_yes_and_answers_as_the_other_ends_does_not_break_in():
    assert opening_with(hum(0.4) * np.float32(0.5)).detail["kind"] == "terminal"
    assert opening_with(hum(0.4, 500) * np.float32(1.4)).kind == "interruption"


def test_in_one_channel_a_sound_is_measured_beside_the_louder_of_both():
    talk = syllables(24, 6.0)
    samples = np.concatenate((talk, np.float32(0.25) * syllables(24, 6.0)))
    samples[2 * RATE : 3 * RATE] *= 2  # both together
    speech = {AGENT: [(0.0, 6.0)], CUSTOMER: [(2.0, 3.0), (6.0, 12.0)]}
    heard_in = dict.fromkeys(speech, samples)
    shared = vocals_of(speech, heard_in, RATE, shared_audio=True)[CUSTOMER]([(2.0, 3.0)])
    assert shared is not None
    assert shared.level_db == pytest.approx(6.0, abs=0.5)
    alone = vocals_of(speech, heard_in, RATE, shared_audio=False)[CUSTOMER]([(2.0, 3.0)])
    assert alone is not None
    assert alone.level_db > 8  # beside a median that it is part of
    louder = listening(0.8, (), shared_audio=True, sound=shared)
    assert listening(0.8, (), shared_audio=True, sound=Vocal(2, 0.0)) > 0.5 > louder
