"""A real browser over a real server: the sample calls in Chromium, each test in a window of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.store import Store
from tests.browser.serving import CHROMIUM, FLAGS, serving, window
from tests.told import save_samples

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
MISSING = f"{CHROMIUM} is not there; on Debian: apt-get install chromium"


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The sample calls as their labels tell them."""
    with Store.open(tmp_path_factory.mktemp("browser") / "callcoach.db") as store:
        save_samples(store)
        yield store


@pytest.fixture(scope="session")
def desk(samples: Store) -> Iterator[str]:
    """Address of a server over the sample calls."""
    with serving(samples) as address:
        yield address


@pytest.fixture(scope="session")
def chromium():
    """The browser."""
    if not Path(CHROMIUM).exists():
        pytest.skip(MISSING)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_window(chromium, desk: str) -> Iterator[Callable[..., playwright.Page]]:
    """Open a window; what goes wrong in it fails the test."""
    faults: list[str] = []
    contexts = []

    def opened(address: str = "/calls", base: str = desk, **look: object):
        context, page = window(chromium, faults, **look)
        contexts.append(context)
        page.goto(base + address)
        page.wait_for_load_state("networkidle")
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            faults += page.evaluate("window.violations ?? []")
        context.close()
    assert faults == []


@pytest.fixture
def page(open_window):
    """A window that shows the call most of the tests look at."""
    return open_window("/calls/refund_silent_hold")
