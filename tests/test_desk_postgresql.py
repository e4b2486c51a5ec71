"""The desk over PostgreSQL: pages answer, and programs get what they get from SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import workbench
from pipeline.errors import CallcoachError
from pipeline.settings import load_settings
from pipeline.store import Store
from tests.desk_client import client, get
from tests.desk_store import fill, people
from tests.test_desk_api_decisions import post
from tests.told import save_samples

CALL, ITEM = "refund_silent_hold", "hold_consent"
PAGES = (
    "/team", "/team?direction=inbound", "/agents/N102", "/agents/N102?queue=退款", "/calls", "/rubric",
    f"/rubric/{ITEM}", "/search?q=退款", "/search?q=退款&by=sound", "/batch", "/methods", f"/calls/{CALL}",
    *(f"/reviews?kind={kind}" for kind in ("appeal", "sample", "doubtful", "stale")),
)  # fmt: skip
DATA = (
    "/calls?limit=200", "/calls?score=0-60", "/calls?event=hold", f"/calls?item={ITEM}:fail",
    "/calls?from=2025-W41&to=2025-W42", f"/calls/{CALL}", f"/calls/{CALL}/verdicts", f"/calls/{CALL}/words",
    "/agents", "/agents?from=2025-W41&to=2025-W43&direction=inbound", "/agents/N102", "/agents/N102/weeks",
    "/search?q=客服中心", "/search?q=刻符中新&by=sound", "/failures", "/items",
)  # fmt: skip


def answers(target: str, tmp_path: Path) -> dict[str, Any]:
    """What programs get from a store of the samples, made-up calls and a blind review."""
    with Store.open(target) as store:
        save_samples(store)
        fill(store, people(weeks=2, per_week=3)[:2])
        browser = client(store)
        address = f"/calls/{CALL}/items/{ITEM}"
        row = post(browser, f"{address}/reviews", verdict="pass", seen="fail", why="sample")
        found: dict[str, Any] = {"review": {k: v for k, v in row.items() if k != "at"}}
        for page in PAGES:
            get(browser, page)
        for part in DATA:
            answer = browser.get(f"/api/v1{part}")
            assert answer.status_code == 200, (part, answer.text[:300])
            found[part] = answer.json()
        found["blind"] = store.blind_reviews()
        found["bases"] = store.bases()
    with pytest.raises(CallcoachError) as few:  # one review is read, and is not enough
        workbench.calibrate(target, load_settings(), tmp_path / "calibration.json")
    found["calibrate"] = few.value.message
    return found


def test_programs_get_the_same_from_both_databases(postgresql: str, tmp_path: Path):
    ours, theirs = (answers(t, tmp_path) for t in (str(tmp_path / "callcoach.db"), postgresql))
    for name, answer in ours.items():
        assert theirs[name] == answer, name
    assert ours["blind"] == [(CALL, ITEM, "pass")]
    assert len(ours["/agents/N102/weeks"]["data"]) >= 2
