"""Recognition: each speaker's own speech decoded window by window, then checked.

What comes back is checked against the speech it was heard on: an utterance of which nothing was heard,
or not what would fit its length, is heard again by itself; text on silence, loops and known
hallucinations are rejected, with the reason kept and counted. Text that sounds like a much more probable
word, or like a domain word, is written as that word.

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds from the start of ``audio``.
Text is in simplified characters; words are single Han characters or Latin words, punctuation is
attached to the word before it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.schema import Seconds, Sound, Span, Speaker, Utterance, Word
from pipeline.settings import Asr
from pipeline.speech.asr.windows import Audios, Choosing, Decoder, Heard, Window, windows_of
from pipeline.speech.language import OTHER_LANGUAGE
from pipeline.text import (
    Lexicon,
    WordModel,
    count_units,
    dictated,
    is_hanzi,
    normalise_for_cer,
    repeats_itself,
    simplify,
)

MIN_SECOND_LOOK_S = 3.0
# Short last words of a speaker that were not understood are a farewell if nothing else is as likely.
FAREWELLS = ("再见。", "拜拜。")
OTHER_LAST_WORDS = ("嗯。", "对。", "好。", "好的。", "行。", "谢谢。", "没有。", "喂。", "是的。")
MAX_FAREWELL_S = 1.3
SURE_FAREWELL = 0.95
MIN_UNITS_PER_S = 0.8
UNSURE = "unsure"
SILENCE = "silence"
SHARE_OF_USUAL = 0.5  # of the speaker's own rate; text under that is far too little

UNWRITABLE = "\ufffd"  # a character of which the model wrote only some of the bytes
LATIN = re.compile("[A-Za-z0-9]")

# Small models write full-width letters, digits and small marks where a comma belongs.
ODD_MARKS = dict.fromkeys((*range(65296, 65306), *range(65313, 65371), *range(65104, 65131)), "，")


def recognise(
    speech: Iterable[tuple[Speaker, Sound, Sequence[Span]]],
    decoder: Decoder,
    options: Asr,
    *,
    lexicon: Lexicon | None = None,
    known_words: WordModel | None = None,
    hallucinations: frozenset[str] = frozenset(),
) -> tuple[Utterance, ...]:
    """Recognise each speaker's own speech; windows of all speakers are decoded together.

    Parameters
    ----------
    speech : iterable of (speaker, audio, spans)
        The audio in which each of them is heard, shape (n,), float32, 16 kHz, and where they speak
        in it; see :mod:`pipeline.speech.vad`.
    decoder : Decoder
    options : Asr
    lexicon : Lexicon, optional
        Domain words; a stretch of text that sounds like one is written as one.
    known_words : WordModel, optional
        Words of the language; one that is much likelier than what sounds the same is written for it.
    hallucinations : frozenset of str
        Texts that models invent on silence, without punctuation.

    Returns
    -------
    tuple of Utterance
        In the order of time; rejected ones carry the reason and no words.
    """
    voices = list(speech)
    windows = [
        window
        for speaker, audio, spans in voices
        for window in windows_of(
            audio,
            speaker,
            spans,
            join_gap_s=options.join_gap_s,
            max_s=options.max_utterance_s,
            short_s=options.short_s,
            others=[
                span
                for other, same, own in voices
                if other != speaker and same is audio
                for span in own
            ],
        )
    ]
    found = [
        (window, _utterance(window, heard, options, lexicon, known_words, hallucinations))
        for window, heard in _listen(windows, decoder, options)
    ]
    if isinstance(decoder, Choosing):
        found = _with_farewells(found, decoder)
    return tuple(sorted((u for _, u in found), key=lambda u: (u.start, u.end)))


def rejected(heard: Sequence[Utterance]) -> tuple[str, ...]:
    """Say how many texts were rejected as not spoken, and why; nothing when there were none.

    What was merely not understood is speech all the same and counted elsewhere.
    """
    not_spoken = (u.rejected for u in heard if u.rejected not in (None, UNSURE, OTHER_LANGUAGE))
    reasons = Counter(not_spoken)
    counts = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))
    return (f"Recognised text was rejected as not spoken: {counts}.",) if counts else ()


def _listen(
    windows: Sequence[Window], decoder: Decoder, options: Asr
) -> list[tuple[Window, Heard]]:
    """Decode all windows; every utterance, alone, with what was heard of it.

    There is a second look where the text does not fit the speech.
    """
    if not windows:
        return []
    heard = [
        (alone, share, window)
        for window, whole in zip(windows, decoder(Audios(windows)), strict=True)
        for alone, share in zip(window.alone(), window.shared_out(whole), strict=True)
    ]
    usual = _usual_rates(heard)
    found = [(alone, share) for alone, share, _ in heard]
    doubted = [i for i, row in enumerate(heard) if _doubtful(*row, usual, options)]
    if doubted:
        again = decoder(Audios([found[i][0] for i in doubted]), careful=True)
        for i, second in zip(doubted, again, strict=True):
            alone, first = found[i]
            found[i] = alone, _better(first, second, _seconds(alone), options)
    return found


def _with_farewells(
    found: list[tuple[Window, Utterance]], decoder: Choosing
) -> list[tuple[Window, Utterance]]:
    """Hear the last words of each speaker again as a farewell, where they are short and had no words."""
    last: dict[Speaker, Seconds] = {}
    for window, utterance in found:
        last[window.speaker] = max(utterance.start, last.get(window.speaker, utterance.start))
    return [
        (window, _farewell(window, decoder) or utterance)
        if utterance.start == last[window.speaker] and utterance.rejected in (SILENCE, UNSURE)
        else (window, utterance)
        for window, utterance in found
    ]


def _farewell(window: Window, decoder: Choosing) -> Utterance | None:
    """An utterance as the farewell that it surely is, or None."""
    start, end = window.spans[0]
    if end - start > MAX_FAREWELL_S:
        return None
    texts = (*FAREWELLS, *OTHER_LAST_WORDS)
    likely = dict(zip(texts, decoder.choose_among(window.audio, texts), strict=True))
    text = max(FAREWELLS, key=likely.__getitem__)
    if (sure := likely[text]) < SURE_FAREWELL:
        return None
    words = _characters((Word(0.0, end - start, text, sure),), start, (start, end))
    return Utterance(window.speaker, start, end, text, tuple(words), sure)


def _usual_rates(heard: Sequence[tuple[Window, Heard, Window]]) -> dict[Speaker, float]:
    """Units a second of each speaker, the median over their longer utterances."""
    rates: dict[Speaker, list[float]] = {}
    for alone, share, _ in heard:
        if _seconds(alone) >= MIN_SECOND_LOOK_S:
            rates.setdefault(alone.speaker, []).append(_units(share) / _seconds(alone))
    return {speaker: float(np.median(own)) for speaker, own in rates.items()}


def _doubtful(
    alone: Window,
    heard: Heard,
    window: Window,
    usual: Mapping[Speaker, float],
    options: Asr,
) -> bool:
    """No text where others were heard too; text that loops, is too much or far too little."""
    seconds, units = _seconds(alone), _units(heard)
    if len(window.spans) > 1 and not normalise_for_cer(_text(heard)):
        return True
    if _too_much(_text(heard), units, seconds, options):
        return True
    least = max(MIN_UNITS_PER_S, SHARE_OF_USUAL * usual.get(alone.speaker, 0.0))
    return seconds >= MIN_SECOND_LOOK_S and units < least * seconds


def _better(first: Heard, second: Heard, seconds: Seconds, options: Asr) -> Heard:
    """The second, unless it loops or has lost words that the first has."""
    kept = [h for h in (second, first) if not _too_much(_text(h), _units(h), seconds, options)]
    return max(kept, key=_units, default=second)


def _seconds(alone: Window) -> Seconds:
    return alone.spans[0][1] - alone.spans[0][0]


def _text(heard: Heard) -> str:
    return simplify("".join(w.text for w in heard.words))


def _units(heard: Heard) -> int:
    return count_units(_text(heard))


def _too_much(text: str, units: int, seconds: Seconds, options: Asr) -> bool:
    """Whether a text loops, or is more than can be said in the time."""
    return units > options.max_units_per_s * max(seconds, 0.5) or repeats_itself(text)


def _utterance(
    window: Window,
    heard: Heard,
    options: Asr,
    lexicon: Lexicon | None,
    known_words: WordModel | None,
    hallucinations: frozenset[str],
) -> Utterance:
    speaker, span = window.speaker, window.spans[0]
    words = _characters(heard.words, window.cuts[0][0], span)
    if known_words is not None:
        words = _as_known(words, known_words, options.homophone_cost)
    if lexicon is not None:
        words = _corrected(words, lexicon)
    words = _dictated(words)
    text = "".join(w.text for w in words)
    spoken = [w.confidence for w in words if normalise_for_cer(w.text)]
    confidence = float(np.mean(spoken)) if spoken else 0.0
    reason = _reject(text, heard, span, options, hallucinations)
    if reason is None and confidence < options.min_confidence:
        reason = UNSURE
    if reason is not None:
        return Utterance(speaker, span[0], span[1], "", (), confidence, reason)
    return Utterance(speaker, span[0], span[1], text, tuple(words), confidence)


def _reject(
    text: str,
    heard: Heard,
    span: Span,
    options: Asr,
    hallucinations: frozenset[str],
) -> str | None:
    plain = normalise_for_cer(text)
    if not plain:
        return SILENCE
    if plain in hallucinations:
        return "hallucination"
    if heard.no_speech > options.no_speech_threshold and heard.logprob < options.min_logprob:
        return SILENCE
    if _too_much(text, count_units(text), span[1] - span[0], options):
        return "loop"
    return None


def _characters(pieces: Sequence[Word], offset: Seconds, span: Span) -> list[Word]:
    """Split pieces into Han characters and Latin words; times within the utterance.

    Blanks stay between Latin words only, after the first of them.
    """
    words: list[Word] = []
    blank = False
    for piece in pieces:
        parts = _parts(simplify(piece.text.replace(UNWRITABLE, "")))
        spoken = max(1, sum(1 for p in parts if normalise_for_cer(p)))
        step = (piece.end - piece.start) / spoken
        at = piece.start
        for part in parts:
            if not normalise_for_cer(part):
                if words:
                    words[-1] = replace(words[-1], text=words[-1].text + part.strip())
                blank = part.isspace()
                continue
            if blank and words and LATIN.match(part) and LATIN.match(words[-1].text):
                words[-1] = replace(words[-1], text=words[-1].text + " ")
            blank = False
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


def _as_known(words: list[Word], known: WordModel, cost: float) -> list[Word]:
    """Write known words for others of their sound, between marks; times and confidences stay."""
    runs: list[list[Word]] = [[]]
    for word in words:
        if not is_hanzi(word.text[0]) and runs[-1]:
            runs.append([])
        runs[-1].append(word)
        if len(word.text) > 1 or not is_hanzi(word.text[0]):
            runs.append([])
    written: list[Word] = []
    for run in runs:
        plain = "".join(w.text[0] for w in run)
        if len(run) > 1:
            plain = known.corrected(plain, [w.confidence for w in run], cost)
        written += _rewritten(run, plain)
    return written


def _corrected(words: list[Word], lexicon: Lexicon) -> list[Word]:
    """Write what sounds like a domain word as that word; times and confidences stay."""
    places = [i for i, w in enumerate(words) if is_hanzi(w.text[0])]
    plain = lexicon.correct("".join(words[i].text[0] for i in places))
    for i, word in zip(places, _rewritten([words[i] for i in places], plain), strict=True):
        words[i] = word
    return words


def _dictated(words: list[Word]) -> list[Word]:
    """Write numbers that were said digit by digit in one way, as one word of digits."""
    text, edges = "", [0]
    for word in words:
        text += word.text
        edges.append(len(text))
    for start, end, digits in reversed(dictated(text)):
        first, last = bisect_right(edges, start) - 1, bisect_left(edges, end)
        own = words[first:last]
        if edges[first] != start:
            continue
        sure = sum(w.confidence for w in own) / len(own)
        after = text[end : edges[last]]
        words[first:last] = [Word(own[0].start, own[-1].end, digits + after, round(sure, 4))]
    return words


def _rewritten(words: Sequence[Word], characters: str) -> list[Word]:
    """The same words with other first characters."""
    return [
        w if w.text[0] == c else replace(w, text=c + w.text[1:])
        for w, c in zip(words, characters, strict=True)
    ]
