"""The rubric, runs and search at the desk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.store import Store
from tests.desk_client import client, get, text_of
from tests.desk_store import fill, people
from tests.test_desk import ODD_IDS
from tests.test_store import make_failure


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A few weeks of made-up calls, a run and a failure."""
    with Store.open(tmp_path_factory.mktemp("made") / "callcoach.db") as store:
        fill(store, people(weeks=6, per_week=6))
        store.save_failure(make_failure("broken"))
        run = store.begin_run(10)
        store.update_run(run, done=4, unchanged=1, failed=1, audio_s=600.0)
        yield store


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_rubric_shows_pass_rates_as_the_verdicts_have_them(made: Store, language: str):
    page = get(client(made), f"/rubric?lang={language}")
    verdicts = made.frame("verdicts")
    of_item = verdicts[verdicts.item_id == "closing_thanks"].verdict
    judged = of_item.isin(["pass", "fail"])
    row = re.search(r'/rubric/closing_thanks".*?</tr>', page, re.S)[0]
    assert f'class="n">{judged.sum()}<' in row
    assert f"{round(100 * (of_item[judged] == 'pass').mean())}%" in row
    get(client(made), f"/batch?lang={language}")


def test_an_item_has_moments_to_hear_and_an_omission_has_none(made: Store):
    page = get(client(made), "/rubric/closing_thanks")
    passes, fails = page.split("<h2>要改</h2>")
    assert passes.count("data-play=") == 5
    assert fails.count("data-play=") == 0
    assert fails.count("没有听到这样的话") == 5
    assert "没有这个判定" in get(client(made), "/rubric/nothing", 404)


def test_runs_and_failures_say_what_to_do(made: Store):
    text = text_of(get(client(made), "/batch"))
    assert "进行中6/10" in text
    assert "Asia/Shanghai" in text
    assert "UTC" not in text
    failure = made.frame("failures").iloc[0]
    assert failure.message in text
    assert failure.hint in text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_two_characters_are_enough_to_find_what_was_said(made: Store, language: str):
    page = get(client(made), f"/search?q=规定&lang={language}")
    assert "<mark>规定</mark>" in page
    turns = made.frame("turns")
    assert page.count("<mark>") >= min(50, turns.text.str.contains("规定").sum())
    assert page.count("data-play=") == page.count("<mark>规定</mark>")


def test_a_search_goes_on_until_every_place_was_shown_once(made: Store):
    pages = [get(client(made), "/search?q=客服中心")]
    while more := re.search(r'class="button" href="([^"]+)"', pages[-1]):
        pages.append(get(client(made), more[1].replace("&amp;", "&")))
    assert len(pages) > 1
    every = sum(page.count("<mark>客服中心</mark>") for page in pages)
    assert every == made.frame("turns").text.str.contains("客服中心").sum()


def test_filters_narrow_a_search(made: Store):
    browser = client(made)
    assert "<mark>" in get(browser, "/search?q=投诉&who=customer&agent=N102")
    assert "没有人这样说过" in text_of(get(browser, "/search?q=投诉&who=agent"))
    assert "没有人这样说过" in text_of(get(browser, "/search?q=规定&from=2026-12-01"))
    get(browser, "/search?q=规定&who=nobody", 400)
    for text in ("规", "长" * 61):
        assert "应当有 2 到 60 个字" in text_of(get(browser, f"/search?q={text}"))
    assert "说过的话" in text_of(get(browser, "/search"))


@pytest.mark.parametrize("text", [*ODD_IDS[:4], "%%", "__", "\\\\", "📞📞"])
def test_odd_texts_mean_themselves(made: Store, text: str):
    answer = client(made).get("/search", params={"q": text})
    assert answer.status_code == 200
    assert "<mark>" not in answer.text
    assert "<b>x</b>" not in answer.text


def test_pages_of_an_empty_store(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        for address in ("/rubric", "/batch", "/search?q=你好", "/reviews?kind=sample"):
            get(client(store), address)
