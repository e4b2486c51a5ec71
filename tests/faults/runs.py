"""Runs of the program as processes: start, watch, end, and see that nothing is left of them.

Every process of a run carries a mark in its environment, so that its orphans are found whoever is
their parent by then, and nothing else is ever touched. Every wait has an end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

MARK = "CALLCOACH_FAULTS_RUN"
PATIENCE_S = 180.0  # for a run that takes seconds on a machine that has nothing else to do
ORPHANS_S = 15.0  # for the workers of a parent that is gone; they may still be importing
POLL_S = 0.02
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PROGRAM = ("-m", "tests.faults.program")


@dataclass(frozen=True)
class Ended:
    """How a run ended; ``code`` is None when it had to be ended."""

    code: int | None
    said: str
    seconds: float
    orphans: tuple[str, ...]

    def wrong(self, *codes: int) -> list[str]:
        """What is wrong with it, given the exit codes that are right."""
        found = []
        if self.code is None:
            found.append(f"it hung: not done after {self.seconds:.0f} s")
        elif self.code not in codes:
            found.append(f"exit code {self.code}, not {' or '.join(map(str, codes))}")
        if "Traceback" in self.said and self.code != -signal.SIGKILL:  # then workers may complain
            found.append("it showed a traceback")
        found += [f"left behind: {orphan}" for orphan in self.orphans]
        return [f"{what}; it said: {self.said[-600:]!r}" for what in found]


class Run:
    """One run of the program, from its start on."""

    started: ClassVar[list[Run]] = []

    def __init__(
        self,
        *arguments: str | Path,
        folder: Path,
        program: tuple[str, ...] = PROGRAM,
        environment: Mapping[str, str] = {},
        before: Callable[[], None] | None = None,
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._said = folder / f"run-{self._mark[:8]}.txt"
        self._started = time.monotonic()
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *program, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=os.environ | ONE_THREAD | environment | {MARK: self._mark},
                start_new_session=True,  # a process group of its own, as a terminal gives it
                preexec_fn=before,
            )
        self.started.append(self)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._started

    @property
    def ended(self) -> bool:
        """Whether the program has ended; its workers may be there still."""
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        """What it has written so far, to either stream."""
        return self._said.read_text("utf-8", "replace")

    def marked(self) -> list[psutil.Process]:
        """All processes of the run that are alive."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if (
                    process.environ().get(MARK) == self._mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        found = []
        for process in self.marked():
            with contextlib.suppress(psutil.Error):
                if any("spawn_main" in word for word in process.cmdline()):
                    found.append(process)
        return found

    def sleep_until(self, moment: float) -> bool:
        """Wait for a moment after the start; False if the program ends before it."""
        return not self.wait_for(lambda: self.seconds >= moment) and not self.ended

    def wait_for(self, what: Callable[[], bool], patience_s: float = PATIENCE_S) -> str:
        """Wait until something is so; returns why that did not come, or nothing."""
        end = time.monotonic() + patience_s
        while not what():
            if self.ended:
                return "the program ended before"
            if time.monotonic() > end:
                return f"it did not come within {patience_s:.0f} s"
            time.sleep(POLL_S)
        return ""

    def kill(self) -> None:
        """``kill -9`` of the program alone."""
        self.process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends SIGINT to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def end(self, patience_s: float = PATIENCE_S, orphans_s: float = ORPHANS_S) -> Ended:
        """Wait for the end, and for the end of all it started; what does not end is killed."""
        code: int | None
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            code = None
            self.process.kill()
            self.process.wait()
        seconds = self.seconds
        limit = time.monotonic() + orphans_s
        while (left := self.marked()) and time.monotonic() < limit:
            time.sleep(5 * POLL_S)
        orphans = tuple(_name(process) for process in left)
        self.sweep()
        return Ended(code, self.said, seconds, orphans)

    def sweep(self) -> None:
        """Kill what is left of the run, and wait until it is gone."""
        left = self.marked()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=ORPHANS_S)
        if self in self.started:
            self.started.remove(self)


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[-80:] or process.name()
    except psutil.Error:
        return f"process {process.pid}"
