"""Judge the first agent of a call that a second one took over.

The first agent is judged by the first leg alone. What was omitted there counts only where the first agent
had the chance: in the opening, or well before the handover. Everything else that is missing may have been
the second agent's to do, so nobody is accused of it.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline.rubric.judging import judge
from pipeline.rubric.load import Rubric
from pipeline.schema import Dialogue, Seconds, Verdict

NEAR_S = 20.0  # before the handover


def judge_first_leg(dialogue: Dialogue, rubric: Rubric) -> tuple[Verdict, ...]:
    """One verdict per item, of the first agent's part; of a call of one leg, of the whole."""
    own = tuple(t for t in dialogue.turns if t.leg == 1)
    if len(own) == len(dialogue.turns):
        return judge(dialogue, rubric)
    end = max((t.end for t in own), default=0.0)
    events = tuple(e for e in dialogue.events if e.start < end)
    verdicts = judge(replace(dialogue, turns=own, events=events), rubric)
    return tuple(_left_open(v, end) if _may_be_the_others(v, end) else v for v in verdicts)


def _may_be_the_others(verdict: Verdict, end: Seconds) -> bool:
    if verdict.verdict != "fail" or verdict.evidence != "omitted":
        return False
    early = verdict.trigger_end is not None and verdict.trigger_end <= end - NEAR_S
    return verdict.place != "opening" and not early


def _left_open(verdict: Verdict, end: Seconds) -> Verdict:
    note = f"another agent takes over at {end:.0f} s and may have had to do it"
    return replace(
        verdict, verdict="cannot_tell", score=None, max_score=None, probability=None, note=note
    )
