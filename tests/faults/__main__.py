"""Do the faults and say what happened: ``python -m tests.faults [--short] [--only NAME]``.

Prints a Markdown table. Without ``--short`` each row is kept in ``docs/faults.json`` and the page
``docs/faults.md`` written from it. The exit code is 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pipeline import __version__
from tests.faults import contents, ending, memory, places, server, tables, watching
from tests.faults.lab import Fault, Lab, Report, Skipped

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
KEPT = PAGE.with_suffix(".json")
SEED = 20260322
CALLS = (20, 6)  # of the undisturbed run, in full and in short
SAME = "tables equal to those of an undisturbed run"

FAULTS = (
    Fault("kill-parent", "`kill -9` of the program", f"resume gives {SAME}; no worker is left",
          (50, 2), ending.kill_parent),
    Fault("kill-worker", "`kill -9` of a worker",
          f"costs one recording at most; resume gives {SAME}", (50, 3), ending.kill_worker),
    Fault("ctrl-c", "Ctrl-C", f"exit code 130 within seconds, no traceback; resume gives {SAME}",
          (8, 1), ending.interrupt),
    Fault("sigterm", "SIGTERM", "the same", (4, 0), ending.terminate),
    Fault("ctrl-c-start", "Ctrl-C while libraries are imported", "exit code 130, no traceback",
          (5, 1), ending.interrupt_start),
    Fault("damaged", "Damaged, odd and hostile files", "no crash, no hang, each explained",
          (1000, 40), contents.damaged),
    Fault("full-disk", "The disk of the output folder is full",
          f"exit code 2 and advice; with room again, resume gives {SAME}", (6, 1), places.full_disk),
    Fault("read-only", "The output folder cannot be written",
          "exit code 2 and advice; reading goes on", (3, 3), places.read_only),
    Fault("deleted", "Recordings are deleted while the run goes on",
          "one row each, the others are analysed; once back, resume completes",
          (2, 1), places.deleted),
    Fault("two-runs", "Two runs on one store",
          f"the second refuses or comes after; {SAME}", (6, 1), places.two_runs),
    Fault("postgresql-restart", "PostgreSQL is restarted",
          f"the run goes on by itself; {SAME}", (4, 1), server.restart),
    Fault("postgresql-kill", "`kill -9` of the program, results in PostgreSQL",
          f"resume gives {SAME}", (4, 0), server.kill_with_server),
    Fault("watch", "`watch`: a slow file, `kill -9`, restart, Ctrl-C or SIGTERM",
          "each call is taken once, when it is whole; exit code 0; equal tables",
          (2, 1), watching.watch),
    Fault("memory", "500 calls through one worker (stand-ins for the models)",
          "memory stays flat", (500, 0), memory.flat),
    Fault("memory-real", "Short calls through one worker (embedded models)",
          "memory stays flat", (40, 0), memory.flat_real),
    Fault("log", "Names, telephone numbers, a failure",
          "no log has words, names, numbers or paths", (3, 2), contents.quiet_log),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What came of one fault, as it is kept in ``faults.json``."""

    name: str
    times: int
    verdict: str
    seconds: float
    date: str
    version: str
    seed: int

    def cells(self, fault: Fault) -> tuple[str, ...]:
        """The row of the table."""
        return (
            *(fault.what, str(self.times or "-"), fault.expected, self.verdict),
            *(f"{self.seconds:.0f}", self.date),
        )


def do(fault: Fault, lab: Lab, times: int) -> Report:
    """Do one fault so many times; what the fault itself stumbles over is a problem too."""
    try:
        return fault.do(lab, times)
    except Skipped:
        raise
    except Exception:  # the others are done all the same
        return Report(problems=[traceback.format_exc()])
    finally:
        lab.sweep()


def judge(fault: Fault, lab: Lab, times: int) -> tuple[Row, list[str]]:
    """Do one fault; returns its row and what was wrong."""
    start, report, verdict = time.monotonic(), Report(), ""
    try:
        report = do(fault, lab, times)
        verdict = "; ".join(["as expected", *report.notes])
        if report.problems:
            verdict = f"WRONG: {len(report.problems)} problems"
    except Skipped as reason:
        verdict = f"skipped: {reason}"
    seconds, date = round(time.monotonic() - start, 1), datetime.now(UTC).strftime("%Y-%m-%d")
    row = Row(fault.name, report.times, verdict, seconds, date, __version__, lab.seed)
    return row, report.problems


def table(rows: Mapping[str, Row]) -> str:
    """The rows as Markdown, in the order of the faults."""
    header = ("Fault", "Times", "Expected", "What happened", "Seconds", "Date")
    kept = [rows[fault.name].cells(fault) for fault in FAULTS if fault.name in rows]
    lines = [header, ("---",) * len(header), *kept]
    return "".join("| " + " | ".join(c.replace("|", "/") for c in line) + " |\n" for line in lines)


def page(rows: Mapping[str, Row]) -> str:
    """The page of the documentation."""
    left = ", ".join(f"`{fault.name}`" for fault in FAULTS if fault.name not in rows)
    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()}"
    )
    return f"""# Faults

What can befall a night's run was done to the real command line in processes of its own, at random
moments of a run, and the tables it left were compared cell by cell with those of a run that nothing
disturbed: all CSV and Parquet files but for `processing_seconds`, and every whole result in the
store. (The means of agents are sums over calls in the order in which they were stored: they may
differ by {tables.ROUNDING:g}.) After each end no process may be left, and SQLite must
find its file whole.

{table(rows)}
{f"Not done yet: {left}." if left else ""}
The runs analyse {CALLS[0]} synthetic calls in two workers with stand-ins for the models, except where
the table says otherwise. Written by `make faults` ({machine}; callcoach {__version__}; seed {SEED}).
`python -m tests.faults --only NAME` renews one row: {", ".join(f"`{f.name}`" for f in FAULTS)}.
A short form runs with the tests.
""".replace("\n\n\n", "\n\n")


def main() -> int:
    """Read the arguments, do the faults, print and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer times, fewer calls")
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--only", action="append", choices=names, help="do these only")
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # runs begin as from a terminal
    _say(f"seed {chosen.seed}")
    rows, wrong = {}, 0
    with tempfile.TemporaryDirectory(prefix="callcoach-faults-") as folder:
        lab = Lab(Path(folder), CALLS[chosen.short], chosen.seed)
        for fault in FAULTS:
            if fault.times[chosen.short] and fault.name in (chosen.only or names):
                row, problems = judge(fault, lab, fault.times[chosen.short])
                _say("\n  ".join([f"{fault.name}: {row.verdict}", *problems]))
                rows[fault.name], wrong = row, wrong + len(problems)
                if not chosen.short:
                    _keep(row)
    _say(table(rows))
    return int(wrong > 0)


def _keep(row: Row) -> None:
    """Put a row in the place of the earlier one, and write the page anew."""
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else []
    rows = {old["name"]: Row(**old) for old in kept} | {row.name: row}
    known = [asdict(rows[fault.name]) for fault in FAULTS if fault.name in rows]
    KEPT.write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(rows), "utf-8")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
