"""A PostgreSQL server of our own that is restarted, as by a crash, while a run writes to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.faults.lab import ATTEMPTS, Lab, Report, Skipped

SCRIPT = Path(__file__).parents[1] / "postgresql.sh"
LIMIT_S = 120.0


def restart(lab: Lab, times: int) -> Report:
    """Restart the server at a random moment; the run waits for it and goes on."""
    report = Report()
    with _server() as (folder, address):
        for number in range(ATTEMPTS * times):
            out, store = lab.out(), _database(address, f"restart{number}")
            run, when = lab.analyze(out, "--store", store), "undisturbed"
            if lab.moment_under_way(run, out):
                when = f"restarted after {run.seconds:.2f} s"
                _script("restart", folder)
                report.times += 1
            report.add(when, run.end().wrong(0))
            report.add(when, lab.unlike(out, store))
            if report.times == times:
                break
    report.notes.append("stopped at once (immediate), started again; the run ended well by itself")
    return report


def kill_with_server(lab: Lab, times: int) -> Report:
    """Kill the program while it writes to the server: its lock goes with it."""
    report = Report()
    with _server() as (_, address):
        for number in range(ATTEMPTS * times):
            out, store = lab.out(), _database(address, f"kill{number}")
            run, when = lab.analyze(out, "--store", store), "undisturbed"
            if lab.moment_under_way(run, out):
                when = f"killed after {run.seconds:.2f} s"
                run.kill()
                report.times += 1
                report.add(when, run.end().wrong(-signal.SIGKILL))
            else:
                report.add(when, run.end().wrong(0))
            report.add(when, lab.resume(out, "--store", store))
            if report.times == times:
                break
    report.notes.append("the next run took the lock at once")
    return report


@contextmanager
def _server() -> Iterator[tuple[Path, str]]:
    folder = Path(tempfile.mkdtemp(prefix="callcoach-postgresql-"))
    try:
        done = _script("start", folder, check=False)
        if done.returncode:
            raise Skipped(done.stderr.strip().splitlines()[0])
        try:
            yield folder, done.stdout.strip()
        finally:
            _script("stop", folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _script(action: str, folder: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ("sh", os.fspath(SCRIPT), action, os.fspath(folder))
    # The server would keep a pipe open: what is said goes through files.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        done = subprocess.run(command, check=check, stdout=out, stderr=err, timeout=LIMIT_S)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())


def _database(address: str, name: str) -> str:
    """Make an empty database; returns its address."""
    url = sa.make_url(address).set(drivername="postgresql+pg8000")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    os.environ["PGPASSWORD"] = str(url.password)  # it is refused on the command line
    bare = url._replace(drivername="postgresql", database=name, password=None)
    return bare.render_as_string(hide_password=False)
