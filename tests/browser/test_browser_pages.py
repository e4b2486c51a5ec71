"""Every page: no overflow, no fault for a screen reader, both themes and languages, back and forth."""

from __future__ import annotations

import pytest

from tests.browser.serving import path_of

PAGES = (
    "/calls",
    "/calls?agent=nobody",
    "/calls/refund_silent_hold",
    "/calls/invoice_mono?tab=pass",
    "/methods",
    "/team",
    "/agents/N102",
    "/calls/refund_silent_hold/items/opening_greeting",
    "/reviews?kind=sample",
    "/rubric",
    "/rubric/opening_greeting",
    "/search?q=退款",
    "/batch",
    "/look?back=/calls",
)
"""Addresses every one of which keeps to the rules; a new page adds its line here."""


@pytest.mark.parametrize("address", PAGES)
def test_nothing_sticks_out(open_window, address: str):
    page = open_window(address)
    for language in ("zh", "en"):
        page.goto(page.url.partition("?lang=")[0].partition("&lang=")[0])
        page.goto(f"{page.url}{'&' if '?' in page.url else '?'}lang={language}")
        for width in (1280, 820, 390):
            page.set_viewport_size({"width": width, "height": 1000})
            wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1], (language, width)


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_window, address: str, theme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_window(address, color_scheme=theme)
    for details in page.locator("details").all()[:3]:
        details.evaluate("one => one.open = true")
    found = axe.Axe().run(page).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    told = [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in serious]
    assert told == []


def test_filters_are_addresses_and_back_goes_back(open_window):
    page = open_window("/calls")
    page.get_by_label("坐席").select_option("N102")
    page.get_by_role("button", name="应用").click()
    assert "agent=N102" in page.url
    rows = page.locator("tbody tr")
    assert rows.count() == 3
    rows.nth(2).locator("a").click()
    page.wait_for_url("**/calls/refund_silent_hold")
    page.go_back()
    assert "agent=N102" in page.url
    assert page.get_by_label("坐席").input_value() == "N102"


def test_language_and_theme_are_switched_in_the_header(open_window):
    page = open_window("/calls/refund_silent_hold?tab=pass")
    with page.expect_navigation():
        page.get_by_role("link", name="English").click()
    assert path_of(page) == "/calls/refund_silent_hold?tab=pass"
    assert page.locator("h2").first.inner_text().startswith("Transcript")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    with page.expect_navigation():
        page.get_by_role("link", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.goto(page.url.partition("?")[0].replace("/refund_silent_hold", ""))
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_a_page_is_used_by_keyboard_alone(open_window):
    page = open_window("/calls")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    while page.evaluate("document.activeElement.closest('tbody') === null"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/calls/*")
    assert page.locator("audio").count() == 1


def test_a_page_prints(open_window, tmp_path):
    page = open_window("/calls/refund_silent_hold")
    page.pdf(path=tmp_path / "call.pdf", format="A4")
    assert (tmp_path / "call.pdf").stat().st_size > 20_000
