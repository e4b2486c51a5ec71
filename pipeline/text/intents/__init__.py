"""Meaning by examples: what has no fixed words is recognised by sentences that a team writes down.

``IntentReader.probability(text, intent)`` says how surely a text shows an intent, ``spans`` which
sentence does, ``answer`` whether it is in doubt. Intents are files in ``configs/intents``
(``docs/intents.md``). Polarity is the weak side of sentence embeddings (我不理解您为什么激动): phrases and
the negation guard of a rule stay as evidence beside it.
"""

from pipeline.text.intents.definitions import Definition, Definitions, load_definitions
from pipeline.text.intents.embedding import Embedder, find_embedder
from pipeline.text.intents.heads import Judged, train
from pipeline.text.intents.reading import IntentReader, Sentence

__all__ = [
    "Definition",
    "Definitions",
    "Embedder",
    "IntentReader",
    "Judged",
    "Sentence",
    "find_embedder",
    "load_definitions",
    "train",
]
