import tracemalloc

import numpy as np
import pytest

from pipeline.schema import SpeakerSegment
from pipeline.speech.diarization import voices
from pipeline.speech.diarization.voices import MAX_PIECE_S, cut_pieces

RNG = np.random.default_rng(5)


def embeddings(labels, apart=1.0, noise=0.3, dimension=32):
    common = RNG.normal(size=dimension)
    own = [common + apart * RNG.normal(size=dimension) for _ in range(2)]
    return np.array([own[k] + noise * RNG.normal(size=dimension) for k in labels])


def pieces(count, gap=0.5):
    return [(i * (1.5 + gap), i * (1.5 + gap) + 1.5) for i in range(count)]


def same(found, wanted):
    found, wanted = np.asarray(found), np.asarray(wanted)
    return (found == wanted).all() or (found == 1 - wanted).all()


def tell_apart(*given):
    """A voice for each piece where there surely are two."""
    split = voices.tell_apart(*given)
    return split.labels if split and split.sure else None


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


def test_voices_heard_at_once_are_two_however_alike():
    rows, at = embeddings([0, 1] * 6, apart=0.05, noise=0.2), pieces(12)
    assert tell_apart(rows, at) is None
    assert tell_apart(rows, at, [(1.0, 1.4)]) is None
    found = tell_apart(rows, at, [(1.0, 1.4), (4.5, 5.2)])
    assert found is not None
    assert set(found.tolist()) == {0, 1}


def test_a_piece_of_both_voices_moves_neither():
    labels = [0, 1] * 6
    rows = embeddings(labels, apart=0.5)
    at = pieces(12)
    rows[5] = 3 * rows[4] - 2 * rows[6]
    alone = tell_apart(rows, at, [at[5]])
    assert alone is not None
    assert same(np.delete(alone, 5), np.delete(labels, 5))


def test_a_piece_goes_where_both_its_sound_and_its_neighbours_point():
    labels = [0] * 5 + [1] * 5 + [0] * 5 + [1] * 5
    rows = embeddings(labels, apart=0.8, noise=0.2)
    rows[7] = (rows[:5].mean(axis=0) + rows[5:7].mean(axis=0)) / 2  # half way between the two
    at = pieces(20, gap=0.6)
    at[6:9] = [(at[6][0], at[7][0]), at[7], (at[7][1], at[8][1])]  # no pause around it
    assert same(tell_apart(rows, at), labels)


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


def test_pieces_that_sound_the_same_are_one_voice():
    assert tell_apart(np.ones((4, 8)), [(9.0 * i, 9.0 * i + 2) for i in range(4)]) is None


def test_thousands_of_pieces_are_told_apart_in_little_memory():
    labels = RNG.integers(0, 2, 3000)
    rows, at = embeddings(labels, noise=0.8, dimension=192), pieces(3000)
    tracemalloc.start()
    found = tell_apart(rows, at, [(9.0 * i, 9.0 * i + 0.2) for i in range(600)])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert same(found, labels)
    assert most < 100 * 2**20
