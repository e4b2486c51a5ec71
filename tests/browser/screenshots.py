"""Pictures of the pages for the documentation: ``python -m tests.browser.screenshots STORE docs/desk``.

A store of made-up agents (``tests.desk_store``) gives the pictures of agent and team, another those of calls.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from pipeline.store import Store
from tests.browser.serving import CHROMIUM, FLAGS, serving, wait_until, window

COLOURS = 64
SHOTS = (
    ("call-light", "/calls/refund_silent_hold?t=46", 1280, "light"),
    ("call-dark", "/calls/refund_silent_hold?t=46", 1280, "dark"),
    ("call-mono-english", "/calls/invoice_mono?lang=en&zoom=0:10-0:40", 820, "light"),
    ("calls-light", "/calls", 1280, "light"),
    ("calls-dark", "/calls", 820, "dark"),
    ("methods-light", "/methods", 820, "light"),
)
MADE_SHOTS = (
    ("agent-light", "/agents/N102", 1280, "light"),
    ("agent-dark", "/agents/N108?measure=agent_speaking_rate", 820, "dark"),
    ("team-light", "/team", 1280, "light"),
    ("team-dark", "/team", 820, "dark"),
)
"""Name, address, width in pixels, theme. A new page adds its line to one of both."""


def main(store: str, out: str) -> None:
    """Open every page and keep what is seen of it, in few colours."""
    from PIL import Image

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        Store.open(store, create=False) as opened,
        serving(opened) as desk,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        is_made = (opened.frame("calls", columns=["path"])["path"].str.startswith("/made/")).any()
        for name, address, width, theme in MADE_SHOTS if is_made else SHOTS:
            faults: list[str] = []
            context, page = window(browser, faults, width=width, color_scheme=theme)
            page.goto(desk + address)
            page.wait_for_load_state("networkidle")
            if "/calls/" in address:
                wait_until(page, "document.getElementById('no-sound').hidden")
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{name}.png")
            context.close()
            assert faults == [], faults
            with Image.open(folder / f"{name}.png") as picture:
                small = picture.convert("RGB").quantize(COLOURS)
            small.save(folder / f"{name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
