"""One worker process and the supervisor that guards it.

The worker loads the models once and does one task after the other. The supervisor hands it a task
and waits for the answer. A worker that dies, hangs or takes too much memory costs the one recording
it was working on, and the next task gets a new worker. A worker whose supervisor is gone ends
itself, even in the middle of a task.

Loading has its own time limit, so that slow weights are not the fault of the first recording.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Literal, NamedTuple

import psutil

from pipeline.batch.engines import Job, Task
from pipeline.batch.engines.inline import InlineEngine, failure
from pipeline.errors import (
    CallcoachError,
    MemoryLimit,
    RecordingError,
    StageError,
    TimeLimit,
    UsageError,
    WorkerDied,
)
from pipeline.schema import CallResult, Failure, Seconds

POLL_S = 0.5
LOAD_LIMIT_S = 900.0
GRACE_S = 5.0
RECYCLE_SHARE = 0.8  # of the memory limit; above it a worker is replaced between two calls
MIB = 2**20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one recording may cost."""

    base_s: Seconds = 120.0
    per_audio_s: float = 15.0
    memory_mib: float = 4096.0

    def seconds(self, audio_s: Seconds) -> Seconds:
        """Time allowed for a recording of this length."""
        return self.base_s + self.per_audio_s * audio_s


class _Message(NamedTuple):
    """What a worker says: ``value`` is the audio seconds, the outcome or the error."""

    kind: Literal["working", "decoded", "done", "broken"]
    value: float | CallResult | Failure | UsageError | None = None


class Stopped(CallcoachError):
    """The supervisor was closed while a task was under way."""


class Supervisor:
    """Guards one worker process, which is started with the first task."""

    def __init__(self, job: Job, limits: Limits) -> None:
        self._job, self._limits = job, limits
        self._worker: _Handle | None = None
        self._stopping = threading.Event()

    def do(self, task: Task) -> CallResult | Failure:
        """Have one task done, whatever it does to the worker.

        Raises
        ------
        UsageError
            What would fail for every recording, for example missing weights.
        Stopped
            If :meth:`close` was called meanwhile.
        """
        if self._worker is not None and self._worker.memory_mib() > self._recycle_mib():
            _log.info("worker replaced: %.0f MiB in use", self._worker.memory_mib())
            self._dismiss()
        if self._stopping.is_set():
            raise Stopped("The run was stopped.")
        if self._worker is not None and not self._worker.process.is_alive():
            self._worker = None  # ended while idle: nobody's fault
        try:
            if self._worker is None:
                self._worker = _Handle.start()
                self._worker.send(self._job)
            outcome = self._watch(self._worker, task)
        except RecordingError as error:
            self._kill()
            return failure(task.recording, error)
        except BaseException:
            self._kill()
            raise
        return outcome

    def close(self) -> None:
        """End the worker; a task under way is given up."""
        self._stopping.set()
        worker = self._worker
        if worker is not None:
            worker.kill()

    def _watch(self, worker: _Handle, task: Task) -> CallResult | Failure:
        """Wait for the answer; raise what the worker did instead of answering."""
        allowed = LOAD_LIMIT_S  # until it says what it does, it may be starting
        deadline = time.monotonic() + allowed
        if not worker.send(task):
            raise _died(worker)
        while True:
            if self._stopping.is_set():
                raise Stopped("The run was stopped.")
            message = worker.receive(POLL_S)
            if message is None:
                if time.monotonic() > deadline:
                    raise _too_slow(allowed)
                if (used := worker.memory_mib()) > self._limits.memory_mib:
                    raise _too_big(used, self._limits.memory_mib)
                continue
            if message.kind == "done":
                assert isinstance(message.value, CallResult | Failure)
                return message.value
            if message.kind == "broken":
                assert isinstance(message.value, UsageError)
                raise message.value
            if message.kind == "working":
                allowed = self._limits.seconds(0.0)
            else:
                assert isinstance(message.value, float)
                allowed = self._limits.seconds(message.value)
            deadline = time.monotonic() + allowed

    def _recycle_mib(self) -> float:
        return RECYCLE_SHARE * self._limits.memory_mib

    def _dismiss(self) -> None:
        if self._worker is not None:
            self._worker.dismiss()
            self._worker = None

    def _kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


class _Handle:
    """A worker process as its supervisor holds it."""

    def __init__(self, process: multiprocessing.process.BaseProcess, pipe: Connection) -> None:
        self.process, self._pipe = process, pipe

    @classmethod
    def start(cls) -> _Handle:
        """Start a worker, which waits for its job.

        Its arguments are few: ``start`` would wait for ever for a process that ends before it has
        read more of them than a pipe holds. The job follows through our own pipe.
        """
        context = multiprocessing.get_context("spawn")  # forked threads of model libraries hang
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs,), name="callcoach", daemon=True)
        with _uninterrupted():
            process.start()
        theirs.close()
        return cls(process, ours)

    def send(self, what: Job | Task) -> bool:
        try:
            self._pipe.send(what)
        except OSError:
            return False
        return True

    def receive(self, patience_s: Seconds) -> _Message | None:
        """The next message; None when there was none in time; raises when the worker is dead."""
        try:
            if not self._pipe.poll(patience_s):
                return None
            message = self._pipe.recv()
        except (EOFError, OSError) as cause:
            raise _died(self) from cause
        assert isinstance(message, _Message)
        return message

    def memory_mib(self) -> float:
        """Resident memory; 0 when the process is gone."""
        try:
            return float(psutil.Process(self.process.pid).memory_info().rss) / MIB
        except psutil.Error:
            return 0.0

    def dismiss(self) -> None:
        """Let it end by itself."""
        self._pipe.close()
        self.process.join(GRACE_S)
        self.kill()

    def kill(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join(GRACE_S)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """What is started within never sees Ctrl-C, not even before it can say so itself."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started within, it would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(pipe: Connection) -> None:
    """Take a job and do tasks until the pipe closes: what runs in the worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor to decide
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        engine = InlineEngine(pipe.recv())
        while True:
            task = pipe.recv()
            pipe.send(_answer(pipe, engine, task))


def _answer(pipe: Connection, engine: InlineEngine, task: Task) -> _Message:
    def decoded(seconds: Seconds) -> None:
        pipe.send(_Message("decoded", float(seconds)))

    try:
        if task.earlier is None or task.repeated is not None:
            engine.load()
        pipe.send(_Message("working"))
        return _Message("done", engine.work(task, decoded))
    except UsageError as error:
        return _Message("broken", error)
    except (EOFError, OSError, KeyboardInterrupt):
        raise
    except Exception as cause:  # outside any stage: still only this recording's loss
        return _Message("done", failure(task.recording, StageError("worker", cause)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _died(worker: _Handle) -> WorkerDied:
    worker.process.join(GRACE_S)
    code = worker.process.exitcode
    if code is not None and code < 0:
        try:
            how = f"was ended by signal {signal.Signals(-code).name}"
        except ValueError:
            how = f"was ended by signal {-code}"
    else:
        how = f"ended with exit code {code}"
    return WorkerDied(
        f"The worker process {how} while it worked on this recording.",
        "If the system ran out of memory, use fewer workers (--workers); else run this recording "
        "alone with --engine inline to see where it fails.",
    )


def _too_slow(allowed: Seconds) -> TimeLimit:
    return TimeLimit(
        f"It was not done after {allowed:.0f} s, the time allowed for a recording of its length.",
        "Raise run.time_limit_s or run.time_limit_per_audio_s if the machine is slow.",
    )


def _too_big(used: float, limit: float) -> MemoryLimit:
    return MemoryLimit(
        f"The worker took {used:.0f} MiB of memory; {limit:.0f} MiB are allowed.",
        "Raise run.memory_limit_mib, or cut the recording into shorter files.",
    )
