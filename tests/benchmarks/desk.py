"""How quickly the desk answers over many calls, what its pages weigh, and when they are first painted.

    python -m tests.benchmarks.desk                          200,000 made-up calls, in a temporary folder
    python -m tests.benchmarks.desk --store FOLDER           use the calls there, made if there are none
    python -m tests.benchmarks.desk --write                  and put the table into docs/desk.md

``callcoach serve`` runs in a process of its own. Each page is asked for once, first (what is summed over
all calls is made then), after that by 4 viewers who pause for a second between pages, at addresses that
differ. Work is the processor's time that the server takes for a page, whatever else runs beside it.
Milliseconds are from the request to the last byte at the viewer, on this machine; weight is what comes
over the wire at a first visit, all files of the page together; first paint is Chromium's first contentful
paint, the median of three visits. Without Chromium there is none.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from pipeline.store import STORE_NAME, Store
from tests.benchmarks.desk_calls import CALLS, HOUR, fill

VIEWERS, PAUSE_S, ROUNDS, VISITS = 4, 1.0, 6, 3
ALONE = 8  # requests over which the work of a page is taken
DOC = Path(__file__).parents[2] / "docs" / "desk.md"
BEGIN, END = "<!-- bench-desk -->", "<!-- /bench-desk -->"
BUDGETS: Mapping[str, tuple[float, float, float]] = {  # server p95 ms, kB, first paint s
    "team, 40 agents": (120, 60, 0.6),
    "agent": (120, 60, 0.6),
    "call, 5 min": (80, 90, 0.6),
    "call, 60 min": (350, 300, 1.5),
    "calls": (80, 50, 0.5),
    "calls, by score": (80, 50, 0.5),
    "reviews": (80, 50, 0.5),
    "rubric": (80, 50, 0.5),
    "batch": (80, 50, 0.5),
    "search, words": (150, 50, 0.6),
    "search, sound": (150, 50, 0.6),
    "API, 100 calls": (100, 0, 0),
}


def addresses() -> dict[str, Iterator[str]]:
    """For each page addresses that differ, without end."""
    n = itertools.count()
    teams = itertools.cycle(("售后组", "物流组", "退款组", "会员组", "外呼组"))
    words = itertools.cycle(("没有办法", "退款", "三到五个工作日", "核实", "网点", "您好"))
    sounds = itertools.cycle(("没有办法", "积分", "推款", "刻符中新"))
    return {
        "team, 40 agents": (f"/team?team={t}" for t in teams),
        "agent": (f"/agents/A{(37 * i) % 200:03d}" for i in n),
        "call, 5 min": (f"/calls/{i % 10:03d}-t{i % 20:02d}-{i % 20:05d}" for i in n),
        "call, 60 min": itertools.repeat(f"/calls/{HOUR}"),
        "calls": (f"/calls?agent=A{i % 200:03d}" if i % 2 else "/calls" for i in n),
        "calls, by score": (f"/calls?score=0-{30 + i % 20}" for i in n),
        "reviews": itertools.cycle(
            [f"/reviews?kind={k}" for k in ("appeal", "sample", "doubtful", "stale")]
        ),
        "rubric": itertools.cycle(["/rubric", "/rubric/hold_consent", "/rubric/closing_thanks"]),
        "batch": itertools.repeat("/batch"),
        "search, words": (f"/search?q={w}" for w in words),
        "search, sound": (f"/search?q={w}&by=sound" for w in sounds),
        "API, 100 calls": (f"/api/v1/calls?agent=A{i % 200:03d}&limit=100" for i in n),
    }


@dataclass
class Figures:
    """What was measured of one page."""

    first_ms: float = 0.0
    ms: list[float] = field(default_factory=list)
    kb: float = 0.0
    paint_s: float | None = None
    work_ms: float = 0.0  # of the server's processor
    given_up: int = 0  # answers that a query took too long for

    @property
    def p95(self) -> float:
        """95th percentile of the milliseconds."""
        return sorted(self.ms)[max(0, -(-95 * len(self.ms) // 100) - 1)]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """Serve a store by the command; gives its address and process id."""
    command = [sys.executable, "-m", "pipeline", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0].rstrip("/")
        try:
            for _ in range(200):
                try:
                    httpx.get(f"{address}/static/desk.css")
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield address, process.pid
        finally:
            process.terminate()


def ask(browser: httpx.Client, address: str, of: Figures) -> float:
    """Milliseconds until all of an answer is there; one that was given up is counted."""
    begun = time.perf_counter()
    answer = browser.get(address, headers={"accept-encoding": "gzip"})
    took = 1000 * (time.perf_counter() - begun)
    assert answer.status_code in (200, 503), (address, answer.status_code, answer.text[:300])
    of.given_up += answer.status_code == 503
    return took


def measure(
    base: str, process: int, rounds: int = ROUNDS, pause_s: float = PAUSE_S
) -> dict[str, Figures]:
    """Ask for each page once, then alone for its work, then by several viewers at a time."""
    pages, found = addresses(), {name: Figures() for name in BUDGETS}
    lock = threading.Lock()
    with httpx.Client(base_url=base, timeout=60) as browser:
        for name, of_page in pages.items():
            found[name].first_ms = ask(browser, next(of_page), found[name])
        for name, of_page in pages.items():
            begun = work_of(process)
            for _ in range(ALONE):
                ask(browser, next(of_page), Figures())
            found[name].work_ms = 1000 * (work_of(process) - begun) / ALONE

    def view(number: int) -> None:
        order = list(pages)[number:] + list(pages)[:number]
        with httpx.Client(base_url=base, timeout=60) as browser:
            for name in order * rounds:
                time.sleep(pause_s)
                with lock:
                    address = next(pages[name])
                took = ask(browser, address, found[name])
                with lock:
                    found[name].ms.append(took)

    viewers = [threading.Thread(target=view, args=(3 * i,)) for i in range(VIEWERS)]
    for one in viewers:
        one.start()
    for one in viewers:
        one.join()
    return found


def paint(base: str, found: Mapping[str, Figures]) -> None:
    """Weigh each page at a first visit, and see when it is first painted."""
    from playwright.sync_api import sync_playwright

    from tests.browser.serving import CHROMIUM, FLAGS

    if not Path(CHROMIUM).exists():
        return
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, of_page in addresses().items():
            if name.startswith("API"):
                continue
            paints = []
            for _ in range(VISITS):
                context = browser.new_context(viewport={"width": 1280, "height": 1000})
                page = context.new_page()
                page.goto(base + next(of_page))
                page.wait_for_load_state("networkidle")
                seen = page.evaluate(
                    "[...performance.getEntriesByType('navigation'), "
                    "...performance.getEntriesByType('resource')]"
                    ".filter((e) => !/\\/(audio|sound)$/.test(e.name))"
                    ".reduce((sum, e) => sum + e.transferSize, 0)"
                )
                found[name].kb = max(found[name].kb, seen / 1000)
                entries = page.evaluate(
                    "performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)"
                )
                paints += entries
                context.close()
            found[name].paint_s = statistics.median(paints) / 1000 if paints else None
        browser.close()


def table(found: Mapping[str, Figures], calls: int, memory_mb: float) -> str:
    """The figures as Markdown, those over their budget in bold."""

    def shown(value: float | None, budget: float, form: str) -> str:
        if value is None or not budget:
            return "-"
        text = format(value, form)
        return f"**{text}** / {budget:g}" if value > budget else f"{text} / {budget:g}"

    lines = [
        f"{calls:,} calls, {VIEWERS} viewers, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f} "
        f"while it ran); measured / budget, bold where over it. The server took {memory_mb:.0f} MB.",
        "",
        "| page | work, ms | p95, ms | median, ms | first time, ms | first visit, kB | first paint, s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in found.items():
        ms, kb, s = BUDGETS[name]
        given_up = f", **{one.given_up} given up**" if one.given_up else ""
        lines.append(
            f"| {name}{given_up} | {one.work_ms:.0f} | {shown(one.p95, ms, '.0f')} | "
            f"{statistics.median(one.ms):.0f} | "
            f"{one.first_ms:.0f} | {shown(one.kb, kb, '.0f')} | {shown(one.paint_s, s, '.2f')} |"
        )
    return "\n".join(lines)


def work_of(process: int) -> float:
    """Time of the processor that a process took so far, s."""
    import psutil

    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def memory_of(process: int) -> float:
    """Memory of a process now, MB."""
    import psutil

    return psutil.Process(process).memory_info().rss / 1e6


def main() -> None:
    """Make the calls where there are none, measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--store", type=Path, help="folder; kept")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", action="store_true", help="put the table into docs/desk.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = given.store or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        with Store.open(folder / STORE_NAME) as store:
            if not store.count("calls"):
                fill(store, given.calls)
            calls = store.count("calls")
        with serving(folder) as (base, process):
            found = measure(base, process, given.rounds)
            memory_mb = memory_of(process)
            paint(base, found)
    text = table(found, calls, memory_mb)
    print(text)
    if given.write:
        body = DOC.read_text("utf-8")
        block = f"{BEGIN}\n{text}\n{END}"
        DOC.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, body, flags=re.S), "utf-8")


if __name__ == "__main__":
    main()
