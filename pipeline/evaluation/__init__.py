"""Results measured against ground truth: text, speakers, turns, events, measures, verdicts.

``find_truths`` lists the labelled calls of a folder, ``evaluate_call`` measures one result against
its truth, ``summarise`` pools calls, ``compare`` says what moved since an earlier evaluation. Every
figure comes with the number of cases that it rests on. Tolerances are constants of the modules and
are repeated in ``NOTES``, to be shown with the figures. Nothing here runs a model.
"""

from pipeline.evaluation.call_evaluation import CallEvaluation, evaluate_call
from pipeline.evaluation.summary import (
    ITEM_HEADER,
    NOTES,
    TABLE_HEADER,
    Evaluation,
    Move,
    compare,
    read_baseline,
    summarise,
)
from pipeline.evaluation.switch_agreement import compare_with_switch
from pipeline.evaluation.transcripts import HEADER as TRANSCRIPTS_HEADER
from pipeline.evaluation.transcripts import compare_texts, joined, read_transcripts
from pipeline.evaluation.truth import find_truths

__all__ = [
    "ITEM_HEADER",
    "NOTES",
    "TABLE_HEADER",
    "TRANSCRIPTS_HEADER",
    "CallEvaluation",
    "Evaluation",
    "Move",
    "compare",
    "compare_texts",
    "compare_with_switch",
    "evaluate_call",
    "find_truths",
    "joined",
    "read_baseline",
    "read_transcripts",
    "summarise",
]
