"""Recognition: faster-whisper on one speaker's own speech, utterance by utterance, then checked.

Each speaker's speech is cut into utterances at pauses, and every utterance is its own window: a
prompt said three times comes out three times, and a short closing after a long pause is heard, both
of which are lost when pauses are cut out and utterances are packed into shared windows. A batch of
utterances is decoded together. What comes back is checked against the speech it was heard on: text
on silence, loops and known hallucinations are rejected, with the reason kept and counted. Each window
is encoded once and searched with the first prompt; where the hypotheses of that search differ in sound
it is searched with the next one too. The hypothesis most others agree with is taken.

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds from the start of ``audio``.
Text is in simplified characters; words are single Han characters or Latin words, punctuation is
attached to the word before it.

References
----------
A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022,
arXiv:2212.04356. faster-whisper, MIT licence.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance.Levenshtein import distance

from pipeline.errors import WeightsError
from pipeline.schema import Audio, Seconds, Sound, Span, Speaker, Utterance, Word
from pipeline.text import Lexicon, count_units, is_hanzi, normalise_for_cer, simplify, syllables

SAMPLE_RATE = 16_000
PAD_S = 0.2
LEAD_PAUSE_S = 0.6
MAX_COMPRESSION = 2.4
MIN_SECOND_LOOK_S = 3.0
MIN_UNITS_PER_S = 0.8
FRAMES_PER_S = 100
MODEL_FRAMES = 3000
RISK_SHARPNESS = 2.0

# Small models write full-width letters, digits and small marks where a comma belongs.
ODD_MARKS = dict.fromkeys((*range(65296, 65306), *range(65313, 65371), *range(65104, 65131)), "，")


@dataclass(frozen=True, slots=True)
class RecognitionOptions:
    """How to decode and what to reject; see the ``asr`` settings for units and ranges."""

    language: str = "zh"
    beam_size: int = 5
    batch_size: int = 8
    prompts: tuple[str, ...] = ("",)
    hypotheses: int = 3
    join_gap_s: Seconds = 1.0
    max_utterance_s: Seconds = 24.0
    min_window_s: Seconds = 15.0
    short_s: Seconds = 3.0
    context_s: Seconds = 8.0
    max_units_per_s: float = 11.0
    no_speech_threshold: float = 0.6
    min_logprob: float = -1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the decoder gave for one window: text pieces with times relative to the window."""

    words: tuple[Word, ...]
    logprob: float
    no_speech: float


@dataclass(frozen=True, slots=True)
class Guess:
    """One hypothesis of the beam search; ``logprob`` is the mean per token."""

    text: str
    tokens: tuple[int, ...]
    logprob: float
    no_speech: float


class Decoder(Protocol):
    """Anything that turns windows of audio into timed text."""

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """One result a window; ``careful`` asks for a decoding that cannot repeat itself."""
        ...


class WhisperDecoder:
    """faster-whisper, decoding a batch of windows at a time."""

    def __init__(self, model: Any, options: RecognitionOptions) -> None:
        from faster_whisper.tokenizer import Tokenizer

        self._model = model
        self._options = options
        self._tokenizer = Tokenizer(
            model.hf_tokenizer, True, task="transcribe", language=options.language
        )

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """Decode all windows, the shortest first so that a batch holds like lengths."""
        order = sorted(range(len(windows)), key=lambda i: windows[i].size)
        heard: dict[int, Heard] = {}
        for start in range(0, len(order), self._options.batch_size):
            batch = order[start : start + self._options.batch_size]
            heard |= zip(batch, self._decode([windows[i] for i in batch], careful), strict=True)
        return [heard[i] for i in range(len(windows))]

    def _decode(self, windows: list[Audio], careful: bool) -> list[Heard]:
        from faster_whisper.audio import pad_or_trim

        features = [self._model.feature_extractor(w)[..., :-1] for w in windows]
        longest = max(f.shape[-1] for f in features) + FRAMES_PER_S
        length = min(MODEL_FRAMES, max(longest, round(self._options.min_window_s * FRAMES_PER_S)))
        length += length % 2
        encoded = self._encode(np.stack([pad_or_trim(f, length) for f in features]))
        chosen = [agree(guesses) for guesses in self._guesses(encoded, careful)]
        frames = [min(f.shape[-1], length) for f in features]
        alignments = self._model.find_alignment(
            self._tokenizer, [list(g.tokens) for g in chosen], _storage(encoded), frames
        )
        return [
            Heard(tuple(_pieces(alignment)), guess.logprob, guess.no_speech)
            for guess, alignment in zip(chosen, alignments, strict=True)
        ]

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

    def _guesses(self, encoded: NDArray[Any], careful: bool) -> list[list[Guess]]:
        """All hypotheses of each window: those of one prompt after those of the other."""
        guesses: list[list[Guess]] = [[] for _ in encoded]
        for prompt in self._options.prompts:
            for own, found in zip(guesses, self._search(encoded, prompt, careful), strict=True):
                own += found
        return [self._own_words(own) or own for own in guesses]

    def _search(self, encoded: NDArray[Any], prompt: str, careful: bool) -> list[list[Guess]]:
        """Beam search after one prompt: some hypotheses of each window, the likeliest first."""
        tokenizer, options = self._tokenizer, self._options
        start = self._model.get_prompt(
            tokenizer, tokenizer.encode(prompt) if prompt else [], without_timestamps=True
        )
        results = self._model.model.generate(
            _storage(encoded),
            [start] * len(encoded),
            beam_size=options.beam_size,
            num_hypotheses=min(options.hypotheses, options.beam_size),
            return_scores=True,
            return_no_speech_prob=True,
            no_repeat_ngram_size=4 if careful else 0,
        )
        return [
            [
                self._guess(ids, logprob, result.no_speech_prob)
                for ids, logprob in zip(result.sequences_ids, result.scores, strict=True)
            ]
            for result in results
        ]

    def _guess(self, ids: Iterable[int], logprob: float, no_speech: float) -> Guess:
        tokens = tuple(t for t in ids if t < self._tokenizer.eot)
        text = simplify(self._tokenizer.decode(list(tokens)))
        return Guess(text, tokens, float(logprob), float(no_speech))

    def _own_words(self, guesses: list[Guess]) -> list[Guess]:
        """Leave out hypotheses that are empty or only repeat a prompt."""
        prompts = [normalise_for_cer(p) for p in (*self._options.prompts, "")]
        return [g for g in guesses if not any(normalise_for_cer(g.text) in p for p in prompts)]


def agree(guesses: Sequence[Guess]) -> Guess:
    """Choose the hypothesis that is nearest to all others, the likely ones weighing more.

    This is minimum Bayes risk decoding with half the distance in characters and half in toneless
    syllables: what several hypotheses agree on by sound is more often right than the single most
    probable one.

    References
    ----------
    V. Goel and W. Byrne, "Minimum Bayes-risk automatic speech recognition", Computer Speech and
    Language 14 (2000).
    """
    best = max(g.logprob for g in guesses)
    weights = [math.exp(RISK_SHARPNESS * (g.logprob - best)) for g in guesses]
    texts = [normalise_for_cer(g.text) for g in guesses]
    sounds = [syllables(t) for t in texts]

    def risk(i: int) -> float:
        return sum(
            weight
            * (
                distance(texts[i], texts[j]) / max(len(texts[i]), len(texts[j]), 1)
                + distance(sounds[i], sounds[j]) / max(len(sounds[i]), len(sounds[j]), 1)
            )
            for j, weight in enumerate(weights)
            if j != i
        )

    return guesses[min(range(len(guesses)), key=risk)]


def load_whisper(
    source: str | Path,
    *,
    device: str = "cpu",
    compute_type: str = "int8",
    threads: int = 0,
    revision: str | None = None,
) -> Any:
    """Load a faster-whisper model from a local folder or, by name, from the model hub.

    Raises
    ------
    WeightsError
        If the weights cannot be had or read.
    """
    from faster_whisper import WhisperModel

    try:
        return WhisperModel(
            str(source),
            device=device,
            compute_type=compute_type,
            cpu_threads=threads,
            revision=revision,
        )
    except Exception as cause:
        text = " ".join(str(cause).split())[:200]
        raise WeightsError(
            f'The recognition model "{source}" cannot be loaded: {text}.',
            "Connect to the model hub once, name a local folder in asr.source of the preset, "
            "or use --preset embedded.",
        ) from cause


def recognise(
    audio: Sound,
    speech: Iterable[tuple[Speaker, Sequence[Span]]],
    decoder: Decoder,
    options: RecognitionOptions,
    *,
    lexicon: Lexicon | None = None,
    hallucinations: frozenset[str] = frozenset(),
) -> tuple[Utterance, ...]:
    """Recognise each speaker's own speech.

    Parameters
    ----------
    audio : Sound, shape (n,), float32, 16 kHz
        The channel in which these speakers are heard.
    speech : iterable of (speaker, spans)
        Where each of them speaks; see :mod:`pipeline.speech.vad`.
    decoder : Decoder
    options : RecognitionOptions
    lexicon : Lexicon, optional
        Domain words; a stretch of text that sounds like one is written as one.
    hallucinations : frozenset of str
        Texts that models invent on silence, without punctuation.

    Returns
    -------
    tuple of Utterance
        In the order of time; rejected ones carry the reason and no words.
    """
    windows = [
        window for speaker, spans in speech for window in _windows(audio, speaker, spans, options)
    ]
    heard = _listen(windows, decoder, options)
    found = [
        _utterance(window, h, options, lexicon, hallucinations)
        for window, h in zip(windows, heard, strict=True)
    ]
    return tuple(sorted(found, key=lambda u: (u.start, u.end)))


@dataclass(frozen=True, slots=True)
class _Window:
    """One utterance as the decoder gets it.

    A short utterance is heard after the speaker's words before it, ``lead``, and a pause: what is
    said there is not its own. The audio is cut when it is asked for, not kept.
    """

    speaker: Speaker
    span: Span
    sound: Sound
    own: slice
    lead: slice | None = None

    @property
    def audio(self) -> Audio:
        """What is decoded."""
        if self.lead is None:
            return self.sound[self.own]
        pause = np.zeros(round(LEAD_PAUSE_S * SAMPLE_RATE), np.float32)
        return np.concatenate((self.sound[self.lead], pause, self.sound[self.own]))

    @property
    def lead_s(self) -> Seconds:
        """Where the utterance begins in the audio."""
        if self.lead is None:
            return 0.0
        pause = round(LEAD_PAUSE_S * SAMPLE_RATE)
        return float((self.lead.stop - self.lead.start + pause) / SAMPLE_RATE)

    def alone(self) -> _Window:
        """The utterance without what leads up to it."""
        return replace(self, lead=None)


@dataclass(frozen=True, slots=True)
class _Audios(Sequence[Audio]):
    """The audio of windows: of a call of hours, no more than is being decoded is kept."""

    windows: Sequence[_Window]

    def __len__(self) -> int:
        return len(self.windows)

    @overload
    def __getitem__(self, i: int, /) -> Audio: ...

    @overload
    def __getitem__(self, i: slice, /) -> _Audios: ...

    def __getitem__(self, i: int | slice, /) -> Audio | _Audios:
        """The audio of one window, or the windows of a slice."""
        return self.windows[i].audio if isinstance(i, int) else _Audios(self.windows[i])


def _windows(
    audio: Sound, speaker: Speaker, spans: Sequence[Span], options: RecognitionOptions
) -> Iterator[_Window]:
    before: slice | None = None
    for span in utterances(spans, options.join_gap_s, options.max_utterance_s):
        own, lead = _part(audio, span), None
        if before is not None and span[1] - span[0] < options.short_s and options.context_s > 0:
            reach = round(options.context_s * SAMPLE_RATE)
            lead = slice(max(before.start, before.stop - reach), before.stop)
        yield _Window(speaker, span, audio, own, lead)
        before = own


def _listen(
    windows: Sequence[_Window], decoder: Decoder, options: RecognitionOptions
) -> list[Heard]:
    """Decode all windows; have a second look where the text does not fit the speech."""
    if not windows:
        return []
    heard = [_own(h, w.lead_s) for h, w in zip(decoder(_Audios(windows)), windows, strict=True)]
    doubted = [i for i, h in enumerate(heard) if _doubtful(h, windows[i], options)]
    if doubted:
        again = decoder(_Audios([windows[i].alone() for i in doubted]), careful=True)
        for i, second in zip(doubted, again, strict=True):
            heard[i] = second
    return heard


def _own(heard: Heard, lead_s: Seconds) -> Heard:
    """What was said after the lead, in times of the utterance."""
    if not lead_s:
        return heard
    words = tuple(
        replace(w, start=max(0.0, w.start - lead_s), end=w.end - lead_s)
        for w in heard.words
        if (w.start + w.end) / 2 > lead_s - LEAD_PAUSE_S / 2
    )
    return replace(heard, words=words)


def utterances(spans: Sequence[Span], join_gap_s: Seconds, max_s: Seconds) -> list[Span]:
    """Join speech spans across short pauses; split what is too long at its longest pause."""
    groups: list[list[Span]] = []
    for span in spans:
        if groups and span[0] - groups[-1][-1][1] < join_gap_s:
            groups[-1].append(span)
        else:
            groups.append([span])
    return [part for group in groups for part in _split(group, max_s)]


def _split(group: list[Span], max_s: Seconds) -> list[Span]:
    start, end = group[0][0], group[-1][1]
    if end - start <= max_s:
        return [(start, end)]
    if len(group) == 1:
        count = math.ceil((end - start) / max_s)
        edges = np.linspace(start, end, count + 1).tolist()
        return list(zip(edges[:-1], edges[1:], strict=True))
    middle = (start + end) / 2
    pauses = [
        (group[i + 1][0] - group[i][1] - 0.02 * abs(group[i][1] - middle), i)
        for i in range(len(group) - 1)
    ]
    cut = max(pauses)[1] + 1
    return _split(group[:cut], max_s) + _split(group[cut:], max_s)


def _part(audio: Sound, span: Span) -> slice:
    """The samples of a span and a little on either side."""
    start = max(0, round((span[0] - PAD_S) * SAMPLE_RATE))
    return slice(start, min(audio.size, round((span[1] + PAD_S) * SAMPLE_RATE)))


def _storage(array: NDArray[Any]) -> Any:
    from faster_whisper.transcribe import get_ctranslate2_storage

    return get_ctranslate2_storage(array)


def _pieces(alignment: Iterable[dict[str, Any]]) -> Iterable[Word]:
    for word in alignment:
        text = str(word["word"])
        if text.strip():
            yield Word(float(word["start"]), float(word["end"]), text, float(word["probability"]))


def _doubtful(heard: Heard, window: _Window, options: RecognitionOptions) -> bool:
    """Text that loops, is too much for the speech, or far too little for it."""
    text = "".join(w.text for w in heard.words)
    seconds = window.span[1] - window.span[0]
    if window.lead_s and not normalise_for_cer(text):
        return True
    units = count_units(simplify(text))
    if units > options.max_units_per_s * max(seconds, 0.5) or _compression(text) > MAX_COMPRESSION:
        return True
    return seconds >= MIN_SECOND_LOOK_S and units < MIN_UNITS_PER_S * seconds


def _utterance(
    window: _Window,
    heard: Heard,
    options: RecognitionOptions,
    lexicon: Lexicon | None,
    hallucinations: frozenset[str],
) -> Utterance:
    speaker, span = window.speaker, window.span
    words = _characters(heard.words, max(0.0, span[0] - PAD_S), span)
    if lexicon is not None:
        words = _corrected(words, lexicon)
    text = "".join(w.text for w in words)
    spoken = [w.confidence for w in words if normalise_for_cer(w.text)]
    confidence = float(np.mean(spoken)) if spoken else 0.0
    reason = _reject(text, heard, span, options, hallucinations)
    if reason is not None:
        return Utterance(speaker, span[0], span[1], "", (), confidence, reason)
    return Utterance(speaker, span[0], span[1], text, tuple(words), confidence)


def _reject(
    text: str,
    heard: Heard,
    span: Span,
    options: RecognitionOptions,
    hallucinations: frozenset[str],
) -> str | None:
    plain = normalise_for_cer(text)
    if not plain:
        return "silence"
    if plain in hallucinations:
        return "hallucination"
    if heard.no_speech > options.no_speech_threshold and heard.logprob < options.min_logprob:
        return "silence"
    seconds = max(span[1] - span[0], 0.5)
    if (
        _compression(text) > MAX_COMPRESSION
        or count_units(text) > options.max_units_per_s * seconds
    ):
        return "loop"
    return None


def _compression(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def _characters(pieces: Sequence[Word], offset: Seconds, span: Span) -> list[Word]:
    """Split pieces into Han characters and Latin words; times within the utterance."""
    words: list[Word] = []
    for piece in pieces:
        parts = _parts(simplify(piece.text))
        spoken = max(1, sum(1 for p in parts if normalise_for_cer(p)))
        step = (piece.end - piece.start) / spoken
        at = piece.start
        for part in parts:
            if not normalise_for_cer(part):
                if words:
                    words[-1] = replace(words[-1], text=words[-1].text + part.strip())
                continue
            start = min(max(offset + at, span[0]), span[1])
            end = min(max(offset + at + step, start), span[1])
            words.append(Word(round(start, 3), round(end, 3), part, piece.confidence))
            at += step
    return words


def _parts(text: str) -> list[str]:
    parts: list[str] = []
    for character in text.translate(ODD_MARKS):
        latin = character.isascii() and character.isalnum()
        if latin and parts and parts[-1].isascii() and parts[-1].isalnum():
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def _corrected(words: list[Word], lexicon: Lexicon) -> list[Word]:
    """Write what sounds like a domain word as that word; times and confidences stay."""
    places = [i for i, w in enumerate(words) if is_hanzi(w.text[0])]
    plain = "".join(words[i].text[0] for i in places)
    for i, character in zip(places, lexicon.correct(plain), strict=True):
        if character != words[i].text[0]:
            words[i] = replace(words[i], text=character + words[i].text[1:])
    return words
