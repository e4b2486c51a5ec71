"""The team page and the agent page: words for few calls, changes, praise from what was heard, charts."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents import Funnel, Pool, funnel
from pipeline.desk import charts
from pipeline.desk.figures import Figures, Weeks
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope
from pipeline.desk.words import LANGUAGES
from pipeline.rubric import load_rubric
from pipeline.store import Store
from tests.desk_client import check_page, client, get, text_of
from tests.desk_store import fill, people
from tests.test_desk import ODD_IDS
from tests.test_store import make_result
from tests.told import save_samples

SPARSE = "2026-W12"  # in which N152 has one call
ALL = "from=2025-W40&to=2026-W13"
ORDER = ["N108", "N161", "N152", "N143", "N160", "N165", "N102"]  # by name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """Half a year of made-up calls."""
    with Store.open(tmp_path_factory.mktemp("made") / "callcoach.db") as store:
        fill(store, people(per_week=11))
        yield store


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as opened:
        yield opened


# --- the team ------------------------------------------------------------------------------------


def test_the_team_says_who_changed_and_ranks_nobody(made: Store):
    page = get(client(made), "/team")
    text = text_of(page)
    assert re.search(r"小何 N108 语速变低，从 2026-W0[123] 起：−\d\d 字/分（−\d\d 到 −\d\d）", text)
    assert "小郭 N102 语速" not in text
    assert re.findall(r'<th scope="row"><a href="/agents/(\w+)', page)[:7] == ORDER
    assert "数据不足（3/10 通）" in text
    assert not re.search(r"第\s*\d+\s*名|前三|倒数|rank", text)


def test_an_agent_under_the_least_calls_stays_in_place_without_a_comparison(made: Store):
    page = get(client(made), "/team?min_calls=30")
    rows = re.findall(r'<tr><th scope="row"><a href="/agents/(\w+)".*?</tr>', page, re.S)
    assert rows[:7] == ORDER
    row = re.search(r'href="/agents/N143".*?</tr>', page, re.S)
    assert row is not None
    assert "数据不足（12/30 通）" in row[0]
    assert not re.search("班组相当|明显|看不出", row[0])
    assert 'class="dot few"' in row[0]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("max_calls=3", "min_calls"),
        ("sort=rank", "name"),
        ("min_calls=0", "10000"),
        ("from=2026-W60", "2026-W12"),
        ("from=2026-W09&to=2026-W03", "2026-W09"),
        ("direction=sideways", "inbound"),
    ],
)
def test_a_filter_that_is_not_known_is_refused_with_what_is(made: Store, query: str, said: str):
    assert said in text_of(get(client(made), f"/team?{query}", 400))


def test_filters_choose_the_calls_that_are_pooled(made: Store):
    browser = client(made)
    whole, half = (get(browser, f"/team?{ALL}{q}") for q in ("", "&queue=退款"))
    n = [int(re.search(r"· ([\d,]+) 通", text_of(p))[1].replace(",", "")) for p in (whole, half)]
    assert n[0] == sum(sum(p.calls) for p in people(per_week=11))
    assert 0.4 * n[0] < n[1] < 0.6 * n[0]


def test_the_same_numbers_as_in_the_exported_table(made: Store):
    from pipeline.agents.frames import agent_table

    table = agent_table(made.frame("calls")).set_index("agent_id")
    weeks = Weeks("2025-W40", "2026-W13")
    found = Figures().compared(Scope(made), Filters(), weeks)
    for row, agent in enumerate(found.agent_id):
        for name, e in found.of.items():
            for part in ("mean", "low", "high", "shrunk", "team_median", "percentile"):
                ours, theirs = float(getattr(e, part)[row]), table.loc[agent, f"{name}_{part}"]
                assert ours == pytest.approx(theirs, rel=1e-7, abs=1e-8, nan_ok=True), (name, part)
            state = table.loc[agent, f"{name}_state"]
            assert (found.state[name][row] or "") == (state if isinstance(state, str) else "")


def test_figures_follow_the_store(store: Store):
    figures, scope = Figures(), Scope(store)
    assert figures.compared(scope, Filters(), None).agent_id == []
    store.save(make_result("c1"))
    first = figures.compared(scope, Filters(), None)
    assert first.agent_id == ["A1"]
    assert figures.compared(scope, Filters(), None) is first
    store.save(make_result("c2"))
    assert figures.compared(scope, Filters(), None).calls.tolist() == [2]


# --- an agent ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("agent", ["N102", "N108", "N143", "N152"])
def test_every_agent_has_a_page_in_both_languages(made: Store, agent: str, language: str):
    for measure in ("agent_speaking_rate", "hold_s", "compliance_score"):
        get(client(made), f"/agents/{agent}?lang={language}&measure={measure}")


def test_three_calls_are_compared_with_nobody(made: Store):
    text = text_of(get(client(made), "/agents/N152"))
    assert "只有 3 通，满 10 通才与班组比较" in text
    assert "通数太少，不作比较（3/10）" in text
    assert not re.search("明显高于|明显低于|与班组相当|看不出差别", text)
    assert "最近 3 通" in text  # each call a dot, nothing joined
    assert "每周均值" not in text


def test_one_call_has_no_mean(store: Store):
    store.save(make_result("c1"))
    page = get(client(store), "/agents/A1")
    assert "只有一两通，不算平均" in text_of(page)
    assert 'class="cell"' not in page
    assert 'class="chart"' not in page


def test_weeks_without_calls_say_so(made: Store):
    text = text_of(get(client(made), "/agents/N152?from=2025-W40&to=2025-W44"))
    assert "2025-W40 到 2025-W44 之间没有这位坐席的通话" in text


def test_a_change_is_marked_where_it_began(made: Store):
    page = get(client(made), f"/agents/N108?{ALL}")
    assert "▼ 变化开始" in page
    assert re.search(r"语速变低，从 2026-W0[123] 起", text_of(page))
    assert "▼" not in get(client(made), f"/agents/N102?{ALL}")


def test_praise_is_for_what_was_heard_and_can_be_heard(made: Store):
    page = get(client(made), "/agents/N143")
    card = re.search(r'card good">(.*?)</section>', page, re.S)[1]
    assert "服务禁语" not in card  # not to have said it is no praise
    assert "「" in card
    assert re.findall(r'data-play="[\d.]+"', card)
    listen = get(client(made), f"/agents/N102?{ALL}")
    assert "请听" in text_of(re.search(r'card bad">(.*?)</section>', listen, re.S)[1])


def test_with_calls_enough_only_what_is_surely_worse_is_suggested(made: Store):
    card = re.search(r'card bad">(.*?)</section>', get(client(made), "/agents/N102"), re.S)[1]
    assert re.search(r"把握 (9\d|100)%", text_of(card))
    assert "规则：" in text_of(card)
    assert "没有哪一项可信地比班组差" in text_of(get(client(made), "/agents/N108"))


def test_nobody_is_judged_by_trial_models(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        store.save(
            dataclasses.replace(make_result("x1"), recording=store.load("invoice_mono").recording)
        )
        for address in ("/team", "/agents/N102"):
            text = text_of(get(client(store), address))
            assert "试用模型" in text
            assert not re.search("明显高于|明显低于|与班组相当|看不出差别|起点", text)


@pytest.mark.parametrize("agent", ODD_IDS)
def test_odd_ids_of_agents_are_only_text(store: Store, agent: str):
    from pipeline.store import slug_of

    result = make_result("c1")
    for i in range(3):
        recording = dataclasses.replace(
            result.recording, call_id=f"c{i}", agent_id=agent, agent_name="<i>&", team='"><b>'
        )
        store.save(dataclasses.replace(result, recording=recording))
    page = get(client(store), f"/agents/{slug_of(agent)}")
    assert "<i>&" not in page.replace("&lt;i&gt;&amp;", "")
    get(client(store), "/team")


def test_an_agent_that_is_not_there(made: Store):
    assert "没有这位坐席" in text_of(get(client(made), "/agents/nobody", 404))
    assert "语速" not in text_of(get(client(made), "/agents/N102?measure=agent_speed", 400))


def test_a_store_without_agents_says_how_to_name_them(store: Store):
    result = make_result("c1")
    store.save(
        dataclasses.replace(result, recording=dataclasses.replace(result.recording, agent_id=None))
    )
    assert "agent_id" in text_of(get(client(store), "/team"))


# --- pools and limits ----------------------------------------------------------------------------


def test_weeks_of_a_pool_are_those_pooled_alone():
    rng = np.random.default_rng(3)
    dates = [f"2026-0{m}-{d:02d}T10:00:00" for m in (1, 2, 3) for d in range(1, 28)]
    calls = {
        "agent_id": [str(rng.integers(4)) for _ in dates],
        "team": ["a"] * len(dates),
        "started_at": dates,
        "agent_speaking_rate": rng.normal(200, 20, len(dates)),
        "agent_rated_s": rng.uniform(50, 100, len(dates)),
    }
    whole, some = Pool(), Pool()
    whole.add(calls)
    kept = [i for i, d in enumerate(dates) if "2026-01-05" <= d[:10] <= "2026-02-15"]
    some.add(
        {
            k: v[kept] if isinstance(v, np.ndarray) else [v[i] for i in kept]
            for k, v in calls.items()
        }
    )
    ours, theirs = whole.within("2026-W02", "2026-W07").agents(), some.agents()
    assert ours.agent_id == theirs.agent_id
    for part in ("mean", "low", "high", "shrunk"):
        np.testing.assert_allclose(
            getattr(ours.of["agent_speaking_rate"], part),
            getattr(theirs.of["agent_speaking_rate"], part),
            rtol=1e-9,
        )


def test_few_agents_of_one_kind_lie_outside_the_funnel():
    rng, outside = np.random.default_rng(5), []
    for _ in range(60):
        pool = Pool()
        n = [int(rng.integers(10, 200)) for _ in range(30)]
        agents = [str(i) for i, k in enumerate(n) for _ in range(k)]
        level = np.repeat(rng.normal(78, 5, 30), n)
        pool.add(
            {
                "agent_id": agents,
                "compliance_score": np.clip(level + rng.normal(0, 9, len(level)), 0, 100),
            }
        )
        e = pool.agents().of["compliance_score"]
        found = funnel(e, range(30))
        assert found is not None
        low, high = np.array([found.limits(c)[2:] for c in e.calls]).T
        outside.append(((e.mean < low) | (e.mean > high)).mean())
    assert np.mean(outside) < 0.01
    assert Funnel(80, 81, 25).limits(1e9)[1] == pytest.approx(80 + 1.959964 * 5, rel=1e-6)


# --- charts --------------------------------------------------------------------------------------


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_few_and_inside(low: float, width: float):
    scale = charts.Scale(low, low + width, 0, 100)
    if scale.high <= scale.low:
        return
    found = charts.ticks(scale)
    assert len(found) <= 6
    assert all(low - 1e-6 * width <= t <= low + width * (1 + 1e-6) for t in found)


def test_a_chart_keeps_to_the_rules_and_escapes_its_words():
    marks = [
        charts.Mark("<b>W01", 200.0, 190.0, 210.0, "12通", title='"><script>', few=True),
        charts.Mark("W02", math.nan),
        charts.Mark("W03", 205.0, math.nan, math.nan, href="/calls/a?b=1&c=2"),
    ]
    options = {"title": "语速 <x>", "note": "", "unit": "字/分", "head": ("a",), "rows": (("b",),)}
    options |= {"number": lambda v: f"{v:.0f}"}
    drawn = [
        charts.trend(marks, **options, norm=(135, 165, "n"), median=(202, "m"), change=(1, "▼")),
        charts.strip(marks, **options, median=(202, "m")),
        charts.funnel(marks[::2], [3, 30], Funnel(200, 400, 9).limits, 200, across="n", **options),
    ]
    for chart in drawn:
        check_page(str(chart.svg))
        assert "<script" not in chart.svg
        assert "<x>" not in chart.svg
        assert "nan" not in chart.svg
    assert '<a href="/calls/a?b=1&amp;c=2"' in drawn[1].svg
    assert drawn[0].svg.count("<circle") == 2
    assert 'role="img"' in drawn[0].svg
    assert 'role="group"' in drawn[1].svg


def test_a_cell_that_is_cut_says_so():
    scale = charts.Scale(0, 100, 8, 152)
    cell = charts.cell(charts.Mark("a", 50, -20, 140), scale, 40.0)
    assert cell.count('class="cut"') == 2
    assert charts.cell(charts.Mark("a", math.nan), scale).count("<circle") == 0


def test_items_of_the_rubric_are_pooled_as_calls_are(made: Store):
    items = load_rubric("hotline").items
    names = {i.id: (i.name_zh, i.name_en) for i in items}
    found, rates = Figures().items(Scope(made), Filters(), "售后组", None, names)
    verdicts = made.frame("verdicts")
    calls = made.frame("calls", columns=["call_id", "agent_id"])
    judged = verdicts[verdicts.verdict.isin(["pass", "fail"])].merge(calls, on="call_id")
    plain = judged.groupby(["agent_id", "item_id"]).verdict.agg(lambda v: (v == "pass").mean())
    assert {r.name for r in rates} == set(judged.item_id)
    for row, agent in enumerate(found.agent_id):
        for one in rates:
            expected = plain.get((agent, one.name), math.nan)
            assert float(found.of[one.name].mean[row]) == pytest.approx(expected, nan_ok=True)


def test_kinds_of_calls_that_are_mixed_can_be_looked_at_alone(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        browser = client(store)
        page = get(browser, "/agents/N102")
        links = re.findall(r'href="([^"]*channels=\w+)">([^<]+)<', page)
        assert [text for _, text in links] == ["只看双声道（2 通）", "只看单声道（1 通）"]
        for address, calls in zip((href for href, _ in links), (2, 1), strict=True):
            alone = get(browser, address.replace("&amp;", "&"))
            assert f"N102 · 售后组 · {calls} 通" in text_of(alone)
            assert "混有" not in alone
            assert "声道: " in text_of(alone)
        assert "只看双声道" in text_of(get(browser, "/team?team=售后组"))
        get(browser, "/team?rubric=' OR 1=1", 400)
        get(browser, "/team?channels=three", 400)


def test_a_team_has_a_control_chart_from_twelve_weeks_on(made: Store):
    page = get(client(made), "/team")
    assert "合规得分：全组每周均值，界外 0 周" in text_of(page)
    assert "基线 12 周" in text_of(page)
    assert "全组每周均值" not in get(client(made), "/team?from=2025-W40&to=2025-W50")


def test_a_report_comes_by_a_link(made: Store):
    browser = client(made)
    link = re.search(r'href="(/agents/N108/report[^"]+)"', get(browser, "/agents/N108"))
    answer = browser.get(link[1].replace("&amp;", "&"))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="N108.html"'
    assert "语速变低" in text_of(answer.text)
    assert "<form" not in answer.text
    assert browser.get("/agents/nobody/report").status_code == 404


def test_the_front_door_leads_to_the_team_seen_last(made: Store):
    browser = client(made)
    assert browser.get("/", follow_redirects=False).headers["location"] == "/calls"
    get(browser, "/team?team=售后组")
    answer = browser.get("/", follow_redirects=False)
    assert answer.headers["location"] == f"/team?team={quote('售后组')}"


def test_one_or_two_calls_show_counts_instead_of_rates(made: Store):
    page = get(client(made), f"/agents/N152?from={SPARSE}&to={SPARSE}")
    items = page[page.index("规范项 <small") :].partition("</section>")[0]
    assert "只有 1 通，太少，不能与班组比" in items
    assert '<th scope="col" class="n">要改</th>' in items
    assert "—" not in items
    cells = r'<td class="n">(?:<strong>)?(\d+)(?:</strong>)?</td><td class="n">\d+</td></tr>'
    failed = [int(n) for n in re.findall(cells, items)]
    assert failed == sorted(failed, reverse=True)
    assert failed[0] == 1
