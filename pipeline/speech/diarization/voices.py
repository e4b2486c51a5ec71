"""Tell two voices apart by what they sound like, over a whole call.

The segmentation model sees ten seconds at a time and merges voices that are alike; an embedding of
every piece of speech, compared over the whole call, does not. Pieces are nodes of a graph whose
edges are their likeness after the mean voice of the call is taken out, so that likeness is positive
within a voice and negative between the two; pieces that follow each other closely are tied together.
The signs of the leading eigenvector are two voices to begin with, and what is like one of the longest
pieces and the rest are others; from each, every piece goes to the mean voice it is more like, its ties
considered, until nothing changes. The split whose voices hold together best counts, when its voices are
less alike than the two halves of one voice are (``tests/benchmarks/one_or_two.py`` measures the errors).
A little more alike, they are two for the words to judge (:mod:`pipeline.speech.conversation`).

Conventions: times in seconds; audio float32 at 16 kHz; embeddings (n, d), NaN where too short.

References
----------
J. Kunegis et al., "Spectral analysis of signed graphs", SIAM International Conference on Data
Mining (2010). H. Ning et al., "A spectral clustering approach to speaker diarization",
Interspeech 2006.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from pipeline.schema import Audio, Seconds, Span, SpeakerSegment
from pipeline.speech.diarization.segmentation import Segments

MAX_PIECE_S = 3.0
MIN_PIECE_S = 0.3
WEIGHT_UP_TO_S = 3.0
TIE = 2.0  # of pieces without a pause between them, against a likeness of 10 / n per second
TIE_FADES_S = 0.3
# The halves of one voice are more alike than this (cosine, noise taken out), less by the second where
# one half is short; the bar is higher by the second that two are heard at once.
ONE_VOICE, ONE_VOICE_OF_A_SECOND, ONE_VOICE_AT_ONCE = 0.89, 0.14, 0.03
IN_DOUBT = 0.08  # so much more alike, two voices are not ruled out
NOISE, NOISE_KNOWN_S = 1.2, 3.0  # of the embedding of a second of a person; as if heard so long
MIN_VOICE_S = 1.2  # less speech does not make a voice
SEEDS = 60
TWO_AT_ONCE_S, TWO_AT_ONCE_SHARE = 1.0, 0.02  # so much of two at once is not heard in one voice
MIXED_WEIGHT = 0.5  # of a piece in which both voices speak
LIKENESS = 4.0  # to a mean voice, of a second that is as near to it as the voices are apart
MAX_ROUNDS = 5

OVERLAP_EDGE_S = 0.05  # the segmentation hears two voices that much too early and too long

Floats = NDArray[np.float64]
Segment = Callable[[Audio], Segments]


class Embedder(Protocol):
    """Anything that gives each piece of speech a vector that stands for its voice."""

    def __call__(self, audio: Audio, pieces: Sequence[Span]) -> Floats:
        """Embeddings of shape (len(pieces), d); NaN rows where a piece is too short."""
        ...


class Split(NamedTuple):
    """A voice, 0 or 1, for each piece; not ``sure`` where all may be one voice."""

    labels: NDArray[np.int64]
    sure: bool


class TwoVoices:
    """A diarizer of two voices: pieces between changes of voice, compared over the whole call.

    Parameters
    ----------
    segment : callable
        Where voices change and overlap in audio; its labels are not used but to tell them apart.
    embed : Embedder
    """

    def __init__(self, segment: Segment, embed: Embedder) -> None:
        self.segment, self.embed = segment, embed

    def __call__(
        self, audio: Audio, speech: Sequence[Span], speakers: int = 2
    ) -> tuple[SpeakerSegment, ...]:
        """All speech by voice: "0" or "1", both where two are likely at once; "0" if alike."""
        segments, together = self.segment(audio)
        pieces, overlaps = cut_pieces(speech, segments), _overlaps(segments)
        split = tell_apart(self.embed(audio, pieces), pieces, overlaps)
        if split is None:
            return tuple(SpeakerSegment(a, b, "0") for a, b in pieces)
        named = [(span, str(label)) for span, label in zip(pieces, split.labels, strict=True)]
        named += [(span, voice) for span in together for voice in ("0", "1")]
        found = (SpeakerSegment(a, b, voice, split.sure) for (a, b), voice in named)
        return tuple(sorted(found, key=lambda s: (s.start, s.end, s.speaker)))


def _overlaps(segments: Sequence[SpeakerSegment]) -> list[Span]:
    """Where two voices or more were surely heard at once, without the edges."""
    edges = sorted([(s.start, 1) for s in segments] + [(s.end, -1) for s in segments])
    shared: list[Span] = []
    voices, began = 0, 0.0
    for at, step in edges:
        if voices == 1 and step > 0:
            began = at
        if voices == 2 and step < 0:
            shared.append((began + OVERLAP_EDGE_S, at - OVERLAP_EDGE_S))
        voices += step
    return [s for s in shared if s[1] > s[0]]


def cut_pieces(spans: Sequence[Span], segments: Sequence[SpeakerSegment]) -> list[Span]:
    """Cut speech where the diarization hears another voice, and into pieces of at most 3 s."""
    changes = sorted({t for s in segments for t in (s.start, s.end)})
    pieces: list[Span] = []
    for start, end in spans:
        at = start
        for change in changes[bisect_left(changes, start) : bisect_right(changes, end)]:
            if at + MIN_PIECE_S <= change <= end - MIN_PIECE_S:
                pieces += _even(at, change)
                at = change
        pieces += _even(at, end)
    return pieces


def tell_apart(
    embeddings: Floats, pieces: Sequence[Span], overlaps: Sequence[Span] = ()
) -> Split | None:
    """Give every piece one of two voices.

    Parameters
    ----------
    embeddings : ndarray, shape (n, d)
    pieces : sequence of (start, end)
        In the order of time.
    overlaps : sequence of (start, end)
        Where two voices were heard at once: such pieces are less telling, and there are two voices
        however alike they are.

    Returns
    -------
    Split or None
        None when all of it is one voice.
    """
    heard = np.asarray(np.isfinite(embeddings).all(axis=1))
    if heard.sum() < 2:
        return None
    seconds = np.array([end - start for start, end in pieces])
    mixed = _shared_s(pieces, overlaps) > seconds / 2
    weight = np.sqrt(np.minimum(seconds, WEIGHT_UP_TO_S)) * heard
    weight *= np.where(mixed, MIXED_WEIGHT, 1.0)
    voices = _unit(np.where(heard[:, None], embeddings, 0.0))
    ties = _ties(pieces)
    splits = [
        _settled(labels, voices, weight, ties) for labels in _first_splits(voices, weight, ties)
    ]
    telling = seconds * heard * np.where(mixed, MIXED_WEIGHT, 1.0)
    splits = [s for s in splits if min(telling @ (s == k) for k in (0, 1)) >= MIN_VOICE_S]
    if not splits:
        return None
    best = max(splits, key=lambda s: sum(np.linalg.norm(m) for m in _sums(s, voices, telling)))
    together = sum(end - start for start, end in overlaps)
    if together >= max(TWO_AT_ONCE_S, TWO_AT_ONCE_SHARE * telling.sum()):
        return Split(best, sure=True)
    least = min(telling @ (best == k) for k in (0, 1))
    alike = ONE_VOICE - ONE_VOICE_OF_A_SECOND / least + ONE_VOICE_AT_ONCE * together
    over = _likeness(best, voices, telling) - alike
    return None if over > IN_DOUBT else Split(best, sure=over <= 0)


def _first_splits(voices: Floats, weight: Floats, ties: Floats) -> Iterator[NDArray[np.int64]]:
    """Splits to begin with: over all pieces, and one for what is like each of the longest pieces.

    The first finds two who both have their say, the others somebody who says little.
    """
    mean = weight @ voices / weight.sum()
    centred = _unit((voices - mean) * (weight > 0)[:, None]) * weight[:, None]
    yield _signs(centred * np.sqrt(10 / (weight > 0).sum()), ties)
    for seed in np.argsort(-weight, kind="stable")[:SEEDS]:
        like = np.asarray(voices @ voices[seed] > voices @ _unit(mean), np.int64)
        like[seed] = 1
        yield like


def _ties(pieces: Sequence[Span]) -> Floats:
    """How strongly each piece belongs together with the next one, shape (n - 1,)."""
    pauses = [max(after[0] - before[1], 0.0) for before, after in pairwise(pieces)]
    return np.asarray(TIE * np.exp(-np.array(pauses) / TIE_FADES_S), np.float64)


def _pulled(ties: Floats, values: Floats) -> Floats:
    """What the ties of each piece say of it: the values of its neighbours, each by its tie."""
    pulled = np.zeros(values.size)
    pulled[:-1] += ties * values[1:]
    pulled[1:] += ties * values[:-1]
    return pulled


def _signs(rows: Floats, ties: Floats) -> NDArray[np.int64]:
    """Signs of the leading eigenvector of likeness and ties, which are never written out."""
    size, own = len(rows), (rows**2).sum(axis=1)

    def times(values: Floats) -> Floats:
        flat = values.ravel()
        likeness = rows @ (rows.T @ flat) - own * flat
        return np.asarray(likeness + _pulled(ties, flat) + flat)  # plus one: never all zero

    graph = LinearOperator((size, size), matvec=times, dtype=np.float64)
    start = np.random.default_rng(0).normal(size=size)  # so that the same call gives the same
    _, vectors = eigsh(graph, k=1, which="LA", v0=start)
    return np.asarray(vectors[:, 0] > 0, np.int64)


def _settled(
    labels: NDArray[np.int64], voices: Floats, weight: Floats, ties: Floats
) -> NDArray[np.int64]:
    """Move pieces to the voice they are more like until the two means stay."""
    for _ in range(MAX_ROUNDS):
        if labels.min() == labels.max():
            break
        first, second = (_unit((weight * (labels == k)) @ voices) for k in (0, 1))
        apart = second - first
        middle, half = (second + first) @ apart / 2, max(float(apart @ apart) / 2, 1e-9)
        likeness = LIKENESS * weight * (voices @ apart - middle) / half
        moved = (likeness + _pulled(ties, np.asarray(2 * labels - 1, np.float64)) > 0).astype(
            np.int64
        )
        if (moved == labels).all():
            break
        labels = moved
    return labels


def _shared_s(pieces: Sequence[Span], overlaps: Sequence[Span]) -> Floats:
    """Seconds of each piece in which two are heard; overlaps are ordered and disjoint."""
    if not overlaps:
        return np.zeros(len(pieces))
    edges = np.array(overlaps)
    until = np.cumsum(edges[:, 1] - edges[:, 0])
    passed = np.stack((np.concatenate(([0.0], until[:-1])), until), axis=1)
    at = np.interp(np.array(pieces), edges.ravel(), passed.ravel())
    return np.asarray(at[:, 1] - at[:, 0])


def _sums(labels: NDArray[np.int64], voices: Floats, telling: Floats) -> Floats:
    """Sum of the embeddings of each label, each by its seconds, shape (2, d)."""
    return np.stack([(telling * (labels == k)) @ voices for k in (0, 1)])


def _likeness(labels: NDArray[np.int64], voices: Floats, telling: Floats) -> float:
    """Cosine of the mean voices of the two labels, as it would be of endless speech of each.

    What a piece of ``d`` seconds says of its voice is the voice and noise of the power ``c / d``.
    So the mean of ``s`` seconds is as near to its voice as ``(1 + c / s) ** -0.5``; ``c`` is what
    the pieces of a voice differ by among themselves, and of people where there are few pieces.
    """
    sums, seconds = _sums(labels, voices, telling), [telling @ (labels == k) for k in (0, 1)]
    agreed = compared = 0.0
    for k in (0, 1):
        own = np.sqrt(telling * (labels == k))
        count = (own > 0).sum()
        if count > 1:  # over all pairs of pieces
            pairs = np.sum((own @ voices) ** 2) - own @ own
            agreed += pairs / count
            compared += (own.sum() ** 2 - own @ own) / count
    typical = (telling @ telling) / telling.sum()
    noise = NOISE * NOISE_KNOWN_S
    if compared:
        noise += typical * (1 / max(agreed / compared, 0.1) - 1) * compared
    noise /= NOISE_KNOWN_S + compared
    cosine = sums[0] @ sums[1] / np.prod(np.linalg.norm(sums, axis=1))
    return float(cosine * np.prod([math.sqrt(1 + noise / s) for s in seconds]))


def _even(start: Seconds, end: Seconds) -> list[Span]:
    count = max(1, math.ceil((end - start) / MAX_PIECE_S))
    edges = np.linspace(start, end, count + 1).tolist()
    return list(zip(edges[:-1], edges[1:], strict=True))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9))
