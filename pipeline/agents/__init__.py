"""Agents compared fairly: pooled measures with intervals, shrinkage, and a word beside the team.

Calls without ``agent_id`` form one row with a null ``agent_id``, which is compared with nobody.
All follows from a few sums per agent, local day and measure, to which calls are added in parts:
memory grows with the agents and days, not with the calls. A week is written ``2026-W11`` (ISO 8601),
a day is the date of ``started_at`` as it is written there. A week is compared with the team the
agent was in then.

Importing this loads NumPy alone, so that pages start quickly; data frames are in ``tables``.

What is pooled and how stands in :mod:`pipeline.measures`. Parts: ``pool`` sums, and who is compared
with whom; ``estimates`` the statistics; ``comparison`` states; ``change`` what changed, and goals;
``advice`` what to work on and what to praise; ``case_mix`` adjustment for kinds of calls; ``funnel``
limits of funnel plots and control charts; ``tables`` data frames.

Examples
--------
>>> pool = Pool()
>>> pool.add({"agent_id": ["a", "a"], "compliance_score": [80.0, 90.0]})
>>> found = pool.agents()
>>> float(found.of["compliance_score"].mean[0]), found.state["compliance_score"][0]
(85.0, 'too_few')
"""

from pipeline.agents.advice import Act, Candidate, Praise, Suggestion, candidates, focus, praise
from pipeline.agents.case_mix import Adjustment, By, CaseMix
from pipeline.agents.change import Changes, GoalCheck, Level, changes, check_goal, levels
from pipeline.agents.comparison import STATES, State, state_words
from pipeline.agents.estimates import Estimate
from pipeline.agents.funnel import (
    BASELINE_WEEKS,
    Funnel,
    TeamWeek,
    control,
    funnel,
    team_weeks,
)
from pipeline.agents.pool import MIN_CALLS, Compared, History, Pool, iso_week

__all__ = [
    "BASELINE_WEEKS",
    "MIN_CALLS",
    "STATES",
    "Act",
    "Adjustment",
    "By",
    "Candidate",
    "CaseMix",
    "Changes",
    "Compared",
    "Estimate",
    "Funnel",
    "GoalCheck",
    "History",
    "Level",
    "Pool",
    "Praise",
    "State",
    "Suggestion",
    "TeamWeek",
    "candidates",
    "changes",
    "check_goal",
    "control",
    "focus",
    "funnel",
    "iso_week",
    "levels",
    "praise",
    "state_words",
    "team_weeks",
]
