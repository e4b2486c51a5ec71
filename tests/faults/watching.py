"""``watch``: files that are being written, restarts, and the end by Ctrl-C or SIGTERM."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from pipeline.commands.run_log import LOG_NAME
from tests.faults import tables
from tests.faults.lab import Lab, Report
from tests.faults.runs import Run

SETTLE_S, EVERY_S = 1.5, 0.3
CHUNKS, CHUNK_PAUSE_S = 10, 0.5  # a call as it is being recorded: longer in all than SETTLE_S
IDLE_S = 3.0  # in which nothing may be done twice


def watch(lab: Lab, times: int) -> Report:
    """Calls come in while it watches, while it is gone, and one is written slowly."""
    report = Report()
    for number in range(times):
        out, inbox = lab.out(), lab.folder / f"inbox{number}"
        numbers = list(range(lab.count))
        lab.copy_calls(inbox, numbers[: lab.count // 2])
        run = _start(lab, inbox, out)
        slow = sorted(lab.calls.iterdir())[lab.count // 2]
        report.add("start", _missing(run, out, 1))
        _write_slowly(slow, inbox / slow.name)
        report.add("the slow one", _missing(run, out, lab.count // 2 + 1))
        report.add("the slow one", _taken_early(out))
        lab.copy_calls(inbox, numbers[lab.count // 2 + 1 : -2])
        time.sleep(float(lab.rng.uniform(0.0, 2 * SETTLE_S)))
        run.kill()
        report.add("kill -9", run.end().wrong(-signal.SIGKILL) + tables.damage(out))
        lab.copy_calls(inbox, numbers[-2:])
        run = _start(lab, inbox, out)
        report.add("after a restart", _missing(run, out, lab.count))
        idle = _outcomes(out)
        time.sleep(IDLE_S)
        report.add("idle", ["it went on working"] * (_outcomes(out) != idle))
        if number % 2:
            run.interrupt()
        else:
            run.signal(signal.SIGTERM)
        report.add("end", run.end().wrong(0))
        found, wanted = tables.read(out), lab.wanted
        without = tables.without_paths
        report.add("tables", tables.differences(without(found), without(wanted)))
        report.add("tables", tables.litter(out))
        report.times += 1
    report.notes.append("one file written in pieces, one kill -9 and restart, ended by a signal")
    return report


def _start(lab: Lab, inbox: Path, out: Path) -> Run:
    return lab.start(
        *("watch", inbox, out, "--settle", str(SETTLE_S), "--every", str(EVERY_S)),
    )


def _missing(run: Run, out: Path, calls: int) -> list[str]:
    """Wait until the exported tables have so many calls; what kept them from it."""
    path = out / "calls.parquet"

    def is_there() -> bool:
        return path.exists() and len(pd.read_parquet(path, columns=["call_id"])) >= calls

    if problem := run.wait_for(is_there):
        return [f"waiting for {calls} calls: {problem}; it said {run.said[-300:]!r}"]
    return []


def _write_slowly(source: Path, target: Path) -> None:
    data = source.read_bytes()
    step = -(-len(data) // CHUNKS)
    with target.open("wb", buffering=0) as file:
        for first in range(0, len(data), step):
            file.write(data[first : first + step])
            time.sleep(CHUNK_PAUSE_S)


def _outcomes(out: Path) -> Counter[tuple[str, str]]:
    """Key and outcome of every call in the log."""
    lines = (out / LOG_NAME).read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return Counter((e["key"], e["outcome"]) for e in events if e["event"] == "call")


def _taken_early(out: Path) -> list[str]:
    said = _outcomes(out)
    twice = [f"{key} {outcome} {n} times" for (key, outcome), n in said.items() if n > 1]
    return twice + [f"{key} failed" for key, outcome in said if outcome == "failed"]
