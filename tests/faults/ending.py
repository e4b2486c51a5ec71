"""Processes are killed or asked to stop, at random moments."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil

from pipeline.store import Store
from tests.faults import tables
from tests.faults.lab import ATTEMPTS, Lab, Report
from tests.faults.runs import Run

KILLS_A_RUN = 5
STOP_S = 20.0  # for a run that was asked to stop
IMPATIENT_S = 0.3  # until somebody presses Ctrl-C again
REAL_PROGRAM = ("-c", "from pipeline.cli import main; main()")
IMPORTING_S = 1.5


def kill_parent(lab: Lab, times: int) -> Report:
    """Kill the program; run again, kill again, until a run gets to its end; then a new store."""
    report, out, stores = Report(), lab.out(), 0
    while report.times < times:
        moment, run = lab.moment(), lab.analyze(out)
        if run.sleep_until(moment):
            run.kill()
            report.times += 1
            wrong = run.end().wrong(-signal.SIGKILL) + tables.damage(out)
            report.add(f"killed after {moment:.2f} s", wrong)
        else:
            wrong = run.end().wrong(0) + lab.unlike(out)
            report.add(f"after {report.times} kills", wrong)
            out, stores = lab.out(), stores + 1
    report.add(f"after {report.times} kills", lab.resume(out))
    report.notes.append(f"{stores + 1} stores, resumed after each kill until done")
    return report


def kill_worker(lab: Lab, times: int) -> Report:
    """Kill some workers of a run; each costs one recording at most, and the next run gets it.

    The first is killed as it is born, before it has read what it is to do.
    """
    report, lost = Report(), 0
    while report.times < times:
        out = lab.out()
        run, killed = lab.analyze(out), 0
        wanted = min(KILLS_A_RUN, times - report.times)
        for moment in [0.0, *sorted(lab.moment() for _ in range(wanted - 1))]:
            if run.sleep_until(moment) and _kill_one(lab, run):
                killed += 1
        report.times += killed
        when = f"{killed} workers killed"
        if wrong := run.end().wrong(0, 1):
            report.add(when, wrong)
            continue
        failures = pd.read_parquet(out / "failures.parquet")
        kinds = set(failures["error_type"]) - {"WorkerDied"}
        report.add(when, [f"it cost {len(failures)} recordings"] * (len(failures) > killed))
        report.add(when, [f"failures of kind {kind}" for kind in sorted(kinds)])
        report.add(when, lab.resume(out))
        lost += len(failures)
    report.notes.append(
        f"{lost} recordings lost to the kills, each a row in failures, then resumed"
    )
    return report


def _kill_one(lab: Lab, run: Run) -> bool:
    if run.wait_for(lambda: bool(run.workers())):
        return False
    try:
        workers = sorted(run.workers(), key=lambda p: p.pid)
        workers[int(lab.rng.integers(len(workers)))].kill()
    except (psutil.Error, ValueError):  # it went while we looked
        return False
    return True


def interrupt(lab: Lab, times: int) -> Report:
    """Ctrl-C, every other time twice."""

    def stop(run: Run, number: int) -> None:
        run.interrupt()
        if number % 2:
            time.sleep(IMPATIENT_S)
            run.interrupt()

    report = _stop(lab, times, stop)
    report.notes.append("every other time pressed twice")
    return report


def terminate(lab: Lab, times: int) -> Report:
    """SIGTERM to the program, as service managers and shells send it."""
    return _stop(lab, times, lambda run, _: run.signal(signal.SIGTERM))


def _stop(lab: Lab, times: int, stop: Callable[[Run, int], None]) -> Report:
    report = Report()
    for _ in range(ATTEMPTS * times):
        out = lab.out()
        run = lab.analyze(out)
        if not lab.moment_under_way(run, out):
            report.add("undisturbed", run.end().wrong(0))
            continue
        asked = run.seconds
        when = f"stopped after {asked:.2f} s"
        stop(run, report.times)
        ended = run.end()
        if ended.code == 0:  # it came when all was done
            report.add("undisturbed", ended.wrong(0) + lab.unlike(out))
            continue
        report.times += 1
        report.add(when, ended.wrong(130))
        report.add(when, ["it did not say that it stopped"] * ("Stopped." not in ended.said))
        if ended.seconds - asked > STOP_S:
            report.add(when, [f"it took {ended.seconds - asked:.0f} s to stop"])
        report.add(when, _left_running(out) + lab.resume(out))
        if report.times == times:
            break
    return report


def _left_running(out: Path) -> list[str]:
    with Store.open(str(out), create=False) as store:
        return [f"run {r.run} is {r.state!r}" for r in store.runs() if r.state == "running"]


def interrupt_start(lab: Lab, times: int) -> Report:
    """Ctrl-C while the program imports its libraries and has done nothing yet."""
    report = Report()
    for _ in range(times):
        arguments = ("analyze", lab.calls, "--out", lab.out())
        run = Run(*arguments, folder=lab.folder, program=REAL_PROGRAM)
        if missing := run.wait_for(lambda run=run: _has_begun_imports(run)):
            report.add("start", [missing])
        moment = run.seconds + float(lab.rng.uniform(0.0, IMPORTING_S))
        if run.sleep_until(moment):
            run.interrupt()
            report.times += 1
        report.add(f"interrupted after {moment:.2f} s", run.end().wrong(130))
    return report


def _has_begun_imports(run: Run) -> bool:
    try:
        return any("numpy" in m.path for m in psutil.Process(run.process.pid).memory_maps())
    except psutil.Error:
        return False
