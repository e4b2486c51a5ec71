"""Tiny models of the right shape: SenseVoice, Paraformer, and a Whisper as large-v3.

ONNX files are written byte by byte, as no package here makes them.

References
----------
Protocol Buffers, "Encoding"; ``onnx.proto`` of ONNX 1.16.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.io import weights

FLOAT, INT32, INT64 = 1, 6, 7
KINDS = {np.dtype(np.float32): FLOAT, np.dtype(np.int32): INT32, np.dtype(np.int64): INT64}
FEATURES = 560  # seven frames of 80 mel bands
TOKENS = ("<blank>", "<s>", "</s>", "您", "好", "▁he", "llo", "<unk>")


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: NDArray) -> bytes:
    dims = b"".join(field(1, n) for n in values.shape)
    return dims + field(2, KINDS[values.dtype]) + field(8, name) + field(9, values.tobytes())


def value(name: str, kind: int, dims: Sequence[int | str]) -> bytes:
    shape = b"".join(field(1, field(1 if isinstance(d, int) else 2, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **ints: int) -> bytes:
    attributes = (field(1, k) + field(3, v) + field(20, 2) for k, v in ints.items())
    return (
        b"".join(field(1, i) for i in inputs)
        + b"".join(field(2, o) for o in outputs)
        + field(4, operator)
        + b"".join(field(5, a) for a in attributes)
    )


def onnx_model(
    nodes: Sequence[bytes],
    tensors: Mapping[str, NDArray],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    metadata: Mapping[str, object],
) -> bytes:
    graph = (
        b"".join(field(1, n) for n in nodes)
        + field(2, "tiny")
        + b"".join(field(5, tensor(k, v)) for k, v in tensors.items())
        + b"".join(field(11, i) for i in inputs)
        + b"".join(field(12, o) for o in outputs)
    )
    said = (field(1, k) + field(2, str(v)) for k, v in metadata.items())
    return (
        field(1, 8)
        + field(7, graph)
        + field(8, field(1, "") + field(2, 13))
        + b"".join(field(14, s) for s in said)
    )


COMMON = {
    "vocab_size": len(TOKENS),
    "lfr_window_size": 7,
    "lfr_window_shift": 6,
    "normalize_samples": 0,
    "neg_mean": ",".join(["0"] * FEATURES),
    "inv_stddev": ",".join(["1"] * FEATURES),
}


def _weights(*favoured: int) -> NDArray[np.float32]:
    """Loud frames speak for some tokens; the sum of the log energies is positive."""
    weights = np.zeros((FEATURES, len(TOKENS)), np.float32)
    for rank, token in enumerate(favoured):
        weights[:, token] = 0.001 / (rank + 1)
    return weights


def sense_voice(folder: Path, favoured: int = 4) -> Path:
    """A SenseVoice that hears one syllable wherever there is sound."""
    before = np.zeros((1, 4, len(TOKENS)), np.float32)  # language, emotion, event, form
    before[0, [0, 1, 2, 3], [1, 2, 1, 2]] = 1.0
    numbers = {"zero": [0], "one": [1]}
    model = onnx_model(
        [
            node("MatMul", ["x", "w"], ["y"]),
            node("Slice", ["y", "zero", "one", "one"], ["first"]),
            node("Mul", ["first", "nothing"], ["still"]),
            node("Add", ["still", "before"], ["four"]),
            node("Concat", ["four", "y"], ["logits"], axis=1),
        ],
        {"w": _weights(favoured), "before": before, "nothing": np.zeros(1, np.float32)}
        | {k: np.array(v, np.int64) for k, v in numbers.items()},
        [
            value("x", FLOAT, ["N", "T", FEATURES]),
            value("x_length", INT32, ["N"]),
            value("language", INT32, ["N"]),
            value("text_norm", INT32, ["N"]),
        ],
        [value("logits", FLOAT, ["N", "U", len(TOKENS)])],
        COMMON
        | {
            "model_type": "sense_voice_ctc", "with_itn": 14, "without_itn": 15, "lang_auto": 0,
            "lang_zh": 3, "lang_en": 4, "lang_yue": 7, "lang_ja": 11, "lang_ko": 12,
        },
    )  # fmt: skip
    return _written(folder, model)


def paraformer(folder: Path) -> Path:
    """A Paraformer that hears as many tokens as there are frames."""
    model = onnx_model(
        [
            node("MatMul", ["speech", "w"], ["logits"]),
            node("Cast", ["speech_lengths"], ["token_num"], to=INT64),
        ],
        {"w": _weights(3)},
        [value("speech", FLOAT, ["N", "T", FEATURES]), value("speech_lengths", INT32, ["N"])],
        [value("logits", FLOAT, ["N", "U", len(TOKENS)]), value("token_num", INT64, ["N"])],
        COMMON | {"model_type": "paraformer"},
    )
    return _written(folder, model)


def _written(folder: Path, model: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    lines = "".join(f"{token} {i}\n" for i, token in enumerate(TOKENS))
    (folder / "tokens.txt").write_text(lines, encoding="utf-8")
    return folder


WIDTH, MELS, V3_TOKENS = 16, 128, 51_866
AFTER = "<|su|>"  # the language before the one that large-v3 has more, <|yue|>


def whisper_large_v3(folder: Path) -> Path:
    """A Whisper of one layer with the mel bands and tokens of large-v3, and weights of chance."""
    from ctranslate2.specs.whisper_spec import WhisperConfig, WhisperSpec

    base = weights.verified("whisper-base")
    tokenizer = _with_cantonese(json.loads((base / "tokenizer.json").read_text("utf-8")))
    names = {i: t for t, i in tokenizer["model"]["vocab"].items()}
    names |= {t["id"]: t["content"] for t in tokenizer["added_tokens"]}
    spec = WhisperSpec(1, 1, 1, 1)
    spec.encoder.position_encodings.encodings = np.zeros((1500, WIDTH), np.float32)
    spec.decoder.position_encodings.encodings = np.zeros((448, WIDTH), np.float32)
    chance = np.random.default_rng(0)
    shapes = {
        "embeddings/weight": (V3_TOKENS, WIDTH), "projection/weight": (V3_TOKENS, WIDTH),
        "conv1/weight": (WIDTH, MELS, 3), "conv2/weight": (WIDTH, WIDTH, 3),
        "self_attention/linear_0/weight": (3 * WIDTH, WIDTH),
        "attention/linear_1/weight": (2 * WIDTH, WIDTH),
        "ffn/linear_0/weight": (4 * WIDTH, WIDTH), "ffn/linear_1/weight": (WIDTH, 4 * WIDTH),
    }  # fmt: skip
    for name, given in spec.variables(ordered=True):
        if given is not None:
            continue
        of, _, leaf = name.rpartition("/")
        if leaf in ("beta", "gamma"):
            values = np.full(WIDTH, leaf == "gamma", np.float32)
        else:
            ends = (shape for end, shape in shapes.items() if f"/{name}".endswith(f"/{end}"))
            if "self_attention/linear_1" in name:
                ends = iter(())
            values = chance.normal(0, 0.2, next(ends, (WIDTH, WIDTH))).astype(np.float32)
        part = spec
        for step in of.split("/"):
            kind, _, number = step.rpartition("_")
            many = getattr(part, kind, None) if number.isdigit() else None
            part = many[int(number)] if isinstance(many, list) else getattr(part, step)
        setattr(part, leaf, values)
    languages = [t["id"] for t in tokenizer["added_tokens"] if len(t["content"]) in (6, 7)]
    spec._config = WhisperConfig([], [220, 50257], languages[:100], [(0, 0)])
    spec.register_vocabulary([names[i] for i in range(V3_TOKENS)])
    spec.validate()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS}), "utf-8")
    return folder


def _with_cantonese(tokenizer: dict) -> dict:
    """The tokenizer of the older Whispers with one language more, all after it moved by one."""
    added = tokenizer["added_tokens"]
    at = next(t["id"] for t in added if t["content"] == AFTER) + 1
    moved = [t | {"id": t["id"] + (t["id"] >= at)} for t in added]
    cantonese = next(t for t in added if t["content"] == AFTER) | {"id": at, "content": "<|yue|>"}
    ordered = sorted([*moved, cantonese], key=lambda t: t["id"])
    return tokenizer | {"added_tokens": ordered}
