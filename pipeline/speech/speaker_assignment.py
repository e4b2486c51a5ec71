"""Who speaks when: one speaker per channel, or diarization of a mono channel, on one timeline.

Both ways end in the same thing: tight speech spans per voice on the voice-activity timeline, and the
16 kHz audio each voice is heard in. Diarization only says *who*; the edges are the timeline's.

Conventions: times in seconds; masks have frames of 10 ms; audio float32 at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import SAMPLE_RATE, Audio, Seconds, Sound, Span, Speaker, SpeakerSegment
from pipeline.settings import Settings, Vad
from pipeline.signal.channels import Usable, leaked
from pipeline.signal.tones import Tones
from pipeline.spans import join, mask_of, runs
from pipeline.speech.diarization.diarizers import Diarizer
from pipeline.speech.models import Models
from pipeline.speech.vad import (
    BLOCK,
    FRAME_S,
    SpeechDetector,
    detect_speech,
    frame_levels_db,
)

MIN_ISLAND_S = 0.25
MIN_OVERLAP_S = 0.2
BLUR_FRAMES = 4  # an echo through a room or with a changing delay comes so much earlier or later
TONE_MARGIN_S = 0.05  # tones are cut out with so much around them
BEHIND_DB = 11.0  # under the usual level of a channel's speech, and with a gap of
BEHIND_GAP_DB = 7.0  # to its quietest, is speech of others behind the speaker,
BEHIND_S, BEHIND_SPANS = 2.0, 5  # if there is so much of it in all, and the speaker is heard within
BEHIND_NEAR_S = 20.0  # of it on both sides: who talks after the speaker has left may be another one
FAINT_DB = 18.0  # under the usual level nobody says a word
FAINT_S = 0.5  # that is as short, on the telephone


@dataclass(frozen=True, slots=True)
class Voices:
    """Where each voice speaks, in which audio it is heard, and which channel that is.

    ``perhaps`` are the two that a single voice may be.
    """

    source: Literal["channel", "diarization"]
    speech: Mapping[Speaker, tuple[Span, ...]]
    audio: Mapping[Speaker, Sound]
    channels: Mapping[Speaker, int]
    perhaps: Voices | None = None

    @classmethod
    def by_number(
        cls, speech: Mapping[Speaker, tuple[Span, ...]], audio: Mapping[int, Sound]
    ) -> Voices:
        """Voices whose labels are the numbers of their channels."""
        own = {label: audio[int(label)] for label in speech}
        return cls("channel", speech, own, {label: int(label) for label in speech})

    @classmethod
    def on_one_channel(
        cls, speech: Mapping[Speaker, tuple[Span, ...]], audio: Sound, channel: int = 0
    ) -> Voices:
        """Voices that share a channel."""
        return cls(
            "diarization", speech, dict.fromkeys(speech, audio), dict.fromkeys(speech, channel)
        )

    @property
    def is_shared(self) -> bool:
        """Whether all voices are heard in one channel."""
        return self.source == "diarization"


def assign_speech(
    audio: Mapping[int, Sound], usable: Usable, tones: Tones, settings: Settings, models: Models
) -> Voices:
    """Say whose speech is where: by channel where two are usable, else by diarization.

    ``audio`` are the channels in use by number, shape (n,), float32, 16 kHz.
    """
    frames = max(a.size for a in audio.values()) // (SAMPLE_RATE // 100) + 1
    ignore = {
        c: mask_of([*tones.rings, *tones.music[c]], frames, FRAME_S, TONE_MARGIN_S) for c in audio
    }
    if len(audio) == 1:
        (channel,) = audio
        return by_diarization(
            audio[channel],
            models.detector,
            models.diarizer,
            settings.vad,
            ignore[channel],
            settings.diarization.speakers,
            channel,
        )
    hidden = leaked(
        np.stack([frame_levels_db(a) for a in audio.values()]),
        usable.leaks,
        delay_frames=np.rint(usable.delays_s / FRAME_S).astype(int),
        blur_frames=usable.blurred * BLUR_FRAMES,
    )
    for c, mask in zip(audio, hidden, strict=True):
        ignore[c][: mask.size] |= mask
    return by_channel(audio, models.detector, settings.vad, ignore)


def by_channel(
    channels: Mapping[int, Sound],
    detector: SpeechDetector,
    options: Vad,
    ignore: Mapping[int, NDArray[np.bool_]],
) -> Voices:
    """One voice a channel.

    Parameters
    ----------
    channels : mapping of channel to Sound, shape (n,)
    detector, options
        See :func:`pipeline.speech.vad.detect_speech`.
    ignore : mapping of channel to ndarray of bool, shape (frames,)
        Frames that are music, tones or the other channel's leak.
    """
    speech = {
        str(c): foreground(audio, detect_speech(audio, detector, options, ignore=ignore.get(c)))
        for c, audio in channels.items()
    }
    return Voices.by_number(speech, channels)


def foreground(audio: Sound, spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """The speech of a channel without that of people behind its speaker, such as other agents.

    Parameters
    ----------
    audio : Sound, shape (n,), float32, 16 kHz
    spans : tuple of (start, end)
        Speech of the channel, in order.

    Returns
    -------
    tuple of (start, end)
        All but short ones far under the usual level, and a group of quiet ones, if there is any, that
        stands clear of the rest.
    """
    if len(spans) <= BEHIND_SPANS:
        return spans
    frames = frame_levels_db(audio)
    starts = [min(round(start / FRAME_S), frames.size - 1) for start, _ in spans]
    ends = [max(round(end / FRAME_S), at + 1) for (_, end), at in zip(spans, starts, strict=True)]
    level = np.array(
        [
            10 * np.log10(np.mean(10 ** (frames[a:b] / 10)))
            for a, b in zip(starts, ends, strict=True)
        ]
    )
    seconds = np.array([end - start for start, end in spans])
    usual = np.quantile(level, 0.7, weights=seconds, method="inverted_cdf")
    while (heard := (level > usual - FAINT_DB) | (seconds >= FAINT_S)).sum() < len(spans):
        spans, level, seconds = _those(spans, heard), level[heard], seconds[heard]
        if len(spans) <= BEHIND_SPANS:
            return spans
        usual = np.quantile(level, 0.7, weights=seconds, method="inverted_cdf")
    ordered = np.sort(level)
    gaps = np.where(ordered[:-1] <= usual - BEHIND_DB, np.diff(ordered), 0.0)
    if gaps.max() < BEHIND_GAP_DB:
        return spans
    quiet = level <= ordered[gaps.argmax()]
    begins, stops = np.array(spans).T
    before = np.maximum.accumulate(np.where(quiet, -np.inf, stops))
    after = np.minimum.accumulate(np.where(quiet, np.inf, begins)[::-1])[::-1]
    near = (begins - before <= BEHIND_NEAR_S) | np.isinf(before)
    behind = quiet & near & (after - stops <= BEHIND_NEAR_S)
    if seconds[behind].sum() < BEHIND_S or behind.sum() < BEHIND_SPANS:
        return spans
    return _those(spans, ~behind)


def _those(spans: tuple[Span, ...], wanted: NDArray[np.bool_]) -> tuple[Span, ...]:
    return tuple(span for span, is_wanted in zip(spans, wanted, strict=True) if is_wanted)


def by_diarization(
    audio: Sound,
    detector: SpeechDetector,
    diarizer: Diarizer,
    options: Vad,
    ignore: NDArray[np.bool_] | None,
    speakers: int,
    channel: int = 0,
) -> Voices:
    """Voices of a mono recording.

    Parameters
    ----------
    audio : Sound, shape (n,)
    detector, options, ignore
        See :func:`pipeline.speech.vad.detect_speech`.
    diarizer : Diarizer
    speakers : int
        Voices expected.
    channel : int
        Its number in the recording.
    """
    spans = detect_speech(audio, detector, options, ignore=ignore)
    segments = diarizer(_without(audio, ignore), spans, speakers) if spans else ()
    found = Voices.on_one_channel(label_spans(spans, _sure(segments)), audio, channel)
    if all(s.sure for s in segments):
        return found
    two = Voices.on_one_channel(label_spans(spans, segments), audio, channel)
    return replace(found, perhaps=two)


def tell_voices(
    audio: Audio, spans: Sequence[Span], settings: Settings, models: Models
) -> dict[Speaker, tuple[Span, ...]]:
    """Voices of a part of a mono recording, shape (n,), whose speech is known."""
    return label_spans(spans, _sure(models.diarizer(audio, spans, settings.diarization.speakers)))


def _sure(segments: Sequence[SpeakerSegment]) -> list[SpeakerSegment]:
    """The segments, of one voice where it is not sure that there are more."""
    return [s if s.sure else replace(s, speaker="0") for s in segments]


def _without(audio: Sound, ignore: NDArray[np.bool_] | None) -> Audio:
    """The whole of it, silent where there is no speech, so that music is no speaker."""
    quiet = np.empty(audio.size, np.float32)
    hop = round(SAMPLE_RATE * FRAME_S)
    frames = -(-audio.size // hop)
    silent = np.zeros(frames, bool)
    if ignore is not None:
        silent[: ignore.size] = ignore[:frames]
    for first in range(0, frames, BLOCK // hop):
        part = slice(first * hop, first * hop + BLOCK)
        samples = audio[part]
        mask = np.repeat(silent[first : first + BLOCK // hop], hop)[: samples.size]
        quiet[part] = np.where(mask, np.float32(0), samples)
    return quiet


def label_spans(
    spans: Sequence[Span], segments: Sequence[SpeakerSegment]
) -> dict[Speaker, tuple[Span, ...]]:
    """Give the speech of the timeline to the voices of the diarization.

    A frame belongs to the voice or voices the diarization names there, or to the nearest voice;
    islands too short to be anything join what surrounds them.
    """
    labels = sorted({s.speaker for s in segments})
    if not spans:
        return {}
    if not labels:
        return {"0": tuple(spans)}
    frames = round(spans[-1][1] / FRAME_S) + 1
    active = mask_of(spans, frames, FRAME_S)
    named = np.stack(
        [
            mask_of([(s.start, s.end) for s in segments if s.speaker == label], frames, FRAME_S)
            for label in labels
        ]
    )
    owner = _owner(active, named, segments, labels)
    both = runs(active & (named.sum(axis=0) > 1), FRAME_S)
    shared = mask_of([s for s in both if s[1] - s[0] >= MIN_OVERLAP_S], frames, FRAME_S)
    speech = {}
    for i, label in enumerate(labels):
        mine = active & ((owner == i) | (shared & named[i]))
        speech[label] = tuple(join(runs(mine, FRAME_S), 0.05))
    return speech


def _owner(
    active: NDArray[np.bool_],
    named: NDArray[np.bool_],
    segments: Sequence[SpeakerSegment],
    labels: Sequence[Speaker],
) -> NDArray[np.int64]:
    """One voice for every active frame, short islands absorbed within each span.

    Where two are named, whoever spoke before goes on.
    """
    owner = np.where(named.sum(axis=0) == 1, named.argmax(axis=0), -1)
    for start, end in runs(active, FRAME_S):
        a, b = round(start / FRAME_S), round(end / FRAME_S)
        part = owner[a:b]
        known = np.flatnonzero(part >= 0)
        if known.size == 0:
            part[:] = labels.index(_nearest((start + end) / 2, segments))
        else:
            part[:] = _fill(part)
        owner[a:b] = _absorb(part)
    return owner


def _fill(part: NDArray[np.int64]) -> NDArray[np.int64]:
    index = np.where(part >= 0, np.arange(part.size), 0)
    filled: NDArray[np.int64] = part[np.maximum.accumulate(index)]
    filled[filled < 0] = part[part >= 0][0]
    return filled


def _absorb(part: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give islands shorter than ``MIN_ISLAND_S`` to the longer of their neighbours."""
    part = part.copy()
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), part.size]
    pieces = [(a, b, int(part[a])) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    for i, (a, b, _) in enumerate(pieces):
        if (b - a) * FRAME_S >= MIN_ISLAND_S or len(pieces) == 1:
            continue
        sides = [pieces[j] for j in (i - 1, i + 1) if 0 <= j < len(pieces)]
        part[a:b] = max(sides, key=lambda p: p[1] - p[0])[2]
    return part


def _nearest(at: Seconds, segments: Sequence[SpeakerSegment]) -> Speaker:
    return min(segments, key=lambda s: max(s.start - at, at - s.end, 0.0)).speaker
