"""The notation in which a rubric writes what people say, and its compiled form.

=================  ==================================================================
``(a|b)``          one of several wordings
``[a]`` ``(a|b)?``  words that may be missing
``还!``             a character that must have been heard, if only by sound
``…``              up to twelve other characters
``{surname}``      a slot: something known or captured, see :mod:`pipeline.text.phonetic.slots`
=================  ==================================================================

Everything else is spoken text. A phrase is compiled once, when the rubric is loaded, into a few
sequences of words (each a choice of literals), slots and gaps.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import product

from pipeline.errors import RubricError
from pipeline.text import simplify, spoken_form, syllables
from pipeline.text.similarity import Sound, sound_of

MAX_GAP = 12
MAX_EXPANSION = 512
MAX_NOTATION = 500  # characters of a phrase
MAX_OPEN = 8  # gaps and slots of a phrase: what can be anything takes long to search
_TOKEN = re.compile(r"\{[^{}]*\}|…+|\)\?|[()\[\]|]|[^(){}\[\]|…]+")
_FULL_WIDTH = re.compile("[（）［］｛｝｜]|(?<=[)）])？")
_PARTICLES = frozenset("的了吗呢吧啊呀啦嘛")
_PARTICLE_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Literal:
    """Characters to be found by sound, which is worked out when it is first looked for.

    ``spoken`` has the marks between them too, ``weights`` say how much each character counts,
    ``required`` which of them must not be missing.
    """

    text: str
    spoken: str
    weights: tuple[float, ...]
    required: tuple[bool, ...]

    @cached_property
    def sounds(self) -> tuple[Sound | None, ...]:
        """The sound of each character; nothing for one that has none."""
        heard = zip(self.spoken, syllables(self.spoken), strict=True)
        return tuple(sound_of(s) if s else None for c, s in heard if c.isalnum())

    def letter(self, index: int) -> Letter:
        """Everything that matters about one character."""
        return self.text[index], self.sounds[index], self.weights[index], self.required[index]

    @cached_property
    def total(self) -> float:
        """Sum of the weights."""
        return sum(self.weights)


Letter = tuple[str, Sound | None, float, bool]  # character, sound, weight, required


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A node of the prefix tree of some literals: a letter, what follows, and what ends here."""

    letter: Letter
    following: tuple[Branch, ...]
    ends: tuple[Literal, ...]


@dataclass(frozen=True, eq=False)
class Words:
    """A choice of literals, one of which is said."""

    options: tuple[Literal, ...]
    trees: dict[tuple[Literal, ...], tuple[Branch, ...]] = field(default_factory=dict)

    def tree(self, options: tuple[Literal, ...]) -> tuple[Branch, ...]:
        """Some of the options as a prefix tree, so that common beginnings are searched once."""
        if options not in self.trees:
            self.trees[options] = _branches(options, 0)
        return self.trees[options]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a phrase that is filled by a value, such as a surname or a duration."""

    name: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Up to ``longest`` other characters."""

    longest: int = MAX_GAP


Element = Words | Slot | Gap


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase of a rubric: its notation and every plain sequence it stands for."""

    notation: str
    sequences: tuple[tuple[Element, ...], ...]

    @property
    def slots(self) -> frozenset[str]:
        """Names of the slots used."""
        return frozenset(e.name for s in self.sequences for e in s if isinstance(e, Slot))

    @property
    def first(self) -> str:
        """The first literal of the first sequence."""
        return next(e.options[0].text for e in self.sequences[0] if isinstance(e, Words))


@cache
def parse_phrase(notation: str) -> Phrase:
    """Compile a phrase.

    Parameters
    ----------
    notation : str
        The phrase as written in the rubric.

    Returns
    -------
    Phrase
        With at least one sequence, each holding at least one literal.

    Raises
    ------
    RubricError
        If brackets do not match, nothing is to be said, or it stands for too many wordings.

    Examples
    --------
    >>> [o.text for o in parse_phrase("请[您](稍等|等一下)").sequences[0][0].options]
    ['请您稍等', '请您等一下', '请稍等', '请等一下']
    """
    wide = _FULL_WIDTH.search(notation)
    if wide:
        raise RubricError(
            f'The phrase "{notation}" holds the full-width "{wide[0]}".',
            f'Write "{unicodedata.normalize("NFKC", wide[0])}"; a full-width one means nothing here.',
        )
    tokens = _TOKEN.findall(notation)
    if len(notation) > MAX_NOTATION or sum(t[0] in "…{" for t in tokens) > MAX_OPEN:
        raise RubricError(
            f'The phrase "{notation[:40]}…" is too long: {MAX_NOTATION} characters and {MAX_OPEN} '
            "gaps and slots are the most.",
            "Write it as two or more phrases.",
        )
    if "".join(tokens) != notation:
        raise RubricError(f'The phrase "{notation}" has an unmatched brace.')
    sequences = _by_chunks(tokens, notation) or _by_expansion(tokens, notation)
    for sequence in sequences:
        if not any(isinstance(e, Words) for e in sequence):
            raise RubricError(
                f'The phrase "{notation}" can stand for no spoken words at all.',
                "Leave at least one word outside of [optional] brackets and slots.",
            )
    return Phrase(notation, sequences)


@cache
def literal(text: str) -> Literal:
    """Make a literal; punctuation and spaces are dropped, numbers spoken out."""
    spoken = spoken_form(simplify(text))
    required = {m.start() - i for i, m in enumerate(re.finditer("!", spoken))}
    spoken = spoken.replace("!", "")
    heard = [(c, i + 1 in required) for i, c in enumerate(spoken) if c.isalnum()]
    chars = "".join(c for c, _ in heard)
    content = any(c not in _PARTICLES for c in chars)
    weights = tuple(_PARTICLE_WEIGHT if content and c in _PARTICLES else 1.0 for c in chars)
    return Literal(chars, spoken, weights, tuple(r for _, r in heard))


def _branches(options: tuple[Literal, ...], depth: int) -> tuple[Branch, ...]:
    groups: dict[Letter, list[Literal]] = {}
    for option in options:
        if len(option.text) > depth:
            groups.setdefault(option.letter(depth), []).append(option)
    return tuple(
        Branch(
            letter,
            _branches(tuple(group), depth + 1),
            tuple(o for o in group if len(o.text) == depth + 1),
        )
        for letter, group in groups.items()
    )


def _by_chunks(tokens: list[str], notation: str) -> tuple[tuple[Element, ...], ...]:
    """Compile at the top-level gaps and slots; nothing if one stands inside brackets."""
    chunks: list[list[str]] = [[]]
    marks: list[str] = []
    depth = 0
    for token in tokens:
        depth += (token in ("(", "[")) - (token in (")", ")?", "]"))
        if token[0] in "…{":
            if depth:
                return ()
            marks.append(token)
            chunks.append([])
        else:
            chunks[-1].append(token)
    out: list[Element] = []
    for index, chunk in enumerate(chunks):
        if chunk:
            options = [literal(t) for t in _expand(chunk, notation)]
            if not all(o.text for o in options):
                return ()
            out.append(Words(tuple(dict.fromkeys(options))))
        if index < len(marks):
            out.append(_mark(marks[index]))
    return (_trimmed(out),)


def _by_expansion(tokens: list[str], notation: str) -> tuple[tuple[Element, ...], ...]:
    """Compile by writing out every wording."""
    sequences = []
    for text in _expand(tokens, notation):
        parts = re.findall(r"\{[^{}]*\}|…+|[^{}…]+", text)
        elements = [
            _mark(p) if p[0] in "…{" else Words((literal(p),))
            for p in parts
            if p[0] in "…{" or literal(p).text
        ]
        sequences.append(_trimmed(elements))
    return tuple(dict.fromkeys(sequences))


def _mark(token: str) -> Element:
    return Slot(token[1:-1].strip()) if token.startswith("{") else Gap(MAX_GAP * len(token))


def _trimmed(elements: list[Element]) -> tuple[Element, ...]:
    while elements and isinstance(elements[0], Gap):
        elements = elements[1:]
    while elements and isinstance(elements[-1], Gap):
        elements = elements[:-1]
    return tuple(elements)


def _expand(tokens: list[str], notation: str) -> list[str]:
    texts, rest = _alternatives(tokens, notation)
    if rest:
        raise RubricError(f'The phrase "{notation}" has an unmatched "{rest[0]}".')
    if len(texts) > MAX_EXPANSION:
        raise RubricError(
            f'The phrase "{notation}" stands for {len(texts)} wordings, '
            f"and {MAX_EXPANSION} is the most.",
            "Write it as two or more phrases.",
        )
    return texts


def _alternatives(tokens: list[str], notation: str) -> tuple[list[str], list[str]]:
    """Expand up to a closing bracket; give the texts and the tokens left."""
    options: list[str] = []
    current = [""]
    while tokens and tokens[0] not in (")", ")?", "]"):
        token, tokens = tokens[0], tokens[1:]
        if token == "|":
            options += current
            current = [""]
        elif token in ("(", "["):
            inner, tokens = _alternatives(tokens, notation)
            allowed = (")", ")?") if token == "(" else ("]",)
            if not tokens or tokens[0] not in allowed:
                raise RubricError(f'The phrase "{notation}" has an unmatched "{token}".')
            closing, tokens = tokens[0], tokens[1:]
            inner = inner if closing == ")" else [*inner, ""]
            if len(current) * len(inner) > MAX_EXPANSION * 4:
                raise RubricError(f'The phrase "{notation}" stands for too many wordings.')
            current = [a + b for a, b in product(current, inner)]
        else:
            current = [a + token for a in current]
        if len(current) > MAX_EXPANSION * 4:
            raise RubricError(f'The phrase "{notation}" stands for too many wordings.')
    return options + current, tokens
