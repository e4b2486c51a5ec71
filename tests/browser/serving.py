"""A server in a thread, and windows that report what a page must not do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from pipeline.desk.app import create_app
from pipeline.desk.server import _listening
from pipeline.settings import load_settings
from pipeline.store import Store

CHROMIUM = os.environ.get("CALLCOACH_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
NOTE_VIOLATIONS = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) =>
      window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@contextmanager
def serving(store: Store, **settings: Any) -> Iterator[str]:
    """Serve a store on a free port of this machine; gives its address."""
    app = create_app(store, load_settings(overrides=settings))
    with _listening("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def window(browser: Any, faults: list[str], **look: Any) -> tuple[Any, Any]:
    """A window of a browser with nothing stored; errors and requests to other hosts go to ``faults``."""
    size = {"width": look.pop("width", 1280), "height": look.pop("height", 1000)}
    context = browser.new_context(viewport=size, **look)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.add_init_script(NOTE_VIOLATIONS)
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)

    def note(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.hostname != "127.0.0.1":
            faults.append(f"asked another host: {request.url}")

    page.on("request", note)
    return context, page


def path_of(page: Any) -> str:
    """Path and query that the address bar shows."""
    parts = urlsplit(page.url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def wait_until(page: Any, condition: str, seconds: float = 25.0) -> None:
    """Ask again and again; Playwright's own waiting needs eval, which our pages forbid."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not within {seconds} s: {condition}"
        time.sleep(0.02)
