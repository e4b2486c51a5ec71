"""The desk: one gate to the store, texts in two languages, headers, errors, what it imports."""

from __future__ import annotations

import ast
import gzip
import html
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.desk import server
from pipeline.desk.app import HEADERS
from pipeline.desk.queries import calls as call_queries
from pipeline.desk.words import LANGUAGES, Words, texts
from pipeline.errors import UsageError
from pipeline.measures import MEASURES, SCORES
from pipeline.schema import Recording
from pipeline.settings import load_settings
from pipeline.store import Store
from tests.desk_client import client, get, text_of
from tests.test_store import make_failure, make_result

DESK = Path(server.__file__).parent
SOURCES = sorted(DESK.rglob("*.py"))
TEMPLATES = sorted(DESK.glob("templates/*.html"))
ODD_IDS = (
    "<b>x</b>",
    "a/../../etc",
    "'; DROP TABLE calls; --",
    "客服 1",
    "x" * 300,
    "📞",
    "..",
    "a?b#c",
)


# --- texts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(texts()))
def test_every_text_has_both_languages_with_the_same_values(key: str):
    entry = texts()[key]
    assert set(entry) == set(LANGUAGES), key
    english = entry["en"]
    forms = list(english.values()) if isinstance(english, dict) else [english]
    assert not isinstance(english, dict) or set(english) == {"one", "other"}
    for text in (entry["zh"], *forms):
        assert str(text).strip(), key
        named = {name for _, name, _, _ in string.Formatter().parse(str(text)) if name}
        assert named == {n for _, n, _, _ in string.Formatter().parse(str(entry["zh"])) if n}


def test_every_text_that_is_asked_for_exists():
    asked = re.compile(r"""(?:\bt|words|view\.words)\(\s*"([a-z_.0-9]+)"\s*[,)]""")
    found = {
        (file.name, key)
        for file in (*SOURCES, *TEMPLATES)
        for key in asked.findall(file.read_text("utf-8"))
    }
    assert len(found) > 40
    assert [f for f in found if f[1] not in texts()] == []


def test_numbers_are_written_with_the_digits_they_carry():
    zh, en = Words("zh"), Words("en")
    assert zh.number(194.4, "rate", unit=True) == "194 字/分"
    assert en.number(-23.456, "dbfs") == "−23.5"
    assert zh.number(-0.01, "db") == "0.0"
    assert zh.number(None, "rate") == "—"
    assert zh.number(0.5, "ratio", unit=True) == "50 %"
    assert zh.clock(3723.9) == "1:02:03"
    assert zh.clock(None) == "—"
    assert en("calls.count", n=1) == "1 call"
    assert en("calls.count", n=2) == "2 calls"


# --- the gate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: str(f.relative_to(DESK)))
def test_only_the_scope_reads_the_store_and_only_queries_write_statements(file: Path):
    place = str(file.relative_to(DESK))
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline.store"):
            names = {a.name for a in node.names}
            if "Store" in names:  # opened by a command, handed on to the scope
                assert place in ("scope.py", "app.py", "server.py", "report.py")
            if "SQL" in names:
                assert place.startswith("queries/") or place == "scope.py"
        if isinstance(node, ast.Import | ast.ImportFrom) and not place.startswith("queries/"):
            modules = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            assert not any(m.startswith("sqlalchemy") for m in modules) or place in (
                "scope.py", "queries.py",
            ), place  # fmt: skip
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("fetch", "_store") or place == "scope.py"


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda f: f.name)
def test_no_template_trusts_its_data(file: Path):
    assert not re.search(r"\|\s*safe|autoescape", file.read_text("utf-8"))


def test_the_desk_loads_no_model():
    code = (
        "import sys, pipeline.desk.server; "
        "print([m for m in ('torch', 'pyannote', 'faster_whisper', 'pipeline.run', 'librosa') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_script_and_style_stay_light():
    def packed(suffix: str) -> int:
        files = sorted((DESK / "static").glob(f"*{suffix}"))
        return sum(len(gzip.compress(f.read_bytes())) for f in files)

    assert 0 < packed(".js") <= 30_000
    assert 0 < packed(".css") <= 10_000


# --- headers, hosts, errors -----------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        store.save(make_result())
        store.save_failure(make_failure("broken"))
        yield store


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_of_an_empty_store_say_what_to_do(tmp_path: Path, language: str):
    with Store.open(tmp_path / "callcoach.db") as store:
        browser = client(store)
        assert "callcoach analyze" in get(browser, f"/calls?lang={language}")
        page = get(browser, f"/methods?lang={language}")
        for one in (*SCORES, *MEASURES):
            told = one.definition_zh if language == "zh" else one.definition
            assert told in html.unescape(page), one.id


def test_only_this_server_s_names_are_answered(small: Store):
    browser = client(small)
    assert browser.get("/calls", headers={"host": "evil.example"}).status_code == 421
    assert browser.get("/calls", headers={"host": "localhost:8765"}).status_code == 200
    answer = browser.get("/calls", headers={"host": ""})
    assert answer.status_code == 421
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_changes_are_taken_only_from_own_pages(small: Store):
    browser, body = client(small), {"start": "0", "end": "5"}
    for headers, status in (
        ({}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8765"}, 204),
        ({"sec-fetch-site": "same-origin"}, 204),
    ):
        answer = browser.post("/calls/c1/played", data=body, headers=headers)
        assert answer.status_code == status, headers


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/nothing", 404),
        ("/calls/nothing", 404),
        ("/calls/nothing/audio", 404),
        ("/calls/c1/audio", 404),
        ("/calls/c1?t=soon", 400),
        ("/calls/c1?t=nan", 400),
        ("/calls?direction=sideways", 400),
        ("/calls?from=yesterday", 400),
        ("/calls?score=good", 400),
        ("/calls?after=%00", 400),
        ("/calls?item=hold_consent:maybe", 400),
        ("/static/../app.py", 404),
        ("/static/%2e%2e/app.py", 404),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_page(small: Store, address: str, status: int):
    html = get(client(small), address, status)
    for told in ("Traceback", "SELECT", "site-packages", "/calls/c1.wav"):
        assert told not in html


def test_a_fault_of_the_program_is_a_page_too(small: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(call_queries, "newest", lambda *_: 1 / 0)
    html = get(client(small), "/calls", 500)
    assert "ZeroDivisionError" not in html


def test_nothing_changes_by_looking(small: Store):
    browser, before = client(small), small.changes()
    for address in ("/calls", "/calls/c1", "/calls/broken", "/methods", "/calls/c1"):
        get(browser, address)
    assert small.changes() == before


def test_language_and_theme_are_kept_and_come_back_here(small: Store):
    browser = client(small)
    assert 'lang="zh-CN"' in get(browser, "/calls")
    answer = browser.get(
        "/look?lang=en&theme=dark&back=/calls/c1%3Ftab%3Dpass", follow_redirects=False
    )
    assert answer.headers["location"] == "/calls/c1?tab=pass"
    html = get(browser, "/calls/c1")
    assert 'lang="en"' in html
    assert 'data-theme="dark"' in html
    assert 'lang="zh-CN"' in get(browser, "/calls/c1?lang=zh")
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", ""):
        answer = browser.get("/look", params={"back": back}, follow_redirects=False)
        assert answer.headers["location"] == "/calls"


# --- the server --------------------------------------------------------------------------------------


def test_other_machines_are_let_in_only_behind_a_proxy(small: Store, tmp_path: Path):
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(UsageError, match="--behind-proxy"):
            server.serve(tmp_path, load_settings(), host=host, port=0, language="zh")


def test_what_cannot_be_served_is_said_before_anything_starts(tmp_path: Path, small: Store):
    local = {"host": "127.0.0.1", "port": 0}
    with pytest.raises(UsageError, match="no store"):
        server.serve(tmp_path / "none", load_settings(), language="zh", **local)
    with pytest.raises(UsageError, match="Allowed: en, zh"):
        server.serve(tmp_path, load_settings(), language="fr", **local)
    with server._listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match="--port"):
            server.serve(tmp_path, load_settings(), host="127.0.0.1", port=port, language="zh")


@pytest.mark.parametrize(
    ("address", "zh", "en"),
    [
        (
            "/calls?scroe=3",
            "这里没有叫“scroe”的筛选。 您是不是想写“score”？",
            'Did you mean "score"?',
        ),
        ("/calls/c1?t=abc", "“abc”不是通话里的时刻。", '"abc" is no second of a call.'),
        ("/team?from=2026-99", "“2026-99”不是日期。", '"2026-99" is no day.'),
        ("/team?team=nope", "没有叫“nope”的班组。", 'There is no team "nope".'),
        (
            "/reviews?kind=apeal",
            "您是不是想写“appeal”？",
            'kind = "apeal" is not allowed.',
        ),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_the_reader_s_language(
    tmp_path: Path, address: str, zh: str, en: str
):
    with Store.open(tmp_path / "callcoach.db") as store:
        store.save(make_result("c1"))
        browser = client(store)
        assert zh in text_of(get(browser, address, 400))
        assert en in text_of(get(browser, f"{address}&lang=en", 400))


def test_a_filter_by_what_there_is_not_says_so(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        recording = Recording(path="/c1.wav", call_id="c1", agent_id="A1", team="售后组")
        store.save(make_result("c1", recording=recording))
        browser = client(store)
        assert "没有叫“售后”的班组。您是不是想写“售后组”？" in get(browser, "/calls?team=售后")
        assert "没有叫“nope”的规范项。" in get(browser, "/calls?item=nope:fail")
        assert "没有叫“A1”" not in get(browser, "/calls?agent=A1&score=0-1")
