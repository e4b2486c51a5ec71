"""How long a store of many calls takes to export and to pool by agent, and how much memory.

    python -m tests.benchmarks.scale                      a million calls, in a temporary folder
    python -m tests.benchmarks.scale --calls 100000       fewer
    python -m tests.benchmarks.scale --store big.db       keep the store there, and use it if it is

The calls are drawn at random (seeded) and written to the tables of the store in large
transactions; the stored results, which no table is made from, are left out. Each measurement is
one call of ``pipeline.export.export`` in a process of its own. Prints a table: seconds on the clock
and of the processor, and the most memory the process ever had.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.agents import iso_week
from pipeline.export import export
from pipeline.measures import KINDS
from pipeline.store import TABLES, Column, Store, agent_weeks
from pipeline.store.database import writing
from pipeline.store.migrations import SQL

CALLS = 1_000_000
BLOCK = 10_000  # calls a transaction
AGENTS, TEAMS, DAYS = 500, 20, 182
ROWS_A_CALL = {"turns": 3, "verdicts": 3}
MISSING = 0.03  # of the measures
FAILED = 0.01  # of the calls
TYPICAL: Mapping[str, tuple[float, float]] = {  # mean and spread of each kind of number
    "seconds": (60.0, 20.0), "ratio": (0.5, 0.15), "score": (80.0, 10.0), "rate": (230.0, 30.0),
    "per_10min": (2.0, 1.0), "dbfs": (-26.0, 4.0), "lufs": (-24.0, 4.0), "db": (3.0, 1.0), "hz": (180.0, 30.0),
    "semitones": (3.0, 0.7), "number": (1.5, 0.4),
}  # fmt: skip
TEXTS = (
    "您好，很高兴为您服务。",
    "请问有什么可以帮您？",
    "我想查一下上个月的账单。",
    "好的，请稍等。",
)
STEPS: Mapping[str, Mapping[str, Any]] = {
    "agents, per week too": {"tables": ("agents", "agent_weeks"), "workbook": False},
    "calls to Parquet": {"tables": ("calls",), "formats": ("parquet",), "workbook": False},
    "calls to CSV": {"tables": ("calls",), "formats": ("csv",), "workbook": False},
    "all tables, both formats, workbook": {},
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one measurement took."""

    seconds: float
    cpu_s: float
    peak_mb: float


def fill(path: Path, calls: int, agents: int = AGENTS, seed: int = 7) -> None:
    """Write a store of so many calls by so many agents, with a few turns and verdicts each."""
    rng = np.random.default_rng(seed)
    with Store.open(path) as store:
        for first in range(0, calls, BLOCK):
            numbers = np.arange(first, min(first + BLOCK, calls))
            with writing(store._engine) as connection:
                for name, each in {"calls": 1, **ROWS_A_CALL}.items():
                    insert = str(SQL[name].insert().compile(connection))
                    values = _columns(name, np.repeat(numbers, each), agents, rng)
                    rows = zip(*(values[c.name] for c in SQL[name].c), strict=True)
                    connection.exec_driver_sql(insert, list(rows))
                agent_weeks.mark_all(connection, SQL)


def measure(path: Path, choices: Mapping[str, Any]) -> Cost:
    """Export once in a process of its own; ``choices`` are arguments of ``export``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measured, args=(path, choices, theirs), daemon=True)
    process.start()
    theirs.close()
    cost: Cost = ours.recv()
    process.join()
    return cost


def table(costs: Mapping[str, Cost]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | seconds | processor, s | most memory, MB |", "|---|---:|---:|---:|"]
    lines += [
        f"| {what} | {c.seconds:.1f} | {c.cpu_s:.1f} | {c.peak_mb:.0f} |"
        for what, c in costs.items()
    ]
    return "\n".join(lines)


def _measured(path: Path, choices: Mapping[str, Any], answer: Connection) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as out, Store.open(path) as store:
        begun, cpu = time.monotonic(), time.process_time()
        export(store, out, **choices)
        seconds, cpu_s = time.monotonic() - begun, time.process_time() - cpu
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    answer.send(Cost(seconds, cpu_s, peak))


def _columns(
    name: str, calls: np.ndarray, agents: int, rng: np.random.Generator
) -> dict[str, Sequence[Any]]:
    """Values of all columns of a table, for these numbers of calls."""
    fixed = _calls(calls, agents, rng) if name == "calls" else _parts(calls, rng)
    drawn = {c.name: fixed.get(c.name) or _drawn(c, len(calls), rng) for c in TABLES[name]}
    return drawn | ({"position": _numbered(calls)} if name == "verdicts" else {})


def _calls(calls: np.ndarray, agents: int, rng: np.random.Generator) -> dict[str, Sequence[Any]]:
    ids = _ids(calls)
    agent = rng.integers(agents, size=len(calls))
    days = np.datetime64("2026-01-01") + rng.integers(DAYS, size=len(calls))
    return {
        "call_id": ids,
        "path": [f"/recordings/{i}.wav" for i in ids],
        "slug": ids,
        "sha256": [rng.bytes(32).hex() for _ in calls],
        "started_at": [f"{day}T10:00:00+08:00" for day in days],
        "week": [iso_week(str(day)) for day in days],
        "agent_id": [f"A{a:04d}" for a in agent],
        "agent_name": [f"坐席{a}" for a in agent],
        "team": [f"{a % TEAMS + 1}组" for a in agent],
        "status": np.where(rng.random(len(calls)) < FAILED, "failed", "ok").tolist(),
    }


def _parts(calls: np.ndarray, rng: np.random.Generator) -> dict[str, Sequence[Any]]:
    """Of turns or verdicts: what a table has no column for is left aside."""
    numbers = _numbered(calls)
    return {
        "call_id": _ids(calls),
        "turn": numbers,
        "speaker": [("agent", "customer")[n % 2] for n in numbers],
        "item_id": [f"item_{n}" for n in numbers],
        "verdict": rng.choice(["pass", "fail", "not_applicable"], len(calls)).tolist(),
        "source": ["rubric"] * len(calls),
    }


def _ids(calls: np.ndarray) -> list[str]:
    return [f"call-{n:08d}" for n in calls]


def _numbered(calls: np.ndarray) -> list[int]:
    """0, 1, 2 ... within each call."""
    starts = np.flatnonzero(np.diff(calls, prepend=-1))
    lengths = np.diff(starts, append=len(calls))
    return (np.arange(len(calls)) - np.repeat(starts, lengths)).tolist()


def _drawn(column: Column, rows: int, rng: np.random.Generator) -> list[Any]:
    dtype = KINDS[column.kind].dtype
    if dtype == "str":
        return [TEXTS[i] for i in rng.integers(len(TEXTS), size=rows)]
    if dtype == "boolean":
        return (rng.random(rows) < 0.1).tolist()
    if dtype == "Int64":
        values = rng.poisson(3, rows).astype(object)
    else:
        mean, spread = TYPICAL[column.kind]
        values = np.round(rng.normal(mean, spread, rows), 3).astype(object)
    values[rng.random(rows) < MISSING] = None
    return values.tolist()


def main() -> None:
    """Fill a store, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = options.store or Path(temporary) / "scale.db"
        if not path.exists():
            begun = time.monotonic()
            fill(path, options.calls)
            print(f"filled in {time.monotonic() - begun:.0f} s")
        with Store.open(path, create=False) as store:
            rows = ", ".join(f"{store.count(t):,} {t}" for t in ("calls", *ROWS_A_CALL))
        print(f"{rows}; {path.stat().st_size / 2**30:.2f} GB\n")
        print(table({what: measure(path, choices) for what, choices in STEPS.items()}))


if __name__ == "__main__":
    main()
