"""Windows of the segmentation model joined: voices keep their number while windows overlap."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.speech.diarization.segmentation import VOICES_OF, Segmenter, Segments, stitched
from pipeline.speech.diarization.voices import TwoVoices

FRAMES, HOP = 40, 10


def windows_of(active: np.ndarray, orders: list[list[int]]) -> tuple[np.ndarray, list[int]]:
    """Cut a recording of shape (frames, voices) into windows whose voices are numbered anew."""
    starts = [i * HOP for i in range(len(orders))]
    return np.stack(
        [active[s : s + FRAMES][:, o] for s, o in zip(starts, orders, strict=True)]
    ), starts


def calling(*turns: tuple[int, int, int], frames: int = 100) -> np.ndarray:
    active = np.zeros((frames, 3))
    for voice, start, end in turns:
        active[start:end, voice] = 1
    return active


TURNS = calling((0, 5, 30), (1, 28, 47), (0, 50, 75), (1, 75, 95))  # nobody is silent for 30 frames


@pytest.mark.parametrize("seed", range(5))
def test_voices_numbered_anew_in_each_window_come_out_as_one_set(seed):
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(3).tolist() for _ in range(7)]
    joined = stitched(*windows_of(TURNS, orders))
    first = [orders[0].index(voice) for voice in range(3)]
    assert (joined[:, first] == TURNS).all()


def test_a_frame_that_windows_disagree_on_is_shared_out():
    windows, starts = windows_of(TURNS, [[0, 1, 2]] * 7)
    windows[3, 5:8, 1] = 0  # one of the four windows over frames 35 to 38, in which voice 1 speaks
    joined = stitched(windows, starts)
    assert joined[35:38, 1].tolist() == [0.75] * 3
    joined[35:38, 1] = 1
    assert (joined == TURNS).all()


def test_a_new_voice_does_not_take_the_number_of_one_that_is_gone():
    active = calling((0, 0, 25), (1, 30, 60), (2, 62, 100))
    joined = stitched(
        *windows_of(active, [[2, 0, 1], [0, 1, 2], [1, 0, 2], [2, 1, 0]] * 1 + [[0, 1, 2]] * 3)
    )
    assert (np.sort(joined.sum(axis=0)) == np.sort(active.sum(axis=0))).all()


def test_one_window_is_what_it_is():
    assert (stitched(TURNS[None, :FRAMES], [0]) == TURNS[:FRAMES]).all()


class Slid:
    """What a pyannote Inference gives: windows of 0.4 s every 0.1 s, frames of 10 ms.

    It is nearly sure which of the sets of voices speaks, but for the frames of ``doubt``, where another
    set has the given share.
    """

    model = SimpleNamespace(receptive_field=SimpleNamespace(start=0.0, duration=0.02, step=0.01))

    def __init__(
        self, windows: np.ndarray, doubt: dict[int, tuple[int, float]] | None = None
    ) -> None:
        sets = (windows[:, :, None] == VOICES_OF).all(axis=3)
        shares = np.where(sets, 1.0, 1e-6)
        for frame, (other, share) in (doubt or {}).items():
            for window in range(len(shares)):
                if 0 <= (at := frame - window * HOP) < FRAMES:
                    shares[window, at] *= 1 - share
                    shares[window, at, other] = share
        self.data = np.log(shares)

    def __call__(self, file: dict) -> Slid:
        assert file["waveform"].shape[0] == 1
        return self

    def __iter__(self):
        return ((SimpleNamespace(start=i * HOP / 100), row) for i, row in enumerate(self.data))


def test_segments_have_times_and_end_with_the_audio():
    windows, _ = windows_of(TURNS, [[0, 1, 2]] * 7)
    found = Segmenter(Slid(windows))(np.zeros(round(0.9 * 16_000), np.float32))
    rows = [(s.speaker, round(s.start, 3), round(s.end, 3)) for s in found.voices]
    assert rows == [("0", 0.06, 0.31), ("1", 0.29, 0.48), ("0", 0.51, 0.76), ("1", 0.76, 0.9)]
    assert [(round(a, 3), round(b, 3)) for a, b in found.together] == [(0.29, 0.31)]
    assert Segmenter(Slid(windows))(np.zeros(0, np.float32)) == Segments(())


@pytest.mark.parametrize(("peak", "heard"), [(0.45, [(0.13, 0.16)]), (0.35, [])])
def test_two_at_once_are_heard_where_the_model_is_in_doubt_but_not_where_it_hardly_thinks_so(
    peak, heard
):
    windows, _ = windows_of(calling((0, 0, 100)), [[0, 1, 2]] * 7)
    doubt = {11: (4, 0.2), 12: (4, 0.3), 13: (4, peak), 14: (4, 0.3), 15: (4, 0.2)}
    found = Segmenter(Slid(windows, doubt))(np.zeros(16_000, np.float32))
    assert [(round(a, 3), round(b, 3)) for a, b in found.together] == heard
    assert [s.speaker for s in found.voices] == ["0"]


@pytest.mark.parametrize(("share", "heard"), [(0.45, False), (0.6, True)])
def test_a_long_overlap_has_to_be_likely_on_average(share, heard):
    windows, _ = windows_of(calling((0, 0, 190), frames=190), [[0, 1, 2]] * 16)
    doubt = dict.fromkeys(range(30, 160), (4, share))
    found = Segmenter(Slid(windows, doubt))(np.zeros(2 * 16_000, np.float32))
    assert [(round(a, 2), round(b, 2)) for a, b in found.together] == [(0.31, 1.61)] * heard


def test_two_voices_of_which_one_is_too_short_to_compare_are_one():
    told = TwoVoices(
        lambda audio: Segments(()), lambda audio, pieces: np.full((len(pieces), 4), np.nan)
    )
    found = told(np.zeros(16_000, np.float32), [(0.1, 0.9)])
    assert [(s.start, s.end, s.speaker) for s in found] == [(0.1, 0.9, "0")]
