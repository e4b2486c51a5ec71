"""Whether words are a conversation: whether two voices, that may be one, speak as an agent and a customer.

Every turn has words that agents say more often (您, 我们) or customers (我, 你们). If there are two voices, one
has the agent's turns and the other the customer's; if there is one, all turns are of one role, or which
of the two "voices" they were given to says nothing about their words.

Conventions: times in seconds; likelihoods are natural logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from pipeline.errors import SettingsError
from pipeline.schema import Span, Speaker, Utterance
from pipeline.settings import ROLES, config_path
from pipeline.speech.legs import nearest_voice
from pipeline.text import normalise_for_cer

VOUCHED = 2.0  # the words are e**2 times as likely of two as of one
LONGEST = 2  # characters of a word of a role


def is_conversation(heard: Sequence[Utterance], speech: Mapping[Speaker, Sequence[Span]]) -> bool:
    """Whether words say that two voices are an agent and a customer.

    Parameters
    ----------
    heard : sequence of Utterance
        As of one voice, in the order of time.
    speech : mapping of label to spans
        Where each of two voices would speak.
    """
    words = [(nearest_voice(w.middle, speech), w.text) for u in heard for w in u.words]
    turns = [
        (voice, "".join(text for _, text in own))
        for voice, own in groupby(words, key=lambda word: word[0])
    ]
    return two_likelier(turns) >= VOUCHED


def two_likelier(turns: Sequence[tuple[Speaker, str]]) -> float:
    """How much likelier turns, each with its voice, are of an agent and a customer than of one voice.

    A turn of ``odds`` (of being the agent's) is 2 / (1 + exp(-odds)) times as likely of an agent as
    of anybody, and 2 / (1 + exp(odds)) times of a customer.
    """
    if not turns:
        return 0.0
    odds = np.array([_odds(text) for _, text in turns])
    voice = np.where([label == turns[0][0] for label, _ in turns], 1.0, -1.0)

    def likely(agents: np.ndarray) -> float:
        return float((np.log(2) - np.logaddexp(0, -agents * odds)).sum())

    everybody = np.ones(odds.size)
    one = max(0.0, likely(everybody), likely(-everybody))
    return max(likely(voice), likely(-voice)) - one


def _odds(text: str) -> float:
    """Log-odds that a turn is the agent's, by the words in it."""
    weights = _role_words(config_path(ROLES))
    plain = normalise_for_cer(text)
    if not plain:
        return 0.0
    found = {plain[i : i + n] for n in range(1, LONGEST + 1) for i in range(len(plain) - n + 1)}
    return weights.get("", 0.0) + sum(weights.get(word, 0.0) for word in found)


@lru_cache
def _role_words(path: Path) -> dict[str, float]:
    """Log-odds by word, and of no word; lines of a word, a tab and a number.

    Raises
    ------
    SettingsError
        If the file has other lines.
    """
    weights = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line[:1] != "#":
            word, _, weight = line.partition("\t")
            try:
                weights[word] = float(weight)
            except ValueError:
                raise SettingsError(
                    f'Line {number} of {path} is "{line}".',
                    "It must be a word, a tab and its log-odds, as data/make_role_words.py writes it.",
                ) from None
    return weights
