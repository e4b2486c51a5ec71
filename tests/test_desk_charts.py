"""Charts to the letter, against ``tests/golden``; ``python -m tests.test_desk_charts`` draws them anew."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pipeline.agents import BASELINE_WEEKS, Funnel, Pool, TeamWeek, control, team_weeks
from pipeline.desk import charts
from pipeline.desk.charts import Mark

GOLDEN = Path(__file__).parent / "golden"


def drawn() -> dict[str, str]:
    """Each chart over a few values, with what it draws specially."""
    common = {"title": "<语速>", "note": "", "head": ("周",), "rows": (), "number": "{:.0f}".format}
    weekly = [
        Mark("W01", 200.0, 190.0, 212.0, "12通", title="W01 & 12"),
        Mark("W02", math.nan),
        Mark("W03", 220.0, 204.0, 236.0, "4通", few=True),
        Mark("W04", 188.0, 181.0, 195.0, "14通"),
    ]
    calls = [Mark("03-04", 209.0, href="/calls/a?b=1&c=2"), Mark("03-12", 233.0, href="/calls/b")]
    agents = [Mark("小张", 80.0, href="/agents/a"), Mark("小何", 40.0, href="/agents/b")]
    before, after = Mark("之前", 212.0, 205.0, 219.0), Mark("之后", 190.0, 184.0, 196.0)
    team = [Mark(f"W{i:02d}", 78.0 + i % 3, under="30通") for i in range(13)]
    team.append(Mark("W13", 60.0, under="4通", title="W13"))
    limits = [(72.0, 86.0)] * 13 + [(62.0, 96.0)]
    found = {
        "trend": charts.trend(
            weekly, unit="字/分", norm=(135, 165, "标准"), median=(202, "中位"), change=(3, "▼"),
            **common,
        ),
        "strip": charts.strip(calls, unit="字/分", median=(202, "中位"), **common),
        "funnel": charts.funnel(
            agents, [30, 60], Funnel(78, 144, 9).limits, 78, unit="分", across="通数", **common
        ),
        "control": charts.control(team, limits, 79.0, baseline=(12, "基线"), unit="分", **common),
        "before_after": charts.before_after(
            before, after, Mark("差别", -22.0, -31.0, -13.0), aim=-20.0, **common
        ),
    }  # fmt: skip
    scale = charts.column_scale([0.0, 100.0])
    svg = {name: str(chart.svg) for name, chart in found.items()}
    return svg | {"cell": str(charts.cell(Mark("小张", 50, -20, 140, title="50"), scale, 40.0))}


def lines(svg: str) -> str:
    """An SVG with a line an element."""
    return svg.replace("><", ">\n<") + "\n"


@pytest.mark.parametrize("name", sorted(drawn()))
def test_a_chart_is_drawn_to_the_letter(name: str):
    assert lines(drawn()[name]) == (GOLDEN / f"{name}.svg").read_text("utf-8")


def test_the_weeks_of_a_team_are_its_calls_together():
    pool, rng = Pool(), np.random.default_rng(3)
    scores = rng.normal(78, 9, 120)
    days = [f"2026-0{1 + i % 3}-{5 + i % 20:02d}T09:00:00+08:00" for i in range(120)]
    pool.add(
        {
            "agent_id": [f"A{i % 4}" for i in range(120)],
            "started_at": days,
            "team": ["t"] * 120,
            "compliance_score": scores,
        }
    )
    by_week = pool.weeks()
    weeks = team_weeks(by_week, "compliance_score", range(len(by_week.week)))
    assert sum(w.calls for w in weeks) == 120
    assert sum(w.calls * w.mean for w in weeks) == pytest.approx(scores.sum())
    assert [w.week for w in weeks] == sorted(w.week for w in weeks)


def test_a_stable_team_seldom_leaves_its_limits_and_a_shifted_one_does():
    rng, n = np.random.default_rng(5), 60

    def outside(shift: float) -> float:
        found = []
        for _ in range(300):
            means = rng.normal(78, 9 / np.sqrt(n), 26) + rng.normal(0, 0.5, 26)
            means[BASELINE_WEEKS:] += shift
            weeks = [TeamWeek(f"{i:02d}", m, n, 81 / n) for i, m in enumerate(means)]
            limits = control(weeks)
            assert limits is not None
            low, high = limits.control(n)
            found.append(any(not low <= m <= high for m in means[BASELINE_WEEKS:]))
        return float(np.mean(found))

    assert outside(0.0) < 0.15  # of 14 weeks of a team whose weeks vary too
    assert outside(6.0) > 0.95
    assert control([TeamWeek(f"{i:02d}", 78, n, 81 / n) for i in range(11)]) is None


if __name__ == "__main__":
    for chart, svg in drawn().items():
        (GOLDEN / f"{chart}.svg").write_text(lines(svg), "utf-8")
