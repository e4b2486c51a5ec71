"""Compliance scores from outside: a quality team's own sheet, joined to the calls and compared.

Parts: ``reading`` the sheet and whose call each row is; ``agreement`` how far both sides agree.
"""

from pipeline.qa_scores.agreement import JUDGED, Agreement, agreement, call_agreement, wilson
from pipeline.qa_scores.score_tables import (
    COLUMNS,
    VERDICT_WORDS,
    Joined,
    Scores,
    is_missing_call,
    join,
    nameless,
    newest,
    read_scores,
)

__all__ = [
    "COLUMNS",
    "JUDGED",
    "VERDICT_WORDS",
    "Agreement",
    "Joined",
    "Scores",
    "agreement",
    "call_agreement",
    "is_missing_call",
    "join",
    "nameless",
    "newest",
    "read_scores",
    "wilson",
]
