"""A client of the desk over small stores, and what every page must keep to."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

from fastapi.testclient import TestClient

from pipeline.desk.app import create_app
from pipeline.settings import load_settings
from pipeline.store import Store

ORIGIN = "http://127.0.0.1:8765"
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


def client(store: Store, **settings: object) -> TestClient:
    """A browser of this machine, without scripts, that sees errors as answers."""
    app = create_app(store, load_settings(overrides=settings))
    return TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)


def get(browser: TestClient, address: str, status: int = 200) -> str:
    """A page that keeps to the rules, by address."""
    answer = browser.get(address)
    assert answer.status_code == status, (address, answer.text[:500])
    check_page(answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.text


def check_page(html: str) -> None:
    """No inline script, style or handler, no other host; tags nest, ids are single, links lead on."""
    checker = _Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == [], checker.open
    twice = [i for i, n in Counter(checker.ids).items() if n > 1]
    assert twice == []
    assert checker.faults == []


def text_of(html: str) -> str:
    """What a reader sees of a page, on one line."""
    reader = _Reader()
    reader.feed(html)
    return " ".join("".join(reader.parts).split())


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if known.get("id"):
            self.ids.append(str(known["id"]))
        is_data = known.get("type") == "application/json"
        if tag == "style" or (tag == "script" and not known.get("src") and not is_data):
            self.faults.append(f"inline {tag}")
        for name, value in known.items():
            if name == "style" or name.startswith("on"):
                self.faults.append(f"{tag} {name}={value}")
            if name in ("src", "href", "action") and re.match(r"\w+:|//", value or ""):
                self.faults.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("script", "title")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "title")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)


def wav(path: Path, seconds: float = 2.0, **options: object) -> Path:
    """A recording of a hum."""
    import numpy as np
    import soundfile

    t = np.arange(round(8000 * seconds)) / 8000
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * 220 * t), 8000, **options)
    return path
