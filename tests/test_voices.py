import numpy as np
import pytest

from pipeline.schema import SpeakerSegment
from pipeline.speech.voices import MAX_PIECE_S, cut_pieces, tell_apart

RNG = np.random.default_rng(5)


def embeddings(labels, apart=1.0, noise=0.3, dimension=32):
    common = RNG.normal(size=dimension)
    voices = [common + apart * RNG.normal(size=dimension) for _ in range(2)]
    return np.array([voices[k] + noise * RNG.normal(size=dimension) for k in labels])


def pieces(count, gap=0.5):
    return [(i * (1.5 + gap), i * (1.5 + gap) + 1.5) for i in range(count)]


def same(found, wanted):
    found, wanted = np.asarray(found), np.asarray(wanted)
    return (found == wanted).all() or (found == 1 - wanted).all()


def test_two_voices_are_told_apart_over_the_whole_call():
    labels = [0, 1, 0, 0, 1, 1, 0, 1, 0, 1]
    assert same(tell_apart(embeddings(labels), pieces(10)), labels)


def test_a_voice_with_little_to_say_is_not_lost():
    labels = [0] * 12 + [1] + [0] * 7 + [1]
    assert same(tell_apart(embeddings(labels), pieces(21)), labels)


def test_one_voice_stays_one():
    assert tell_apart(embeddings([0] * 12, noise=0.2), pieces(12)) is None


def test_a_piece_too_short_to_embed_goes_with_what_it_follows():
    rows = embeddings([0, 0, 1, 1])
    rows[1] = np.nan
    found = tell_apart(rows, [(0, 2), (2, 2.2), (4, 6), (7, 9)])
    assert found is not None
    assert found[1] == found[0]


@pytest.mark.parametrize("heard", [0, 1])
def test_too_little_speech_is_one_voice(heard):
    rows = np.full((3, 8), np.nan)
    rows[:heard] = 1.0
    assert tell_apart(rows, pieces(3)) is None


def test_speech_is_cut_where_the_voice_changes_and_into_short_pieces():
    found = cut_pieces([(0.0, 8.0)], [SpeakerSegment(0.0, 4.1, "a"), SpeakerSegment(4.1, 8.0, "b")])
    assert any(end == pytest.approx(4.1) for _, end in found)
    assert max(end - start for start, end in found) <= MAX_PIECE_S
    assert sum(end - start for start, end in found) == pytest.approx(8.0)


def test_no_piece_is_cut_too_short_to_embed():
    found = cut_pieces([(0.0, 2.0)], [SpeakerSegment(0.1, 1.95, "a")])
    assert found == [(0.0, 2.0)]
