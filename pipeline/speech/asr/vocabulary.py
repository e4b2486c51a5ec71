"""A Whisper that knows only the tokens its language is written with.

Most of the 51,865 tokens are words of other languages. A call in Mandarin never needs them, and yet the
decoder weighs each of them at every step, which in a small model is half of its multiplications. Here
their rows are left out of the embedding, which is also the output layer, while the model is loaded: all
other weights are as they were, and so is the order of what remains. Nothing becomes unwritable: the
tokens of single bytes stay, so that any other text can still be spelt.

Conventions: *own* numbers are those of the trimmed model, *full* ones those of the tokenizer.

References
----------
A. Ushio et al., "Efficient Multilingual Language Model Compression through Vocabulary Trimming",
Findings of EMNLP 2023, arXiv:2305.15020. File format: CTranslate2, ``ModelSpec`` binary version 6.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LANGUAGES = frozenset({"zh", "yue"})  # written with the tokens that are kept
FREQUENT_LATIN = (
    5000  # tokens are numbered by how frequent they are; rarer words are spelt in parts
)
END_OF_TEXT = "<|endoftext|>"  # the first special token
MODEL, VOCABULARY, CONFIG = "model.bin", "vocabulary.json", "config.json"
BINARY_VERSION = 6
LISTS_OF_TOKENS = ("lang_ids", "suppress_ids", "suppress_ids_begin")

# Characters of Chinese text: Han, its punctuation and full-width forms, dashes and quotation marks.
WRITTEN = ((0x2010, 0x2040), (0x3000, 0x3040), (0x4E00, 0xA000), (0xFF00, 0xFFF0))
FIRST_BYTES = frozenset((*range(0xE2, 0xEA), 0xEF))  # of these characters in UTF-8


def kept_tokens(tokens: Sequence[str]) -> list[int]:
    """Full numbers of the tokens that Chinese text is written with, ascending.

    Parameters
    ----------
    tokens : sequence of str
        The vocabulary, in the notation of byte-level BPE and in the order of the model.
    """
    letters = _bytes_by_letter()
    special = tokens.index(END_OF_TEXT)
    text = [
        _written(i, bytes(letters[c] for c in token)) for i, token in enumerate(tokens[:special])
    ]
    return [i for i, own in enumerate(text) if own] + list(range(special, len(tokens)))


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The files of a model without the other tokens; ``kept`` are the full numbers of those it has."""

    files: dict[str, bytes]
    tokens: list[str]
    kept: list[int]


def trimmed(folder: Path) -> Trimmed:
    """Leave the tokens out that Chinese is not written with. Takes memory like the model file.

    Raises
    ------
    ValueError
        If the model is not in the known format.
    """
    if not (folder / VOCABULARY).is_file():
        raise ValueError(f"there is no {VOCABULARY} to trim the vocabulary by")
    tokens: list[str] = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    kept = kept_tokens(tokens)
    own = {full: i for i, full in enumerate(kept)}
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config |= {
        name: [own[i] for i in config[name] if i in own]
        for name in LISTS_OF_TOKENS
        if name in config
    }
    files = {
        MODEL: _trimmed_model(folder / MODEL, len(tokens), kept),
        VOCABULARY: json.dumps([tokens[i] for i in kept]).encode(),
        CONFIG: json.dumps(config).encode(),
    }
    return Trimmed(files, tokens, kept)


class OwnTokens:
    """A CTranslate2 Whisper loaded from trimmed files, spoken to in full numbers."""

    def __init__(self, model: Any, trimmed: Trimmed) -> None:
        self._model, self._tokens, self._kept = model, trimmed.tokens, trimmed.kept
        self._own = {full: i for i, full in enumerate(self._kept)}
        self._number = {self._tokens[full]: i for i, full in enumerate(self._kept)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(
        self, encoded: Any, prompts: Iterable[Iterable[int]], **options: Any
    ) -> list[Sequences]:
        """Search as the model does; tokens of a prompt that it does not know are spelt."""
        found = self._model.generate(encoded, [self._spelt(p) for p in prompts], **options)
        return [
            Sequences(
                [[self._kept[i] for i in ids] for ids in result.sequences_ids],
                list(result.scores),
                result.no_speech_prob,
            )
            for result in found
        ]

    def align(
        self,
        encoded: Any,
        start: Iterable[int],
        texts: Iterable[Iterable[int]],
        *rest: Any,
        **options: Any,
    ) -> Any:
        """Align tokens with the audio; tokens that the model does not know are spelt."""
        known = [self._spelt(text) for text in texts]
        return self._model.align(encoded, [self._own[i] for i in start], known, *rest, **options)

    def _spelt(self, prompt: Iterable[int]) -> list[int]:
        own: list[int] = []
        for full in prompt:
            known = self._own.get(full)
            own += [self._number[c] for c in self._tokens[full]] if known is None else [known]
        return own


@dataclass(frozen=True, slots=True)
class Sequences:
    """What a search found for one window, in full numbers."""

    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float


def _written(number: int, token: bytes) -> bool:
    if len(token) == 1:
        return True
    if token.isascii():
        return number < FREQUENT_LATIN
    whole = token.decode("utf-8", errors="ignore")
    return all(b < 0xC0 or b in FIRST_BYTES for b in token) and all(
        c == " " or any(a <= ord(c) < b for a, b in WRITTEN) for c in whole
    )


def _bytes_by_letter() -> dict[str, int]:
    """The letter that stands for each byte in a vocabulary of byte-level BPE."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [b for b in range(0x100) if b not in plain]
    return {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(other)}


def _trimmed_model(path: Path, tokens: int, kept: Sequence[int]) -> bytes:
    """Copy a model file, of every array with a row per token only the rows that are kept."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return b"".join(_copied(_Reader(data), tokens, kept))


class _Reader:
    """Reads numbers and texts of a model file one after the other."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def rest(self) -> bytes:
        return self._data[self.at :]

    def text(self) -> bytes:
        length = self.take(2)
        return length + self.take(struct.unpack("<H", length)[0])


def _copied(reader: _Reader, tokens: int, kept: Sequence[int]) -> Iterator[bytes]:
    version = reader.number("<I")
    if version != BINARY_VERSION:
        raise ValueError(f"version {version} of the model file is not known, only {BINARY_VERSION}")
    name, revision = reader.text(), reader.take(4)
    yield struct.pack("<I", version) + name + revision
    arrays = reader.number("<I")
    yield struct.pack("<I", arrays)
    trimmed = 0
    for _ in range(arrays):
        yield reader.text()
        rank = reader.number("<B")
        shape = [reader.number("<I") for _ in range(rank)]
        kind = reader.take(1)
        rows = reader.take(reader.number("<I"))
        if shape and shape[0] == tokens:
            rows = np.frombuffer(rows, np.uint8).reshape(tokens, -1)[list(kept)].tobytes()
            shape[0] = len(kept)
            trimmed += 1
        yield struct.pack(f"<B{rank}I", rank, *shape) + kind + struct.pack("<I", len(rows))
        yield rows
    if not trimmed:
        raise ValueError(f"the model file has no array with a row for each of the {tokens} tokens")
    yield reader.rest()  # other names of the arrays
