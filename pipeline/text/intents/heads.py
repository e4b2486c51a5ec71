"""A head per intent: logistic regression on what a sentence means and on how it sounds.

Meaning is the sentence embedding; sound are its toneless syllables and pairs of them, hashed, so
that a misheard character of the same sound changes nothing. Out-of-fold scores, a fifth of the
groups at a time, give the probabilities their calibration (Platt 1999, with his smoothed targets).

Vectors of examples and trained heads are kept in the user's cache folder under a hash of examples
and embedder; the built-in heads come with the program (``python -m pipeline.text.intents`` writes
them anew). A cache that cannot be read or written costs time only.
"""

from __future__ import annotations

import functools
import hashlib
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipeline.io import cache
from pipeline.settings import config_folder
from pipeline.text.intents.definitions import Definitions, load_definitions
from pipeline.text.intents.embedding import REMEMBERED, Embedder
from pipeline.text.intents.encoder import Vectors
from pipeline.text.sounds import syllables

VERSION = 2  # of the recipe; another one trains all heads anew
# An encoder that has learned the examples makes out-of-fold scores too sure: what makes heads on it as
# sure of new sentences as heads on the encoder as it came (docs/intents.md).
TUNED_SLOPE, TUNED_OFFSET = 0.65, -0.53
BUCKETS = 4096  # of hashed syllables and pairs of syllables
STRENGTH = 10.0  # inverse of the regularisation
FOLDS = 5
POSITIVE_SHARE = 0.5  # 0 = every example counts alike, 1 = both kinds count alike in sum
SHIPPED = "heads.npz"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Head:
    """Weights of one intent: probability = logistic(vector . dense + syllables . sound + bias)."""

    dense: Vectors
    sound: Vectors
    bias: float

    def probabilities(self, vectors: Vectors, texts: Sequence[str]) -> Floats:
        """Probability that each text shows the intent, (n,), from vectors (n, d)."""
        heard = [self.sound[sounds_of(t)].sum() / np.sqrt(len(sounds_of(t)) or 1) for t in texts]
        return _logistic(vectors @ self.dense + np.asarray(heard, float) + self.bias)


@dataclass(frozen=True, slots=True)
class Judged:
    """One example and the probability that heads gave it which had not seen its group."""

    text: str
    shows: bool
    place: str
    probability: float


@functools.lru_cache(maxsize=REMEMBERED)
def sounds_of(text: str) -> list[int]:
    """Buckets of the syllables of a text and of their pairs, each once, in order."""
    units = [str(s) for s in syllables("".join(c for c in text if c.isalnum()))]
    pairs = [f"{a}|{b}" for a, b in zip(units, units[1:], strict=False)]
    return sorted({zlib.crc32(u.encode()) % BUCKETS for u in (*units, *pairs)})


def head_key(name: str, definitions: Definitions, identity: str) -> str:
    """What a head depends on, as a hash: recipe, weights of the embedder, examples."""
    told = (VERSION, identity, definitions.digest(name))
    return hashlib.sha256(repr(told).encode()).hexdigest()


def heads(
    names: Sequence[str],
    definitions: Definitions,
    embedder: Embedder,
    training: Callable[[str], None] | None = None,
) -> Mapping[str, Head]:
    """Heads of intents: those that came with the program, else the cache's, else trained now.

    Parameters
    ----------
    names : sequence of str
        Intents.
    definitions : Definitions
        All intents.
    embedder : Embedder
        Turns the examples into vectors where a head must be trained.
    training : callable, optional
        Called with the name of each intent before it is trained.

    Returns
    -------
    mapping of str to Head
        One for each name.
    """
    found: dict[str, Head] = {}
    shipped = _shipped(config_folder() / "intents" / SHIPPED)
    for name in names:
        key = head_key(name, definitions, embedder.identity)
        head = shipped.get(key) or _loaded(key)
        if head is None:
            if training is not None:
                training(name)
            head, _ = train(name, definitions, embedder)
            _save(f"head-{key}", {"dense": head.dense, "sound": head.sound, "bias": head.bias})
        found[name] = head
    return found


def train(
    name: str, definitions: Definitions, embedder: Embedder
) -> tuple[Head, tuple[Judged, ...]]:
    """Train one head, and say how heads that had not seen an example's group judged it."""
    rows = tuple(definitions.lessons(name))
    texts = [text for text, _, _, _ in rows]
    target = np.array([shows for _, shows, _, _ in rows], float)
    vectors = example_vectors(texts, embedder).astype(float)
    mean = vectors.mean(axis=0)
    spread = float(np.sqrt(((vectors - mean) ** 2).sum(axis=1).mean())) or 1.0
    centred = (vectors - mean) / spread
    sound = _sound_rows(texts)
    groups = sorted({group for _, _, group, _ in rows})
    if len([g for g in groups if not g.startswith("neutral")]) >= FOLDS:
        fold = np.array([groups.index(group) % FOLDS for _, _, group, _ in rows])
    else:
        fold = np.arange(len(rows)) % FOLDS
    score = np.zeros(len(rows))
    for left_out in range(FOLDS):
        seen = fold != left_out
        weights = _fit(centred[seen], sound[seen], target[seen])
        score[~seen] = _score(weights, centred[~seen], sound[~seen])
    slope, offset = _platt(score, target)
    if embedder.tuned and definitions.find(name).built_in:
        slope, offset = slope * TUNED_SLOPE, offset * TUNED_SLOPE + TUNED_OFFSET
    weights = _fit(centred, sound, target)
    size = centred.shape[1]
    dense = weights[:size] / spread * slope
    head = Head(
        dense.astype(np.float32),
        (weights[size:-1] * slope).astype(np.float16).astype(np.float32),
        float(weights[-1] * slope + offset - mean @ dense),
    )
    chances = _logistic(score * slope + offset)
    judged = tuple(
        Judged(text, shows, place, float(p))
        for (text, shows, _, place), p in zip(rows, chances, strict=True)
    )
    return head, judged


def example_vectors(texts: Sequence[str], embedder: Embedder) -> Vectors:
    """Vectors of examples, (n, d), kept in the cache folder by the hash of the embedder."""
    file = f"vectors-{hashlib.sha256(embedder.identity.encode()).hexdigest()}"
    known = _memory(file)
    absent = [t for t in dict.fromkeys(texts) if t not in known]
    if absent:
        known.update(zip(absent, embedder.embed(absent), strict=True))
        _save(file, {"texts": np.array(list(known)), "vectors": np.stack(list(known.values()))})
    return np.stack([known[t] for t in texts])


@functools.cache
def _memory(file: str) -> dict[str, Vectors]:
    """Vectors by text: read once from the cache folder, then shared by all heads."""
    stored = _read(cache.kept(f"intents/{file}.npz"))
    if not {"texts", "vectors"} <= stored.keys():
        return {}
    return dict(zip(map(str, stored["texts"]), stored["vectors"], strict=False))


@functools.cache
def _shipped(file: Path) -> dict[str, Head]:
    stored = _read(file.read_bytes() if file.is_file() else None)
    if "keys" not in stored:
        return {}
    rows = zip(stored["keys"], stored["dense"], stored["sound"], stored["bias"], strict=True)
    return {
        str(key): Head(dense.astype(np.float32), sound.astype(np.float32), float(bias))
        for key, dense, sound, bias in rows
    }


def write_shipped(file: Path, embedder: Embedder) -> list[str]:
    """Write all built-in heads in one file, those whose examples changed trained anew; their names."""
    definitions = load_definitions()
    names = list(definitions.intents)
    made = list(heads(names, definitions, embedder).values())
    np.savez_compressed(
        file,
        keys=np.array([head_key(n, definitions, embedder.identity) for n in names]),
        dense=np.stack([h.dense for h in made]),
        sound=np.stack([h.sound for h in made]).astype(np.float16),
        bias=np.array([h.bias for h in made]),
    )
    return names


def _loaded(key: str) -> Head | None:
    stored = _read(cache.kept(f"intents/head-{key}.npz"))
    if not {"dense", "sound", "bias"} <= stored.keys():
        return None
    return Head(stored["dense"], stored["sound"], float(stored["bias"]))


def _read(data: bytes | None) -> dict[str, Any]:
    """Arrays of a file; none when it is not there or not whole."""
    try:
        with np.load(io.BytesIO(data or b""), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception:  # a cache never fails a run: zip, zlib, OS and value errors alike
        return {}


def _save(name: str, arrays: Mapping[str, Any]) -> None:
    data = io.BytesIO()
    np.savez(data, **arrays)
    cache.keep(f"intents/{name}.npz", data.getvalue())


def _sound_rows(texts: Sequence[str]) -> Any:
    """Hashed syllables of texts as a sparse matrix, (n, BUCKETS), rows of unit length."""
    from scipy.sparse import csr_matrix

    buckets = [sounds_of(t) for t in texts]
    ends = np.cumsum([0, *map(len, buckets)])
    values = [1.0 / np.sqrt(len(b)) for b in buckets for _ in b]
    columns = [one for b in buckets for one in b]
    return csr_matrix((values, columns, ends), shape=(len(texts), BUCKETS))


def _fit(dense: Floats, sound: Any, target: Floats) -> Floats:
    """Weights of a regularised logistic regression: dense, sound, bias."""
    from scipy.optimize import minimize

    share = float(target.mean())
    balance = np.where(target == 1, ((1 - share) / share) ** POSITIVE_SHARE, 1.0)
    turned = sound.T.tocsr()
    size = dense.shape[1]

    def loss(weights: Floats) -> tuple[float, Floats]:
        score = _score(weights, dense, sound)
        error = balance * (_logistic(score) - target)
        penalty = weights[:-1] / STRENGTH
        value = float(np.sum(balance * (np.logaddexp(0, score) - target * score)))
        slope = np.concatenate([dense.T @ error, turned @ error, [error.sum()]])
        slope[:-1] += penalty
        return value + 0.5 * float(penalty @ weights[:-1]), slope

    start = np.zeros(size + sound.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100})
    return cast(Floats, found.x)


def _score(weights: Floats, dense: Floats, sound: Any) -> Floats:
    size = dense.shape[1]
    return cast(Floats, dense @ weights[:size] + sound @ weights[size:-1] + weights[-1])


def _platt(score: Floats, target: Floats) -> tuple[float, float]:
    """Slope and offset that turn scores into probabilities."""
    from scipy.optimize import minimize

    many, few = float((target == 0).sum()), float(target.sum())
    smoothed = np.where(target == 1, (few + 1) / (few + 2), 1 / (many + 2))

    def loss(line: Floats) -> float:
        value = line[0] * score + line[1]
        return float(np.sum(np.logaddexp(0, value) - smoothed * value))

    found = minimize(loss, np.array([1.0, 0.0]), method="BFGS")
    return float(found.x[0]), float(found.x[1])


def _logistic(value: Any) -> Floats:
    return cast(Floats, 1.0 / (1.0 + np.exp(-np.clip(value, -60, 60))))
