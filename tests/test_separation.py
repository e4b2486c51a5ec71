"""Who speaks when: a voice a channel, or diarization laid over the timeline, which keeps the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import resample
from pipeline.schema import AGENT, CUSTOMER, Span, SpeakerSegment
from pipeline.settings import Vad
from pipeline.speech.diarization.segmentation import Segments
from pipeline.speech.diarization.voices import TwoVoices
from pipeline.speech.speaker_assignment import by_channel, by_diarization, foreground, label_spans
from tests.fakes import HEARD_RATE, RATE, EnergyDetector, PitchDiarizer, Script

SCRIPT = Script.of(
    (AGENT, 0.5, "您好很高兴为您服务"),
    (CUSTOMER, 4.0, "我想问一下我的订单到哪里了"),
    (AGENT, 9.0, "好的请稍等"),
)
OPTIONS = Vad()


def heard(samples: np.ndarray) -> np.ndarray:
    return resample(samples, RATE, HEARD_RATE)


def segments(*rows: tuple[float, float, str]) -> list[SpeakerSegment]:
    return [SpeakerSegment(*row) for row in rows]


def near(*spans: Span, edge_s: float = 0.02) -> list[object]:
    return [pytest.approx(s, abs=edge_s) for s in spans]


def spans_of(speaker: str) -> list[Span]:
    return [(line.start, line.end) for line in SCRIPT.lines if line.speaker == speaker]


def test_every_channel_is_a_voice_with_its_own_audio():
    channels = {0: heard(SCRIPT.channel(AGENT)), 1: heard(SCRIPT.channel(CUSTOMER, 1))}
    voices = by_channel(channels, EnergyDetector(), OPTIONS, {})
    assert voices.source == "channel"
    assert list(voices.speech) == ["0", "1"]
    assert near(*spans_of(AGENT)) == list(voices.speech["0"])
    assert near(*spans_of(CUSTOMER)) == list(voices.speech["1"])
    assert voices.audio["1"] is channels[1]


def test_frames_of_a_channel_that_are_not_its_own_are_ignored():
    channels = {0: heard(SCRIPT.channel(AGENT))}
    ignore = np.zeros(2000, bool)
    ignore[:500] = True
    voices = by_channel(channels, EnergyDetector(), OPTIONS, {0: ignore})
    assert near(*spans_of(AGENT)[1:]) == list(voices.speech["0"])


def test_a_channel_without_speech_is_a_voice_that_says_nothing():
    voices = by_channel({0: np.zeros(32_000, np.float32)}, EnergyDetector(), OPTIONS, {})
    assert voices.speech == {"0": ()}


def test_mono_is_split_by_the_diarization():
    audio = heard(SCRIPT.mono()[0])
    voices = by_diarization(audio, EnergyDetector(), PitchDiarizer(), OPTIONS, None, 2)
    assert voices.source == "diarization"
    assert near(*spans_of(AGENT)) == list(voices.speech["SPEAKER_00"])
    assert near(*spans_of(CUSTOMER)) == list(voices.speech["SPEAKER_01"])
    assert all(a is audio for a in voices.audio.values())


def test_mono_without_speech_is_not_diarized():
    def never(audio: np.ndarray, speech: list[Span], speakers: int) -> tuple[SpeakerSegment, ...]:
        raise AssertionError("there is nothing to diarize")

    voices = by_diarization(np.zeros(32_000, np.float32), EnergyDetector(), never, OPTIONS, None, 2)
    assert (voices.speech, voices.audio) == ({}, {})


def test_edges_are_those_of_the_timeline_not_of_the_diarization():
    found = label_spans(
        [(1.0, 3.0), (4.0, 6.0)], segments((0.8, 3.3, "A"), (3.9, 5.6, "B"), (5.6, 5.9, "B"))
    )
    assert found == {"A": tuple(near((1.0, 3.0))), "B": tuple(near((4.0, 6.0)))}


def test_a_change_of_voice_within_one_stretch_is_kept():
    found = label_spans([(1.0, 5.0)], segments((1.0, 3.0, "A"), (3.0, 5.0, "B")))
    assert found == {"A": tuple(near((1.0, 3.0))), "B": tuple(near((3.0, 5.0)))}


def test_speech_that_nobody_was_named_for_goes_to_the_nearest_voice():
    found = label_spans([(1.0, 2.0), (8.0, 9.0)], segments((1.0, 2.0, "A"), (9.5, 12.0, "B")))
    assert found == {"A": tuple(near((1.0, 2.0))), "B": tuple(near((8.0, 9.0)))}


def test_islands_too_short_to_be_anything_join_their_surroundings():
    found = label_spans([(1.0, 5.0)], segments((1.0, 3.0, "A"), (3.0, 3.1, "B"), (3.1, 5.0, "A")))
    assert found["A"] == tuple(near((1.0, 5.0)))
    assert found["B"] == ()


def test_voices_may_overlap_when_it_is_no_flicker():
    found = label_spans([(1.0, 6.0)], segments((1.0, 4.0, "A"), (3.0, 6.0, "B")))
    assert found["A"][-1][1] == pytest.approx(4.0, abs=0.02)
    assert found["B"][0][0] == pytest.approx(3.0, abs=0.02)
    found = label_spans([(1.0, 6.0)], segments((1.0, 3.1, "A"), (3.0, 6.0, "B")))
    assert found["A"][-1][1] == pytest.approx(found["B"][0][0], abs=0.02)


class Told:
    """A segmentation that is the same whatever it hears."""

    def __init__(self, *rows: tuple[float, float, str], together: tuple[Span, ...]) -> None:
        self.segments = Segments(tuple(segments(*rows)), together)

    def __call__(self, audio: np.ndarray) -> Segments:
        return self.segments


def voices_of(truth: dict[str, list[Span]], apart: float):
    """An embedder: each piece is a mixture of its voices, which are so far apart (0-1)."""
    base = np.zeros(8)
    base[0] = 1.0
    own = {who: base + apart * np.eye(8)[1 + i] for i, who in enumerate(truth)}

    def embed(audio: np.ndarray, pieces: list[Span]) -> np.ndarray:
        rows = []
        for start, end in pieces:
            share = {
                who: sum(max(0.0, min(end, b) - max(start, a)) for a, b in spans)
                for who, spans in truth.items()
            }
            mixed = np.asarray(sum(seconds * own[who] for who, seconds in share.items()))
            rows.append(mixed / max(sum(share.values()), 1e-9))
        return np.array(rows)

    return embed


LINES = {"A": [(1.0, 5.0), (9.0, 13.0)], "B": [(4.0, 9.0), (12.0, 15.95)]}


def two_voices(apart: float) -> dict[str, tuple[Span, ...]]:
    """Two that overlap from 4 to 5 and from 12 to 13 s."""
    script = Script.of((AGENT, 1.0, "好" * 60), tail=2.0)
    told = Told(
        (1.0, 5.0, "x"), (4.0, 9.0, "y"), (9.0, 13.0, "x"), (12.0, 16.0, "y"),
        together=((4.0, 5.0), (12.0, 13.0)),
    )  # fmt: skip
    diarizer = TwoVoices(told, voices_of(LINES, apart))
    found = by_diarization(heard(script.mono()[0]), EnergyDetector(), diarizer, OPTIONS, None, 2)
    return dict(found.speech)


def test_overlaps_are_as_long_as_they_are():
    speech = two_voices(apart=1.0)
    assert sorted(speech) == ["0", "1"]
    found = sorted(speech.values())
    assert [near(*spans) for spans in LINES.values()] == [list(spans) for spans in found]


def test_two_who_speak_at_once_are_two_however_alike():
    assert sorted(two_voices(apart=0.1)) == ["0", "1"]


def test_without_diarization_all_speech_is_one_voice():
    assert label_spans([(1.0, 2.0)], []) == {"0": ((1.0, 2.0),)}
    assert label_spans([], segments((1.0, 2.0, "A"))) == {}


times = st.integers(0, 200).map(lambda n: n / 10)


@given(
    st.lists(times, min_size=2, max_size=12, unique=True).map(sorted),
    st.lists(st.tuples(times, times, st.sampled_from("AB")), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_all_speech_is_somebodys_and_nothing_else_is(edges: list[float], rows: list[tuple]):
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    named = [SpeakerSegment(min(a, b), max(a, b) + 0.1, who) for a, b, who in rows]
    given_frames = {f for a, b in spans for f in range(round(a * 100), round(b * 100))}
    found = label_spans(spans, named)
    frames = {
        f for own in found.values() for a, b in own for f in range(round(a * 100), round(b * 100))
    }
    assert given_frames <= frames
    closed = {f + i for f in given_frames for i in range(-5, 6)}
    assert frames <= closed


def test_who_held_the_floor_goes_on_where_two_speak_after_a_pause():
    rows = segments(
        (1.0, 2.0, "B"), (2.3, 2.4, "B"), (2.4, 3.2, "A"), (2.4, 3.2, "B"), (3.2, 5.0, "A")
    )  # fmt: skip
    found = label_spans([(1.0, 2.0), (2.3, 5.0)], rows)
    assert near(*found["B"]) == [(1.0, 2.0), (2.3, 3.2)]
    assert near(*found["A"]) == [(2.4, 5.0)]


# --- voices behind the speaker ------------------------------------------------------------------


def bursts(*spans: tuple[float, float, float]) -> tuple[np.ndarray, tuple[Span, ...]]:
    """Noise of a level (dBFS) in each span of a minute, and the spans."""
    noise = np.random.default_rng(0).normal(size=60 * HEARD_RATE).astype(np.float32)
    gain = np.full(noise.size, 1e-4, np.float32)
    for start, end, level in spans:
        gain[round(start * HEARD_RATE) : round(end * HEARD_RATE)] = 10 ** (level / 20)
    return noise * gain, tuple((start, end) for start, end, _ in spans)


OWN = ((5.0, 9.0, -24.0), (18.0, 22.0, -27.0), (35.0, 40.0, -25.0))


def test_other_agents_behind_the_speaker_are_left_out():
    behind = [(s, s + 0.7, -42.0 + n) for n, s in enumerate((2.0, 3.0, 11.0, 12.0, 24.0, 26.0))]
    audio, spans = bursts(*sorted((*OWN, *behind)))
    assert foreground(audio, spans) == tuple((start, end) for start, end, _ in OWN)


@pytest.mark.parametrize(
    "others",
    [
        ((11.0, 12.5, -34.0), (24.0, 26.0, -33.0)),  # the speaker, said more quietly
        ((11.0, 11.4, -42.0), (24.0, 26.4, -42.0)),  # one listens, and answers off the phone
        ((45.0, 48.0, -42.0), (50.0, 58.0, -41.0)),  # somebody takes over who is quieter
        (),
    ],
)
def test_quiet_words_of_the_line_stay(others: tuple[tuple[float, float, float], ...]):
    audio, spans = bursts(*sorted((*OWN, *others)))
    assert foreground(audio, spans) == spans


def test_short_sounds_far_under_the_speaker_are_of_nobody_here():
    faint = ((11.0, 11.3, -46.0), (28.0, 28.2, -47.0))
    kept = (
        (12.0, 12.3, -38.0),
        (29.0, 29.9, -46.0),
    )  # said quietly, or too long to be left out alone
    audio, spans = bursts(*sorted((*OWN, *faint, *kept)))
    left = sorted((*OWN, *kept))
    assert foreground(audio, spans) == tuple((start, end) for start, end, _ in left)
