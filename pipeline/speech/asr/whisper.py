"""The decoder: faster-whisper's model, one search a window, and the most plausible of its hypotheses.

Windows are padded no further than they need, which costs a small part of the 30 s that the model was
trained on. A window in which the model goes round in circles, or of which it is less sure than the
settings ask, is encoded again in 30 s and searched again, unless it is heard for the second time
already. Of all hypotheses the one is taken that is most probable for the model and as a row of words
together. Times are searched for too, as in training, because without them more is left out and
repeated; those of the words come from attention. A batch of windows goes together.

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds from the start of the window.

References
----------
A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022,
arXiv:2212.04356. faster-whisper, MIT licence.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import WeightsError, one_line
from pipeline.schema import SAMPLE_RATE, Audio, Word
from pipeline.settings import Asr
from pipeline.speech.asr.vocabulary import OwnTokens, trimmed
from pipeline.speech.asr.windows import Heard
from pipeline.text import WordModel, normalise_for_cer, repeats_itself, simplify

FRAMES_PER_S = 100
LIKE_LENGTHS = 1.25  # the longest window of a batch is at most that much longer than the shortest
MODEL_FRAMES = 3000
LATEST_START = 50  # of the first words in a window, in steps of 0.02 s, as in training
LEAK = 4  # so many characters of the prompt in a row are not taken for words
LOOP_PENALTY = 1000.0
LEAST_PROBABILITY = 1e-9  # of a token
INSTRUCTIONS = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "avx")  # the best first
CALIBRATION_SLOPE, CALIBRATION_OFFSET = 0.63, 0.61


@dataclass(frozen=True, slots=True)
class Guess:
    """One hypothesis of the beam search; ``logprob`` is the mean over ``length`` tokens."""

    text: str
    tokens: tuple[int, ...]
    logprob: float
    no_speech: float
    length: int = 1


class WhisperDecoder:
    """faster-whisper, decoding a batch of windows at a time."""

    def __init__(self, model: Any, options: Asr, words: WordModel | None = None) -> None:
        from faster_whisper.tokenizer import Tokenizer

        self._model = model
        self._options = options
        self._words = words
        self._tokenizer = Tokenizer(
            model.hf_tokenizer, True, task="transcribe", language=options.language
        )

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """Decode all windows in batches of like lengths, the shortest first."""
        heard: dict[int, Heard] = {}
        for batch in self._batches([window.size for window in windows]):
            heard |= zip(batch, self._decode([windows[i] for i in batch], careful), strict=True)
        return [heard[i] for i in range(len(windows))]

    def choose_among(self, audio: Audio, texts: Sequence[str]) -> list[float]:
        """How likely each text is to have been said, if one of them was: they add up to 1.

        Parameters
        ----------
        audio : Audio, shape (n,), float32, 16 kHz
        texts : sequence of str
            Short ones that can take each other's place, with their marks.
        """
        from faster_whisper.audio import pad_or_trim

        features = self._model.feature_extractor(audio)[..., :-1]
        encoded = self._encode(pad_or_trim(features, self._length([features]))[None])
        scored = self._model.model.align(
            _storage(np.repeat(encoded, len(texts), axis=0)),
            self._tokenizer.sot_sequence,
            [self._tokenizer.encode(text) for text in texts],
            [features.shape[-1]] * len(texts),
        )
        logprobs = [
            np.log(np.maximum(one.text_token_probs, LEAST_PROBABILITY)).sum() for one in scored
        ]
        odds = np.exp(np.array(logprobs) - max(logprobs))
        return [float(share) for share in odds / odds.sum()]

    def _batches(self, sizes: Sequence[int]) -> list[list[int]]:
        """Numbers of windows that are decoded together: all are padded to the longest of them."""
        least = self._options.min_window_s * SAMPLE_RATE
        batches: list[list[int]] = []
        for i in sorted(range(len(sizes)), key=lambda i: sizes[i]):
            first = sizes[batches[-1][0]] if batches else 0
            full = batches and len(batches[-1]) == self._options.batch_size
            if not batches or full or sizes[i] > LIKE_LENGTHS * max(first, least):
                batches.append([])
            batches[-1].append(i)
        return batches

    def _decode(self, windows: list[Audio], careful: bool) -> list[Heard]:
        from faster_whisper.audio import pad_or_trim

        features = [self._model.feature_extractor(w)[..., :-1] for w in windows]
        length = self._length(features)
        encoded = self._encode(np.stack([pad_or_trim(f, length) for f in features]))
        guesses = self._search(encoded, careful, self._options.prompt)
        doubted = [i for i, own in enumerate(guesses) if self._doubtful(own) and not careful]
        if doubted and length < MODEL_FRAMES:
            whole = np.stack([pad_or_trim(features[i], MODEL_FRAMES) for i in doubted])
            longer = self._search(self._encode(whole), careful, self._options.prompt)
            for i, more in zip(doubted, longer, strict=True):
                guesses[i] += more
        chosen = [choose(own, self._words, self._options.word_weight) for own in guesses]
        frames = [min(f.shape[-1], length) for f in features]
        alignments = self._model.find_alignment(
            self._tokenizer, [list(g.tokens) for g in chosen], _storage(encoded), frames
        )
        return [
            Heard(tuple(_pieces(alignment)), guess.logprob, guess.no_speech)
            for guess, alignment in zip(chosen, alignments, strict=True)
        ]

    def _length(self, features: Sequence[NDArray[np.float32]]) -> int:
        """Frames that windows are padded to together: an even number, no more than they need."""
        longest: int = max(f.shape[-1] for f in features) + FRAMES_PER_S
        length = max(longest, round(self._options.min_window_s * FRAMES_PER_S))
        return min(MODEL_FRAMES, length + length % 2)

    def _encode(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Encode windows of one length, shape (windows, positions, size).

        On a CPU one by one: the attention of a single window fits the cache, that of a batch does
        not, and costs half as much again.
        """
        step = 1 if self._model.model.device == "cpu" else len(features)
        parts = [
            np.asarray(self._model.model.encode(_storage(features[i : i + step]), to_cpu=True))
            for i in range(0, len(features), step)
        ]
        return np.concatenate(parts)

    def _search(self, encoded: NDArray[Any], careful: bool, prompt: str) -> list[list[Guess]]:
        """Beam search: some hypotheses of each window, the likeliest first.

        A window of which all hypotheses hold words of the prompt is searched again without it: what
        was said is heard then too.
        """
        tokenizer, options = self._tokenizer, self._options
        told = tokenizer.encode(prompt) if prompt else []
        results = self._model.model.generate(
            _storage(encoded),
            [self._model.get_prompt(tokenizer, told)] * len(encoded),
            beam_size=options.beam_size,
            num_hypotheses=min(options.hypotheses, options.beam_size),
            return_scores=True,
            return_no_speech_prob=True,
            no_repeat_ngram_size=4 if careful else 0,
            max_initial_timestamp_index=LATEST_START,
        )
        guesses = [
            [
                self._guess(ids, logprob, result.no_speech_prob)
                for ids, logprob in zip(result.sequences_ids, result.scores, strict=True)
            ]
            for result in results
        ]
        kept = [[g for g in own if not _repeats(prompt, g.text)] for own in guesses]
        leaked = [i for i, own in enumerate(kept) if prompt and not own]
        if leaked:
            for i, again in zip(leaked, self._search(encoded[leaked], careful, ""), strict=True):
                kept[i] = again
        return [own or every for own, every in zip(kept, guesses, strict=True)]

    def _guess(self, ids: Sequence[int], logprob: float, no_speech: float) -> Guess:
        tokens = tuple(t for t in ids if t < self._tokenizer.eot)
        text = simplify(self._tokenizer.decode(list(tokens)))
        return Guess(text, tokens, float(logprob), float(no_speech), len(ids))

    def _doubtful(self, guesses: Sequence[Guess]) -> bool:
        """Whether the likeliest hypothesis is not likely, or repeats itself."""
        best = guesses[0]
        unlikely = best.logprob < self._options.second_look_logprob
        return unlikely or repeats_itself(best.text)


def choose(guesses: Sequence[Guess], words: WordModel | None, weight: float) -> Guess:
    """Choose the hypothesis that is most probable for the model and as a row of words together.

    A text that repeats itself is taken only where there is no other.

    References
    ----------
    C. Gulcehre et al., "On using monolingual corpora in neural machine translation", 2015,
    arXiv:1503.03535 (shallow fusion, here over a list of hypotheses).
    """

    def score(guess: Guess) -> float:
        loop = LOOP_PENALTY if repeats_itself(guess.text) else 0.0
        known = weight * words.plausibility(guess.text) if words is not None else 0.0
        return guess.logprob * guess.length + known - loop

    return max(guesses, key=score)


def calibrated(probability: float) -> float:
    """Probability that a character is right, from the one that the model gives its tokens.

    A logistic map, fitted on characters of people and of synthetic voices; how well it holds on
    others is in docs/recognition.md.

    >>> round(calibrated(0.1), 2), round(calibrated(0.5), 2), round(calibrated(0.99), 2)
    (0.32, 0.65, 0.97)

    References
    ----------
    J. Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    inside = min(max(probability, 1e-3), 1 - 1e-3)
    odds = CALIBRATION_SLOPE * math.log(inside / (1 - inside)) + CALIBRATION_OFFSET
    return round(1 / (1 + math.exp(-odds)), 4)


def one_instruction_set() -> None:
    """Let recognition of this process use AVX2 and oneDNN alone, whatever the processor has.

    Products of 8-bit numbers are rounded otherwise by other instructions and libraries, so words
    differ by processor. To be called before a model is loaded: the libraries look once.
    """
    os.environ |= {"CT2_FORCE_CPU_ISA": "AVX2", "CT2_USE_MKL": "0", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def instruction_set() -> str:
    """The instructions that recognition may use here: ``avx512_vnni``, ``avx2``, ``aarch64`` ..."""
    if forced := os.environ.get("CT2_FORCE_CPU_ISA"):
        return forced.lower()
    try:
        known = Path("/proc/cpuinfo").read_text("ascii", "replace").split()
    except OSError:
        known = []
    return next((name for name in INSTRUCTIONS if name in known), platform.machine().lower())


def load_whisper(
    source: str | Path,
    *,
    device: str = "cpu",
    compute_type: str = "int8",
    threads: int = 0,
    revision: str | None = None,
    trim: bool = False,
) -> Any:
    """Load a faster-whisper model from a local folder or, by name, from the model hub.

    With ``trim`` it knows only the tokens Chinese is written with (:mod:`pipeline.speech.asr.vocabulary`).

    Raises
    ------
    WeightsError
        If the weights cannot be had or read.
    """
    from faster_whisper import WhisperModel
    from faster_whisper.utils import download_model

    options = {"device": device, "compute_type": compute_type, "cpu_threads": threads}
    try:
        if not trim:
            return WhisperModel(str(source), revision=revision, **options)
        folder = (
            str(source) if Path(source).is_dir() else download_model(str(source), revision=revision)
        )
        known = trimmed(Path(folder))
        model = WhisperModel(folder, files=dict(known.files), **options)
        model.model = OwnTokens(model.model, known)
        return model
    except Exception as cause:
        raise WeightsError(
            f'The recognition model "{source}" cannot be loaded: {one_line(cause)}.',
            "Connect to the model hub once, name a local folder in asr.source of the preset, "
            "or use --preset embedded; asr.vocabulary=all loads it as it is.",
        ) from cause


def _repeats(prompt: str, text: str) -> bool:
    """Whether a text is empty, or has a row of characters of the prompt.

    >>> _repeats("这是客服热线的录音", "客服热线：您好"), _repeats("这是客服热线的录音", "热线您好")
    (True, False)
    """
    said, told = normalise_for_cer(text), normalise_for_cer(prompt)
    rows = (told[i : i + LEAK] for i in range(len(told) - LEAK + 1))
    return said in told or any(row in said for row in rows)


def _storage(array: NDArray[Any]) -> Any:
    from faster_whisper.transcribe import get_ctranslate2_storage

    return get_ctranslate2_storage(array)


def _pieces(alignment: Iterable[dict[str, Any]]) -> Iterable[Word]:
    for word in alignment:
        text = str(word["word"])
        if text.strip():
            probability = calibrated(float(word["probability"]))
            yield Word(float(word["start"]), float(word["end"]), text, probability)
