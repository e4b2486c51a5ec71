"""Words of a role: those that agents say more often than customers (您, 我们), and the others (我, 你们).

The weights (``configs/lexicons/roles.tsv``) are those of a logistic regression over the turns of labelled
dialogues; ``data/make_role_words.py`` fits them. They are natural logarithms of odds.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.settings import ROLES, config_path
from pipeline.text import normalise_for_cer

LONGEST = 2  # characters of a word of a role


def agent_odds(text: str) -> float:
    """Log-odds that a turn is the agent's and not the customer's, by the words in it.

    Raises
    ------
    SettingsError
        If the list of words cannot be read.

    >>> agent_odds("请问您贵姓") > 0 > agent_odds("你们怎么还不给我退钱")
    True
    """
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
