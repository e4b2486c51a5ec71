"""Tell two voices apart by what they sound like, over a whole call.

The segmentation model sees ten seconds at a time and merges voices that are alike; an embedding of
every piece of speech, compared over the whole call, does not. Pieces are nodes of a graph whose
edges are their likeness after the mean voice of the call is taken out, so that likeness is positive
within a voice and negative between the two; pieces that follow each other closely are tied together.
The signs of the leading eigenvector are the two voices.

Conventions: times in seconds; audio float32 at 16 kHz; embeddings (n, d), NaN where too short.

References
----------
J. Kunegis et al., "Spectral analysis of signed graphs", SIAM International Conference on Data
Mining (2010). H. Ning et al., "A spectral clustering approach to speaker diarization",
Interspeech 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import Audio, Seconds, Span, SpeakerSegment

MAX_PIECE_S = 3.0
MIN_PIECE_S = 0.3
WEIGHT_UP_TO_S = 3.0
TIE = 2.0  # of pieces without a pause between them, against a likeness of 10 / n per second
TIE_FADES_S = 0.3
ONE_VOICE = 0.905  # the two halves of one voice are more alike than this (cosine)

Floats = NDArray[np.float64]


class Embedder(Protocol):
    """Anything that gives each piece of speech a vector that stands for its voice."""

    def __call__(self, audio: Audio, pieces: Sequence[Span]) -> Floats:
        """Embeddings of shape (len(pieces), d); NaN rows where a piece is too short."""
        ...


def cut_pieces(spans: Sequence[Span], segments: Sequence[SpeakerSegment]) -> list[Span]:
    """Cut speech where the diarization hears another voice, and into pieces of at most 3 s."""
    changes = sorted({t for s in segments for t in (s.start, s.end)})
    pieces: list[Span] = []
    for start, end in spans:
        at = start
        for change in changes:
            if at + MIN_PIECE_S <= change <= end - MIN_PIECE_S:
                pieces += _even(at, change)
                at = change
        pieces += _even(at, end)
    return pieces


def tell_apart(embeddings: Floats, pieces: Sequence[Span]) -> NDArray[np.int64] | None:
    """Give every piece one of two voices.

    Parameters
    ----------
    embeddings : ndarray, shape (n, d)
    pieces : sequence of (start, end)
        In the order of time.

    Returns
    -------
    ndarray of int, shape (n,), or None
        0 or 1 for each piece; None when all of it is one voice.
    """
    heard = np.asarray(np.isfinite(embeddings).all(axis=1))
    if heard.sum() < 2:
        return None
    seconds = np.array([end - start for start, end in pieces])
    weight = np.sqrt(np.minimum(seconds, WEIGHT_UP_TO_S)) * heard
    voices = _unit(np.where(heard[:, None], embeddings, 0.0))
    centred = voices - (voices * weight[:, None]).sum(axis=0) / weight.sum()
    centred = _unit(centred * heard[:, None])
    affinity = (centred @ centred.T) * np.outer(weight, weight) * 10 / heard.sum()
    np.fill_diagonal(affinity, 0.0)
    for i, (before, after) in enumerate(zip(pieces[:-1], pieces[1:], strict=True)):
        tie = TIE * math.exp(-max(after[0] - before[1], 0.0) / TIE_FADES_S)
        affinity[i, i + 1] += tie
        affinity[i + 1, i] += tie
    labels = (np.linalg.eigh(affinity)[1][:, -1] > 0).astype(np.int64)
    return None if _alike(voices, labels, seconds * heard) > ONE_VOICE else labels


def _alike(voices: Floats, labels: NDArray[np.int64], weight: Floats) -> float:
    """Cosine of the mean voices of the two labels; 1 when one of them is empty."""
    means = [(voices * (weight * (labels == k))[:, None]).sum(axis=0) for k in (0, 1)]
    lengths = [float(np.linalg.norm(m)) for m in means]
    return float(means[0] @ means[1]) / (lengths[0] * lengths[1]) if min(lengths) > 0 else 1.0


def _even(start: Seconds, end: Seconds) -> list[Span]:
    count = max(1, math.ceil((end - start) / MAX_PIECE_S))
    edges = np.linspace(start, end, count + 1).tolist()
    return list(zip(edges[:-1], edges[1:], strict=True))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))
