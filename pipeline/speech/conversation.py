"""Whether words are a conversation: whether two voices, that may be one, speak as an agent and a customer.

Every turn has words that agents say more often (您, 我们) or customers (我, 你们). If there are two voices, one
has the agent's turns and the other the customer's; if there is one, all turns are of one role, or which
of the two "voices" they were given to says nothing about their words.

Conventions: times in seconds; likelihoods are natural logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from pipeline.schema import Span, Speaker, Utterance
from pipeline.speech.legs import nearest_voice
from pipeline.speech.role_words import agent_odds

VOUCHED = 2.0  # the words are e**2 times as likely of two as of one


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
    odds = np.array([agent_odds(text) for _, text in turns])
    voice = np.where([label == turns[0][0] for label, _ in turns], 1.0, -1.0)

    def likely(agents: np.ndarray) -> float:
        return float((np.log(2) - np.logaddexp(0, -agents * odds)).sum())

    everybody = np.ones(odds.size)
    one = max(0.0, likely(everybody), likely(-everybody))
    return max(likely(voice), likely(-voice)) - one
