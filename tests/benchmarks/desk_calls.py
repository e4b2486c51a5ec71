"""A made-up store of many calls for the desk's budgets: some calls, copied with other agents and numbers.

Nothing in it was recorded or heard. ``TEMPLATES`` calls are saved as any call is; the database then copies
them under other ids, agents and hours, and moves their main measures by agent and at random (seeded by id,
so that a store is always the same). 200 agents in 5 teams over 52 weeks; each call has a verdict on
every item of the rubric. One call lasts an hour.

    python -m tests.benchmarks.desk_calls FOLDER [--calls 200000]
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from pipeline.rubric import load_rubric
from pipeline.schema import Provenance, Turn, Verdict, Word
from pipeline.settings import load_settings
from pipeline.store import Store, agent_weeks, said
from pipeline.store.database import writing
from pipeline.store.migrations import SQL
from tests.desk_store import Person, _hasten, call

CALLS, TEMPLATES = 200_000, 2_000
PEOPLE, COPIED_AGENTS, WEEKS = 20, 10, 52  # 20 people, each under 10 ids
TEAMS = ("售后组", "物流组", "退款组", "会员组", "外呼组")
HOUR = "one-hour-call"
SPREAD = {  # of measures between the ids of one person, and between copies of one call
    "agent_speaking_rate": 12.0, "agent_level_dbfs": 1.0, "agent_pitch_sd_st": 0.2,
    "compliance_score": 4.0, "agent_interruption_rate": 0.3,
}  # fmt: skip
SAYINGS = (
    "我再帮您核实一下订单的状态。", "这个情况我们会尽快反馈给仓库。", "您的退款三到五个工作日到账。",
    "麻烦您提供一下手机号后四位。", "快递已经到了您附近的网点。", "会员积分会在月底统一清零。",
)  # fmt: skip


def fill(store: Store, calls: int = CALLS, seed: int = 1, templates: int = TEMPLATES) -> None:
    """Fill an empty SQLite store with so many made-up calls, and one of an hour."""
    settings, rubric = load_settings(), load_rubric("hotline")
    store.keep_document("rubrics", rubric.sha256, rubric.outline())
    store.keep_document("settings", settings.digest(), settings.model_dump_json())
    _hasten(store)
    provenance = Provenance("gpu", "0.0.0", settings.digest(), {}, rubric.sha256)
    weights = {item.id: item.weight for item in rubric.items}
    rng = np.random.default_rng(seed)
    templates = min(templates, calls)
    for n in range(templates):
        person = n % PEOPLE
        who = Person(f"T{person:02d}", f"小{chr(0x4E00 + 37 * person)}", (), 190.0 + 2 * person)
        week = WEEKS - 1 - (n // PEOPLE) % WEEKS  # 2025-W40 is the first of desk_store
        one = call(who, week - WEEKS // 2, n, rng, provenance, weights)
        judged = {v.item_id for v in one.verdicts}
        more = tuple(
            Verdict(i, "rubric", "pass" if k % 3 else "not_applicable", weight=w, confidence=0.9)
            for k, (i, w) in enumerate(weights.items())
            if i not in judged
        )
        text = SAYINGS[n % len(SAYINGS)]
        turn = Turn(99, "agent", 60.0, 64.0, ((60.0, 64.0),), text, (), 0.9, units=len(text))
        store.save(
            dataclasses.replace(one, verdicts=(*one.verdicts, *more), turns=(*one.turns, turn))
        )
    if templates:
        store.save(_hour(one, provenance))
    copies = calls // templates - 1 if templates else 0
    with writing(store._engine) as connection:
        _copy(connection, copies)
        agent_weeks.mark_all(connection, SQL)
        connection.execute(SQL["changes"].update().values(counter=SQL["changes"].c.counter + 1))
        connection.execute(sa.text("ANALYZE"))


def _copy(connection: sa.Connection, copies: int) -> None:
    """Copy all calls but the long one so many times."""
    teams = (
        "CASE agent / 40 " + " ".join(f"WHEN {i} THEN '{t}'" for i, t in enumerate(TEAMS)) + " END"
    )
    connection.execute(sa.text("CREATE TEMP TABLE old AS SELECT rowid AS n, * FROM calls"))
    connection.execute(sa.text("DELETE FROM old WHERE call_id = :hour"), {"hour": HOUR})
    names = [c.name for c in SQL["calls"].c]
    for k in range(copies + 1):
        new = f"'{k:03d}-' || call_id"
        agent = f"(CAST(substr(agent_id, 2) AS INTEGER) + {PEOPLE * (k % COPIED_AGENTS)})"
        jitter = f"(((n * 7919 + {k} * 104729) % 2003) / 1001.5 - 1)"
        mean = f"((({agent} * 31) % 17) / 8.0 - 1)"
        values: dict[str, str] = {
            "call_id": new,
            "slug": new,
            "path": f"'/made/{k:03d}-' || call_id || '.wav'",
            "agent_id": f"printf('A%03d', {agent})",
            "agent_name": f"agent_name || '{k % COPIED_AGENTS}'",
            "team": teams.replace("agent /", f"{agent} /"),
            "started_at": f"substr(started_at, 1, 11) || printf('%02d:%02d', 9 + (n + {k}) % 9,"
            f" (n * 7 + {k}) % 60) || substr(started_at, 17)",
        }
        for name, size in SPREAD.items():
            values[name] = f"{name} + {size} * ({jitter} + {mean})"
        values["compliance_score"] = f"min(100.0, max(0.0, {values['compliance_score']}))"
        values["reviewed_score"] = values["compliance_score"]
        values["agent_interruption_rate"] = f"max(0.0, {values['agent_interruption_rate']})"
        chosen = ", ".join(values.get(name, f'"{name}"') for name in names)
        into = ", ".join(f'"{name}"' for name in names)
        if k == 0:  # the templates themselves become the first copies
            connection.execute(sa.text("DELETE FROM calls WHERE call_id != :hour"), {"hour": HOUR})
        connection.execute(sa.text(f"INSERT INTO calls ({into}) SELECT {chosen} FROM old"))
    ks = "(WITH RECURSIVE k(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM k WHERE k < {}) SELECT k FROM k)"
    for table in ("turns", "events", "verdicts", "results", "judged"):
        names = [c.name for c in SQL[table].c if c.name != "call_id"]
        columns = ", ".join(f'"{name}"' for name in names)
        connection.execute(sa.text(f"CREATE TEMP TABLE part AS SELECT * FROM {table}"))
        connection.execute(sa.text(f"DELETE FROM {table} WHERE call_id != :hour"), {"hour": HOUR})
        connection.execute(
            sa.text(
                f"INSERT INTO {table} (call_id, {columns}) SELECT printf('%03d-', k) || call_id, {columns} "
                f"FROM {ks.format(copies)}, part WHERE call_id != :hour ORDER BY 1"
            ),
            {"hour": HOUR},
        )
        connection.execute(sa.text("DROP TABLE part"))
    _index(connection, copies)


def _index(connection: sa.Connection, copies: int) -> None:
    """Put the copies into the index of what was said, each with the tokens of its call."""
    calls, turns, known = SQL["calls"].c, SQL["turns"].c, SQL["said"]
    connection.execute(known.delete())
    connection.execute(sa.text(f"DROP TABLE {said.INDEX}"))
    said.make(connection)
    tokens: dict[str, str] = {}
    spoken: dict[str, list[tuple[str, str]]] = {}
    query = sa.select(turns.call_id, turns.speaker, turns.text).where(turns.call_id.like("000-%"))
    for call_id, speaker, text in connection.execute(query):
        spoken.setdefault(call_id[4:], []).append((speaker, text))
    tokens = {call_id: " ".join(said.tokens_of(of_call)) for call_id, of_call in spoken.items()}
    rows: list[dict[str, Any]] = []
    for n, (call_id, started_at) in enumerate(
        connection.execute(sa.select(calls.call_id, calls.started_at).order_by(calls.call_id))
    ):
        if call_id != HOUR:
            doc = said._second(started_at) * said.SECOND + n
            rows.append({"doc": doc, "call_id": call_id, "hash": "", "tokens": tokens[call_id[4:]]})
    insert = sa.text(f"INSERT INTO {said.INDEX} (rowid, tokens) VALUES (:doc, :tokens)")
    for first in range(0, len(rows), 10_000):
        some = rows[first : first + 10_000]
        connection.execute(insert, some)
        connection.execute(known.insert(), [row | {"tokens": None} for row in some])


def _hour(like: Any, provenance: Provenance) -> Any:
    """A call of an hour: 540 turns with 9,000 words."""
    turns = []
    for i in range(540):
        start = 6.6 * i
        text = "".join(SAYINGS[(i + j) % len(SAYINGS)] for j in range(2))[:17]
        words = tuple(
            Word(start + 0.35 * k, start + 0.35 * (k + 1), c, 0.9) for k, c in enumerate(text)
        )
        who = ("agent", "customer")[i % 2]
        turns.append(Turn(i, who, start, start + 6.0, ((start, start + 6.0),), text, words, 0.9))
    recording = dataclasses.replace(like.recording, call_id=HOUR, path=f"/made/{HOUR}.wav")
    return dataclasses.replace(like, recording=recording, duration=3600.0, turns=tuple(turns))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--calls", type=int, default=CALLS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with Store.open(given.folder / "callcoach.db") as made:
        fill(made, given.calls)
