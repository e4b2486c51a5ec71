"""Character errors, and the part of them that sounds different.

The character error rate is (substitutions + deletions + insertions) / characters of the truth,
summed over a corpus. Both sides are brought into one form first,
:func:`pipeline.text.normalise_for_cer` (NFKC, lower case, simplified, numbers as spoken, no
punctuation). The syllable error rate is counted on the same alignment and forgives substitutions
of the same toneless syllable (homophones); of several shortest alignments the first one counts, so
it may be a little above the least possible. The bias that recognition errors put on the speaking
rate is (insertions - deletions) / characters of the truth.

Text is compared speaker by speaker, so what was given to the wrong role is an error on both sides.
Cut turns are left out: of the truth, and of what was heard in their time from the same speaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rapidfuzz.distance import Levenshtein

from pipeline.evaluation.truth import TrueTurn
from pipeline.schema import SPEAKERS, CallResult, Seconds, Speaker, Word
from pipeline.text import normalise_for_cer, syllables

WORD_REACH_S = 0.2
"""A word up to this far outside of a cut turn, and no nearer to another, was said in it."""


@dataclass(frozen=True, slots=True)
class TextErrors:
    """Counts on one alignment; counts of several speakers and calls add up."""

    characters: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    homophones: int = 0  # substitutions of the same toneless syllable

    def __add__(self, other: TextErrors) -> TextErrors:
        return TextErrors(
            self.characters + other.characters,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.homophones + other.homophones,
        )

    @property
    def errors(self) -> int:
        """Wrong characters of all kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def cer(self) -> float | None:
        """Character error rate; above 1 when more was invented than said."""
        return self.errors / self.characters if self.characters else None

    @property
    def rate_bias(self) -> float | None:
        """What the errors do to the speaking rate: a substituted character still counts as one."""
        return (self.insertions - self.deletions) / self.characters if self.characters else None

    @property
    def syllable_error_rate(self) -> float | None:
        """The same without homophones."""
        return (self.errors - self.homophones) / self.characters if self.characters else None


def text_errors(result: CallResult, turns: Sequence[TrueTurn]) -> dict[Speaker, TextErrors]:
    """Count the character errors of each speaker of a call."""
    return {s: align(true_text(turns, s), heard_text(result, turns, s)) for s in SPEAKERS}


def align(truth: str, heard: str) -> TextErrors:
    """Count the errors between two texts in comparison form.

    >>> align("我姓张", "我姓章")
    TextErrors(characters=3, substitutions=1, deletions=0, insertions=0, homophones=1)
    """
    edits = Levenshtein.editops(truth, heard)
    sounds, heard_sounds = syllables(truth), syllables(heard)
    kinds = [e.tag for e in edits]
    alike = sum(
        e.tag == "replace" and sounds[e.src_pos] == heard_sounds[e.dest_pos] != "" for e in edits
    )
    return TextErrors(
        len(truth), kinds.count("replace"), kinds.count("delete"), kinds.count("insert"), alike
    )


def true_text(turns: Sequence[TrueTurn], speaker: Speaker) -> str:
    """What the speaker said in turns that were not cut, in comparison form."""
    return "".join(normalise_for_cer(t.text) for t in turns if t.speaker == speaker and not t.cut)


def heard_text(result: CallResult, turns: Sequence[TrueTurn], speaker: Speaker) -> str:
    """What the speaker was heard to say outside of cut turns, in comparison form.

    Numbers are read utterance by utterance: digits on either side of a pause are two numbers.
    """
    own = [t for t in turns if t.speaker == speaker]
    words = sorted(
        (
            (w, number)
            for number, u in enumerate(result.utterances)
            if u.speaker == speaker
            for w in u.words
            if not _in_cut_turn(w, own)
        ),
        key=lambda x: (x[0].start, x[0].end),
    )
    runs = groupby(words, key=lambda x: x[1])
    return "".join(normalise_for_cer("".join(w.text for w, _ in run)) for _, run in runs)


def _in_cut_turn(word: Word, own: Sequence[TrueTurn]) -> bool:
    """Whether the turn that the word was said in, or is next to, was cut."""
    middle = word.middle

    def distance(turn: TrueTurn) -> Seconds:
        return max(turn.start - middle, middle - turn.end, 0.0)

    nearest = min(own, key=distance, default=None)
    return nearest is not None and nearest.cut and distance(nearest) <= WORD_REACH_S
