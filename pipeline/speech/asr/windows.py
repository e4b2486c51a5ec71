"""What is decoded at a time: one utterance, and the short ones of the same speaker beside it.

Speech is cut into utterances at pauses. An utterance is a window of its own: a prompt said three times
comes out three times, and a closing after a long pause is heard, both of which are lost when pauses are
cut out and speech is packed into windows of equal length. An utterance that is too short to be
understood by itself rides in the window of the one before it, or of the next if it is the first, after
a pause; which words are whose is told by their times.

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds from the start of the audio, those
of what was heard from the start of the window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, overload, runtime_checkable

import numpy as np

from pipeline.schema import SAMPLE_RATE, Audio, Seconds, Sound, Span, Speaker, Word
from pipeline.spans import intersection, total_s

PAD_S = 0.4
LEAST_PAD_S = 0.05  # where somebody else speaks on either side
PAUSE_S = 0.6  # of silence between the utterances of a window
OTHERS_WORD_S = 0.2  # of somebody else's speech may be a word


@dataclass(frozen=True, slots=True)
class Heard:
    """What the decoder gave for one window: text pieces with times relative to the window."""

    words: tuple[Word, ...]
    logprob: float
    no_speech: float


class Decoder(Protocol):
    """Anything that turns windows of audio into timed text."""

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """One result a window; ``careful`` asks for a decoding that cannot repeat itself."""
        ...


@runtime_checkable
class Choosing(Protocol):
    """A decoder that can tell which of some texts was said."""

    def choose_among(self, audio: Audio, texts: Sequence[str]) -> list[float]:
        """How likely each text is to have been said, if one of them was: they add up to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """Utterances of one speaker that are decoded together. The audio is cut when it is asked for.

    ``cuts`` are the utterances with a little on either side, as far as nobody else is heard there.
    """

    speaker: Speaker
    spans: tuple[Span, ...]
    sound: Sound
    cuts: tuple[Span, ...]

    @property
    def audio(self) -> Audio:
        """The utterances as they are cut, and pauses between them."""
        pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
        parts: list[Audio] = []
        for cut in self.cuts:
            parts += [pause, self.sound[_samples(self.sound, cut)]]
        return np.concatenate(parts[1:])

    def alone(self) -> tuple[Window, ...]:
        """Each utterance as a window of its own."""
        return tuple(
            replace(self, spans=(span,), cuts=(cut,))
            for span, cut in zip(self.spans, self.cuts, strict=True)
        )

    def shared_out(self, heard: Heard) -> list[Heard]:
        """What was heard of each utterance, in times of the window that it is alone."""
        if len(self.spans) == 1:
            return [heard]
        shares, start = [], 0.0
        for i, cut in enumerate(self.cuts):
            part = _samples(self.sound, cut)
            seconds = (part.stop - part.start) / SAMPLE_RATE
            since = start - PAUSE_S / 2 if i > 0 else -math.inf
            until = start + seconds + PAUSE_S / 2 if i < len(self.spans) - 1 else math.inf
            words = tuple(
                replace(w, start=max(0.0, w.start - start), end=min(w.end - start, seconds))
                for w in heard.words
                if since < w.middle <= until
            )
            shares.append(replace(heard, words=words))
            start += seconds + PAUSE_S
        return shares


@dataclass(frozen=True, slots=True)
class Audios(Sequence[Audio]):
    """The audio of windows: of a call of hours, no more than is being decoded is kept."""

    windows: Sequence[Window]

    def __len__(self) -> int:
        return len(self.windows)

    @overload
    def __getitem__(self, i: int, /) -> Audio: ...

    @overload
    def __getitem__(self, i: slice, /) -> Audios: ...

    def __getitem__(self, i: int | slice, /) -> Audio | Audios:
        """The audio of one window, or the windows of a slice."""
        return self.windows[i].audio if isinstance(i, int) else Audios(self.windows[i])


def windows_of(
    sound: Sound,
    speaker: Speaker,
    speech: Sequence[Span],
    *,
    join_gap_s: Seconds,
    max_s: Seconds,
    short_s: Seconds,
    others: Sequence[Span] = (),
) -> Iterator[Window]:
    """Cut one speaker's speech into windows.

    Parameters
    ----------
    sound : Sound, shape (n,), float32, 16 kHz
    speaker : Speaker
    speech : sequence of (start, end)
        In the order of time.
    join_gap_s : Seconds
        Pauses shorter than this stay inside an utterance.
    max_s : Seconds
        Longer utterances are split, and a window holds no more.
    short_s : Seconds
        Utterances shorter than this ride with the one before them, the first with the next.
    others : sequence of (start, end)
        Where somebody else speaks in the same sound.
    """
    all_spans = utterances(speech, join_gap_s, max_s, others)
    cut_of = dict(zip(all_spans, padded(all_spans, others), strict=True))

    def window() -> Window:
        return Window(speaker, tuple(spans), sound, tuple(cut_of[s] for s in spans))

    spans: list[Span] = []
    for span in all_spans:
        held = sum(end - start + 2 * PAD_S + PAUSE_S for start, end in [*spans, span])
        two_long = span[1] - span[0] >= short_s and any(b - a >= short_s for a, b in spans)
        if spans and (two_long or held > max_s):
            yield window()
            spans = []
        spans.append(span)
    if spans:
        yield window()


def padded(spans: Sequence[Span], others: Sequence[Span] = ()) -> list[Span]:
    """Add a little to either side of utterances: to half of a pause, and not into others' speech."""
    cuts = []
    for i, (start, end) in enumerate(spans):
        first = [start - PAD_S] + [
            min(b, start - LEAST_PAD_S) for a, b in others if a < start <= b + PAD_S
        ]
        last = [end + PAD_S] + [
            max(a, end + LEAST_PAD_S) for a, b in others if a - PAD_S <= end < b
        ]
        if i > 0:
            first.append((spans[i - 1][1] + start) / 2)
        if i + 1 < len(spans):
            last.append((end + spans[i + 1][0]) / 2)
        cuts.append((max(0.0, *first), min(last)))
    return cuts


def utterances(
    spans: Sequence[Span], join_gap_s: Seconds, max_s: Seconds, others: Sequence[Span] = ()
) -> list[Span]:
    """Join speech spans across short pauses in which nobody else speaks; split what is too long.

    Across a pause with another's words in the same sound, those would be written down twice.
    """
    groups: list[list[Span]] = []
    for span in spans:
        pause = [(groups[-1][-1][1], span[0])] if groups else []
        said = total_s(intersection(pause, others)) if pause and others else 0.0
        if pause and span[0] - pause[0][0] < join_gap_s and said < OTHERS_WORD_S:
            groups[-1].append(span)
        else:
            groups.append([span])
    return [part for group in groups for part in _split(group, max_s)]


def _split(group: list[Span], max_s: Seconds) -> list[Span]:
    start, end = group[0][0], group[-1][1]
    if end - start <= max_s:
        return [(start, end)]
    if len(group) == 1:
        count = math.ceil((end - start) / max_s)
        edges = np.linspace(start, end, count + 1).tolist()
        return list(zip(edges[:-1], edges[1:], strict=True))
    middle = (start + end) / 2
    pauses = [
        (group[i + 1][0] - group[i][1] - 0.02 * abs(group[i][1] - middle), i)
        for i in range(len(group) - 1)
    ]
    cut = max(pauses)[1] + 1
    return _split(group[:cut], max_s) + _split(group[cut:], max_s)


def _samples(sound: Sound, cut: Span) -> slice:
    return slice(round(cut[0] * SAMPLE_RATE), min(sound.size, round(cut[1] * SAMPLE_RATE)))
