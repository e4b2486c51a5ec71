"""Mandarin text: simplified characters, spoken forms, spoken units, toneless syllables, lexicons.

Every room may use this one. Texts are ``str`` in, ``str`` out; nothing here knows about audio or
about a particular call. Counting rules follow the usual practice for Mandarin speech tempo: one
unit is one syllable as spoken, so digits are expanded before they are counted.
"""

from pipeline.text.domain import Lexicon
from pipeline.text.lexicons import backchannels, is_backchannel, opens_a_turn, surnames
from pipeline.text.numbers import dictated, spoken_form
from pipeline.text.script import is_hanzi, normalise_for_cer, simplify
from pipeline.text.sounds import readings, sound_line, syllables
from pipeline.text.units import count_units
from pipeline.text.words import WordModel, repeats_itself

__all__ = [
    "Lexicon",
    "WordModel",
    "backchannels",
    "count_units",
    "dictated",
    "is_backchannel",
    "is_hanzi",
    "normalise_for_cer",
    "opens_a_turn",
    "readings",
    "repeats_itself",
    "simplify",
    "sound_line",
    "spoken_form",
    "surnames",
    "syllables",
]
