"""``callcoach report``: one file without script, with the numbers of the page and its moments as sound."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path

import pytest
import soundfile

from pipeline.cli import main
from pipeline.desk.report import MOST_CLIPS, report
from pipeline.errors import CallcoachError
from pipeline.settings import load_settings
from pipeline.store import SQL, Store
from pipeline.store.database import writing
from tests.desk_client import client, get, text_of
from tests.desk_store import fill, people
from tests.told import save_samples


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A quarter of made-up calls."""
    with Store.open(tmp_path_factory.mktemp("made") / "callcoach.db") as store:
        fill(store, people(weeks=16, per_week=8))
        yield store


def figures_of(html: str) -> list[str]:
    """The cells of all tables and the words of all charts."""
    found = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>|<title>(.*?)</title>", html, re.S)
    return [text_of(a or b) for a, b in found]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("address", "of"), [("/agents/N108", {"agent": "N108"}), ("/team", {"team": "售后组"})]
)
def test_every_figure_is_that_of_the_page(
    made: Store, address: str, of: dict[str, str], language: str
):
    html = report(made, load_settings(), language=language, **of)
    page = get(client(made), f"{address}?lang={language}")
    shown = figures_of(page.partition("<main")[2])
    assert len(shown) > 20
    assert figures_of(html.partition("<main")[2]) == shown


def test_a_report_holds_all_it_needs_and_leads_nowhere(made: Store):
    html = report(made, load_settings(), agent="N102", first="2025-W45", last="2026-W02")
    assert "<script" not in html
    assert "<form" not in html
    assert not re.search(r'(?:href|src|action)="(?!data:)', html)
    assert "<style>" in html
    assert "2025-W45 到 2026-W02" in html
    assert report(made, load_settings(), agent="N102", first="2025-W45", last="2026-W02") == html
    team = report(made, load_settings(), team="售后组")
    assert team.count("<circle") == get(client(made), "/team").count("<circle")
    assert "<span><circle" not in team


def test_moments_are_in_the_file_as_sound(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        agent = store.frame("calls")["agent_id"].value_counts().index[0]
        html = report(store, load_settings(), agent=agent)
        clips = re.findall(r'src="data:audio/ogg;base64,([^"]+)"', html)
        assert 1 <= len(set(clips)) <= MOST_CLIPS
        for clip in set(clips):
            sound = soundfile.info(io.BytesIO(base64.b64decode(clip)))
            assert 0.5 < sound.duration <= 15.1
        assert "data:audio" not in report(store, load_settings(), agent=agent, clips=False)
        assert "试用模型" in html


@pytest.mark.parametrize(
    "asked", [{}, {"agent": "N102", "team": "x"}, {"agent": "no"}, {"team": "no"},
              {"call": "no"}, {"call": "x", "agent": "N102"}, {"call": "x", "first": "2026-W01"},
              {"agent": "N102", "first": "W1"}, {"agent": "N102", "language": "fr"}],
)  # fmt: skip
def test_what_cannot_be_reported_is_said(made: Store, asked: dict[str, str]):
    with pytest.raises(CallcoachError):
        report(made, load_settings(), **asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("--agent", "N999"),
            'There is no agent "N999" in this store. The nearest that it holds is "N1',
        ),
        (
            ("--call", "n102-0000"),
            'There is no call "n102-0000" in this store. The nearest that it holds is "n102-',
        ),
        (("--team", "售后"), 'There is no team "售后". Did you mean "售后组"?'),
        (("--agent", "N102", "--from", "2026-99"), '"2026-99" is no day. Write a day'),
    ],
)
def test_the_command_says_what_there_is_not(
    made: Store, tmp_path: Path, monkeypatch, capsys, asked: tuple[str, ...], said: str
):
    argv = [
        "callcoach",
        "report",
        str(Path(made._engine.url.database).parent),
        *asked,
        "--out",
        str(tmp_path / "r.html"),
    ]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_notes_for_coaches_stay_at_the_desk(made: Store):
    made.decide("notes", "王老师", agent_id="N160", audience="coach", text="内部看法")
    made.decide("notes", "王老师", agent_id="N160", audience="agent", text="谢谢你的耐心")
    html = report(made, load_settings(), agent="N160")
    assert "内部看法" not in html
    assert "谢谢你的耐心" in html


def test_a_call_is_one_file_with_the_figures_of_its_page(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        for language in ("zh", "en"):
            html = report(store, load_settings(), call="refund_silent_hold", language=language)
            page = get(client(store), f"/calls/refund_silent_hold?lang={language}")
            measures = r'class="measures">(.*?)</table>'
            shown = re.findall(measures, page, re.S)
            of_file = text_of(re.search(measures, html, re.S)[1]).replace(" ", "")
            assert all(one.replace(" ", "") in of_file for one in figures_of(shown[0])[4:])
            score = r"<strong>([\d.]+)</strong>"
            assert re.findall(score, html)[:2] == re.findall(score, page)[:2]
            said = text_of(html)
            assert all(t in said for t in store.frame("turns", "refund_silent_hold").text)
            for hidden in ("<script", "<form", "<a ", "href="):
                assert hidden not in html
            clips = set(re.findall(r'src="data:audio/ogg;base64,([^"]+)"', html))
            assert 1 <= len(clips) <= MOST_CLIPS


def test_masked_words_stay_masked(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        turns = store.frame("turns", "refund_silent_hold")
        own = turns[turns.speaker == "agent"].iloc[0]
        with writing(store._engine) as connection:
            table = SQL["turns"]
            of_turn = (table.c.call_id == "refund_silent_hold") & (table.c.turn == int(own.turn))
            connection.execute(table.update().where(of_turn).values(text_masked="我是某某"))
        browser = client(store)
        page = get(browser, "/calls/refund_silent_hold")
        html = report(store, load_settings(), call="refund_silent_hold")
        for shown in (page, html):
            assert own.text not in text_of(shown)
            assert own.text[:6] not in text_of(shown)
            assert "我是某某" in shown
        quoted = [v["quote"] for v in verdicts_of(browser) if v["quote"] == "我是某某"]
        assert quoted
        for address in ("/agents/N102", "/rubric/opening_rude_answer",
                        "/calls/refund_silent_hold/items/opening_rude_answer"):  # fmt: skip
            shown = text_of(get(browser, address))
            assert "喂，哪位" not in shown, address
            assert "我是某某" in shown, address
        assert not any("喂，哪位" in (v["quote"] or "") for v in verdicts_of(browser))
        words = browser.get("/api/v1/calls/refund_silent_hold/words").json()["data"]
        assert not [w for w in words if w["turn"] == own.turn]
        assert len({w["turn"] for w in words}) > 5


def verdicts_of(browser) -> list[dict]:
    """The verdicts on the call by the API."""
    return browser.get("/api/v1/calls/refund_silent_hold/verdicts").json()["data"]
