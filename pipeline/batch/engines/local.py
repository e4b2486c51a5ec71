"""The engine of one machine: as many worker processes as keep its cores busy.

Each worker is one process with the models loaded once, and one thread here that waits for it.
A worker gets an equal share of the cores; while one waits for a disk, another recognises.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from pipeline.batch.engines import Done, Job, Task
from pipeline.batch.engines.worker import Limits, Supervisor
from pipeline.settings import Settings

TASKS_AHEAD = 1


class LocalEngine:
    """Worker processes on this machine.

    Parameters
    ----------
    job : Job
    limits : Limits
        What one recording may cost.
    workers : int
        Number of worker processes.
    """

    def __init__(self, job: Job, limits: Limits, workers: int) -> None:
        self._supervisors = [Supervisor(job, limits) for _ in range(workers)]
        self._idle: queue.SimpleQueue[Supervisor] = queue.SimpleQueue()
        for supervisor in self._supervisors:
            self._idle.put(supervisor)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="callcoach-worker")

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Work on tasks; as many are taken as there are workers, and one ahead."""
        source = iter(tasks)
        running: set[Future[Done]] = set()
        room = len(self._supervisors) + TASKS_AHEAD
        try:
            while True:
                fresh = islice(source, room - len(running))
                running |= {self._pool.submit(self._one, task) for task in fresh}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()

    def close(self) -> None:
        """End all workers; what is under way is given up."""
        for supervisor in self._supervisors:
            supervisor.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, task: Task) -> Done:
        supervisor = self._idle.get()
        try:
            return Done(task, supervisor.do(task))
        finally:
            self._idle.put(supervisor)


def cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shared_out(settings: Settings, workers: int) -> Settings:
    """Give each worker an equal share of the cores, where the settings do not say otherwise."""
    if settings.asr.threads:
        return settings
    asr = settings.asr.model_copy(update={"threads": max(1, cores() // workers)})
    return settings.model_copy(update={"asr": asr})
