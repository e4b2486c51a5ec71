"""Compliance: judge calls by a rubric, score them, and merge what outside judges said.

A rubric is a YAML file (``configs/rubrics``, ``docs/rubrics.md``); the engine knows no item by name.
``judge`` gives one verdict per item with its evidence, ``score`` the 0-100 score with its
arithmetic, ``trace`` what was looked for and found.
"""

from pipeline.rubric.choosing import Rubrics
from pipeline.rubric.judging import Trace, annotated, judge, trace
from pipeline.rubric.lint import (
    Change,
    ExampleResult,
    Problem,
    check_rubric,
    diff_verdicts,
    run_examples,
)
from pipeline.rubric.load import Item, Rubric, find_rubric, load_rubric, rubric_from_text
from pipeline.rubric.scoring import ScoreCard, Subtotal, score

__all__ = [
    "Change",
    "ExampleResult",
    "Item",
    "Problem",
    "Rubric",
    "Rubrics",
    "ScoreCard",
    "Subtotal",
    "Trace",
    "annotated",
    "check_rubric",
    "diff_verdicts",
    "find_rubric",
    "judge",
    "load_rubric",
    "rubric_from_text",
    "run_examples",
    "score",
    "trace",
]
