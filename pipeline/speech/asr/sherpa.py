"""Another decoder: SenseVoice and Paraformer by sherpa-onnx, made for Mandarin, quick on a CPU.

A folder holds ``model.onnx`` or ``model.int8.onnx`` and ``tokens.txt``, as the k2 project gives them out.
Which of the two it is stands in the model's own metadata. Both search greedily and at once, so a careful
decoding is the same as any other. Neither is told what came before.

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds from the start of the window.
Confidence is what the model gives its tokens where sherpa-onnx hands it on, as it comes; of models
without it is ``NOT_GIVEN`` for every word and tells nothing.

References
----------
K. An et al., "FunAudioLLM", 2024, arXiv:2407.04051 (SenseVoice). Z. Gao et al., "Paraformer", 2022,
arXiv:2206.08317. sherpa-onnx, Apache-2.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import WeightsError, one_line
from pipeline.schema import SAMPLE_RATE, Audio, Seconds, Word
from pipeline.speech.asr.windows import Heard

NOT_GIVEN = 0.9
LONGEST_S = 0.4  # of a syllable; what follows is silence
SENSE_VOICE, PARAFORMER = "sense_voice", "paraformer"
BLANK, JOINED = "▁", "@@"  # before a word, after a part of one
FILES = {"int8": ("model.int8.onnx", "model.onnx"), "": ("model.onnx", "model.int8.onnx")}


class SherpaDecoder:
    """A sherpa-onnx recogniser, decoding some windows at a time."""

    def __init__(self, recogniser: Any, batch_size: int) -> None:
        self._recogniser, self._batch_size = recogniser, batch_size

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """Decode all windows; ``careful`` changes nothing, as nothing can repeat itself."""
        heard = []
        for first in range(0, len(windows), self._batch_size):
            batch = [windows[i] for i in range(first, min(first + self._batch_size, len(windows)))]
            streams = [self._recogniser.create_stream() for _ in batch]
            for stream, window in zip(streams, batch, strict=True):
                stream.accept_waveform(SAMPLE_RATE, window)
            self._recogniser.decode_streams(streams)
            heard += [
                _heard(stream.result, window.size / SAMPLE_RATE)
                for stream, window in zip(streams, batch, strict=True)
            ]
        return heard


def load_sherpa(
    source: str,
    *,
    device: str = "cpu",
    compute_type: str = "int8",
    threads: int = 0,
    language: str = "zh",
    revision: str | None = None,
) -> Any:
    """Load a SenseVoice or Paraformer from a local folder or, by name, from the model hub.

    Raises
    ------
    WeightsError
        If sherpa-onnx is not installed, or the weights cannot be had or read.
    """
    try:
        import sherpa_onnx
    except ImportError as cause:
        raise WeightsError(
            "asr.engine=sherpa-onnx needs the package sherpa-onnx, which is not installed.",
            'Install it: pip install "callcoach[sherpa]".',
        ) from cause
    try:
        folder = Path(source) if Path(source).is_dir() else _downloaded(source, revision)
        names = FILES.get(compute_type, FILES[""])
        model = next((folder / n for n in names if (folder / n).is_file()), None)
        tokens = folder / "tokens.txt"
        if model is None or not tokens.is_file():
            raise ValueError(f"there is no {' or '.join(names)} with a tokens.txt in {folder}")
        load = sherpa_onnx.OfflineRecognizer
        common = {"tokens": str(tokens), "num_threads": max(threads, 1), "provider": device}
        if _family(model) == SENSE_VOICE:
            return load.from_sense_voice(model=str(model), language=language, **common)
        return load.from_paraformer(paraformer=str(model), **common)
    except Exception as cause:
        raise WeightsError(
            f'The recognition model "{source}" cannot be loaded: {one_line(cause)}.',
            "Connect to the model hub once, or name a local folder with model.onnx and tokens.txt "
            "in asr.source.",
        ) from cause


def _downloaded(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["model.onnx", "model.int8.onnx", "tokens.txt"]
    return Path(snapshot_download(source, revision=revision, allow_patterns=wanted))


def _family(model: Path) -> str:
    """What a model says it is; other families need other inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    told = str(session.get_modelmeta().custom_metadata_map.get("model_type", ""))
    found = next((f for f in (SENSE_VOICE, PARAFORMER) if told.startswith(f)), None)
    if found is None:
        raise ValueError(
            f'it is a "{told or "model without model_type"}", no SenseVoice, no Paraformer'
        )
    return found


def _heard(result: Any, seconds: Seconds) -> Heard:
    tokens = [str(t) for t in result.tokens]
    starts = [float(t) for t in result.timestamps]
    if len(starts) != len(tokens):  # of models without times: evenly
        starts = np.linspace(0.0, seconds, len(tokens) + 1)[:-1].tolist()
    given = [float(p) for p in getattr(result, "ys_log_probs", ())]
    logprobs = given if len(given) == len(tokens) else [math.log(NOT_GIVEN)] * len(tokens)
    words = tuple(_words(tokens, starts, logprobs, seconds))
    return Heard(words, float(np.mean(logprobs)) if logprobs else 0.0, 0.0)


def _words(
    tokens: Sequence[str], starts: Sequence[Seconds], logprobs: Sequence[float], seconds: Seconds
) -> Iterator[Word]:
    """Tokens with times; the parts of a Latin word are one."""
    parts: list[tuple[str, int]] = []  # text, number of its first token
    open_part = False
    for i, token in enumerate(tokens):
        text, goes_on = token.removesuffix(JOINED), token.endswith(JOINED)
        starts_word = text.startswith(BLANK)
        text = text.replace(BLANK, "")
        latin = text.isascii() and text.isalnum()
        if parts and latin and not starts_word and open_part:
            parts[-1] = (parts[-1][0] + text, parts[-1][1])
        else:
            blank = " " if latin and parts and parts[-1][0][-1:].isascii() else ""
            parts.append((blank + text, i))
        open_part = goes_on or (latin and (starts_word or open_part))
    for k, (text, i) in enumerate(parts):
        after = parts[k + 1][1] if k + 1 < len(parts) else len(tokens)
        start = min(starts[i], seconds)
        last = starts[after - 1] + LONGEST_S
        end = min(last, starts[after] if after < len(tokens) else seconds)
        probability = math.exp(float(np.mean(logprobs[i:after])))
        if text.strip():
            yield Word(start, max(end, start), text, min(max(probability, 0.0), 1.0))
