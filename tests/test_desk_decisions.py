"""Reviews, appeals, examples, goals and notes: rules, pages, and that nothing of them is lost."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from pipeline.desk import decisions
from pipeline.desk.figures import Figures
from pipeline.desk.queries import decisions as queries
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope
from pipeline.desk.words import Words
from pipeline.errors import ParameterError
from pipeline.store import SQL, Store
from tests.desk_client import client, get, text_of
from tests.desk_store import fill, people
from tests.test_store import make_result

SAME = {"sec-fetch-site": "same-origin"}
REASON = "我在开场就说了您好，请再听一遍。"


class Step(NamedTuple):
    action: str
    actor: str = "a"


class Review(NamedTuple):
    verdict: str
    seen_verdict: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A quarter of made-up calls."""
    with Store.open(tmp_path_factory.mktemp("made") / "callcoach.db") as store:
        fill(store, people(weeks=16, per_week=8))
        yield store


def post(browser: TestClient, address: str, status: int = 303, **form: str) -> str:
    """Send a form; gives where it leads, or what is said of it."""
    answer = browser.post(
        address, data={"by": "王老师", **form}, headers=SAME, follow_redirects=False
    )
    assert answer.status_code == status, answer.text[:800]
    return answer.headers.get("location", "") or text_of(answer.text)


def an_item(store: Store, verdict: str, item: str, agent: str = "N102") -> tuple[str, str]:
    """Address of a verdict of a kind, and the call."""
    rows = store.frame("verdicts")
    calls = store.frame("calls", columns=["call_id", "agent_id", "slug"]).set_index("call_id")
    for row in rows[(rows.item_id == item) & (rows.verdict == verdict)].itertuples():
        if calls.agent_id[row.call_id] == agent:
            return f"/calls/{calls.slug[row.call_id]}/items/{item}", row.call_id
    raise AssertionError


# --- rules ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(decisions.ACTIONS), st.sampled_from("abc")), max_size=12))
def test_appeals_come_to_an_end_whatever_is_tried(tried: Sequence[tuple[str, str]]):
    steps: list[Step] = []
    for action, actor in tried:
        before = decisions.state_of(steps)
        try:
            decisions.check_step(steps, action, actor, "d")
        except ParameterError:
            continue
        steps.append(Step(action, actor))
        assert decisions.state_of(steps) != before
    assert len(steps) <= 4  # answered, asked again, answered; or withdrawn
    answers = [s.actor for s in steps if s.action in ("change", "keep")]
    assert len(answers) == len(set(answers))  # never twice by one person
    if decisions.state_of(steps) in ("final", "withdrawn"):
        assert decisions.allowed(steps) == ()


@pytest.mark.parametrize(
    ("actions", "state"),
    [
        ([], "open"),
        (["change"], "changed"),
        (["keep"], "kept"),
        (["keep", "again"], "open_again"),
        (["keep", "again", "change"], "final"),
        (["keep", "again", "withdraw"], "withdrawn"),
        (["withdraw"], "withdrawn"),
    ],
)
def test_states_of_an_appeal(actions: list[str], state: str):
    assert decisions.state_of([Step(a) for a in actions]) == state


def test_in_force_is_the_newest_review_and_stale_when_the_machine_changed_its_mind():
    assert decisions.in_force("fail", []) == decisions.InForce("fail", "machine", False)
    reviews = [Review("fail", "fail"), Review("pass", "fail")]
    assert decisions.in_force("fail", reviews) == decisions.InForce("pass", "review", False)
    assert decisions.in_force("pass", reviews) == decisions.InForce("pass", "review", True)


def test_agreement_leaves_out_what_cannot_be_told():
    pairs = [("pass", "pass"), ("fail", "pass"), ("cannot_tell", "pass"), ("pass", "cannot_tell")]
    assert decisions.agreement(pairs) == (1, 2)


def test_an_appeal_needs_a_reason_in_time_and_one_at_a_time():
    now = datetime.now(UTC)
    good = ("pass", "fail", REASON, now, 14)
    decisions.check_appeal([], *good)
    decisions.check_appeal([[Step("keep")]], *good)
    for earlier, *other in (
        ([[]], *good),
        ([], "fail", "fail", REASON, now, 14),
        ([], "pass", "fail", "太短", now, 14),
        ([], "pass", "fail", "x" * 501, now, 14),
        ([], "pass", "fail", REASON, now - timedelta(days=15), 14),
        ([], "good", "fail", REASON, now, 14),
    ):
        with pytest.raises(ParameterError):
            decisions.check_appeal(earlier, *other)


def test_an_answer_is_due_in_working_days():
    friday = datetime.fromisoformat("2026-03-20T10:00:00+00:00")
    assert decisions.due(friday, 5).date() == date(2026, 3, 27)
    assert decisions.due(friday + timedelta(days=1), 1).date() == date(2026, 3, 23)
    in_shanghai = Words("zh").local("2026-03-20T22:00:00+00:00")  # where it is Saturday
    assert decisions.due(in_shanghai, 1).date() == date(2026, 3, 23)


def test_decisions_are_told_in_the_time_zone_of_the_business(made: Store):
    with made._engine.begin() as connection:
        connection.execute(
            SQL["notes"].insert().values(
                at="2026-03-19T22:30:00+00:00", actor="王老师", agent_id="N108", audience="coach",
                text="晚上记的",
            )
        )  # fmt: skip
        connection.execute(
            SQL["reviews"].insert().values(
                at="2026-03-19T22:30:00+00:00", actor="夜班", call_id=an_item(made, "pass", "further_help")[1],
                item_id="further_help", why="chosen", verdict="pass", seen_verdict="pass", note="",
            )
        )  # fmt: skip
    address, _ = an_item(made, "pass", "further_help")
    assert "2026-03-20 06:30 夜班" in text_of(get(client(made), address))
    assert "2026-03-20 王老师" in text_of(get(client(made), "/agents/N108"))
    in_utc = client(made, **{"time.zone": "UTC"})
    assert "2026-03-19 22:30 夜班" in text_of(get(in_utc, address))


# --- reviews and appeals at the desk ---------------------------------------------------------------


def test_a_review_is_in_force_on_every_page_and_only_added(made: Store):
    browser, (address, call_id) = client(made), an_item(made, "fail", "closing_thanks")
    assert "机器判定" in get(browser, address)
    figures, names = Figures(), {"closing_thanks": ("结束致谢", "Closing thanks")}

    def passed() -> float:
        found, _ = figures.items(Scope(made), Filters(), "售后组", None, names)
        row = found.agent_id.index("N102")
        return float(found.of["closing_thanks"].mean[row] * found.of["closing_thanks"].calls[row])

    before = passed()
    post(browser, f"{address}/reviews", verdict="pass", seen="fail", note="结尾说了")
    assert passed() == pytest.approx(before + 1)
    text = text_of(get(browser, address))
    assert "做到 复核后 · 机器：要改" in text
    assert "王老师 做到（机器：要改，自选） 结尾说了" in text
    post(browser, f"{address}/reviews", verdict="fail", seen="fail")
    assert passed() == pytest.approx(before)
    assert text_of(get(browser, address)).count("王老师") == 2
    assert made.load(call_id)  # the machine's result is untouched


def test_a_review_of_what_has_changed_since_is_refused(made: Store):
    browser, (address, _) = client(made), an_item(made, "pass", "closing_thanks")
    post(browser, f"{address}/reviews", 409, verdict="fail", seen="fail")
    post(browser, f"{address}/reviews", 400, verdict="good", seen="pass")
    post(browser, f"{address}/reviews", 400, verdict="fail", seen="pass", by=" ")
    assert "没有这个判定" in post(browser, f"{address}x/reviews", 404, verdict="fail")


def test_a_blind_review_hides_the_verdict_until_it_is_judged(made: Store):
    browser = client(made)
    queue = get(browser, "/reviews?kind=sample")
    address = re.search(r'href="(/calls/[^"]+)\?why=sample"', queue)[1]
    page = text_of(get(browser, f"{address}?why=sample"))
    assert "机器判定" not in page
    assert "「" not in page
    back = post(browser, f"{address}/reviews", verdict="pass", why="sample")
    assert back.endswith("?why=sample")  # the next that waits
    assert not back.startswith(f"{address}?")
    assert "盲审" in text_of(get(browser, back))
    queue = get(browser, "/reviews?kind=sample")
    assert f'"{address}?why=sample"' not in queue
    assert re.search(r"一致盲审数.*(100|0)%1", text_of(queue))


def test_a_week_s_sample_has_ten_of_each_at_most_and_is_the_same_for_all(made: Store):
    pages = [get(client(made), "/reviews?kind=sample") for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_review_goes_stale_when_a_new_analysis_says_otherwise(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        result = make_result("c1")
        item = next(v for v in result.verdicts if v.source == "rubric")
        store.save(result)
        browser, address = client(store), f"/calls/c1/items/{item.item_id}"
        other = "fail" if item.verdict == "pass" else "pass"
        post(browser, f"{address}/reviews", verdict=item.verdict, seen=item.verdict)
        assert "没有在等的" in get(browser, "/reviews?kind=stale")
        new = tuple(
            dataclasses.replace(v, verdict=other) if v is item else v for v in result.verdicts
        )
        store.save(dataclasses.replace(result, verdicts=new))
        assert address in get(browser, "/reviews?kind=stale")
        assert "复核以后机器改判过" in get(browser, address)


def test_an_appeal_is_asked_answered_asked_again_and_ended_by_somebody_else(made: Store):
    browser, (address, _) = client(made), an_item(made, "fail", "opening_greeting")
    post(browser, f"{address}/appeals", wanted="pass", reason=REASON, second="0:03", by="小郭")
    page = get(browser, address)
    assert "待复核" in page
    assert "0:03" in page
    number = re.search(r'action="/appeals/(\d+)/steps"', page)[1]
    assert address in get(browser, "/reviews")
    post(browser, f"{address}/appeals", 409, wanted="pass", reason=REASON)  # one at a time
    step = f"/appeals/{number}/steps"
    post(browser, step, 400, action="keep", note="短")
    post(browser, step, action="keep", note="听了三遍，确实没有问好。")
    assert "维持原判" in get(browser, address)
    assert address not in get(browser, "/reviews")
    post(browser, step, action="again", note="开头被切掉了一截，请再核对。", by="小郭")
    assert address in get(browser, "/reviews")
    assert "要由别人答复" in post(
        browser, step, 400, action="change", note="好的好的好的好的好的好的"
    )
    post(browser, step, action="change", note="录音开头不完整，改判为做到。", by="李主管")
    text = text_of(get(browser, address))
    assert "终审" in text
    assert "做到 复核后" in text
    post(browser, step, 409, action="again", note="还想再申诉一次，请复核。")


def test_a_verdict_stands_among_the_turns_beside_it(made: Store):
    address, _ = an_item(made, "pass", "further_help")
    page = get(client(made), address)
    said = page[page.index('<ol class="said links"') :].partition("</ol>")[0]
    assert said.count("<li") > 1
    here = re.findall(r'<li class="here">.*?</li>', said, re.S)
    assert any("请问还有其他可以帮您的吗" in line for line in here)
    assert said.count("<li") > len(here)
    blind = get(client(made), f"{address}?why=sample")
    assert "said links" not in blind


def test_who_appealed_does_not_answer(made: Store):
    browser, (address, _) = client(made), an_item(made, "fail", "opening_self_introduction")
    post(browser, f"{address}/appeals", wanted="pass", reason=REASON, by="Li Na")
    header = get(browser, "/calls").partition("</header>")[0]
    assert '<span class="count" title="条申诉等待答复">' in header
    page = get(browser, address)
    number = re.search(r'action="/appeals/(\d+)/steps"', page)[1]
    form = page[page.index(f"/appeals/{number}/steps") :].partition("</form>")[0]
    assert 'name="by" size="10" maxlength="60" value=""' in form
    assert "改判或维持要由Li Na以外的人答复。" in text_of(page)
    step, note = f"/appeals/{number}/steps", "我自己听过了，应当改判。"
    for name in ("Li Na", " li na", "LINA"):
        assert "是申诉的人，不能自己答复。" in post(
            browser, step, 400, action="change", note=note, by=name
        )
    answer = browser.post(
        f"/api/v1/appeals/{number}/answers", json={"by": "Li Na", "action": "change", "note": note}
    )
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "Li Na asked for this and cannot answer it.",
    )
    post(browser, step, action="keep", note="听了三遍，确实没有报姓名。")
    post(browser, step, action="again", note="开头被切掉了一截，请再核对。", by="小郭")
    post(browser, step, 400, action="change", note=note, by="小郭")
    post(browser, step, action="withdraw", by="Li Na")


def test_texts_of_people_are_only_text(made: Store):
    browser, (address, _) = client(made), an_item(made, "fail", "further_help")
    evil = "<script>alert(1)</script>\"'; DROP TABLE reviews; --"
    post(browser, f"{address}/reviews", verdict="fail", seen="fail", note=evil, by="<b>x</b>")
    post(browser, f"{address}/appeals", wanted="pass", reason=evil)
    post(browser, "/agents/N102/notes", text=evil)
    for page in (address, "/reviews", "/agents/N102"):
        assert "<script>alert" not in get(browser, page)


def test_an_example_keeps_its_stretch(made: Store):
    browser, (address, call_id) = client(made), an_item(made, "pass", "further_help")
    post(browser, f"{address}/examples", 400, start="3.0", end="2.0", kind="good")
    post(browser, f"{address}/examples", start="2.0", end="5.0", kind="good", text="问得自然")
    rows = made.fetch(queries.examples_of("further_help", 10))
    assert [(r.call_id, r.start, r.end, r.text) for r in rows] == [(call_id, 2.0, 5.0, "问得自然")]


# --- goals and notes -------------------------------------------------------------------------------


def test_a_goal_freezes_its_baseline_and_says_whether_it_took(made: Store):
    browser = client(made)
    goal = post(
        browser, "/agents/N108/goals", measure="agent_speaking_rate", direction="less",
        size="15", since="2026-01-04",
    )  # fmt: skip
    text = text_of(get(browser, goal))
    assert re.search(r"语速减少 15 字/分", text)
    assert re.search(r"−\d\d 字/分", text)
    assert re.search("见效|有变化，小于目标", text)
    assert "同期班组" in text
    card = re.search(r'card goal">(.*?)</section>', get(browser, "/agents/N108"), re.S)[1]
    assert "语速减少 15" in card
    post(browser, "/agents/N108/goals", 409, measure="hold_s", direction="less")  # one at a time
    post(browser, f"{goal}/steps", action="extend", note="30")
    assert "计划等 50 通" in text_of(get(browser, goal))
    post(browser, f"{goal}/steps", action="end", note="谈过了")
    post(browser, f"{goal}/steps", 400, action="end")
    assert "已结束" in text_of(get(browser, goal))
    other = post(
        browser,
        "/agents/N108/goals",
        measure="hold_consent",
        direction="more",
        size="10",
        since="2026-01-04",
    )
    assert "征得等待同意增加 10 %" in text_of(get(browser, other))


def test_a_goal_without_calls_since_says_how_many_are_waited_for(made: Store):
    browser = client(made)
    goal = post(
        browser,
        "/agents/N143/goals",
        measure="compliance_score",
        direction="more",
        since="2026-01-19",
    )
    text = text_of(get(browser, goal))
    assert "还看不出" in text
    assert "20 通" in text


@pytest.mark.parametrize(
    "form",
    [
        {"measure": "nothing"},
        {"direction": "up"},
        {"size": "-3"},
        {"size": "nan"},
        {"since": "2020-01-01"},
        {"since": "2999-01-01"},
        {"since": "soon"},
        {"wait": "0"},
        {"by": ""},
    ],
)
def test_a_goal_that_cannot_be_is_refused(made: Store, form: dict[str, str]):
    good = {"measure": "hold_s", "direction": "less", "since": "2026-01-04"}
    assert len(post(client(made), "/agents/N160/goals", 400, **(good | form))) > 20


def test_notes_are_kept_with_who_and_for_whom(made: Store):
    browser = client(made)
    assert post(browser, "/agents/N143/notes", text="下周一起听两通") == "/agents/N143#notes"
    text = text_of(get(browser, "/agents/N143"))
    assert "王老师 · 只给教练 下周一起听两通" in text
    assert 'value="王老师"' in get(browser, "/agents/N143")  # the next form knows the name


def test_decisions_come_only_from_pages_of_this_server(made: Store):
    form = {"by": "x", "text": "y"}
    answer = client(made).post(
        "/agents/N143/notes", data=form, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403


def test_figures_do_not_begin_anew_for_what_the_desk_adds(made: Store):
    scope, figures = Scope(made), Figures()
    first, counted = figures.pool(scope, Filters()), scope.analysed()
    scope.note("play", "c1")
    scope.decide("notes", agent_id="N102", audience="coach", text="x")
    assert scope.analysed() == counted
    assert figures.pool(scope, Filters()) is first


def test_decisions_outlive_the_call_and_its_name(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        store.save(make_result("c1"))
        Scope(store, "x").decide(
            "reviews", call_id="c1", item_id="i", verdict="pass", seen_verdict="fail"
        )
        store.save(make_result("c1"))
        assert [r.actor for r in store.fetch(queries.reviews_of("c1", "i"))] == ["x"]
        with pytest.raises(ParameterError):
            store.decide("calls", "x", call_id="c2")
