"""Calls at the desk: the list and its filters, one call and its evidence, its sound."""

from __future__ import annotations

import dataclasses
import html
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.desk.pages.call import _why
from pipeline.desk.pages.evidence import evidence_of, found_text, kind_of
from pipeline.desk.playback import Recordings
from pipeline.desk.words import Words
from pipeline.schema import Event, Recording, Turn, Verdict
from pipeline.store import Store, slug_of
from tests.desk_client import client, get, text_of, wav
from tests.test_desk import ODD_IDS
from tests.test_store import make_failure, make_result
from tests.told import save_samples

SAME = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory):
    """The sample calls as their labels tell them."""
    with Store.open(tmp_path_factory.mktemp("desk") / "callcoach.db") as store:
        save_samples(store)
        yield store


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as opened:
        yield opened


def call(call_id: str, path: Path | str | None = None, **known: object):
    recording = Recording(path=str(path or f"/calls/{call_id}.wav"), call_id=call_id, **known)
    return make_result(call_id, recording=recording)


# --- the list --------------------------------------------------------------------------------------


def test_the_list_goes_on_by_key_and_shows_every_call_once(store: Store):
    for i in range(70):
        known = {"started_at": f"2026-03-{1 + i // 9:02d}T09:00:00+08:00"} if i < 60 else {}
        store.save(call(f"c{i:02d}", agent_id="A1", **known))
    browser, address, seen = client(store), "/calls?agent=A1", []
    while address:
        page = get(browser, address)
        seen.append(re.findall(r'href="/calls/(c\d\d)"', page))
        older = re.search(r'class="button" href="([^"]+)"', page)
        address = html.unescape(older.group(1)) if older else ""
    assert [len(part) for part in seen] == [50, 20]
    everything = [one for part in seen for one in part]
    assert len(set(everything)) == 70
    assert everything[0] == "c59"
    assert everything[-10:] == [f"c{i}" for i in range(69, 59, -1)]  # without a date, at the end


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("agent=N101", {"return_music_hold", "exchange_dead_air"}),
        ("direction=outbound", {"outbound_delivery"}),
        ("from=2026-03-25&to=2026-03-28", {"wrong_number", "outbound_delivery"}),
        ("from=2026-W18&to=2026-W18", {"courier_complaint"}),
        ("score=0-50", {"refund_silent_hold", "invoice_mono"}),
        ("event=dead_air", {"exchange_dead_air"}),
        ("item=opening_rude_answer:fail", {"refund_silent_hold"}),
        ("team=售前组&event=hold", {"return_music_hold"}),
        ("agent='; DROP TABLE calls; --", set()),
        ("agent=%25", set()),
    ],
)
def test_filters_leave_what_they_name(samples: Store, query: str, found: set[str]):
    page = get(client(samples), f"/calls?{query}")
    assert set(re.findall(r'<th scope="row"><a href="/calls/([^"]+)"', page)) == found


def test_an_empty_list_says_which_filter_to_take_out(samples: Store):
    page = get(client(samples), "/calls?agent=N101&direction=outbound&lang=en")
    assert "Without “Direction” there are 2 calls" in page
    assert 'href="/calls?agent=N101&amp;lang=en"' in page


# --- one call ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_sample_call_has_a_page_in_both_languages(samples: Store, language: str):
    browser = client(samples)
    for call_id in samples.frame("calls", columns=["call_id"])["call_id"]:
        for tab in ("fail", "pass", "cannot_tell", "not_applicable"):
            get(browser, f"/calls/{call_id}?lang={language}&tab={tab}")


def test_a_call_shows_its_words_events_verdicts_and_measures(samples: Store):
    page = text_of(get(client(samples), "/calls/refund_silent_hold"))
    score = samples.load("refund_silent_hold").measures["compliance_score"]
    for shown in (
        "小郭 · 2026-03-19 10:15", "N102 · 售后组 · refund_silent_hold · 呼入 · 1:20 · 2 声道",
        "试用模型",
        "你肯定弄错了，我们的退款从来没有晚过。 ▼ 抢话，对方让话", "等待 10.8 秒 · 静音 · 未告知",
        f"机器得分 {score:.0f} · 质检 18", "质检：要改", "语速 字/分",
    ):  # fmt: skip
        assert shown in page, shown
    assert re.search("客户「[^」]+」之后没有听到", page)


def test_the_lightest_of_many_verdicts_are_folded_away(samples: Store):
    browser = client(samples)
    page = get(browser, "/calls/refund_silent_hold")
    panel = page[page.index('id="panel-fail"') : page.index('id="panel-pass"')]
    first, rest = panel.split('<details class="rest"')
    shown = [len(re.findall("<article", half)) for half in (first, rest)]
    assert shown[0] == 6
    assert f"其余 {shown[1]} 项" in rest
    assert rest.startswith(">")
    folded = re.findall(r'id="item-([a-z_]+)"', rest)[-1]
    opened = get(browser, f"/calls/refund_silent_hold?item={folded}")
    assert '<details class="rest" open>' in opened


def test_errors_of_measures_are_plain_numbers(samples: Store):
    assert re.search(r"±\d+e", get(client(samples), "/calls/refund_silent_hold")) is None


def test_an_omission_is_not_a_moment(samples: Store):
    page = get(client(samples), "/calls/refund_silent_hold")
    cards = dict(re.findall(r'id="item-([a-z_]+)".*?>(.*?)</article>', page, re.S))
    for item in ("opening_greeting", "closing_goodbye", "further_help"):
        assert "没有听到这样的话" in cards[item]
        assert "data-play" not in cards[item]
    strip = page[page.index('id="findings"') : page.index('class="columns"')]
    marked = set(re.findall(r'data-item="([a-z_]+)"', strip))
    assert marked
    for item in marked:
        assert "data-play" in cards[item]
        assert "当时说的是" not in cards[item]


def test_kinds_of_evidence():
    do = {"fails_by_omission": True, "has_trigger": False}
    reactive = do | {"has_trigger": True}
    dont = {"fails_by_omission": False, "has_trigger": False}
    heard = {"start": 1.0, "end": 2.0, "quote": "喂"}
    said = heard | {"matched": "喂"}
    for verdict, row, kind in (
        (Verdict("i", "rubric", "fail"), do, "omitted"),
        (Verdict("i", "rubric", "fail", **heard), do, "omitted"),
        (Verdict("i", "rubric", "fail", **said), reactive, "omitted"),
        (Verdict("i", "rubric", "fail", evidence="event", start=1.0), do, "event"),
        (Verdict("i", "rubric", "pass", probability=0.9, note="of 3"), dont, "nothing"),
        (Verdict("i", "rubric", "fail", **said), dont, "said"),
        (Verdict("i", "rubric", "pass", **said), do, "said"),
        (Verdict("i", "rubric", "pass"), dont, "nothing"),
        (Verdict("i", "rubric", "fail", matched="rate 210"), dont, "measure"),
        (Verdict("i", "rubric", "fail", note="4 rings"), do, "measure"),
        (Verdict("i", "rubric", "fail", start=0, end=90, matched="x = 1"), reactive, "measure"),
        (Verdict("i", "rubric", "not_applicable"), None, "nothing"),
    ):
        assert kind_of(verdict, row) == kind, (verdict, row)


def test_what_is_measured_over_a_whole_call_is_no_moment():
    words, measure = Words("zh"), "agent_speaking_rate = 233.2"
    whole = Verdict("i", "rubric", "fail", start=0.0, end=117.3, matched=measure)
    shown = evidence_of(whole, None, words)
    assert (shown.text, shown.moment) == ("坐席语速 233 字/分", None)
    hold = Verdict("i", "rubric", "fail", start=46.75, end=57.56, matched="hold 10.8 s")
    older = {"fails_by_omission": True, "has_trigger": True}
    newer = dataclasses.replace(
        hold, evidence="omitted", start=None, end=None, trigger_start=46.75, trigger_end=57.56
    )
    assert evidence_of(newer, None, words) == evidence_of(hold, older, words)
    shown = evidence_of(newer, None, words)
    assert shown.text == "等待 10.8 秒：没有听到这样的话"
    assert shown.moment.clock == "0:46"
    assert evidence_of(dataclasses.replace(hold, matched="hum 3 s"), None, words).text == "hum 3 s"


def test_what_the_agent_who_took_over_made_good_says_so():
    done = Verdict(
        "i", "rubric", "pass", speaker="agent", start=24.0, end=26.0, quote="祝您愉快，再见",
        evidence="said", note="by the agent who took over at 20 s",
    )  # fmt: skip
    assert evidence_of(done, None, Words("zh")).text == "接手的坐席「祝您愉快，再见」"
    assert evidence_of(done, None, Words("en")).text.startswith("The agent who took over “")
    own = dataclasses.replace(done, note=None)
    assert evidence_of(own, None, Words("zh")).text == "「祝您愉快，再见」"


def test_deep_links_open_evidence_and_never_play(samples: Store):
    browser = client(samples)
    page = get(browser, "/calls/refund_silent_hold?item=complaint_apology")
    assert re.search(r'id="item-complaint_apology" aria-current="true"', page)
    assert re.search(r'"at": 7\d\.', page)
    assert "autoplay" not in page
    page = get(browser, "/calls/refund_silent_hold?item=opening_greeting")
    assert '"at": null' in page
    assert '"at": 12.5' in get(browser, "/calls/refund_silent_hold?t=12.5")
    get(browser, "/calls/refund_silent_hold?item=<script>")


@pytest.mark.parametrize("call_id", ODD_IDS)
def test_odd_ids_names_and_words_are_text(store: Store, call_id: str):
    nasty = "<script>alert(1)</script>{{7*7}}\"'</span>"
    result = call(call_id, agent_id=call_id, agent_name=nasty, team=nasty, queue=nasty)
    turn = dataclasses.replace(result.turns[0], text=nasty, words=())
    verdict = Verdict("opening_greeting", "rubric", "fail", 1, 1, 2.0, "agent", 0.0, 1.0, nasty)
    store.save(dataclasses.replace(result, turns=(turn,), verdicts=(verdict,), warnings=(nasty,)))
    browser = client(store)
    for address in ("/calls", f"/calls/{slug_of(call_id)}"):
        page = get(browser, address)
        assert "<script>alert" not in page
        assert nasty in text_of(page)
    assert 'href="/calls?agent=' in page
    get(browser, re.search(r'href="(/calls\?agent=[^"]+)"', page).group(1))


def test_a_call_that_failed_says_why(store: Store):
    store.save_failure(make_failure("broken", "not audio"))
    page = text_of(get(client(store), "/calls/broken"))
    assert "not audio" in page
    assert "还没有分析结果" in page


def test_words_that_are_not_in_the_text_do_not_spoil_it(store: Store):
    result = call("c1")
    turns = (
        dataclasses.replace(result.turns[0], text="好的，再见。"),
        dataclasses.replace(result.turns[1], text="", words=()),
    )
    store.save(dataclasses.replace(result, turns=turns))
    page = text_of(get(client(store), "/calls/c1"))
    assert "好的，再见。" in page
    assert "没有听清" in page


def test_mono_is_said_where_it_matters(samples: Store):
    assert text_of(get(client(samples), "/calls/invoice_mono")).count("单声道") >= 2
    assert "单声道" not in get(client(samples), "/calls/refund_silent_hold")


def test_what_the_switch_knows_stands_apart(store: Store):
    """Its events, what they supersede, legs and turns that count for nobody are told as such."""
    result = call("c1")
    heard = Event("hold", 1.0, 1.5, "agent", {"medium": "silence"})
    known = dataclasses.replace(heard, source="switch", detail={"medium": "unknown"})
    moved = Event("transfer", 1.6, 1.6, "agent", {"agent_id": "N9"}, source="switch")
    first, *_, last = result.turns
    aside = dataclasses.replace(first, turn=7, text="请按一", words=(), aside="ivr")
    turns = (first, dataclasses.replace(last, leg=2))
    events = (known, moved)
    store.save(
        dataclasses.replace(result, turns=turns, events=events, superseded=(heard,), aside=(aside,))
    )
    page = get(client(store), "/calls/c1")
    shown = text_of(page)
    assert "等待 0.5 秒 · 声音不明 交换机记录" in shown
    assert "等待 0.5 秒 · 静音 听到的，以交换机为准，不计入" in shown
    assert "转接 · N9 交换机记录" in shown
    assert "请按一 自动语音，不计入" in shown
    assert "第 2 段：另一位坐席接手" in shown
    assert page.count("uncounted") == 2


def test_why_names_the_wordings_looked_for_and_what_was_heard_by_sound(samples: Store):
    page = text_of(get(client(samples), "/calls/refund_silent_hold"))
    why = page[page.index("投诉致歉") :]
    assert re.search(r"找的说法.{0,5}\(抱歉\|致歉", why)
    assert "not found" not in page
    assert "命中二十号说明" in page  # a detail that was said, not a phrase found by sound
    assert "命中" in page
    found = Verdict(
        "negative_language", "rubric", "fail", matched="没有办法", quote="我也没有半法", start=1.0
    )
    outline = {"name": {"zh": "范", "en": "R"}, "version": "1"}
    said = dict(_why(found, None, outline, Words("zh")))
    assert said["按读音认出，听到的音节"] == "wo ye mei you ban fa"
    exact = dataclasses.replace(found, quote="我也没有办法")
    assert "按读音认出，听到的音节" not in dict(_why(exact, None, outline, Words("zh")))


def test_filters_that_are_on_can_be_taken_out_and_unknown_ones_are_refused(samples: Store):
    browser = client(samples)
    page = get(browser, "/calls?agent=N102&item=opening_greeting:fail")
    assert "坐席: 小郭 N102 ×" in text_of(page)
    assert "规范项: 开场问候 要改 ×" in text_of(page)
    assert 'href="/calls?item=opening_greeting%3Afail"' in page
    assert "agent" in text_of(get(browser, "/calls?agnet=N102", 400))


def test_the_strip_says_who_interrupted(store: Store):
    events = tuple(
        Event("interruption", start, start + 0.9, by=by)
        for start, by in ((1.0, "agent"), (3.0, "customer"))
    )
    store.save(make_result("c1", events=events))
    page = get(client(store), "/calls/c1")
    strip = page[page.index('id="events"') :].partition("</div>")[0]
    assert 'class="tag interruption by-agent"' in strip
    assert text_of(f"<div {strip}").strip() == "坐席抢话 0.9秒 客户抢话 0.9秒"
    assert "▼ 坐席抢，▲ 客户抢" in page


@pytest.mark.parametrize(
    ("matched", "zh", "en"),
    [
        ("means brush_off", "意思是「敷衍顶撞」", "means “Brush-off”"),
        ("means my_own", "意思是「my_own」", "means “my_own”"),
        (
            "agent's speaking_rate, during the trigger over agent's speaking_rate, opening = 1.152",
            "坐席语速（要看的那一段） ÷ 坐席语速（开场） = 1.15",
            "Agent: speaking rate (in the stretch looked at) ÷ Agent: speaking rate (opening) = 1.15",
        ),
        (
            "agent's level_dbfs in the closing minus agent's level_dbfs in the opening = -2.5",
            "坐席音量（结束） − 坐席音量（开场） = −2.5 dB",
            "Agent: level (closing) − Agent: level (opening) = −2.5 dB",
        ),
        (
            "1.4 of 4.3 s of the customer were not understood",
            "客户的 4.3 秒里有 1.4 秒没有听清",
            "Customer: 1.4 of 4.3 s were not understood",
        ),
        ("agent's hopes = 3", "agent's hopes = 3", "agent's hopes = 3"),
    ],
)
def test_what_matched_is_told_in_the_reader_s_language(matched: str, zh: str, en: str):
    assert found_text(matched, Words("zh")) == zh
    assert found_text(matched, Words("en")) == en


# --- sound ------------------------------------------------------------------------------------------


def test_a_call_in_two_files_is_heard_as_two_channels(store: Store, tmp_path: Path):
    first, second = (wav(tmp_path / f"c1-{side}.wav", seconds) for side, seconds in
                     (("in", 1.0), ("out", 2.0)))  # fmt: skip
    result = call("c1", first)
    recording = dataclasses.replace(result.recording, path_2=str(second))
    store.save(dataclasses.replace(result, recording=recording, codec="pcm_s16le"))
    browser = client(store)
    heard = browser.get("/calls/c1/audio")
    samples, _ = soundfile.read(io.BytesIO(heard.content), always_2d=True)
    assert samples.shape == (16_000, 2)
    assert np.abs(samples[8_200:, 0]).max() < 1e-3 < np.abs(samples[8_200:, 1]).max()
    assert browser.get("/calls/c1/sound").status_code == 200
    second.unlink()
    assert "已不在原处" in get(browser, "/calls/c1")
    assert client(store).get("/calls/c1/audio").status_code == 404


def test_sound_comes_whole_and_by_ranges(store: Store, tmp_path: Path):
    path = wav(tmp_path / "call 1.wav", subtype="ULAW")
    store.save(dataclasses.replace(call("c1", path), codec="pcm_mulaw"))
    browser, whole = client(store), path.read_bytes()
    answer = browser.get("/calls/c1/audio")
    assert (answer.content, answer.headers["content-type"]) == (whole, "audio/wav")
    assert answer.headers["accept-ranges"] == "bytes"
    n = len(whole)
    for asked, status, part in (
        ("bytes=0-99", 206, whole[:100]),
        ("bytes=100-", 206, whole[100:]),
        ("bytes=-10", 206, whole[-10:]),
        (f"bytes=0-{2 * n}", 206, whole),
        (f"bytes={n}-", 416, None),
    ):
        answer = browser.get("/calls/c1/audio", headers={"range": asked, "accept-encoding": "gzip"})
        assert answer.status_code == status, asked
        assert "content-encoding" not in answer.headers
        assert part is None or answer.content == part, asked
    several = browser.get("/calls/c1/audio", headers={"range": "bytes=0-9,20-29"})
    assert several.status_code == 206
    assert whole[20:30] in several.content


def test_what_browsers_do_not_play_is_decoded_once(store: Store, tmp_path: Path):
    path = wav(tmp_path / "call.wav", subtype="GSM610")
    store.save(dataclasses.replace(call("c1", path), codec="gsm_ms"))
    browser = client(store)
    answer = browser.get("/calls/c1/audio")
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content[:4] == b"RIFF"
    path.write_bytes(path.read_bytes()[:200])  # it is not decoded again
    assert browser.get("/calls/c1/audio").content == answer.content


def test_decoded_sound_has_bounded_room(tmp_path: Path):
    recordings = Recordings((), cache_mib=0.07)
    copies = []
    for i in range(4):
        path = wav(tmp_path / f"{i}.wav", seconds=2.0, subtype="GSM610")
        copies.append(recordings.playable(str(path), "gsm_ms", f"{i}" * 64).path)
    assert [c.exists() for c in copies] == [False, False, True, True]
    assert soundfile.info(copies[-1]).duration == pytest.approx(2.0, abs=0.05)
    assert copies[-1].parent.stat().st_mode & 0o077 == 0
    recordings.close()
    assert not copies[-1].parent.exists()


def test_recordings_are_found_below_their_roots_alone(tmp_path: Path):
    old, new, other = (tmp_path / name for name in ("old", "new", "other"))
    for folder in (old, new / "day", other):
        folder.mkdir(parents=True)
    wav(new / "day" / "a.wav")
    secret = wav(other / "secret.wav")
    (new / "link.wav").symlink_to(secret)
    recordings = Recordings([str(new)], 1)
    assert recordings.find(str(old / "day" / "a.wav")) == ("moved", new / "day" / "a.wav")
    assert recordings.find(str(new / "day" / "a.wav"))[0] == "here"
    assert recordings.find((new / "day" / "a.wav").as_uri())[0] == "here"
    for hidden in (secret, new / "link.wav", new / ".." / "other" / "secret.wav", new, ""):
        assert recordings.find(str(hidden)) == ("missing", None)
    assert recordings.find("s3://bucket/a.wav") == ("elsewhere", None)
    assert Recordings((), 1).find(str(secret))[0] == "here"


def test_a_recording_that_is_gone_is_said(store: Store):
    store.save(call("c1"))
    page = get(client(store), "/calls/c1")
    assert "recordings.roots" in page
    assert "<audio" not in page


def test_sound_behind_an_address_is_fetched(store: Store, tmp_path: Path):
    import fsspec

    with fsspec.open("memory://calls/a.wav", "wb") as file:
        file.write(wav(tmp_path / "a.wav").read_bytes())
    store.save(call("c1", "memory://calls/a.wav"))
    browser = client(store)
    assert "网络上" in get(browser, "/calls/c1")
    assert browser.get("/calls/c1/audio").content[:4] == b"RIFF"


def test_what_was_heard_is_noted(store: Store):
    store.save(call("c1"))
    browser = client(store)
    for start, end in ((0, 1.5), (3.25, 9.75)):
        answer = browser.post("/calls/c1/played", data={"start": start, "end": end}, headers=SAME)
        assert answer.status_code == 204
    with store.snapshot() as seen:
        import sqlalchemy as sa

        from pipeline.store import SQL

        rows = seen.fetch(sa.select(SQL["audit"]))
    assert [tuple(r)[1:] for r in rows] == [("this machine", "play", "c1", "3.2-9.8")]
    for body in ({"start": -1, "end": 3}, {"start": "x", "end": 3}, {}):
        assert browser.post("/calls/c1/played", data=body, headers=SAME).status_code == 400


def test_a_turn_longer_than_its_words_and_an_hour_of_turns_are_shown(store: Store):
    result = call("long")
    turns = tuple(
        Turn(i, "agent" if i % 2 else "customer", i * 6.0, i * 6.0 + 5, (), "好" * 15,
             result.turns[0].words, 0.9)
        for i in range(600)
    )  # fmt: skip
    store.save(dataclasses.replace(result, turns=turns, duration=3600.0))
    page = get(client(store), "/calls/long")
    assert page.count("<li") >= 600
