"""The call page as a coach uses it: seek, hear, follow, find, zoom, by mouse and by keyboard."""

from __future__ import annotations

import dataclasses
import time

import pytest
import sqlalchemy as sa

from pipeline.store import SQL, Store
from tests.browser.serving import path_of, serving, wait_until
from tests.desk_client import wav
from tests.test_desk_calls import call

NOW = "document.getElementById('audio').currentTime"
PAUSED = "document.getElementById('audio').paused"


def ready(page) -> None:
    wait_until(page, "document.getElementById('audio').readyState >= 1")


def test_a_deep_link_goes_there_and_does_not_play(open_window):
    page = open_window("/calls/refund_silent_hold?t=46")
    wait_until(page, f"Math.abs({NOW} - 46) < 0.1")
    assert page.evaluate(PAUSED)
    current = page.locator("#lines [aria-current]")
    assert "银行的流水" in current.inner_text()
    assert page.locator(".spoken").inner_text() in "我没有弄错，银行的流水我都打印出来了。"
    assert page.locator("#seek").get_attribute("aria-valuetext") == "0 分 46 秒"


def test_a_deep_link_to_an_item_opens_its_evidence(open_window):
    page = open_window("/calls/refund_silent_hold?item=complaint_apology")
    wait_until(page, f"{NOW} > 70")
    assert page.locator("#item-complaint_apology").get_attribute("aria-current") == "true"
    assert page.locator("#item-complaint_apology").is_visible()


def test_a_word_plays_from_there_and_the_text_follows(page):
    ready(page)
    word = page.locator("#lines li", has_text="退款申请了两个星期").locator("[data-t]").nth(9)
    start = float(word.get_attribute("data-t"))
    page.evaluate(
        "() => { const a = document.getElementById('audio');"
        " a.addEventListener('seeked', () => { window.sought ??= a.currentTime; }); }"
    )
    word.click()
    wait_until(page, "window.sought")
    assert page.evaluate("window.sought") == pytest.approx(start, abs=0.2)
    wait_until(page, f"{NOW} > {start + 0.6}")
    spoken = "document.querySelector('.spoken')?.dataset.t"
    wait_until(page, spoken)
    first = float(page.evaluate(spoken))
    wait_until(page, f"{spoken} > {first}")
    page.keyboard.press("Space")
    wait_until(page, PAUSED)
    wait_until(page, "document.getElementById('play').innerText.includes('播放')")


@pytest.mark.parametrize("size", [(390, 844), (1280, 900), (1280, 560)])
def test_pause_and_the_line_that_plays_stay_in_sight(open_window, size: tuple[int, int]):
    page = open_window("/calls/refund_silent_hold?t=9")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    ready(page)
    page.locator("#speed").select_option("2")
    page.locator("#play").click()
    wait_until(page, f"{NOW} > 40", 30)
    seen = """(() => {
      const top = (one) => document.elementFromPoint(one.left + 20, one.top + 6);
      const line = document.querySelector('#lines [aria-current]'), play = document.getElementById('play');
      return line?.contains(top(line.getBoundingClientRect())) && top(play.getBoundingClientRect()) === play;
    })()"""
    wait_until(page, seen, 3)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_evidence_plays_the_right_seconds_and_stops_by_itself(page):
    ready(page)
    link = page.locator("#item-opening_rude_answer a.moment")
    start, end = (float(link.get_attribute(f"data-{name}")) for name in ("play", "end"))
    page.locator("#panel-fail details.rest > summary").click()  # it is not among the first
    link.click()
    wait_until(page, f"!{PAUSED} && {NOW} > {start - 1}")
    wait_until(page, PAUSED, 15)
    assert end + 0.8 < page.evaluate(NOW) < end + 2
    assert path_of(page) == "/calls/refund_silent_hold"


def test_findings_are_reached_one_after_the_other(page):
    ready(page)
    places = [float(b.get_attribute("data-play")) for b in page.locator("#findings button").all()]
    assert places == sorted(places)
    for place in places[:2]:
        page.keyboard.press("n")
        wait_until(page, f"Math.abs({NOW} - {place - 1}) < 0.9")
        page.keyboard.press("k")
        wait_until(page, PAUSED)
    page.keyboard.press("p")
    wait_until(page, f"Math.abs({NOW} - {places[0] - 1}) < 0.9")
    assert page.locator("article[aria-current]").count() == 1


def test_an_event_is_heard_where_it_is(page):
    ready(page)
    button = page.locator("#events button", has_text="等待")
    button.click()
    wait_until(page, f"{NOW} > {float(button.get_attribute('data-play')) - 1}")
    assert not page.evaluate(PAUSED)


def test_keys_move_the_sound_and_are_dead_in_fields(page):
    ready(page)
    page.keyboard.press("l")
    page.keyboard.press("ArrowRight")
    wait_until(page, f"Math.abs({NOW} - 10) < 0.2")
    page.keyboard.press("j")
    wait_until(page, f"Math.abs({NOW} - 5) < 0.2")
    page.keyboard.press(".")
    assert page.locator("#speed").input_value() == "1.25"
    assert page.evaluate("document.getElementById('audio').playbackRate") == 1.25
    page.locator("#speed").focus()
    page.keyboard.press("l")
    assert page.evaluate(NOW) == pytest.approx(5, abs=0.2)
    page.locator("#help").click()
    page.locator("#letters").uncheck()
    page.locator("#letters").blur()
    page.keyboard.press("l")
    assert page.evaluate(NOW) == pytest.approx(5, abs=0.2)
    page.reload()
    page.locator("#help").click()
    assert not page.locator("#letters").is_checked()


def test_the_slider_is_a_slider(page):
    ready(page)
    page.locator("#seek").focus()
    page.keyboard.press("End")
    wait_until(page, f"{NOW} > 80")
    page.keyboard.press("Home")
    wait_until(page, f"{NOW} < 0.2")


def test_the_transcript_is_one_tab_stop_with_arrows(page):
    assert page.locator("#lines li[tabindex='0']").count() == 1
    page.locator("#lines li[tabindex='0']").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert "订单号多少" in page.evaluate("document.activeElement.innerText")
    assert page.locator("#lines li[tabindex='0']").count() == 1
    page.keyboard.press("Enter")
    wait_until(page, f"{NOW} > 27.8 && !{PAUSED}")
    wait_until(page, PAUSED, 12)
    assert page.evaluate(NOW) < 31


def test_tabs_go_by_arrows(page):
    page.locator("#tab-fail").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-pass").get_attribute("aria-selected") == "true"
    assert page.locator("#panel-pass").is_visible()
    assert not page.locator("#panel-fail").is_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.id") == "tab-not_applicable"


def test_zoom_by_key_and_by_drag_is_in_the_address(page):
    ready(page)
    page.keyboard.press("+")
    wait_until(page, "location.href.includes('zoom=0%3A00-0%3A41')")
    page.keyboard.press("-")
    wait_until(page, "!location.href.includes('zoom')")
    box = page.locator("#lanes").bounding_box()
    y = box["y"] + box["height"] - 6
    page.mouse.move(box["x"] + 0.25 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
    page.mouse.up()
    wait_until(page, "/zoom=0%3A20-0%3A4[01]/.test(location.href)")
    shown = page.locator("#events button:visible").all_inner_texts()
    assert any("抢话" in text for text in shown)
    assert not any("振铃" in text for text in shown)
    small = page.locator("#minimap").bounding_box()
    page.mouse.click(small["x"] + 0.75 * small["width"], small["y"] + 10)
    wait_until(page, "/zoom=0%3A[45]\\d-1%3A1\\d/.test(location.href)")
    box = page.locator("#lanes").bounding_box()
    page.mouse.dblclick(box["x"] + 300, box["y"] + 20)
    wait_until(page, "!location.href.includes('zoom')")
    assert not page.locator("#minimap").is_visible()


def test_a_click_on_the_lanes_goes_there(page):
    ready(page)
    box = page.locator("#lanes").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 30)
    wait_until(page, f"Math.abs({NOW} - 40.4) < 0.5")


def test_the_lanes_show_sound_in_the_colours_of_the_theme(page):
    wait_until(page, "document.getElementById('no-sound').hidden")
    count = """() => { const c = document.getElementById('lanes'), g = c.getContext('2d');
      const d = g.getImageData(0, 0, c.width, 54).data; let n = 0;
      for (let i = 0; i < d.length; i += 4) n += d[i] < 90 && d[i + 2] > 140 && d[i + 3] > 200; return n; }"""
    time.sleep(0.3)
    assert page.evaluate(count) > 200


def test_the_link_to_this_second_is_copied(page):
    ready(page)
    page.keyboard.press("l")
    wait_until(page, f"{NOW} > 4")
    page.keyboard.press("c")
    time.sleep(0.2)
    assert page.evaluate("navigator.clipboard.readText()").endswith(
        "/calls/refund_silent_hold?t=5.0"
    )


def test_the_balance_makes_one_side_silent(page):
    ready(page)
    page.locator("#balance").fill("1")
    page.keyboard.press("Escape")
    page.locator("#play").click()
    wait_until(page, f"{NOW} > 0.5")


def test_what_was_heard_is_noted(page, samples: Store):
    ready(page)
    page.locator("#lines li").nth(1).click()
    wait_until(page, f"{NOW} > 20.5", 15)
    page.locator("#play").click()
    time.sleep(0.5)
    rows = samples.fetch(sa.select(SQL["audit"]).where(SQL["audit"].c.action == "play"))
    assert "refund_silent_hold" in {row.object for row in rows}


def test_a_format_browsers_do_not_play_is_heard_all_the_same(open_window, tmp_path):
    with Store.open(tmp_path / "callcoach.db") as store:
        result = call("gsm", wav(tmp_path / "gsm.wav", seconds=5, subtype="GSM610"))
        store.save(dataclasses.replace(result, codec="gsm_ms", duration=5.0))
        with serving(store) as address:
            page = open_window("/calls/gsm", base=address)
            ready(page)
            page.locator("#play").click()
            wait_until(page, f"{NOW} > 0.5")
            assert page.evaluate("document.getElementById('audio').duration") == pytest.approx(
                5, abs=0.1
            )


def test_a_call_without_sound_can_still_be_read(open_window, tmp_path):
    with Store.open(tmp_path / "callcoach.db") as store:
        store.save(call("gone"))
        with serving(store) as address:
            page = open_window("/calls/gone", base=address)
            assert page.locator("#play").is_disabled()
            page.locator("#lines li").nth(1).click()
            assert page.locator("#lines li").nth(1).get_attribute("aria-current") == "true"
